//! `[ingest.hooks.mapping]`: what the events of a webhook mean, as templates and tables of names.
//! Words of ours are checked here, so that no delivery meets one that is not known.

use std::collections::BTreeMap;

use super::webhooks::Written;
use crate::domain::{Action, TypeName};
use crate::ingest::webhook::{ActionRule, EVERY_TYPE, JsonPath, Mapping, WebhookTemplate};

/// Templates in one list.
const TEMPLATES_MAX: usize = 100;
/// Fields of an entity.
const FIELDS_MAX: usize = 32;

/// Reads it.
pub(super) fn read(written: &mut Written) -> Mapping {
    let types = types(written);
    let mapping = Mapping {
        type_name: written.parsed("mapping.type", WebhookTemplate::parse),
        stems: Mapping::stems_of(&types),
        types,
        is_unlisted_ignored: written
            .word("mapping.unlisted_type", &[("keep", false), ("ignore", true)]),
        is_untyped_all: written.word("mapping.no_type", &[("ignore", false), ("all", true)]),
        ids: templates(written, "mapping.ids"),
        is_unidentified_ignored: written
            .word("mapping.no_id", &[("type", false), ("ignore", true)]),
        tags: templates(written, "mapping.tags"),
        paths: templates(written, "mapping.paths"),
        keys: templates(written, "mapping.keys"),
        parents: parents(written),
        action: written.parsed("mapping.action", WebhookTemplate::parse),
        actions: actions(written),
        fields: fields(written),
        changed: templates(written, "mapping.changed"),
        compare: compare(written),
    };
    let has_labels = [&mapping.tags, &mapping.paths, &mapping.keys].iter().any(|it| !it.is_empty());
    let has_type = !written.text("mapping.type").is_empty();
    if !has_type && !has_labels && !mapping.is_untyped_all {
        written.refuse("mapping.type", "expected a template, or tags, paths or keys");
    }
    if !has_type && !mapping.ids.is_empty() {
        written.refuse("mapping.ids", "ids need a mapping.type");
    }
    mapping
}

fn types(written: &mut Written) -> BTreeMap<String, String> {
    let types = written.map("mapping.types");
    for (theirs, ours) in types.iter().filter(|(_, ours)| !matches!(ours.as_str(), "" | EVERY_TYPE))
    {
        if let Err(problem) = TypeName::parse(ours) {
            written.refuse("mapping.types", format!("{theirs}: {problem}"));
        }
    }
    types
}

fn actions(written: &mut Written) -> BTreeMap<String, ActionRule> {
    let mut actions = BTreeMap::new();
    for (theirs, ours) in written.map("mapping.actions") {
        let known: Result<Action, _> = serde_json::from_value(ours.as_str().into());
        match (ours.as_str(), known) {
            ("ignore", _) => drop(actions.insert(theirs, ActionRule::Ignore)),
            (_, Ok(action)) => drop(actions.insert(theirs, ActionRule::Is(action))),
            (_, Err(_)) => {
                let known = "create, update, delete, restore, force_delete, archive or ignore";
                written.refuse("mapping.actions", format!("{theirs}: expected {known}"));
            }
        }
    }
    actions
}

/// The bounds are those of `fields` in requests of the API.
fn fields(written: &mut Written) -> BTreeMap<String, WebhookTemplate> {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let is_name = |name: &str| (1..=64).contains(&name.len()) && name.chars().all(is_allowed);
    let mut fields = BTreeMap::new();
    for (name, text) in written.map("mapping.fields") {
        match WebhookTemplate::parse(&text) {
            Ok(template) if is_name(&name) => drop(fields.insert(name, template)),
            Ok(_) => written.refuse("mapping.fields", "a name is 1 to 64 of A-Z a-z 0-9 _"),
            Err(problem) => written.refuse("mapping.fields", problem),
        }
    }
    if fields.len() > FIELDS_MAX {
        written.refuse("mapping.fields", format!("expected at most {FIELDS_MAX} fields"));
    }
    fields
}

fn parents(written: &mut Written) -> Vec<JsonPath> {
    let texts = written.list("mapping.parents");
    if texts.len() > TEMPLATES_MAX {
        written.refuse("mapping.parents", format!("expected at most {TEMPLATES_MAX} paths"));
    }
    let paths: Result<Vec<JsonPath>, String> =
        texts.iter().map(|text| JsonPath::parse(text)).collect();
    paths.map_err(|problem| written.refuse("mapping.parents", problem)).unwrap_or_default()
}

fn compare(written: &mut Written) -> Option<(JsonPath, JsonPath)> {
    let paths: Result<Vec<JsonPath>, String> =
        written.list("mapping.compare").iter().map(|text| JsonPath::parse(text)).collect();
    match paths.map(<[JsonPath; 2]>::try_from) {
        Ok(Ok([one, other])) => Some((one, other)),
        Ok(Err(none)) if none.is_empty() => None,
        _ => {
            written.refuse("mapping.compare", "expected two paths, such as record, old_record");
            None
        }
    }
}

fn templates(written: &mut Written, key: &str) -> Vec<WebhookTemplate> {
    let texts = written.list(key);
    if texts.len() > TEMPLATES_MAX {
        written.refuse(key, format!("expected at most {TEMPLATES_MAX} templates"));
    }
    let parsed: Result<Vec<WebhookTemplate>, String> =
        texts.iter().map(|text| WebhookTemplate::parse(text)).collect();
    parsed.map_err(|problem| written.refuse(key, problem)).unwrap_or_default()
}
