//! `[ingest.hooks.mapping]`: what the events of a webhook mean, as templates and tables of names.
//! Words of ours are checked here, so that no delivery meets one that is not known.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::types::*;
use super::webhooks::At;
use crate::domain::TypeName;
use crate::ingest::webhook::{ActionRule, EVERY_TYPE, JsonPath, Mapping, WebhookTemplate};

/// Templates in one list.
const TEMPLATES_MAX: usize = 100;
/// Fields of an entity.
const FIELDS_MAX: usize = 32;

/// What the events mean.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default)]
pub(super) struct Keys {
    /// The type, as a template.
    r#type: Parsed<Option<WebhookTemplate>>,
    /// Their types and ours.
    types: Map<String>,
    /// What to do with a type that is not in `types`.
    unlisted_type: Parsed<Ignore>,
    /// What an event without a type clears.
    no_type: Parsed<ClearAll>,
    /// Ids, as templates.
    ids: Vec<Parsed<WebhookTemplate>>,
    /// What an event without an id clears.
    no_id: Parsed<IgnoreType>,
    /// Tags, as templates.
    tags: Vec<Parsed<WebhookTemplate>>,
    /// Paths, as templates.
    paths: Vec<Parsed<WebhookTemplate>>,
    /// Keys, as templates.
    keys: Vec<Parsed<WebhookTemplate>>,
    /// Where references to other entities are.
    parents: Vec<Parsed<JsonPath>>,
    /// The action, as a template.
    action: Parsed<Option<WebhookTemplate>>,
    /// Their actions and ours.
    actions: Map<String>,
    /// Fields of the entity, as templates.
    fields: Map<Parsed<WebhookTemplate>>,
    /// Names of changed fields, as templates.
    changed: Vec<Parsed<WebhookTemplate>>,
    /// Two paths: what differs there has changed.
    compare: Vec<Parsed<JsonPath>>,
}

two_words!(Ignore, "expected keep or ignore", "keep", "ignore");
two_words!(ClearAll, "expected ignore or all", "ignore", "all");
two_words!(IgnoreType, "expected type or ignore", "type", "ignore");

impl Text for WebhookTemplate {
    fn parse(text: &str) -> Result<Self, String> {
        Self::parse(text)
    }
}

impl Text for JsonPath {
    fn parse(text: &str) -> Result<Self, String> {
        Self::parse(text)
    }
}

/// Builds it.
pub(super) fn build(at: &mut At, keys: &Keys) -> Mapping {
    let list =
        |list: &[Parsed<WebhookTemplate>]| list.iter().map(|it| it.0.clone()).collect::<Vec<_>>();
    let types = types(at, keys);
    for (field, count, of) in [
        ("ids", keys.ids.len(), "templates"),
        ("tags", keys.tags.len(), "templates"),
        ("paths", keys.paths.len(), "templates"),
        ("keys", keys.keys.len(), "templates"),
        ("changed", keys.changed.len(), "templates"),
        ("parents", keys.parents.len(), "paths"),
    ] {
        let key = at.key(&format!("mapping.{field}"));
        at.from.refuse_many(&key, count, TEMPLATES_MAX, of);
    }
    let labels = [&keys.tags, &keys.paths, &keys.keys];
    let has_labels = labels.iter().any(|labels| !labels.is_empty());
    if keys.r#type.is_none() && !has_labels && !keys.no_type.0.0 {
        at.refuse("mapping.type", "expected a template, or tags, paths or keys");
    }
    if keys.r#type.is_none() && !keys.ids.is_empty() {
        at.refuse("mapping.ids", "ids need a mapping.type");
    }
    Mapping {
        type_name: keys.r#type.0.clone(),
        stems: Mapping::stems_of(&types),
        types,
        is_unlisted_ignored: keys.unlisted_type.0.0,
        is_untyped_all: keys.no_type.0.0,
        ids: list(&keys.ids),
        is_unidentified_ignored: keys.no_id.0.0,
        tags: list(&keys.tags),
        paths: list(&keys.paths),
        keys: list(&keys.keys),
        parents: keys.parents.iter().map(|path| path.0.clone()).collect(),
        action: keys.action.0.clone(),
        actions: actions(at, keys),
        fields: fields(at, keys),
        changed: list(&keys.changed),
        compare: match &keys.compare[..] {
            [] => None,
            [one, other] => Some((one.0.clone(), other.0.clone())),
            _ => {
                at.refuse("mapping.compare", "expected two paths, such as record, old_record");
                None
            }
        },
    }
}

fn types(at: &mut At, keys: &Keys) -> BTreeMap<String, String> {
    for (theirs, ours) in
        keys.types.iter().filter(|(_, ours)| !matches!(ours.as_str(), "" | EVERY_TYPE))
    {
        if let Err(problem) = TypeName::parse(ours) {
            at.refuse("mapping.types", format!("{theirs}: {problem}"));
        }
    }
    keys.types.clone()
}

fn actions(at: &mut At, keys: &Keys) -> BTreeMap<String, ActionRule> {
    let mut actions = BTreeMap::new();
    for (theirs, ours) in &keys.actions {
        let known = match ours.as_str() {
            "ignore" => Some(ActionRule::Ignore),
            ours => serde_json::from_value(ours.into()).ok().map(ActionRule::Is),
        };
        match known {
            Some(verdict) => drop(actions.insert(theirs.clone(), verdict)),
            None => {
                let known = "create, update, delete, restore, force_delete, archive or ignore";
                at.refuse("mapping.actions", format!("{theirs}: expected {known}"));
            }
        }
    }
    actions
}

/// The bounds are those of `fields` in requests of the API.
fn fields(at: &mut At, keys: &Keys) -> BTreeMap<String, WebhookTemplate> {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let is_name = |name: &str| (1..=64).contains(&name.len()) && name.chars().all(is_allowed);
    if !keys.fields.keys().all(|name| is_name(name)) {
        at.refuse("mapping.fields", "a name is 1 to 64 of A-Z a-z 0-9 _");
    }
    if keys.fields.len() > FIELDS_MAX {
        at.refuse("mapping.fields", format!("expected at most {FIELDS_MAX} fields"));
    }
    keys.fields.iter().map(|(name, template)| (name.clone(), template.0.clone())).collect()
}
