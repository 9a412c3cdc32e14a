//! Maps the fields of a webhook's event to selectors.
//!
//! If an expected value is absent, the mapping widens (an id to its type, a type to `all`) or
//! ignores the event, as configured; it reports both. It always widens if there is more than it
//! takes at once, or if a value cannot be read. Only tags, paths and keys that no entry can have
//! (too long, control characters) are skipped.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::parents;
use super::template::{JsonPath, TemplateContext, TemplateTexts, WebhookTemplate};
use crate::domain::submission::SubmissionPart;
use crate::domain::type_name::loose_stem;
use crate::domain::{Action, Label, Selector, Selectors, TypeName, entity, route};
use crate::ingest::damaged_json::{UNREADABLE, is_doubtful};

/// Notes kept of one delivery.
const NOTES_MAX: usize = 8;
/// Paths kept of one delivery.
const PATHS_MAX: usize = 64;
/// Number and length of names of changed fields, as in requests of the API.
const CHANGED_MAX: usize = 1000;
const CHANGED_BYTES_MAX: usize = 1024;

/// How to map an event to selectors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapping {
    /// Gives the type.
    pub type_name: Option<WebhookTemplate>,
    /// The sender's names of types and ours; an empty name of ours ignores the event.
    pub types: BTreeMap<String, String>,
    /// The same by normalised names, if those are unique: see [`Mapping::stems_of`].
    pub stems: BTreeMap<String, String>,
    /// Whether a type that is not in `types` is ignored.
    pub is_unlisted_ignored: bool,
    /// Whether an event without a type clears everything.
    pub is_untyped_all: bool,
    /// Ids of entities.
    pub ids: Vec<WebhookTemplate>,
    /// Whether an event without an id is ignored, instead of clearing its type.
    pub is_unidentified_ignored: bool,
    /// Tags.
    pub tags: Vec<WebhookTemplate>,
    /// Paths.
    pub paths: Vec<WebhookTemplate>,
    /// Keys.
    pub keys: Vec<WebhookTemplate>,
    /// Objects whose fields name parents.
    pub parents: Vec<JsonPath>,
    /// Gives the action.
    pub action: Option<WebhookTemplate>,
    /// The sender's names of actions and ours.
    pub actions: BTreeMap<String, ActionRule>,
    /// Further fields of the entity, by name.
    pub fields: BTreeMap<String, WebhookTemplate>,
    /// Names of changed fields.
    pub changed: Vec<WebhookTemplate>,
    /// Two objects to compare: the fields that differ have changed.
    pub compare: Option<(JsonPath, JsonPath)>,
}

/// What a sender's name of an action means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ActionRule {
    /// It is this action.
    Is(Action),
    /// The event is ignored.
    Ignore,
}

/// What one event or a batch of events means.
#[derive(Debug, Default)]
pub struct WebhookChange {
    /// What to clear.
    pub selectors: Selectors,
    /// The events that clear something, one by one.
    pub parts: Vec<SubmissionPart>,
    /// Further fields of the entity of the last event.
    pub fields: BTreeMap<String, String>,
    /// The named paths, as they were written. One more than `PATHS_MAX` means that there were more.
    paths: Vec<String>,
    /// What was widened, and why.
    pub notes: Vec<String>,
    /// Why events were ignored.
    pub ignored: Option<String>,
    /// Whether an event was ignored although no setting demands it.
    pub is_puzzling: bool,
}

impl WebhookChange {
    /// Routes among its paths: see [`crate::domain::Event::routes`].
    pub fn routes(&self) -> Vec<Label> {
        // A path that was not kept could clear more than the routes.
        match self.paths.len() {
            0..=PATHS_MAX => route::named(self.paths.iter().map(String::as_str)),
            _ => vec![],
        }
    }

    /// The action. Several different actions of a batch are an update.
    pub fn action(&self) -> Action {
        let mut actions = self.parts.iter().map(|part| part.action);
        let first = actions.next().unwrap_or_default();
        if actions.all(|action| action == first) { first } else { Action::Update }
    }

    /// Notes that more is cleared than the events name, so that no changed field can excuse it.
    pub(super) fn widened(&mut self, note: &str) {
        self.note(note);
        self.parts.iter_mut().for_each(|part| part.changed.clear());
    }

    /// Widens ids to their types: in a broken body, an id may be cut off or missing.
    pub(super) fn widen_ids(&mut self) {
        self.selectors.widen_ids();
        self.parts.iter_mut().for_each(|part| part.selectors.widen_ids());
    }

    pub(super) fn note(&mut self, note: impl Into<String>) {
        let note = note.into();
        if self.notes.len() < NOTES_MAX && !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    fn ignore(&mut self, reason: impl Into<String>) {
        self.ignored.get_or_insert_with(|| reason.into());
    }
}

/// The types of one event, by our names.
struct Types {
    names: Vec<TypeName>,
    /// Whether a type could not be read.
    is_unreadable: bool,
    /// Whether the event may change entities of every type.
    is_all: bool,
}

/// Our name in `types` for an event that may change entities of every type.
pub const EVERY_TYPE: &str = "*";

impl Mapping {
    /// Adds one event to the events before it.
    pub fn join(&self, place: &TemplateContext<'_>, change: &mut WebhookChange) {
        let action = match self.action_rule(place) {
            ActionRule::Is(action) => action,
            ActionRule::Ignore => return change.ignore("the mapping ignores this action"),
        };
        let Some(found) = self.types(place, change) else { return };
        let Types { names: types, is_unreadable, is_all } = found;
        let mut selectors = if is_all { Selectors::all() } else { Selectors::default() };
        if !is_all && !self.add_entities(place, &types, &mut selectors, change) {
            return;
        }
        self.add_labels(place, &mut selectors, change);
        let parents = parents::read(&self.parents, place, &types);
        if parents.is_cut || parents.is_doubtful {
            change.note("parents that are too many or cannot be read: everything is cleared");
            selectors = Selectors::all();
        }
        if is_unreadable {
            change.note("a type that cannot be read: everything is cleared");
            selectors = Selectors::all();
        }
        if selectors.is_empty() && !self.is_untyped_all {
            change.is_puzzling = true;
            return change.ignore("the mapping finds nothing to clear");
        }
        if selectors.is_empty() {
            change.note("no type was found: everything is cleared");
            selectors = Selectors::all();
        }
        let by_type = if selectors.is_all() { BTreeMap::new() } else { parents.by_type };
        change.selectors.join(&selectors);
        change.fields = self.fields(place);
        let changed = if selectors.is_all() { vec![] } else { self.changed(place) };
        let part = SubmissionPart { selectors, action, changed, parents: by_type };
        part.parent_tags().for_each(|tag| change.selectors.insert(tag));
        change.parts.push(part);
    }

    fn action_rule(&self, place: &TemplateContext<'_>) -> ActionRule {
        let names = self.action.as_ref().map(|action| action.texts(place).texts);
        let rules: Vec<ActionRule> = names
            .into_iter()
            .flatten()
            .map(|name| match self.actions.get(&name) {
                Some(rule) => *rule,
                None => {
                    let own = serde_json::from_value(Value::String(name));
                    ActionRule::Is(own.unwrap_or_default())
                }
            })
            .collect();
        // Of several actions, as in a duplicate member, one that is not ignored counts.
        let counts = rules.iter().find(|rule| **rule != ActionRule::Ignore);
        counts.or(rules.first()).copied().unwrap_or(ActionRule::Is(Action::Update))
    }

    /// The types by our names; `None` if the event is to be ignored.
    fn types(&self, place: &TemplateContext<'_>, change: &mut WebhookChange) -> Option<Types> {
        let found = self.type_name.as_ref().map(|template| template.texts(place));
        let mut is_unreadable = found.as_ref().is_some_and(|found| found.is_partial);
        let mut types = Vec::new();
        let (mut is_ignored, mut is_all) = (false, false);
        for theirs in found.into_iter().flat_map(|found| found.texts) {
            let plain = entity::trimmed(&theirs);
            let ours = match self.listed(&theirs).or_else(|| self.listed(plain)) {
                Some(ours) => ours,
                None if is_doubtful(plain) => plain,
                None if self.is_unlisted_ignored => "",
                None => plain,
            };
            if ours.is_empty() {
                is_ignored = true;
                change.ignore("the mapping ignores this type");
                continue;
            }
            is_all |= ours == EVERY_TYPE;
            if ours == EVERY_TYPE {
                continue;
            }
            let resembled = place.rules.resembling(ours);
            match TypeName::parse(ours) {
                Ok(_) if resembled.is_some() && place.rules.is_strict() => {}
                Ok(name) => types.push(name),
                Err(_) if resembled.is_some() => {}
                Err(_) if is_doubtful(plain) => is_unreadable = true,
                Err(problem) => {
                    change.is_puzzling = true;
                    change.note(format!("type: {problem}"));
                }
            }
            types.extend(resembled);
        }
        let is_meant = is_all || is_unreadable || !types.is_empty() || !is_ignored;
        is_meant.then_some(Types { names: types, is_unreadable, is_all })
    }

    /// Our name for a sender's type: by its exact spelling, otherwise by its normalised name. Only
    /// an exact spelling can ignore a type.
    fn listed(&self, theirs: &str) -> Option<&str> {
        let ours = self.types.get(theirs).or_else(|| self.stems.get(&loose_stem(theirs)));
        ours.map(String::as_str)
    }

    /// The value of [`Mapping::stems`] for these types. Nothing is ignored and nothing clears all
    /// by a normalised name. If several names have the same one, only their spelling counts.
    pub fn stems_of(types: &BTreeMap<String, String>) -> BTreeMap<String, String> {
        let mut stems: BTreeMap<String, Option<&String>> = BTreeMap::new();
        for (theirs, ours) in types {
            let known = stems.entry(loose_stem(theirs)).or_insert(Some(ours));
            if *known != Some(ours) {
                *known = None;
            }
        }
        let clear = stems.into_iter().filter_map(|(name, ours)| Some((name, ours?.clone())));
        let is_type = |ours: &str| !ours.is_empty() && ours != EVERY_TYPE;
        clear.filter(|(name, ours)| !name.is_empty() && is_type(ours)).collect()
    }

    /// Adds types, or their ids if there are any. False if the event is to be ignored.
    fn add_entities(
        &self,
        place: &TemplateContext<'_>,
        types: &[TypeName],
        selectors: &mut Selectors,
        change: &mut WebhookChange,
    ) -> bool {
        let mut ids = Labels::read(&self.ids, place, "id", change);
        // A boolean, a blank or a wildcard does not name an entity.
        ids.is_unsure |= ids.found.iter().any(|id| {
            let id = entity::trimmed(id.as_str());
            id.is_empty() || entity::is_wildcard(id) || matches!(id, "true" | "false")
        });
        let is_missing = ids.found.is_empty() && !self.ids.is_empty();
        if is_missing && !ids.is_unsure && self.is_unidentified_ignored {
            change.ignore("the mapping ignores events without an id");
            return false;
        }
        if !types.is_empty() && ids.is_unsure {
            change.note("an id that cannot be read: the whole type is cleared");
        } else if !types.is_empty() && (is_missing || ids.has_more) {
            change.note("no id, or too many: the whole type is cleared");
        }
        for name in types {
            if ids.found.is_empty() || ids.has_more || ids.is_unsure {
                selectors.insert(Selector::Type(name.clone()));
            } else {
                let read = ids.found.iter().map(|id| entity::selectors(name, id.as_str()));
                read.flatten().flatten().for_each(|entity| selectors.insert(entity));
            }
        }
        true
    }

    fn add_labels(
        &self,
        place: &TemplateContext<'_>,
        selectors: &mut Selectors,
        change: &mut WebhookChange,
    ) {
        let tags = Labels::read(&self.tags, place, "tag", change);
        let keys = Labels::read(&self.keys, place, "key", change);
        tags.found.into_iter().for_each(|tag| selectors.insert(Selector::Tag(tag)));
        keys.found.into_iter().for_each(|key| selectors.insert(Selector::Key(key)));
        let paths = texts(&self.paths, place);
        for text in paths.texts {
            // The part before the first unreadable character is still valid.
            let text = match text.split_once(UNREADABLE) {
                Some((known, _)) => format!("{known}*"),
                None => text,
            };
            match route::selectors(&text, false) {
                Ok(paths) => {
                    selectors.join(&paths);
                    if change.paths.len() <= PATHS_MAX {
                        change.paths.push(text);
                    }
                }
                Err(problem) => change.note(format!("path: {problem}")),
            }
        }
        if tags.has_more || keys.has_more || paths.is_cut {
            change.note("more tags, keys or paths than are taken at once: everything is cleared");
            *selectors = Selectors::all();
        } else if [tags.is_doubtful, keys.is_doubtful].contains(&true)
            || [tags.is_unread, keys.is_unread, paths.is_unread].contains(&true)
        {
            change.note("a tag, key or path that cannot be read: everything is cleared");
            *selectors = Selectors::all();
        }
    }

    fn fields(&self, place: &TemplateContext<'_>) -> BTreeMap<String, String> {
        let fields = self.fields.iter().filter_map(|(name, template)| {
            let is_fit = |text: &String| Label::parse(text).is_ok() && !is_doubtful(text);
            let text = template.first(place).filter(is_fit)?;
            Some((name.clone(), text))
        });
        fields.collect()
    }

    /// The fields that changed. None if one of them cannot be named, because that one may be the
    /// one that matters.
    fn changed(&self, place: &TemplateContext<'_>) -> Vec<String> {
        let TemplateTexts { texts: mut names, is_cut, is_partial, .. } =
            texts(&self.changed, place);
        if let Some((one, other)) = &self.compare {
            names.extend(differing(one, other, place.event));
        }
        let mut seen = BTreeSet::new();
        names.retain(|name| seen.insert(name.clone()));
        let is_too_long = |name: &String| name.len() > CHANGED_BYTES_MAX;
        let is_lost = is_cut || is_partial || names.iter().any(|name| is_doubtful(name));
        if is_lost || names.len() > CHANGED_MAX || names.iter().any(is_too_long) {
            return vec![];
        }
        names
    }
}

/// The texts of several templates.
fn texts(templates: &[WebhookTemplate], place: &TemplateContext<'_>) -> TemplateTexts {
    let mut all = TemplateTexts::default();
    for template in templates {
        let found = template.texts(place);
        all.texts.extend(found.texts);
        all.is_cut |= found.is_cut;
        all.is_partial |= found.is_partial;
        all.is_unread |= found.is_unread;
    }
    all
}

/// The texts of templates as labels.
struct Labels {
    found: Vec<Label>,
    /// There were more than are taken.
    has_more: bool,
    /// A value is not a label, or may be another one than was sent.
    is_unsure: bool,
    /// A label contains unreadable characters.
    is_doubtful: bool,
    /// A value is not a label.
    is_unread: bool,
}

impl Labels {
    fn read(
        templates: &[WebhookTemplate],
        place: &TemplateContext<'_>,
        what: &str,
        change: &mut WebhookChange,
    ) -> Self {
        let TemplateTexts { texts, is_cut, is_partial, is_unread } = texts(templates, place);
        let is_doubtful = texts.iter().any(|text| self::is_doubtful(text));
        let mut labels =
            Self { found: vec![], has_more: is_cut, is_unsure: is_partial, is_doubtful, is_unread };
        for text in texts {
            match Label::parse(&text) {
                Ok(label) => labels.found.push(label),
                Err(problem) => {
                    labels.is_unsure = true;
                    change.note(format!("{what}: {problem}"));
                }
            }
        }
        labels.is_unsure |= is_doubtful;
        labels
    }
}

/// The fields in which two objects differ; none if one of them is absent.
fn differing(one: &JsonPath, other: &JsonPath, event: &Value) -> Vec<String> {
    let object = |path: &JsonPath| path.values(event, 1).first().and_then(|it| it.as_object());
    let (Some(one), Some(other)) = (object(one), object(other)) else { return vec![] };
    let changed = one.iter().filter(|(name, value)| other.get(*name) != Some(*value));
    let gone = other.iter().filter(|(name, _)| !one.contains_key(*name));
    changed.chain(gone).map(|(name, _)| name.clone()).take(CHANGED_MAX + 1).collect()
}
