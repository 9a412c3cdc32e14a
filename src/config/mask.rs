//! How a value is shown in errors and by `config show`: shortened, on one line, and without
//! secrets.
//!
//! An unknown key may be a secret's key misspelt, and a URL may carry a password where none
//! belongs; so what is not known to be harmless is masked.

use toml::Value;

use super::schema::{self, Kind};

/// Characters of a value that are shown.
const SHOWN_CHARS_MAX: usize = 120;

pub(super) const MASK: &str = "***";

/// Keys, and fields of tables, that hold URLs.
const URLS: [&str; 10] = [
    "mirrors.urls",
    "mirrors.login.url",
    "gateway.upstream",
    "auth.jwks_url",
    "revalidate.url",
    "revalidate.site",
    "url",
    "hosts",
    "sites",
    "api",
];

/// Part of a key's name that makes it look like a secret's.
const SECRETISH: [&str; 8] = ["tok", "secr", "pas", "pw", "key", "cred", "hash", "jwt"];

/// A field of a webhook that takes one of two words, and whose name asks for a secret.
const ASKS_FOR_SECRET: &str = "auth.key";

/// The value of a key; of a field that no table has, what [`unknown`] shows of it.
pub(super) fn value(key: &str, value: &Value) -> String {
    let field = key.rsplit_once("].").map_or(key, |(_, field)| field);
    let field = field.strip_prefix("login.").unwrap_or(field);
    match value {
        Value::String(text) if text.is_empty() => "\"\"".into(),
        _ if schema::is_secret(field) || is_custom_body(field, value) => MASK.into(),
        _ if schema::is_unknown_field(key) => unknown(field, None, value),
        Value::String(_) if is_nested(key) || field == ASKS_FOR_SECRET => MASK.into(),
        Value::String(_) if schema::is_named_by_user(key) && looks_secret(field) => MASK.into(),
        Value::String(text) if URLS.contains(&field) => quoted(&url(text)),
        Value::String(text) => quoted(text),
        Value::Array(items) => {
            let item = |item: &Value| match item {
                Value::Table(_) => self::value(&format!("{key}[]"), item),
                _ => self::value(key, item),
            };
            let items: Vec<String> = items.iter().map(item).collect();
            shortened(&format!("[{}]", items.join(", ")))
        }
        Value::Table(table) => {
            let named = |(name, it): (&String, &Value)| {
                format!("{name} = {}", self::value(&format!("{key}.{name}"), it))
            };
            let fields: Vec<String> = table.iter().map(named).collect();
            shortened(&format!("{{{}}}", fields.join(", ")))
        }
        other => other.to_string(),
    }
}

/// The value of a key that nobody knows: only numbers and truths, and not where the key, or the key
/// that may have been meant, looks like a secret's.
pub(super) fn unknown(key: &str, suggestion: Option<&str>, value: &Value) -> String {
    match value {
        _ if looks_secret(key) || suggestion.is_some_and(schema::is_secret) => MASK.into(),
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

/// A text that should have been tables may spell a password.
fn is_nested(key: &str) -> bool {
    let kind = schema::kind_at(key);
    matches!(kind, Some(Kind::Tables(_) | Kind::Map(_) | Kind::Fields(_) | Kind::Object))
}

/// A login body of the user's own may hold an API key.
fn is_custom_body(key: &str, value: &Value) -> bool {
    key == "mirrors.login.body" && schema::default(key) != Some(value)
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
