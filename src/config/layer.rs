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
use super::schema::{self, Kind};
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
        match (schema::kind(&key), value) {
            (Some(Kind::Map(_)), Value::Table(table)) => self.add_all(&key, table, origin),
            (Some(kind), value) => match kind.check(value.clone()) {
                Ok(value) => self.put(key, kind, value, origin),
                Err(expected) => self.refuse(&key, &value, origin, expected),
            },
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

    fn put(&mut self, key: String, kind: Kind, value: Value, origin: &Origin) {
        match (kind, &value) {
            (Kind::Tables(fields), Value::Array(items)) => {
                self.check_tables(&key, fields, items, origin);
            }
            (Kind::Items(fields), Value::Array(items)) => {
                self.check_items(&key, fields, items, origin);
            }
            _ => {}
        }
        if let (Kind::Fields(fields), Value::Table(table)) = (kind, &value) {
            self.check_fields(&key, fields, table, origin);
        }
        match (schema::secret_of(&key), &value) {
            (Some(secret), Value::String(path)) if !path.is_empty() => {
                self.put_secret(secret, &key, path, origin);
            }
            (Some(_), _) => {}
            (None, _) => {
                self.leaves.insert(key, Leaf { value, origin: origin.clone() });
            }
        }
    }

    /// A secret from its file. Beside the secret itself it would be unclear which one counts.
    fn put_secret(&mut self, secret: &str, key: &str, path: &str, origin: &Origin) {
        let given = Value::String(path.to_owned());
        match read_secret(&self.workdir, path) {
            Err(expected) => self.refuse(key, &given, origin, &expected),
            Ok(text) => {
                let leaf = Leaf { value: Value::String(text), origin: origin.clone() };
                let before = self.leaves.insert(secret.to_owned(), leaf);
                if before.is_some_and(|leaf| leaf.value.as_str() != Some("")) {
                    self.refuse(key, &given, origin, &format!("{secret} is set as well"));
                }
            }
        }
    }

    fn check_tables(
        &mut self,
        key: &str,
        fields: &'static [(&'static str, Kind)],
        items: &[Value],
        origin: &Origin,
    ) {
        for (index, item) in items.iter().enumerate() {
            let Some(table) = item.as_table() else {
                let shown = mask::unknown(key, None, item);
                self.problems.push(invalid(key, shown, origin, "expected an array of tables"));
                continue;
            };
            self.check_fields(&format!("{key}[{index}]"), fields, table, origin);
        }
    }

    /// The tables among the strings of a list.
    fn check_items(
        &mut self,
        key: &str,
        fields: &'static [(&'static str, Kind)],
        items: &[Value],
        origin: &Origin,
    ) {
        for (index, item) in items.iter().enumerate() {
            if let Some(table) = item.as_table() {
                self.check_fields(&format!("{key}[{index}]"), fields, table, origin);
            }
        }
    }

    fn check_fields(
        &mut self,
        key: &str,
        fields: &'static [(&'static str, Kind)],
        table: &Table,
        origin: &Origin,
    ) {
        for (name, value) in table {
            let key = format!("{key}.{name}");
            let Some((_, kind)) = fields.iter().find(|(field, _)| field == name) else {
                let near = nearest::field(fields, name);
                let shown = mask::unknown(name, near, value);
                let suggestion = near.map(str::to_owned);
                let unknown = invalid(&key, shown, origin, "unknown key");
                self.problems.push(Invalid { suggestion, ..unknown });
                continue;
            };
            if let Err(expected) = kind.check(value.clone()) {
                self.refuse(&key, value, origin, expected);
            }
            match (kind, value) {
                (Kind::Fields(fields), Value::Table(table)) => {
                    self.check_fields(&key, fields, table, origin);
                }
                (Kind::Map(kind), Value::Table(table)) => {
                    for (name, value) in table {
                        let key = format!("{key}.{name}");
                        if let Err(expected) = kind.check(value.clone()) {
                            self.refuse(&key, value, origin, expected);
                        } else if let (Kind::Items(fields), Value::Array(items)) = (kind, value) {
                            self.check_items(&key, fields, items, origin);
                        }
                    }
                }
                _ => {}
            }
        }
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
