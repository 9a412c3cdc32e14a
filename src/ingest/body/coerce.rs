//! Makes a peer's body fit our types if serde refuses it.
//!
//! Values are converted if possible: a whole number written as `1.0`, an id in a list. An
//! unreadable id becomes its type; any other unreadable selector becomes `all`. Unreadable fields
//! that do not select are removed. The work is linear in the text.

use serde_json::{Map, Value, json};

use super::FIELDS_MAX;
use crate::domain::{Action, EventId, Label, Mode, Selectors, entity};

/// Replaces an unreadable part of a text.
const UNREADABLE: char = '\u{fffd}';
/// Longest number that stays a number; a longer one becomes text.
const NUMBER_BYTES_MAX: usize = 18;

/// The members that select, in the singular and the plural.
const LISTS: [(&str, &str); 4] =
    [("tag", "tags"), ("path", "paths"), ("key", "keys"), ("pattern", "patterns")];

/// Replaces what serde refuses: a lone surrogate and bytes that are not UTF-8 become U+FFFD, a
/// number that is too long becomes text.
pub(super) fn repair(json: &[u8]) -> String {
    let text = String::from_utf8_lossy(json);
    let mut out = String::with_capacity(text.len());
    let mut rest = text.as_ref();
    while let Some(first) = rest.chars().next() {
        let used = match first {
            '"' => string(rest, &mut out),
            '0'..='9' | '-' => number(rest, &mut out),
            other => {
                out.push(other);
                other.len_utf8()
            }
        };
        rest = rest.get(used..).unwrap_or_default();
    }
    out
}

/// Copies a string with its quotes. Returns its bytes in the input.
fn string(text: &str, out: &mut String) -> usize {
    let mut at = 1;
    out.push('"');
    while let Some(next) = text.get(at..).and_then(|rest| rest.chars().next()) {
        let rest = text.get(at..).unwrap_or_default();
        match next {
            '"' => {
                out.push('"');
                return at + 1;
            }
            '\\' => at += escape(rest, out),
            control if control.is_control() && control < ' ' => {
                out.push(UNREADABLE);
                at += control.len_utf8();
            }
            other => {
                out.push(other);
                at += other.len_utf8();
            }
        }
    }
    at
}

/// Copies one escape, or both halves of a surrogate pair. Returns the bytes in the input.
fn escape(text: &str, out: &mut String) -> usize {
    let unit = |text: &str| {
        let hex = text.strip_prefix("\\u").and_then(|rest| rest.get(..4))?;
        u32::from_str_radix(hex, 16).ok().filter(|_| hex.bytes().all(|b| b.is_ascii_hexdigit()))
    };
    let second = text.get(6..).and_then(unit);
    match (unit(text), second) {
        (Some(0xd800..=0xdbff), Some(0xdc00..=0xdfff)) => {
            out.push_str(text.get(..12).unwrap_or_default());
            12
        }
        (Some(0xd800..=0xdfff), _) => {
            out.push(UNREADABLE);
            6
        }
        (Some(_), _) => {
            out.push_str(text.get(..6).unwrap_or_default());
            6
        }
        (None, _) => match text.chars().nth(1) {
            Some(known @ ('"' | '\\' | '/' | 'b' | 'f' | 'n' | 'r' | 't')) => {
                out.push('\\');
                out.push(known);
                2
            }
            _ => {
                out.push(UNREADABLE);
                1
            }
        },
    }
}

/// Copies a number. A long whole number becomes text, any other long number an unreadable text.
fn number(text: &str, out: &mut String) -> usize {
    let is_part = |c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.' | 'e' | 'E');
    let end = text.find(|c| !is_part(c)).unwrap_or(text.len());
    let digits = text.get(..end).unwrap_or_default();
    match digits.len() {
        0..=NUMBER_BYTES_MAX => out.push_str(digits),
        // A long whole number may be an id.
        _ if digits.len() <= 64 && digits.bytes().all(|b| b.is_ascii_digit()) => {
            out.push('"');
            out.push_str(digits);
            out.push('"');
        }
        _ => out.push_str("\"\u{fffd}\""),
    }
    end
}

/// Converts a body, member by member.
pub(super) fn read(object: &mut Map<String, Value>) {
    let mut is_all = !select(object);
    if let Some(items) = object.remove("items") {
        let items = match items {
            Value::Array(items) => items,
            one => vec![one],
        };
        let readable = items.into_iter().map(|mut item| {
            is_all |= !item.as_object_mut().is_some_and(select);
            item
        });
        let items: Vec<Value> = readable.collect();
        object.insert("items".into(), Value::Array(items));
    }
    plain(object);
    if object.get_mut("batch").is_some_and(|given| !batch(given)) {
        object.remove("batch");
        is_all = true;
    }
    if is_all {
        let selecting = |field: &str| super::peer::SELECTING.contains(&field) || field == "items";
        object.retain(|field, _| !selecting(field));
        object.insert("all".into(), Value::Bool(true));
    }
}

/// Fields of the whole request that do not select: removed if they cannot be read.
fn plain(object: &mut Map<String, Value>) {
    if let Some(mirror) = object.get("mirror").filter(|it| !it.is_boolean()) {
        match truth(mirror) {
            Some(mirror) => _ = object.insert("mirror".into(), Value::Bool(mirror)),
            None => _ = object.remove("mirror"),
        }
    }
    object.retain(|field, value| match field.as_str() {
        "reason" => value.is_string(),
        "changed" => is_list_of_texts(value),
        "dry_run" => value.is_boolean(),
        _ => true,
    });
    if let Some(fields) = object.remove("fields") {
        object.insert("fields".into(), Value::Object(readable_fields(fields)));
    }
}

fn is_list_of_texts(value: &Value) -> bool {
    value.as_array().is_some_and(|list| list.iter().all(Value::is_string))
}

/// The members that are valid as fields. Templates have no use for the rest.
fn readable_fields(value: Value) -> Map<String, Value> {
    let Value::Object(fields) = value else { return Map::new() };
    let readable = fields.into_iter().filter_map(|(name, value)| {
        let value = text(&value).filter(|text| Label::parse(text).is_ok())?;
        super::is_field_name(&name).then(|| (name, Value::String(value)))
    });
    readable.take(FIELDS_MAX).collect()
}

/// Converts the selecting members of a body or an item. False if one can only be read as `all`.
fn select(object: &mut Map<String, Value>) -> bool {
    if let Some(all) = object.get("all").filter(|all| !all.is_boolean()) {
        let is_all = truth(all) != Some(false);
        object.insert("all".into(), Value::Bool(is_all));
    }
    if object.get("type").is_some_and(|name| !name.is_string() || is_marked(name)) {
        return false;
    }
    for (one, many) in LISTS {
        let given = [object.remove(one), object.remove(many)];
        let Some(texts) = given.into_iter().flatten().try_fold(vec![], texts) else { return false };
        if !texts.is_empty() {
            object.insert(many.into(), json!(texts));
        }
    }
    let given = [object.remove("id"), object.remove("ids")];
    let has_type = object.contains_key("type");
    match given.into_iter().flatten().try_fold(vec![], texts) {
        Some(ids) if ids.is_empty() => true,
        Some(ids) if ids.iter().all(|id| is_id(id)) => {
            object.insert("ids".into(), json!(ids));
            has_type
        }
        // The type alone covers all of its ids.
        _ => has_type,
    }
}

fn is_id(text: &str) -> bool {
    Label::parse(text).is_ok() && !entity::trimmed(text).is_empty()
}

/// Adds the texts of a value or of a list; `None` if one cannot be read.
fn texts(mut found: Vec<String>, value: Value) -> Option<Vec<String>> {
    match value {
        Value::Array(list) => {
            for one in &list {
                found.push(text(one)?);
            }
        }
        one => found.push(text(&one)?),
    }
    Some(found)
}

/// A text, or a whole number as its digits.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => (!text.contains(UNREADABLE)).then(|| text.clone()),
        Value::Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
            (Some(whole), _, _) => Some(whole.to_string()),
            (_, Some(whole), _) => Some(whole.to_string()),
            // Exact only below 2^53.
            (_, _, Some(float)) if float.fract() == 0.0 && float.abs() < 9e15 => {
                Some(format!("{float:.0}"))
            }
            _ => None,
        },
        _ => None,
    }
}

fn is_marked(value: &Value) -> bool {
    value.as_str().is_some_and(|text| text.contains(UNREADABLE))
}

/// The flag that a value of another type stands for.
fn truth(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(flag) => Some(*flag),
        Value::Number(number) => number.as_f64().map(|number| number != 0.0),
        Value::String(text) => match text.trim().to_ascii_lowercase().as_str() {
            "true" | "1" | "yes" | "on" => Some(true),
            "false" | "0" | "no" | "off" | "" => Some(false),
            _ => None,
        },
        _ => None,
    }
}

/// Converts a batch. Its selectors and ids matter; other unreadable values get a harmless default.
/// False if it is not a batch at all.
fn batch(value: &mut Value) -> bool {
    let Some(batch) = value.as_object_mut() else { return false };
    for field in ["protocol", "epoch", "watermark"] {
        if !batch.get(field).is_some_and(Value::is_u64) {
            batch.insert(field.into(), json!(0));
        }
    }
    for field in ["origin", "graph"] {
        if !batch.get(field).is_some_and(Value::is_string) {
            batch.insert(field.into(), json!("unknown"));
        }
    }
    let is_union = |value: &Value| serde_json::from_value::<Selectors>(value.clone()).is_ok();
    if batch.get("cascade").is_some_and(|it| !is_union(it) || has_mark(it)) {
        batch.insert("cascade".into(), json!({ "all": true }));
    }
    if let Some(merged) = batch.get("merged") {
        let is_read = merged.as_object().is_some_and(|modes| {
            let is_mode = |mode: &String| mode == "hard" || mode == "soft";
            modes.iter().all(|(mode, it)| is_mode(mode) && is_union(it) && !has_mark(it))
        });
        if !is_read {
            batch.insert("merged".into(), json!({ "hard": { "all": true } }));
        }
    }
    match batch.get_mut("events") {
        None => true,
        Some(Value::Array(events)) => events.iter_mut().all(event),
        Some(_) => false,
    }
}

fn event(value: &mut Value) -> bool {
    let Some(event) = value.as_object_mut() else { return false };
    let id = event.get("id").and_then(Value::as_str).and_then(EventId::parse);
    if id.is_none() {
        // Without an id it cannot be recognised, so it counts as a new event.
        event.insert("id".into(), json!(EventId::fresh()));
    }
    if !event.get("seq").is_some_and(Value::is_u64) {
        event.insert("seq".into(), json!(0));
    }
    let selectors = event.get("selectors").cloned().unwrap_or_default();
    if has_mark(&selectors) || serde_json::from_value::<Selectors>(selectors).is_err() {
        event.insert("selectors".into(), json!({ "all": true }));
    }
    let is_mode = |it: &Value| serde_json::from_value::<Mode>(it.clone()).is_ok();
    let is_action = |it: &Value| serde_json::from_value::<Action>(it.clone()).is_ok();
    let is_fit = event.get("action").is_none_or(is_action);
    event.retain(|field, value| match field.as_str() {
        "mode" => is_mode(value),
        "action" => is_action(value),
        "changed" => is_fit && is_list_of_texts(value),
        "routes" => serde_json::from_value::<Vec<Label>>(value.clone()).is_ok(),
        _ => true,
    });
    if let Some(fields) = event.remove("fields") {
        event.insert("fields".into(), Value::Object(readable_fields(fields)));
    }
    true
}

/// Whether any text in it has an unreadable part.
fn has_mark(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains(UNREADABLE),
        Value::Array(list) => list.iter().any(has_mark),
        Value::Object(object) => {
            object.iter().any(|(name, value)| name.contains(UNREADABLE) || has_mark(value))
        }
        _ => false,
    }
}
