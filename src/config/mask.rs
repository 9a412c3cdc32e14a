//! How a value is shown in errors and by `config show`: shortened, on one line, and without
//! secrets.
//!
//! The schema knows what is secret. An unknown key may be a secret's key misspelt, and a URL may
//! carry a password where none belongs; so what is not known to be harmless is masked.

use serde_json::Value as Json;
use toml::Value;

use super::schema::{self, Kind, Node};

/// Characters of a value that are shown.
const SHOWN_CHARS_MAX: usize = 120;

pub(super) const MASK: &str = "***";

/// Part of a key's name that makes it look like a secret's.
const SECRETISH: [&str; 8] = ["tok", "secr", "pas", "pw", "key", "cred", "hash", "jwt"];

/// The value of a key, or of a place in one; of a field that no table has, what [`unknown`] shows.
pub(super) fn value(place: &str, value: &Value) -> String {
    let name = place.rsplit_once("].").map_or(place, |(_, field)| field);
    match schema::at(place) {
        _ if value.as_str() == Some("") => "\"\"".into(),
        None => unknown(name, None, value),
        // What the reference file shows is no secret.
        Some((node, _)) if schema::is_secret(node) && schema::default(place) != Some(value) => {
            MASK.into()
        }
        Some((node, is_free)) => known(node, name, is_free, value),
    }
}

fn known(node: Node, name: &str, is_free: bool, value: &Value) -> String {
    match value {
        Value::String(text) => self::text(node, name, is_free, text),
        Value::Array(items) => {
            let form = node.get("items").unwrap_or(node);
            let table = schema::table_of(form);
            let item = |item: &Value| {
                if item.is_table() {
                    nested(table, name, is_free, item)
                } else {
                    nested(form, name, is_free, item)
                }
            };
            let items: Vec<String> = items.iter().map(item).collect();
            shortened(&format!("[{}]", items.join(", ")))
        }
        Value::Table(table) => {
            let node = schema::table_of(node.get("items").unwrap_or(node));
            let is_free = is_free || Kind::of(node) == Kind::Map;
            let field = |(name, it): (&String, &Value)| match schema::field(node, name) {
                None => format!("{name} = {}", unknown(name, None, it)),
                Some(node) => format!("{name} = {}", nested(node, name, is_free, it)),
            };
            let fields: Vec<String> = table.iter().map(field).collect();
            shortened(&format!("{{{}}}", fields.join(", ")))
        }
        other => other.to_string(),
    }
}

fn nested(node: Node, name: &str, is_free: bool, value: &Value) -> String {
    match value.as_str() {
        Some("") => "\"\"".into(),
        _ if schema::is_secret(node) => MASK.into(),
        _ => known(node, name, is_free, value),
    }
}

fn text(node: Node, name: &str, is_free: bool, text: &str) -> String {
    let form = node.get("items").unwrap_or(node);
    let is_word = |words: &Vec<Json>| words.iter().any(|word| word == text);
    let is_no_word = form["enum"].as_array().is_some_and(|words| !is_word(words));
    match Kind::of(node) {
        // A text that should have been tables may spell a password.
        Kind::Tables | Kind::Map | Kind::Fields | Kind::Object => MASK.into(),
        _ if (is_free || is_no_word) && looks_secret(name) => MASK.into(),
        _ if form["x-url"] == true => quoted(&url(text)),
        _ => quoted(text),
    }
}

/// The value of an unknown key: only numbers and truths, and not where the key, or the key
/// that may have been meant, looks like a secret's.
pub(super) fn unknown(key: &str, suggestion: Option<&str>, value: &Value) -> String {
    let is_secret = |key| schema::at(key).is_some_and(|(node, _)| schema::is_secret(node));
    match value {
        _ if looks_secret(key) || suggestion.is_some_and(is_secret) => MASK.into(),
        Value::Integer(_) | Value::Float(_) | Value::Boolean(_) => value.to_string(),
        _ => MASK.into(),
    }
}

fn looks_secret(key: &str) -> bool {
    SECRETISH.iter().any(|part| key.to_lowercase().contains(part))
}

/// A URL without its user, password and query.
pub(super) fn url(text: &str) -> String {
    let (scheme, rest) = text
        .split_once("://")
        .map_or(("", text), |(_, rest)| (&text[..text.len() - rest.len()], rest));
    let (rest, query) = rest.split_once('?').map_or((rest, ""), |(rest, _)| (rest, "?***"));
    match rest.rsplit_once('@') {
        Some((_, host)) => format!("{scheme}{MASK}@{host}{query}"),
        None => format!("{scheme}{rest}{query}"),
    }
}

fn quoted(text: &str) -> String {
    shortened(&format!("{text:?}"))
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(SHOWN_CHARS_MAX) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}
