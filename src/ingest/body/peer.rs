//! Bodies of peers that strict parsing refuses: from another version, or from another system.
//!
//! Nothing that may select is ignored: an unknown field, a duplicate field, or a field of the whole
//! request in an item makes it `all`. A known field that is `null` counts as absent. An unknown
//! mode or action never makes it clear less, and neither does a value of another type, which
//! `coerce` converts.

use std::collections::HashSet;

use serde::de::{self, Deserialize, Deserializer};
use serde_json::{Map, Value};

use super::{FIELDS, InvalidateBody, coerce};
use crate::domain::{Action, Mode};

/// The fields that select. An item may have only these.
pub(super) const SELECTING: &[&str] = &[
    "type", "id", "ids", "tag", "tags", "path", "paths", "key", "keys", "pattern", "patterns",
    "all",
];

/// Parses such a body. A text that serde refuses is repaired first. An error means that it is not
/// an object or was cut off.
pub(super) fn read(json: &[u8]) -> Result<InvalidateBody, serde_json::Error> {
    let repaired;
    let json = match serde_json::from_slice::<Map<String, Value>>(json) {
        Ok(_) => json,
        Err(_) => {
            repaired = coerce::repair(json);
            repaired.as_bytes()
        }
    };
    match read_known(json) {
        Err(_) if is_whole(json) => Ok(InvalidateBody::everything()),
        read => read,
    }
}

/// Whether the body is empty.
pub(super) fn is_nothing(json: &[u8]) -> bool {
    matches!(json.trim_ascii(), b"" | b"null" | b"[]" | b"\"\"")
}

fn is_whole(json: &[u8]) -> bool {
    let text = json.trim_ascii();
    text.first() == Some(&b'{') && text.last() == Some(&b'}')
}

fn read_known(json: &[u8]) -> Result<InvalidateBody, serde_json::Error> {
    let mut object: Map<String, Value> = serde_json::from_slice(json)?;
    let Repeats(mut is_unknown) = serde_json::from_slice(json)?;
    is_unknown |= keep(&mut object, |field| FIELDS.contains(&field) || field == "batch");
    for item in object.get_mut("items").and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some(item) = item.as_object_mut() {
            is_unknown |= keep(item, |field| SELECTING.contains(&field));
        }
    }
    if is_unknown {
        object.retain(|field, _| !SELECTING.contains(&field.as_str()) && field != "items");
        object.insert("all".into(), Value::Bool(true));
    }
    coerce::read(&mut object);
    let is_known = |value: &Value| Mode::deserialize(value).is_ok();
    if object.get("mode").is_some_and(|value| !is_known(value)) {
        object.remove("mode");
    }
    let is_known = |value: &Value| Action::deserialize(value).is_ok();
    if object.get("action").is_some_and(|value| !is_known(value)) {
        // It would count as an update, which changed fields that do not matter can excuse.
        object.remove("action");
        object.remove("changed");
    }
    serde_json::from_value(Value::Object(object))
}

/// Removes unknown and `null` members from an object. Whether there was an unknown one.
fn keep(object: &mut Map<String, Value>, is_known: impl Fn(&str) -> bool) -> bool {
    let is_unknown = object.keys().any(|field| !is_known(field));
    object.retain(|field, value| is_known(field) && !value.is_null());
    is_unknown
}

/// Whether any object in some JSON has a duplicate member. Parsers differ in which one counts.
struct Repeats(bool);

impl<'de> Deserialize<'de> for Repeats {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(Visitor)
    }
}

struct Visitor;

impl<'de> de::Visitor<'de> for Visitor {
    type Value = Repeats;

    fn expecting(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("JSON")
    }

    fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Repeats, A::Error> {
        let (mut names, mut repeats) = (HashSet::new(), false);
        while let Some(name) = map.next_key::<String>()? {
            repeats |= !names.insert(name);
            repeats |= map.next_value::<Repeats>()?.0;
        }
        Ok(Repeats(repeats))
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, mut list: A) -> Result<Repeats, A::Error> {
        let mut repeats = false;
        while let Some(Repeats(one)) = list.next_element()? {
            repeats |= one;
        }
        Ok(Repeats(repeats))
    }

    fn visit_str<E>(self, _: &str) -> Result<Repeats, E> {
        Ok(Repeats(false))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Repeats, E> {
        Ok(Repeats(false))
    }

    fn visit_u64<E>(self, _: u64) -> Result<Repeats, E> {
        Ok(Repeats(false))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Repeats, E> {
        Ok(Repeats(false))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Repeats, E> {
        Ok(Repeats(false))
    }

    fn visit_unit<E>(self) -> Result<Repeats, E> {
        Ok(Repeats(false))
    }
}
