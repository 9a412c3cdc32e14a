//! What a delivery means: from the fields of somebody else's event to selectors of ours.
//!
//! Where something expected is not there, the mapping goes up (an id to its type, a type to `all`)
//! or leaves the event alone, as configured; both are told in words. More than is taken at once
//! goes up too, and so does what is there and cannot be read, whatever is configured. Only tags,
//! paths and keys that no entry can have (too long, control characters) are passed over.

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
/// Names of changed fields, and the longest of them, as in requests of the API.
const CHANGED_MAX: usize = 1000;
const CHANGED_BYTES_MAX: usize = 1024;

/// From an event to selectors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapping {
    /// The type.
    pub type_name: Option<WebhookTemplate>,
    /// Their names and ours; an empty one of ours leaves the event alone.
    pub types: BTreeMap<String, String>,
    /// The same by the words of their names, where those are of one name alone.
    pub words: BTreeMap<String, String>,
    /// Whether a type that is not in `types` is left alone.
    pub is_unlisted_ignored: bool,
    /// Whether an event without a type clears everything.
    pub is_untyped_all: bool,
    /// Ids of entities.
    pub ids: Vec<WebhookTemplate>,
    /// Whether an event without an id is left alone, instead of clearing its type.
    pub is_unidentified_ignored: bool,
    /// Tags.
    pub tags: Vec<WebhookTemplate>,
    /// Paths.
    pub paths: Vec<WebhookTemplate>,
    /// Keys.
    pub keys: Vec<WebhookTemplate>,
    /// Objects whose fields name parents.
    pub parents: Vec<JsonPath>,
    /// What happened.
    pub action: Option<WebhookTemplate>,
    /// Their words and ours.
    pub actions: BTreeMap<String, ActionRule>,
    /// What else is said of the entity, by name.
    pub fields: BTreeMap<String, WebhookTemplate>,
    /// Names of changed fields.
    pub changed: Vec<WebhookTemplate>,
    /// Two objects whose differing fields have changed.
    pub compare: Option<(JsonPath, JsonPath)>,
}

/// What a word for an action comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ActionRule {
    /// It is this action.
    Is(Action),
    /// The event is left alone.
    Ignore,
}

/// What one event, or a batch of them, means.
#[derive(Debug, Default)]
pub struct WebhookChange {
    /// What to clear.
    pub selectors: Selectors,
    /// The events that mean something, one by one.
    pub parts: Vec<SubmissionPart>,
    /// What else is said of the entity of the last event.
    pub fields: BTreeMap<String, String>,
    /// The paths that were named, as they were written; one more than are kept tells that there
    /// were more.
    paths: Vec<String>,
    /// What could not be read, in words.
    pub notes: Vec<String>,
    /// Why events were left alone.
    pub ignored: Option<String>,
    /// Whether an event was left alone that no setting says to leave alone.
    pub is_puzzling: bool,
}

impl WebhookChange {
    /// Routes among its paths: see [`crate::domain::Event::routes`].
    pub fn routes(&self) -> Vec<Label> {
        // A path that is not known could ask for more than the routes say.
        match self.paths.len() {
            0..=PATHS_MAX => route::named(self.paths.iter().map(String::as_str)),
            _ => vec![],
        }
    }

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

    /// The same where part of the body could not be read: an id may be cut off, or one of several.
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
    /// Whether there is one that cannot be read.
    is_unreadable: bool,
    /// Whether it may change entities of every type.
    is_all: bool,
}

/// In `types`: an event that may change what entities of every type show.
pub const EVERY_TYPE: &str = "*";

impl Mapping {
    /// Joins what one event means to what was before it.
    pub fn join(&self, place: &TemplateContext<'_>, change: &mut WebhookChange) {
        let action = match self.verdict(place) {
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

    fn verdict(&self, place: &TemplateContext<'_>) -> ActionRule {
        let words = self.action.as_ref().map(|action| action.texts(place).texts);
        let verdicts: Vec<ActionRule> = words
            .into_iter()
            .flatten()
            .map(|word| match self.actions.get(&word) {
                Some(verdict) => *verdict,
                None => {
                    let own = serde_json::from_value(Value::String(word));
                    ActionRule::Is(own.unwrap_or_default())
                }
            })
            .collect();
        // Of several words, as where a member is given twice, one that is not ignored counts.
        let counts = verdicts.iter().find(|verdict| **verdict != ActionRule::Ignore);
        counts.or(verdicts.first()).copied().unwrap_or(ActionRule::Is(Action::Update))
    }

    /// The types by our names; `None` where the event is to be left alone.
    fn types(&self, place: &TemplateContext<'_>, change: &mut WebhookChange) -> Option<Types> {
        let found = self.type_name.as_ref().map(|template| template.texts(place));
        let mut is_unreadable = found.as_ref().is_some_and(|found| found.is_partial);
        let mut types = Vec::new();
        let (mut is_left_alone, mut is_all) = (false, false);
        for theirs in found.into_iter().flat_map(|found| found.texts) {
            let plain = entity::trimmed(&theirs);
            let ours = match self.listed(&theirs).or_else(|| self.listed(plain)) {
                Some(ours) => ours,
                None if is_doubtful(plain) => plain,
                None if self.is_unlisted_ignored => "",
                None => plain,
            };
            if ours.is_empty() {
                is_left_alone = true;
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
        let is_meant = is_all || is_unreadable || !types.is_empty() || !is_left_alone;
        is_meant.then_some(Types { names: types, is_unreadable, is_all })
    }

    /// What `types` makes of a name: as it is spelt, else by its words. A type is ignored only by
    /// its exact spelling.
    fn listed(&self, theirs: &str) -> Option<&str> {
        let ours = self.types.get(theirs).or_else(|| self.words.get(&loose_stem(theirs)));
        ours.map(String::as_str)
    }

    /// What [`Mapping::words`] is for these types: nothing is ignored or clears all by its words.
    /// Names that share their words are told apart by their spelling only.
    pub fn words_of(types: &BTreeMap<String, String>) -> BTreeMap<String, String> {
        let mut words: BTreeMap<String, Option<&String>> = BTreeMap::new();
        for (theirs, ours) in types {
            let known = words.entry(loose_stem(theirs)).or_insert(Some(ours));
            if *known != Some(ours) {
                *known = None;
            }
        }
        let clear = words.into_iter().filter_map(|(name, ours)| Some((name, ours?.clone())));
        let is_type = |ours: &str| !ours.is_empty() && ours != EVERY_TYPE;
        clear.filter(|(name, ours)| !name.is_empty() && is_type(ours)).collect()
    }

    /// Adds types, narrowed to ids where there are any; false where the event is to be left alone.
    fn add_entities(
        &self,
        place: &TemplateContext<'_>,
        types: &[TypeName],
        selectors: &mut Selectors,
        change: &mut WebhookChange,
    ) -> bool {
        let mut ids = Labels::read(&self.ids, place, "id", change);
        // A truth, a blank or a wildcard names no entity.
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
            // What stands before the first character that could not be read is still true.
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

    /// The fields that changed; none where not all of them can be named, for one that is not named
    /// may be the one that matters.
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

/// What several templates give.
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

/// What templates give, as labels.
struct Labels {
    found: Vec<Label>,
    /// There was more than is taken.
    has_more: bool,
    /// Something was there that is no label, or may be another one than was sent.
    is_unsure: bool,
    /// A label was there of which some could not be read.
    is_doubtful: bool,
    /// A value was there that is no label.
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

/// The fields in which two objects differ; none where one of them is not there.
fn differing(one: &JsonPath, other: &JsonPath, event: &Value) -> Vec<String> {
    let object = |path: &JsonPath| path.values(event, 1).first().and_then(|it| it.as_object());
    let (Some(one), Some(other)) = (object(one), object(other)) else { return vec![] };
    let changed = one.iter().filter(|(name, value)| other.get(*name) != Some(*value));
    let gone = other.iter().filter(|(name, _)| !one.contains_key(*name));
    changed.chain(gone).map(|(name, _)| name.clone()).take(CHANGED_MAX + 1).collect()
}
