//! Which keys there are and of which type, read off the reference file itself, so that no second
//! list of keys can differ from it.
//!
//! Only what TOML cannot say stands here: which keys are arrays of tables, secrets or free maps.
//! Fields of tables are in [`super::fields`], ranges in [`super::bounds`].

use std::collections::BTreeMap;
use std::sync::LazyLock;

use toml::{Table, Value};

use super::fields::{ACCOUNT, CACHE, HOOK, INVALIDATE, PEER, RECIPE, SCHEDULE, TARGET, TEMPLATE};

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
    /// A table that whoever reads it checks whole.
    Object,
}

/// What the types in the reference file do not tell.
const SPECIAL: [(&str, Kind); 18] = [
    ("schedules", Kind::Tables(SCHEDULE)),
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
const SECRETS: [&str; 28] = [
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
    "alerts.signing_secret",
    "alerts.signing_secret_previous",
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

/// The type of a key, or of what lies below one, such as `mirrors.peers[0].login.token`.
pub(super) fn kind_at(place: &str) -> Option<Kind> {
    let in_map = SPECIAL.iter().find_map(|(map, kind)| {
        let path = place.strip_prefix(map)?.strip_prefix('.')?;
        matches!(kind, Kind::Map(_)).then(|| kind_below(*kind, path))
    });
    match (in_map, table_field(place)) {
        (Some(kind), _) => kind,
        (None, Some((fields, path))) => kind_below(Kind::Fields(fields), path),
        (None, None) => kind(place),
    }
}

/// Whether it is a field that its table does not have.
pub(super) fn is_unknown_field(place: &str) -> bool {
    table_field(place).is_some() && kind_at(place).is_none()
}

/// The fields of the table that a place lies in, and its path there.
fn table_field(place: &str) -> Option<(&'static [(&'static str, Kind)], &str)> {
    let (array, rest) = place.split_once('[')?;
    let (_, path) = rest.split_once("].")?;
    match kind(array)? {
        Kind::Tables(fields) | Kind::Items(fields) => Some((fields, path)),
        _ => None,
    }
}

fn kind_below(kind: Kind, path: &str) -> Option<Kind> {
    let field = |fields: &[(_, Kind)], name: &str| {
        fields.iter().find(|(field, _)| *field == name).map(|(_, kind)| *kind)
    };
    let last = path.rsplit('.').next().unwrap_or(path);
    match kind {
        Kind::Fields(fields) => match path.split_once('.') {
            Some((name, rest)) => kind_below(field(fields, name)?, rest),
            None => field(fields, path),
        },
        // The names of entries are the user's own, and may hold dots.
        Kind::Map(Kind::Items(fields)) if path.contains("].") => field(fields, last),
        Kind::Map(Kind::Fields(fields)) => {
            Some(field(fields, last).unwrap_or(Kind::Fields(fields)))
        }
        Kind::Map(kind) => Some(*kind),
        Kind::Object => INVALIDATE.contains(&last).then_some(Kind::Text),
        _ => None,
    }
}

/// Whether the names in this table are the user's own.
pub(super) fn is_named_by_user(key: &str) -> bool {
    let above = key.match_indices('.').map(|(at, _)| &key[..at]);
    above.into_iter().any(|map| matches!(kind_at(map), Some(Kind::Map(_))))
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
            | (Self::Map(_) | Self::Fields(_) | Self::Object, value @ Value::Table(_)) => Ok(value),
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
            Self::Tables(_) | Self::Items(_) | Self::Map(_) | Self::Fields(_) | Self::Object => {
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
            Self::Map(_) | Self::Fields(_) | Self::Object => "expected a table",
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
