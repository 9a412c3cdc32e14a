//! The body of `POST /api/cache/invalidate`, from users and from peers.
//!
//! A user's body is checked strictly: an unknown field is refused by name, because `Mirror` must
//! not count as "mirror not given". In a peer's body nothing that may select is ignored: a field
//! that this version does not know widens to `all`.

mod coerce;
mod notes;
mod peer;

use std::collections::BTreeMap;

use serde::de::{self, Deserializer, Unexpected};
use serde::{Deserialize, Serialize};

use super::damaged_json::quote_big_integers;
use crate::deliver::mirror::Batch;
use crate::domain::label::Malformed;
use crate::domain::{
    Action, Glob, Label, Mode, Selector, Selectors, Source, Submission, TypeName, entity, route,
};
use crate::support::nearest;

/// Why a body is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadBody {
    /// Not JSON, or JSON of another shape: 400.
    #[error("{message}")]
    Shape {
        /// What is wrong.
        message: String,
        /// JSON pointer to where, when known.
        pointer: Option<String>,
    },
    /// The right shape with an invalid value: 422.
    #[error("{message}")]
    Value {
        /// What is wrong.
        message: String,
        /// JSON pointer to where.
        pointer: String,
    },
}

/// A request or one of its `items`, as users write it. An item must not contain fields of the whole
/// request.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct InvalidateBody {
    r#type: Option<String>,
    id: Option<Id>,
    ids: Vec<Id>,
    tag: Option<String>,
    tags: Vec<String>,
    path: Option<String>,
    paths: Vec<String>,
    key: Option<String>,
    keys: Vec<String>,
    pattern: Option<String>,
    patterns: Vec<String>,
    #[serde(deserialize_with = "given")]
    all: Option<bool>,
    items: Vec<Object>,
    mode: Option<Mode>,
    /// Whether to mirror, if it was given.
    #[serde(deserialize_with = "given")]
    pub mirror: Option<bool>,
    action: Option<Action>,
    /// Free text.
    pub reason: Option<String>,
    /// Names of changed fields.
    pub changed: Vec<String>,
    fields: BTreeMap<String, Id>,
    /// Only report what would happen.
    pub dry_run: bool,
    /// A peer's batch.
    pub batch: Option<Batch<'static>>,
    /// Whether it is a peer's body that could not be parsed at all.
    #[serde(skip)]
    is_unreadable: bool,
}

/// The fields that users may write, for the "nearest known field" of an error.
pub const FIELDS: &[&str] = &[
    "type", "id", "ids", "tag", "tags", "path", "paths", "key", "keys", "pattern", "patterns",
    "all", "items", "mode", "mirror", "action", "reason", "changed", "fields", "dry_run",
];

/// Members of `fields`, and the longest name of one in bytes.
pub(super) const FIELDS_MAX: usize = 32;
const FIELD_NAME_BYTES_MAX: usize = 64;
/// A longer pointer cannot be valid, and is not repeated in an answer.
const POINTER_BYTES_MAX: usize = 256;

/// Longest `reason`, and longest name in `changed`, in bytes.
const TEXT_BYTES_MAX: usize = 1024;

/// An id: text, or a whole number as its decimal text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Id(String);

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Id;
            fn expecting(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                out.write_str("an id: text or a whole number")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Id, E> {
                Ok(Id(text.to_owned()))
            }
            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Id, E> {
                Ok(Id(number.to_string()))
            }
            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Id, E> {
                Ok(Id(number.to_string()))
            }
            fn visit_f64<E: de::Error>(self, number: f64) -> Result<Id, E> {
                Err(E::invalid_type(Unexpected::Float(number), &self))
            }
        }
        from.deserialize_any(Visitor)
    }
}

/// A body that is an object. serde alone would also accept a list of the fields' values in order.
#[derive(Debug)]
struct Object(InvalidateBody);

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Object;
            fn expecting(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                out.write_str("an object")
            }
            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Object, A::Error> {
                let from = de::value::MapAccessDeserializer::new(map);
                InvalidateBody::deserialize(from).map(Object)
            }
        }
        from.deserialize_map(Visitor)
    }
}

/// A flag that may be absent but not `null`: `"mirror": null` does not mean false.
fn given<'de, D: Deserializer<'de>>(from: D) -> Result<Option<bool>, D::Error> {
    bool::deserialize(from).map(Some)
}

impl InvalidateBody {
    /// Parses a user's body.
    ///
    /// # Errors
    /// [`BadBody::Shape`] naming the place and, for an unknown field, the nearest known one.
    pub fn read(json: &[u8]) -> Result<Self, BadBody> {
        let json = quote_big_integers(json);
        let mut from = serde_json::Deserializer::from_slice(&json);
        let body: Object = serde_path_to_error::deserialize(&mut from).map_err(|error| {
            let pointer = pointer(error.path());
            BadBody::Shape { message: with_nearest(&error.inner().to_string()), pointer }
        })?;
        from.end().map_err(|error| BadBody::Shape { message: error.to_string(), pointer: None })?;
        Ok(body.0)
    }

    /// Parses a peer's body. Anything that this version does not know makes it clear everything,
    /// and so does a body that is not a JSON object: the invalidation must not be lost.
    ///
    /// # Errors [`BadBody::Shape`] if it is empty.
    pub fn read_from_peer(json: &[u8]) -> Result<Self, BadBody> {
        let json = &quote_big_integers(json)[..];
        // Usually it contains nothing unknown, and strict parsing succeeds.
        let mut body = match serde_json::from_slice(json) {
            Ok(Object(body))
                if (body.items.is_empty() && body.selects_nothing())
                    || body.selectors(usize::MAX).is_ok() =>
            {
                body
            }
            _ => match peer::read(json) {
                Ok(body) => body,
                Err(error) if peer::is_nothing(json) => {
                    return Err(BadBody::Shape { message: error.to_string(), pointer: None });
                }
                Err(_) => Self { is_unreadable: true, ..Self::everything() },
            },
        };
        body.bound_texts();
        Ok(body)
    }

    /// A body that clears everything.
    fn everything() -> Self {
        Self { all: Some(true), ..Self::default() }
    }

    /// Cuts or removes texts that do not select and for which a user's body would be refused.
    fn bound_texts(&mut self) {
        if let Some(reason) = &mut self.reason {
            reason.truncate(reason.floor_char_boundary(TEXT_BYTES_MAX));
        }
        if self.check_texts().is_err() {
            self.changed.clear();
            self.fields.clear();
        }
    }

    /// The union of everything that a peer's body selects. Invalid or too many selectors are
    /// widened.
    ///
    /// # Errors [`BadBody::Value`] if it selects nothing at all.
    pub fn selectors_of_peer(&self, selectors_max: usize) -> Result<Selectors, BadBody> {
        match self.selectors(usize::MAX) {
            Ok(mut union) => {
                union.widen_to(selectors_max);
                Ok(union)
            }
            Err(nothing) if self.selects_nothing() => Err(nothing),
            Err(_) => Ok(Selectors::all()),
        }
    }

    fn selects_nothing(&self) -> bool {
        let lists = [&self.tags, &self.paths, &self.keys, &self.patterns];
        let ones = [&self.r#type, &self.tag, &self.path, &self.key, &self.pattern];
        self.all != Some(true)
            && ones.iter().all(|one| one.is_none())
            && lists.iter().all(|list| list.is_empty())
            && self.id.is_none()
            && self.ids.is_empty()
            && self.items.iter().all(|Object(item)| item.selects_nothing())
    }

    /// The union of everything it selects.
    ///
    /// # Errors
    /// [`BadBody::Value`] naming the place of an invalid value, of too many selectors, or of none.
    pub fn selectors(&self, selectors_max: usize) -> Result<Selectors, BadBody> {
        let mut union = Selectors::default();
        let mut count = self.collect("", &mut union)?;
        for (at, Object(item)) in self.items.iter().enumerate() {
            let at = format!("/items/{at}");
            item.refuse_options(&at)?;
            let before = count;
            count += item.collect(&at, &mut union)?;
            if count == before {
                return Err(empty(&at));
            }
        }
        if count > selectors_max {
            let message = format!("{count} selectors; at most {selectors_max} are allowed");
            return Err(BadBody::Value { message, pointer: String::new() });
        }
        if union.is_empty() && self.batch.is_none() {
            return Err(empty(""));
        }
        self.check_texts()?;
        Ok(union)
    }

    /// The mode; `hard` by default.
    pub fn mode(&self) -> Mode {
        self.mode.unwrap_or_default()
    }

    /// The action; `update` by default.
    pub fn action(&self) -> Action {
        self.action.unwrap_or_default()
    }

    /// Further fields of the entity.
    pub fn fields(&self) -> BTreeMap<String, String> {
        self.fields.iter().map(|(name, value)| (name.clone(), value.0.clone())).collect()
    }

    /// Routes that its paths name: see [`crate::domain::Event::routes`].
    pub fn routes(&self) -> Vec<Label> {
        let bodies = std::iter::once(self).chain(self.items.iter().map(|Object(item)| item));
        let paths = bodies.flat_map(|body| body.path.iter().chain(&body.paths));
        route::named(paths.map(String::as_str))
    }

    /// The submission that the body describes, without a peer's batch.
    pub fn into_submission(self, selectors: Selectors, source: Source) -> Submission {
        Submission {
            mode: self.mode(),
            action: self.action(),
            fields: self.fields(),
            routes: self.routes(),
            reason: self.reason,
            changed: self.changed,
            mirror: self.mirror,
            ..Submission::new(selectors, source)
        }
    }

    /// Refuses fields of the whole request in an item.
    fn refuse_options(&self, at: &str) -> Result<(), BadBody> {
        let given = [
            ("items", !self.items.is_empty()),
            ("mode", self.mode.is_some()),
            ("mirror", self.mirror.is_some()),
            ("action", self.action.is_some()),
            ("reason", self.reason.is_some()),
            ("changed", !self.changed.is_empty()),
            ("fields", !self.fields.is_empty()),
            ("dry_run", self.dry_run),
            ("batch", self.batch.is_some()),
        ];
        match given.into_iter().find(|(_, is_given)| *is_given) {
            None => Ok(()),
            Some((field, _)) => Err(BadBody::Shape {
                message: format!("{field:?} belongs to the whole request, not to one of its items"),
                pointer: Some(format!("{at}/{field}")),
            }),
        }
    }

    fn check_texts(&self) -> Result<(), BadBody> {
        let too_long = |text: &String| text.len() > TEXT_BYTES_MAX;
        let bad = |pointer: &str| BadBody::Value {
            message: format!("is longer than {TEXT_BYTES_MAX} bytes, or there are over 1000 of it"),
            pointer: pointer.to_owned(),
        };
        if self.reason.as_ref().is_some_and(too_long) {
            return Err(bad("/reason"));
        }
        if self.changed.len() > 1000 || self.changed.iter().any(too_long) {
            return Err(bad("/changed"));
        }
        self.check_fields()
    }

    fn check_fields(&self) -> Result<(), BadBody> {
        let bad = |message: String, pointer: String| BadBody::Value { message, pointer };
        if self.fields.len() > FIELDS_MAX {
            return Err(bad(format!("at most {FIELDS_MAX} fields are allowed"), "/fields".into()));
        }
        for (name, value) in &self.fields {
            if !is_field_name(name) {
                let message = "the name of a field is 1 to 64 of A-Z a-z 0-9 _".to_owned();
                return Err(bad(message, "/fields".into()));
            }
            Label::parse(&value.0).map_err(|e| bad_value(&e, &format!("/fields/{name}")))?;
        }
        Ok(())
    }

    /// Adds the selectors to the union and counts them.
    fn collect(&self, at: &str, union: &mut Selectors) -> Result<usize, BadBody> {
        let mut count = 0;
        let mut add = |selector: Selector| {
            union.insert(selector);
            count += 1;
        };
        let label = |text: &str| Label::parse(text);
        if self.all == Some(true) {
            add(Selector::All);
        }
        self.collect_type(at, &mut add)?;
        for (text, place) in both(self.tag.as_deref(), &self.tags, at, "tag") {
            add(Selector::Tag(label(text).map_err(|e| bad_value(&e, &place))?));
        }
        for (text, place) in both(self.key.as_deref(), &self.keys, at, "key") {
            add(Selector::Key(label(text).map_err(|e| bad_value(&e, &place))?));
        }
        for (text, place) in both(self.pattern.as_deref(), &self.patterns, at, "pattern") {
            add(Selector::Pattern(Glob::parse(text).map_err(|e| bad_value(&e, &place))?));
        }
        for (text, place) in both(self.path.as_deref(), &self.paths, at, "path") {
            // For its caller a route is one selector, even if it becomes several.
            union.join(&route::selectors(text, false).map_err(|e| bad_value(&e, &place))?);
            count += 1;
        }
        Ok(count)
    }

    fn collect_type(&self, at: &str, add: &mut impl FnMut(Selector)) -> Result<(), BadBody> {
        let ids: Vec<&Id> = self.id.iter().chain(&self.ids).collect();
        let Some(name) = &self.r#type else {
            if ids.is_empty() {
                return Ok(());
            }
            let message = "an id needs a \"type\" beside it".to_owned();
            return Err(BadBody::Value { message, pointer: format!("{at}/id") });
        };
        let name = TypeName::parse(name).map_err(|e| bad_value(&e, &format!("{at}/type")))?;
        if ids.is_empty() {
            add(Selector::Type(name));
            return Ok(());
        }
        for id in ids {
            let read = entity::selectors(&name, &id.0);
            read.map_err(|e| bad_value(&e, &format!("{at}/ids")))?.into_iter().for_each(&mut *add);
        }
        Ok(())
    }
}

/// The texts of the singular and the plural field of one kind, each with its JSON pointer.
fn both<'a>(
    one: Option<&'a str>,
    many: &'a [String],
    at: &str,
    field: &str,
) -> impl Iterator<Item = (&'a str, String)> {
    let (singular, plural) = (format!("{at}/{field}"), format!("{at}/{field}s"));
    let many =
        many.iter().enumerate().map(move |(i, text)| (text.as_str(), format!("{plural}/{i}")));
    one.map(move |text| (text, singular)).into_iter().chain(many)
}

fn bad_value(problem: &Malformed, pointer: &str) -> BadBody {
    BadBody::Value { message: problem.to_string(), pointer: pointer.to_owned() }
}

fn empty(pointer: &str) -> BadBody {
    let message = "selects nothing: name a type, tag, path, key or pattern; clearing everything \
                   needs \"all\": true"
        .to_owned();
    BadBody::Value { message, pointer: pointer.to_owned() }
}

/// `a.b[0]` as a JSON pointer (RFC 6901); `None` if it is empty or too long.
fn pointer(path: &serde_path_to_error::Path) -> Option<String> {
    use serde_path_to_error::Segment;
    let parts = path.iter().map(|segment| match segment {
        Segment::Seq { index } => format!("/{index}"),
        Segment::Map { key } => format!("/{}", key.replace('~', "~0").replace('/', "~1")),
        Segment::Enum { variant } => format!("/{variant}"),
        Segment::Unknown => String::new(),
    });
    let text: String = parts.collect();
    (1..=POINTER_BYTES_MAX).contains(&text.len()).then_some(text)
}

/// Whether `fields` may have a member of this name.
pub(super) fn is_field_name(name: &str) -> bool {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || c == '_';
    (1..=FIELD_NAME_BYTES_MAX).contains(&name.len()) && name.chars().all(is_allowed)
}

/// Replaces serde's list of all known fields by the nearest one.
fn with_nearest(message: &str) -> String {
    let Some(rest) = message.strip_prefix("unknown field `") else { return message.to_owned() };
    let Some((field, _)) = rest.split_once('`') else { return message.to_owned() };
    let shown = nearest::shown(field);
    match nearest::nearest(&field.to_lowercase(), FIELDS.iter().copied(), 3) {
        Some(nearest) => format!("unknown field {shown}; did you mean {nearest:?}?"),
        None => format!("unknown field {shown}; known are {}", FIELDS.join(", ")),
    }
}

#[cfg(test)]
mod tests;
