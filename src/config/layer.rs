//! One source of settings, as checked keys with their origin.
//!
//! Every layer is checked whole, also where a higher one overrides it: a file with a misspelt key
//! is wrong today, not on the day when the override goes. Nothing is interpreted here beyond types.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

use super::invalid::Invalid;
use super::schema::{self, Kind, Node};
use super::{mask, nearest, read_text};

/// Longest secret in a file; so that /dev/zero is an answer and no hang.
pub(super) const SECRET_BYTES_MAX: u64 = 64 * 1024;

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Origin {
    Default,
    Preset(String),
    File(String),
    DotEnv(String),
    Environment(String),
    Flag,
}

impl fmt::Display for Origin {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => out.write_str("default"),
            Self::Preset(name) => write!(out, "preset {name}"),
            Self::File(path) => out.write_str(path),
            Self::DotEnv(name) => write!(out, ".env {name}"),
            Self::Environment(name) => write!(out, "environment {name}"),
            Self::Flag => out.write_str("flag"),
        }
    }
}

/// A value and where it came from.
#[derive(Debug, Clone)]
pub(super) struct Leaf {
    pub(super) value: Value,
    pub(super) origin: Origin,
}

/// One source.
pub(super) struct Layer {
    pub(super) leaves: BTreeMap<String, Leaf>,
    pub(super) problems: Vec<Invalid>,
    /// The port that `PORT` asks for.
    pub(super) port: Option<(u16, Origin)>,
    /// Relative paths start here.
    workdir: PathBuf,
}

impl Layer {
    pub(super) fn new(workdir: &Path) -> Self {
        Self {
            leaves: BTreeMap::new(),
            problems: Vec::new(),
            port: None,
            workdir: workdir.to_owned(),
        }
    }

    /// The keys of a TOML text.
    pub(super) fn of_toml(text: &str, origin: &Origin, workdir: &Path) -> Self {
        let mut layer = Self::new(workdir);
        match text.parse::<Table>() {
            Ok(table) => {
                for (name, value) in table {
                    layer.add(name, value, origin);
                }
            }
            Err(error) => layer.problems.push(malformed(text, &error, origin)),
        }
        layer
    }

    /// Adds a value, or all that a table holds.
    pub(super) fn add(&mut self, key: String, value: Value, origin: &Origin) {
        let node = schema::leaf(&key);
        match (node, value) {
            (Some(node), Value::Table(table)) if Kind::of(node) == Kind::Map => {
                self.add_all(&key, table, origin);
            }
            (Some(node), value) => {
                if let Some(value) = self.checked(&key, node, value, origin) {
                    self.put(key, value, origin);
                }
            }
            (None, Value::Table(table)) if !table.is_empty() || schema::is_section(&key) => {
                self.add_all(&key, table, origin);
            }
            (None, value) if schema::is_section(&key) => {
                let value = mask::unknown(&key, None, &value);
                self.problems.push(invalid(&key, value, origin, "expected a table"));
            }
            (None, value) => self.refuse_unknown(&key, &value, origin),
        }
    }

    /// Adds a value that a variable or a flag spells.
    pub(super) fn add_text(&mut self, key: String, text: &str, origin: &Origin) {
        let spelt = Value::String(text.to_owned());
        match schema::kind(&key).map(|kind| kind.parse(text)) {
            Some(Ok(value)) => self.add(key, value, origin),
            Some(Err(expected)) => self.refuse(&key, &spelt, origin, expected),
            None => self.refuse_unknown(&key, &spelt, origin),
        }
    }

    fn add_all(&mut self, key: &str, table: Table, origin: &Origin) {
        for (name, value) in table {
            self.add(format!("{key}.{name}"), value, origin);
        }
    }

    /// A secret may come from a file. Beside the secret itself it would be unclear which counts.
    fn put(&mut self, key: String, value: Value, origin: &Origin) {
        let leaf = |value| Leaf { value, origin: origin.clone() };
        let Some(secret) = schema::secret_of(&key) else {
            self.leaves.insert(key, leaf(value));
            return;
        };
        let Some(path) = value.as_str().filter(|path| !path.is_empty()) else { return };
        match read_secret(&self.workdir, path) {
            Err(expected) => self.refuse(&key, &value, origin, &expected),
            Ok(text) => {
                let before = self.leaves.insert(secret.to_owned(), leaf(Value::String(text)));
                if before.is_some_and(|leaf| leaf.value.as_str() != Some("")) {
                    self.refuse(&key, &value, origin, &format!("{secret} is set as well"));
                }
            }
        }
    }

    /// Checks a value against its type, and each field of its tables. `None` if the value itself
    /// is wrong.
    fn checked(&mut self, key: &str, node: Node, value: Value, origin: &Origin) -> Option<Value> {
        let kind = Kind::of(node);
        let value = match kind.check(value.clone()) {
            Ok(value) => value,
            Err(expected) => {
                self.refuse(key, &value, origin, expected);
                return None;
            }
        };
        Some(match (kind, value) {
            (Kind::Tables | Kind::Items, Value::Array(items)) => {
                let table = schema::table_of(&node["items"]);
                let item = |(at, item): (usize, Value)| match item {
                    Value::Table(_) => self.checked(&format!("{key}[{at}]"), table, item, origin),
                    _ if kind == Kind::Items => Some(item),
                    _ => {
                        let shown = mask::unknown(key, None, &item);
                        self.problems.push(invalid(key, shown, origin, kind.expected()));
                        None
                    }
                };
                Value::Array(items.into_iter().enumerate().filter_map(item).collect())
            }
            (Kind::Fields | Kind::Map, Value::Table(table)) => {
                let field = |(name, value): (String, Value)| {
                    let key = format!("{key}.{name}");
                    let Some(field) = schema::field(node, &name) else {
                        self.refuse_field(&key, nearest::field(node, &name), &value, origin);
                        return (name, value);
                    };
                    // A wrong field stays, so that `config show` shows it.
                    let checked = self.checked(&key, field, value.clone(), origin);
                    (name, checked.unwrap_or(value))
                };
                Value::Table(table.into_iter().map(field).collect())
            }
            (_, value) => value,
        })
    }

    pub(super) fn refuse(&mut self, key: &str, value: &Value, origin: &Origin, expected: &str) {
        self.problems.push(invalid(key, mask::value(key, value), origin, expected));
    }

    fn refuse_unknown(&mut self, key: &str, value: &Value, origin: &Origin) {
        let suggestion = nearest::key(key);
        let shown = mask::unknown(key, suggestion.as_deref(), value);
        let unknown = invalid(key, shown, origin, "unknown key");
        self.problems.push(Invalid { suggestion, ..unknown });
    }

    /// A field that its table does not have. `near` may be a secret of the table.
    fn refuse_field(&mut self, key: &str, near: Option<&str>, value: &Value, origin: &Origin) {
        let table = key.rsplit_once('.').map_or("", |(table, _)| table);
        let meant = near.map(|near| schema::join(table, near));
        let shown = mask::unknown(key, meant.as_deref(), value);
        let suggestion = near.map(str::to_owned);
        let unknown = invalid(key, shown, origin, "unknown key");
        self.problems.push(Invalid { suggestion, ..unknown });
    }
}

/// What a file holds, without the newlines at its end.
///
/// # Errors
/// Why it is of no use.
pub(super) fn read_secret(workdir: &Path, path: &str) -> Result<String, String> {
    secret_text(read_text(&workdir.join(path), SECRET_BYTES_MAX))
}

/// The secret that was read from a file.
pub(super) fn secret_text(read: io::Result<String>) -> Result<String, String> {
    let text = read.map_err(|error| format!("expected a readable file: {error}"))?;
    let text = text.trim_end_matches(['\n', '\r']);
    if text.is_empty() { Err("the file is empty".into()) } else { Ok(text.to_owned()) }
}

pub(super) fn invalid(
    key: &str,
    value: String,
    origin: &impl ToString,
    expected: impl Into<String>,
) -> Invalid {
    let (key, origin) = (key.to_owned(), origin.to_string());
    Invalid { key, value, origin, expected: expected.into(), suggestion: None }
}

/// A syntax error by its place alone: the parser's own picture of the line may show a secret.
fn malformed(text: &str, error: &toml::de::Error, origin: &Origin) -> Invalid {
    let before = &text[..error.span().map_or(0, |span| span.start).min(text.len())];
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    let message = format!("not TOML: {}", error.message().replace('\n', ", "));
    invalid(&format!("line {line}, column {column}"), String::new(), origin, message)
}
