//! Which keys there are and of which type, read off the reference file itself, so that no second
//! list of keys can differ from it.
//!
//! Only what TOML cannot say stands here: the fields of the arrays of tables, which keys are
//! secrets, and which tables are free maps. Ranges are in [`super::bounds`].

use std::collections::BTreeMap;
use std::sync::LazyLock;

use toml::{Table, Value};

/// The reference: every key, its default, its unit and its reason.
pub const REFERENCE: &str = include_str!("../../config/cache-mirror.default.toml");

/// Of which type a key is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Kind {
    Text,
    Integer,
    Float,
    Flag,
    /// A list of strings.
    List,
    /// An array of tables with these fields.
    Tables(&'static [(&'static str, Kind)]),
    /// A list of strings and of tables with these fields.
    Items(&'static [(&'static str, Kind)]),
    /// A table with these fields.
    Fields(&'static [(&'static str, Kind)]),
    /// A table with names of the user's choice.
    Map(&'static Kind),
}

const PEER: &[(&str, Kind)] = &[
    ("url", Kind::Text),
    ("name", Kind::Text),
    ("rate_per_second", Kind::Float),
    ("burst", Kind::Integer),
    ("email", Kind::Text),
    ("password", Kind::Text),
    ("password_file", Kind::Text),
    ("ca_file", Kind::Text),
    ("login", Kind::Fields(LOGIN)),
];

/// What a peer's own login may say, and `[mirrors.login]` beside email and password.
pub(super) const LOGIN: &[(&str, Kind)] = &[
    ("preset", Kind::Text),
    ("url", Kind::Text),
    ("body", Kind::Text),
    ("form", Kind::Flag),
    ("headers", Kind::Map(&Kind::Text)),
    ("token_pointer", Kind::Text),
    ("expires_pointer", Kind::Text),
    ("scope", Kind::Text),
    ("audience", Kind::Text),
    ("token", Kind::Text),
    ("token_file", Kind::Text),
];

/// A framework beside this instance.
const TARGET: &[(&str, Kind)] = &[
    ("url", Kind::Text),
    ("name", Kind::Text),
    ("form", Kind::Text),
    ("secret", Kind::Text),
    ("secret_file", Kind::Text),
    ("signing_secret", Kind::Text),
    ("signing_secret_file", Kind::Text),
    ("signing_secret_previous", Kind::Text),
    ("signing_secret_previous_file", Kind::Text),
    ("paths", Kind::Map(&Kind::Items(TEMPLATE))),
    ("tags", Kind::Map(&Kind::Items(TEMPLATE))),
    ("names", Kind::Map(&Kind::Text)),
    ("resolve", Kind::Text),
    ("rate_per_second", Kind::Float),
    ("burst", Kind::Integer),
    ("timeout_ms", Kind::Integer),
];

/// A path or tag of a target, where it is more than a text.
const TEMPLATE: &[(&str, Kind)] = &[
    ("path", Kind::Text),
    ("tag", Kind::Text),
    ("actions", Kind::List),
    ("when_fields", Kind::List),
    ("ignore_fields", Kind::List),
    ("otherwise", Kind::Text),
];

const ACCOUNT: &[(&str, Kind)] = &[
    ("email", Kind::Text),
    ("password_hash", Kind::Text),
    ("password_hash_file", Kind::Text),
    ("password_hash_previous", Kind::Text),
    ("password_hash_previous_file", Kind::Text),
];

const RECIPE: &[(&str, Kind)] = &[("clears", Kind::List), ("narrowed", Kind::List)];

/// A webhook; how its deliveries are told from forgeries; what they mean.
const HOOK: &[(&str, Kind)] = &[
    ("name", Kind::Text),
    ("preset", Kind::Text),
    ("secret", Kind::Text),
    ("secret_file", Kind::Text),
    ("secret_previous", Kind::Text),
    ("secret_previous_file", Kind::Text),
    ("form", Kind::Text),
    ("events", Kind::Text),
    ("delivery", Kind::Text),
    ("auth", Kind::Fields(HOOK_AUTH)),
    ("mapping", Kind::Fields(HOOK_MAPPING)),
];

const HOOK_AUTH: &[(&str, Kind)] = &[
    ("scheme", Kind::Text),
    ("header", Kind::Text),
    ("separator", Kind::Text),
    ("prefix", Kind::Text),
    ("encoding", Kind::Text),
    ("key", Kind::Text),
    ("content", Kind::Text),
    ("timestamp_header", Kind::Text),
    ("timestamp_prefix", Kind::Text),
    ("timestamp_unit", Kind::Text),
    ("tolerance_s", Kind::Integer),
    ("signed_headers", Kind::Text),
    ("path", Kind::Text),
];

const HOOK_MAPPING: &[(&str, Kind)] = &[
    ("type", Kind::Text),
    ("types", Kind::Map(&Kind::Text)),
    ("unlisted_type", Kind::Text),
    ("no_type", Kind::Text),
    ("ids", Kind::List),
    ("no_id", Kind::Text),
    ("tags", Kind::List),
    ("paths", Kind::List),
    ("keys", Kind::List),
    ("action", Kind::Text),
    ("actions", Kind::Map(&Kind::Text)),
    ("fields", Kind::Map(&Kind::Text)),
    ("changed", Kind::List),
    ("compare", Kind::List),
];

/// What a purge target may say; which of it means something depends on its kind.
const CACHE: &[(&str, Kind)] = &[
    ("name", Kind::Text),
    ("kind", Kind::Text),
    ("hosts", Kind::List),
    ("sites", Kind::List),
    ("token", Kind::Text),
    ("token_file", Kind::Text),
    ("token_header", Kind::Text),
    ("ca_file", Kind::Text),
    ("rate_per_second", Kind::Float),
    ("burst", Kind::Integer),
    ("timeout_ms", Kind::Integer),
    ("calls_max", Kind::Integer),
    ("type_tag", Kind::Text),
    ("entity_tag", Kind::Text),
    ("custom_tag", Kind::Text),
    ("path_tag", Kind::Text),
    ("all_tag", Kind::Text),
    ("tag_header", Kind::Text),
    ("soft_tag_header", Kind::Text),
    ("soft_header", Kind::Text),
    ("ban_header", Kind::Text),
    ("tag_separator", Kind::Text),
    ("absent_status", Kind::Integer),
    ("bypass_header", Kind::Text),
    ("page_bytes_max", Kind::Integer),
    ("api", Kind::Text),
    ("zone", Kind::Text),
    ("plan", Kind::Text),
    ("service", Kind::Text),
    ("pull_zone", Kind::Text),
    ("project", Kind::Text),
    ("team", Kind::Text),
];

/// What the types in the reference file do not tell.
const SPECIAL: [(&str, Kind); 17] = [
    ("revalidate.paths", Kind::Map(&Kind::Items(TEMPLATE))),
    ("revalidate.tags", Kind::Map(&Kind::Items(TEMPLATE))),
    ("revalidate.groups", Kind::Map(&Kind::List)),
    ("revalidate.names", Kind::Map(&Kind::Text)),
    ("revalidate.targets", Kind::Tables(TARGET)),
    ("mirrors.login.headers", Kind::Map(&Kind::Text)),
    ("dependencies", Kind::Map(&Kind::List)),
    ("aliases", Kind::Map(&Kind::Text)),
    ("names", Kind::Map(&Kind::List)),
    ("groups", Kind::Map(&Kind::Fields(RECIPE))),
    ("hooks", Kind::Map(&Kind::Fields(RECIPE))),
    ("when_fields", Kind::Map(&Kind::List)),
    ("ignore_fields", Kind::Map(&Kind::List)),
    ("mirrors.peers", Kind::Tables(PEER)),
    ("auth.service_accounts", Kind::Tables(ACCOUNT)),
    ("ingest.hooks", Kind::Tables(HOOK)),
    ("purge.targets", Kind::Tables(CACHE)),
];

/// Keys, and fields of tables, that are never shown. Each may also be given as `KEY_file`, the
/// fields as far as they name one.
const SECRETS: [&str; 26] = [
    "revalidate.secret",
    "revalidate.token",
    "secret",
    "signing_secret",
    "signing_secret_previous",
    "auth.admin_token",
    "auth.admin_token_previous",
    "auth.jwt_secret",
    "auth.jwt_secret_previous",
    "auth.signing_key",
    "auth.signing_key_previous",
    "mirrors.login.password",
    "mirrors.login.password_previous",
    "mirrors.login.token",
    "compat.revalidate_token",
    "compat.revalidate_token_previous",
    "compat.revalidate_secret",
    "compat.revalidate_secret_previous",
    "alerts.webhook",
    "password",
    "password_hash",
    "password_hash_previous",
    "token",
    "secret_previous",
    "headers",
    "body",
];

/// The values of login headers are secrets too, whatever they are called.
const SECRET_MAPS: [&str; 2] = ["mirrors.login.headers.", "headers."];

static DEFAULTS: LazyLock<BTreeMap<String, Value>> = LazyLock::new(|| {
    let table: Table = REFERENCE.parse().expect("the embedded reference is TOML, as a test shows");
    let mut keys = BTreeMap::new();
    flatten(String::new(), Value::Table(table), &mut keys);
    keys
});

fn flatten(key: String, value: Value, keys: &mut BTreeMap<String, Value>) {
    match value {
        Value::Table(table) if special(&key).is_none() => {
            for (name, value) in table {
                let key = if key.is_empty() { name } else { format!("{key}.{name}") };
                flatten(key, value, keys);
            }
        }
        value => {
            keys.insert(key, value);
        }
    }
}

fn special(key: &str) -> Option<Kind> {
    SPECIAL.iter().find(|(special, _)| *special == key).map(|(_, kind)| *kind)
}

/// Every key, in order.
pub(super) fn keys() -> impl Iterator<Item = &'static str> {
    DEFAULTS.keys().map(String::as_str)
}

/// A key's default.
pub(super) fn default(key: &str) -> Option<&'static Value> {
    DEFAULTS.get(key)
}

/// The type of a key, of an entry of a free map, or of a secret's `_file`.
pub(super) fn kind(key: &str) -> Option<Kind> {
    if let Some(kind) = special(key) {
        return Some(kind);
    }
    if let Some(kind) = kind_in_map(key) {
        return Some(kind);
    }
    match default(secret_of(key).unwrap_or(key))? {
        Value::String(_) => Some(Kind::Text),
        Value::Integer(_) => Some(Kind::Integer),
        Value::Float(_) => Some(Kind::Float),
        Value::Boolean(_) => Some(Kind::Flag),
        Value::Array(_) => Some(Kind::List),
        Value::Table(_) | Value::Datetime(_) => None,
    }
}

/// The type of an entry of a free map.
fn kind_in_map(key: &str) -> Option<Kind> {
    let is_below = |map: &str| key.strip_prefix(map).is_some_and(|rest| rest.starts_with('.'));
    SPECIAL.iter().find_map(|(map, kind)| match kind {
        Kind::Map(kind) if is_below(map) => Some(**kind),
        _ => None,
    })
}

/// Whether keys begin with it.
pub(super) fn is_section(key: &str) -> bool {
    keys().any(|known| known.strip_prefix(key).is_some_and(|rest| rest.starts_with('.')))
}

/// Whether its value must never be shown.
pub(super) fn is_secret(key: &str) -> bool {
    SECRETS.contains(&key) || SECRET_MAPS.iter().any(|map| key.starts_with(map))
}

/// The secret that a key with `_file` names a file for.
pub(super) fn secret_of(key: &str) -> Option<&str> {
    key.strip_suffix("_file").filter(|key| is_secret(key))
}

/// Whether tables in arrays have such a field.
pub(super) fn is_field(name: &str) -> bool {
    let tables =
        [PEER, ACCOUNT, LOGIN, TARGET, TEMPLATE, RECIPE, HOOK, HOOK_AUTH, HOOK_MAPPING, CACHE];
    tables.into_iter().flatten().any(|(field, _)| *field == name)
}

/// The known key nearest to a misspelt one, if one is near.
pub(super) fn nearest(key: &str) -> Option<&'static str> {
    let near = keys().map(|known| (distance(key, known), known)).min()?;
    (near.0 <= (key.len() / 3).max(2)).then_some(near.1)
}

/// The field nearest to a misspelt one.
pub(super) fn nearest_field(
    fields: &'static [(&'static str, Kind)],
    name: &str,
) -> Option<&'static str> {
    let near = fields.iter().map(|(field, _)| (strsim::osa_distance(name, field), *field)).min()?;
    (near.0 <= (name.len() / 3).max(2)).then_some(near.1)
}

/// Edits between two keys; the right name in the wrong section, or in none, costs two.
fn distance(given: &str, known: &str) -> usize {
    let name = |key: &'_ str| key.rsplit('.').next().unwrap_or_default().to_owned();
    let by_name = strsim::osa_distance(&name(given), &name(known)) + 2;
    strsim::osa_distance(given, known).min(by_name)
}

impl Kind {
    /// The value in this type.
    ///
    /// # Errors
    /// What was expected instead.
    pub(super) fn check(self, value: Value) -> Result<Value, &'static str> {
        match (self, value) {
            (Self::Float, Value::Integer(number)) => Ok(Value::Float(number as f64)),
            (Self::List, Value::Array(items)) if !items.iter().all(Value::is_str) => {
                Err("expected a list of strings")
            }
            (Self::Items(_), Value::Array(items))
                if !items.iter().all(|item| item.is_str() || item.is_table()) =>
            {
                Err(self.expected())
            }
            (Self::Text, value @ Value::String(_))
            | (Self::Integer, value @ Value::Integer(_))
            | (Self::Float, value @ Value::Float(_))
            | (Self::Flag, value @ Value::Boolean(_))
            | (Self::List | Self::Tables(_) | Self::Items(_), value @ Value::Array(_))
            | (Self::Map(_) | Self::Fields(_), value @ Value::Table(_)) => Ok(value),
            (kind, _) => Err(kind.expected()),
        }
    }

    /// The value that a variable or a flag spells.
    ///
    /// # Errors
    /// What was expected instead.
    pub(super) fn parse(self, text: &str) -> Result<Value, &'static str> {
        let trimmed = text.trim();
        match self {
            Self::Text => Some(Value::String(text.to_owned())),
            Self::Integer => trimmed.parse().ok().map(Value::Integer),
            Self::Float => trimmed.parse().ok().map(Value::Float),
            Self::Flag => flag(trimmed),
            Self::List if is_toml_list(trimmed) => trimmed.parse().ok(),
            Self::List => Some(list(text.split(','))),
            Self::Items(_) if !is_toml_list(trimmed) => Some(list(text.split(','))),
            Self::Tables(_) | Self::Items(_) | Self::Map(_) | Self::Fields(_) => {
                trimmed.parse().ok()
            }
        }
        .ok_or(self.expected())
        .and_then(|value| self.check(value))
    }

    fn expected(self) -> &'static str {
        match self {
            Self::Text => "expected a string",
            Self::Integer => "expected an integer",
            Self::Float => "expected a number",
            Self::Flag => "expected true or false",
            Self::List => "expected a list of strings",
            Self::Tables(_) => "expected an array of tables",
            Self::Items(_) => "expected a list of strings and tables",
            Self::Map(_) | Self::Fields(_) => "expected a table",
        }
    }
}

/// A list without its empty items.
pub(super) fn list<'a>(items: impl Iterator<Item = &'a str>) -> Value {
    let items = items.map(str::trim).filter(|item| !item.is_empty());
    Value::Array(items.map(|item| Value::String(item.to_owned())).collect())
}

/// `["a"]` and `[]`, but not `[::1]:4400`.
fn is_toml_list(text: &str) -> bool {
    let inside = text.strip_prefix('[').map(str::trim_start);
    inside.is_some_and(|rest| rest.starts_with(['"', '\'', ']', '{']))
}

fn flag(text: &str) -> Option<Value> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" => Some(Value::Boolean(true)),
        "false" | "0" => Some(Value::Boolean(false)),
        _ => None,
    }
}
