//! What a delivery means: from the fields of somebody else's event to selectors of ours.
//!
//! Where something expected is not there, the mapping goes up (an id to its type, a type to `all`)
//! or leaves the event alone, as configured; both are told in words. More than is taken at once
//! goes up too. Only text that no entry can have (too long, control characters) is passed over.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::template::{Found, Path, Place, Template};
use crate::domain::submission::Part;
use crate::domain::{Action, Label, Selector, Selectors, TypeName};

/// Notes kept of one delivery.
const NOTES_MAX: usize = 8;
/// Names of changed fields, and the longest of them, as in requests of the API.
const CHANGED_MAX: usize = 1000;
const CHANGED_BYTES_MAX: usize = 1024;

/// From an event to selectors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapping {
    /// The type.
    pub type_name: Option<Template>,
    /// Their names and ours; an empty one of ours leaves the event alone.
    pub types: BTreeMap<String, String>,
    /// Whether a type that is not in `types` is left alone.
    pub is_unlisted_ignored: bool,
    /// Whether an event without a type clears everything.
    pub is_untyped_all: bool,
    /// Ids of entities.
    pub ids: Vec<Template>,
    /// Whether an event without an id is left alone, instead of clearing its type.
    pub is_unidentified_ignored: bool,
    /// Tags.
    pub tags: Vec<Template>,
    /// Paths.
    pub paths: Vec<Template>,
    /// Keys.
    pub keys: Vec<Template>,
    /// What happened.
    pub action: Option<Template>,
    /// Their words and ours.
    pub actions: BTreeMap<String, Verdict>,
    /// What else is said of the entity, by name.
    pub fields: BTreeMap<String, Template>,
    /// Names of changed fields.
    pub changed: Vec<Template>,
    /// Two objects whose differing fields have changed.
    pub compare: Option<(Path, Path)>,
}

/// What a word for an action comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is this action.
    Is(Action),
    /// The event is left alone.
    Ignore,
}

/// What one event, or a batch of them, means.
#[derive(Debug, Default)]
pub struct Change {
    /// What to clear.
    pub selectors: Selectors,
    /// The events that mean something, one by one.
    pub parts: Vec<Part>,
    /// What else is said of the entity of the last event.
    pub fields: BTreeMap<String, String>,
    /// What could not be read, in words.
    pub notes: Vec<String>,
    /// Why events were left alone.
    pub ignored: Option<String>,
}

impl Change {
    /// What happened, as one word; several different actions of a batch are an update.
    pub fn action(&self) -> Action {
        let mut actions = self.parts.iter().map(|part| part.action);
        let first = actions.next().unwrap_or_default();
        if actions.all(|action| action == first) { first } else { Action::Update }
    }

    /// Says that what is cleared is more than the events name, so that no field can excuse it.
    pub(super) fn widened(&mut self, note: &str) {
        self.note(note);
        self.parts.iter_mut().for_each(|part| part.changed.clear());
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

impl Mapping {
    /// Joins what one event means to what was before it.
    pub fn join(&self, place: &Place<'_>, change: &mut Change) {
        let action = match self.verdict(place) {
            Verdict::Is(action) => action,
            Verdict::Ignore => return change.ignore("the mapping ignores this action"),
        };
        let Some(types) = self.types(place, change) else { return };
        let mut selectors = Selectors::default();
        if !self.add_entities(place, &types, &mut selectors, change) {
            return;
        }
        self.add_labels(place, &mut selectors, change);
        if selectors.is_empty() && !self.is_untyped_all {
            return change.ignore("the mapping finds nothing to clear");
        }
        if selectors.is_empty() {
            change.note("no type was found: everything is cleared");
            selectors = Selectors::all();
        }
        change.selectors.join(&selectors);
        change.fields = self.fields(place);
        let changed = if selectors.is_all() { vec![] } else { self.changed(place) };
        change.parts.push(Part { selectors, action, changed });
    }

    fn verdict(&self, place: &Place<'_>) -> Verdict {
        let Some(word) = self.action.as_ref().and_then(|action| action.first(place)) else {
            return Verdict::Is(Action::Update);
        };
        let own = || serde_json::from_value(Value::String(word.clone())).unwrap_or_default();
        self.actions.get(&word).copied().unwrap_or_else(|| Verdict::Is(own()))
    }

    /// The types by our names; `None` where the event is to be left alone.
    fn types(&self, place: &Place<'_>, change: &mut Change) -> Option<Vec<TypeName>> {
        let found = self.type_name.as_ref().map(|template| template.texts(place));
        let mut types = Vec::new();
        let mut is_left_alone = false;
        for theirs in found.into_iter().flat_map(|found| found.texts) {
            let ours = match self.types.get(&theirs) {
                Some(ours) => ours.as_str(),
                None if self.is_unlisted_ignored => "",
                None => theirs.as_str(),
            };
            if ours.is_empty() {
                is_left_alone = true;
                change.ignore("the mapping ignores this type");
                continue;
            }
            match TypeName::parse(ours) {
                Ok(name) => types.push(name),
                Err(problem) => change.note(format!("type: {problem}")),
            }
        }
        (!types.is_empty() || !is_left_alone).then_some(types)
    }

    /// Adds types, narrowed to ids where there are any; false where the event is to be left alone.
    fn add_entities(
        &self,
        place: &Place<'_>,
        types: &[TypeName],
        selectors: &mut Selectors,
        change: &mut Change,
    ) -> bool {
        let (ids, has_more) = labels(&self.ids, place, "id", change);
        let is_missing = ids.is_empty() && !self.ids.is_empty();
        if is_missing && self.is_unidentified_ignored {
            change.ignore("the mapping ignores events without an id");
            return false;
        }
        if !types.is_empty() && (is_missing || has_more) {
            change.note("no id, or too many: the whole type is cleared");
        }
        for name in types {
            if ids.is_empty() || has_more {
                selectors.insert(Selector::Type(name.clone()));
            } else {
                let entity = |id: &Label| Selector::Entity(name.clone(), id.clone());
                ids.iter().map(entity).for_each(|entity| selectors.insert(entity));
            }
        }
        true
    }

    fn add_labels(&self, place: &Place<'_>, selectors: &mut Selectors, change: &mut Change) {
        let (tags, has_more_tags) = labels(&self.tags, place, "tag", change);
        tags.into_iter().for_each(|tag| selectors.insert(Selector::Tag(tag)));
        let (keys, has_more_keys) = labels(&self.keys, place, "key", change);
        keys.into_iter().for_each(|key| selectors.insert(Selector::Key(key)));
        let (paths, has_more_paths) = texts(&self.paths, place);
        for text in paths {
            match Selector::path(&text) {
                Ok(path) => selectors.insert(path),
                Err(problem) => change.note(format!("path: {problem}")),
            }
        }
        if has_more_tags || has_more_keys || has_more_paths {
            change.note("more tags, keys or paths than are taken at once: everything is cleared");
            *selectors = Selectors::all();
        }
    }

    fn fields(&self, place: &Place<'_>) -> BTreeMap<String, String> {
        let fields = self.fields.iter().filter_map(|(name, template)| {
            let text = template.first(place).filter(|text| Label::parse(text).is_ok())?;
            Some((name.clone(), text))
        });
        fields.collect()
    }

    /// The fields that changed; none where not all of them can be named, for one that is not named
    /// may be the one that matters.
    fn changed(&self, place: &Place<'_>) -> Vec<String> {
        let (mut names, has_more) = texts(&self.changed, place);
        if let Some((one, other)) = &self.compare {
            names.extend(differing(one, other, place.event));
        }
        let mut seen = BTreeSet::new();
        names.retain(|name| seen.insert(name.clone()));
        let is_too_long = |name: &String| name.len() > CHANGED_BYTES_MAX;
        if has_more || names.len() > CHANGED_MAX || names.iter().any(is_too_long) {
            return vec![];
        }
        names
    }
}

/// What templates give; the flag says that there was more than is taken.
fn texts(templates: &[Template], place: &Place<'_>) -> (Vec<String>, bool) {
    let found: Vec<Found> = templates.iter().map(|template| template.texts(place)).collect();
    let has_more = found.iter().any(|found| found.is_cut);
    (found.into_iter().flat_map(|found| found.texts).collect(), has_more)
}

/// The same as labels. Text that is no label is left out: nothing can be stored under it.
fn labels(
    templates: &[Template],
    place: &Place<'_>,
    what: &str,
    change: &mut Change,
) -> (Vec<Label>, bool) {
    let (texts, has_more) = texts(templates, place);
    let mut labels = Vec::new();
    for text in texts {
        match Label::parse(&text) {
            Ok(label) => labels.push(label),
            Err(problem) => change.note(format!("{what}: {problem}")),
        }
    }
    (labels, has_more)
}

/// The fields in which two objects differ; none where one of them is not there.
fn differing(one: &Path, other: &Path, event: &Value) -> Vec<String> {
    let object = |path: &Path| path.values(event, 1).first().and_then(|it| it.as_object());
    let (Some(one), Some(other)) = (object(one), object(other)) else { return vec![] };
    let changed = one.iter().filter(|(name, value)| other.get(*name) != Some(*value));
    let gone = other.iter().filter(|(name, _)| !one.contains_key(*name));
    changed.chain(gone).map(|(name, _)| name.clone()).take(CHANGED_MAX + 1).collect()
}
