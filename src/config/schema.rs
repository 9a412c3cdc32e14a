//! Which keys there are and of which type: the JSON Schema of [`Sections`], walked by path.
//!
//! The types are the only list of keys. The schema adds what editors need (the comments and the
//! defaults of the reference file) and `KEY_file` beside each secret; [`kind`] and [`at`] read it
//! for everybody who handles a value before it is deserialised.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use schemars::generate::SchemaSettings;
use serde_json::{Map, Value as Json, json};
use toml::{Table, Value};

use super::sections::Sections;

/// The reference: every key, its default, its unit and its reason.
pub const REFERENCE: &str = include_str!("../../config/cache-mirror.default.toml");

/// The schema of a value.
pub(super) type Node = &'static Json;

/// Of which type a value is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Kind {
    Text,
    Integer,
    Float,
    Flag,
    /// A list of strings.
    List,
    /// An array of tables.
    Tables,
    /// A list of strings and of tables.
    Items,
    /// A table with known fields.
    Fields,
    /// A table with names of the user's choice.
    Map,
    /// A table that its reader checks whole.
    Object,
}

static DEFAULTS: LazyLock<BTreeMap<String, Value>> = LazyLock::new(|| {
    let table: Table = REFERENCE.parse().expect("the embedded reference is TOML, as a test shows");
    let mut keys = BTreeMap::new();
    flatten("", Value::Table(table), &mut keys);
    keys
});

fn flatten(key: &str, value: Value, keys: &mut BTreeMap<String, Value>) {
    match value {
        Value::Table(table) if is_section(key) => {
            table.into_iter().for_each(|(name, it)| flatten(&join(key, &name), it, keys));
        }
        value => drop(keys.insert(key.to_owned(), value)),
    }
}

static ROOT: LazyLock<Json> = LazyLock::new(|| {
    let settings = SchemaSettings::draft07().with(|it| it.inline_subschemas = true);
    let mut root = settings.into_generator().into_root_schema_for::<Sections>().to_value();
    complete(&mut root);
    root
});

/// The schema of the whole file.
pub(super) fn root() -> Node {
    &ROOT
}

/// The JSON Schema of a settings file, for editors.
pub fn json() -> Json {
    let mut root = ROOT.clone();
    let comments = comments().into_iter().map(|(key, it)| (key, "description", it.into()));
    let defaults = DEFAULTS.iter().map(|(key, value)| (key.clone(), "default", json!(value)));
    for (key, name, value) in comments.chain(defaults) {
        let pointer = format!("/properties/{}", key.replace('.', "/properties/"));
        if let Some(Json::Object(node)) = root.pointer_mut(&pointer) {
            node.insert(name.into(), value);
        }
    }
    root
}

/// The comments of the reference file, by the key or section that they stand above.
fn comments() -> Vec<(String, String)> {
    let (mut section, mut text, mut found) = ("", String::new(), Vec::new());
    for line in REFERENCE.lines() {
        let name = line.split(" = ").next().unwrap_or_default();
        if let Some(comment) = line.strip_prefix('#') {
            text = format!("{text}{}\n", comment.strip_prefix(' ').unwrap_or(comment));
            continue;
        } else if let Some(name) = line.strip_prefix('[').and_then(|it| it.strip_suffix(']')) {
            section = name;
            found.push((name.to_owned(), text.trim_end().to_owned()));
        } else if !name.is_empty() {
            found.push((join(section, name), text.trim_end().to_owned()));
        }
        text.clear();
    }
    found.retain(|(_, text)| !text.is_empty());
    found
}

/// Makes the schema that of a file in which nothing is required and nothing else is allowed, with a
/// `KEY_file` for each secret.
fn complete(node: &mut Json) {
    let Json::Object(object) = node else {
        return node.as_array_mut().into_iter().flatten().for_each(complete);
    };
    // TOML has no null: what may be left out is written by its one form.
    if let Some(kind) = object.get("type").and_then(|kinds| kinds.get(0)).cloned() {
        object.insert("type".into(), kind);
    }
    if let Some(Json::Array(words)) = object.get_mut("enum") {
        words.retain(|word| !word.is_null());
    }
    let is_null = |forms: &Json| forms[1]["type"] == "null";
    if object.get("anyOf").is_some_and(is_null)
        && let Some(Json::Object(form)) = object.remove("anyOf").map(|mut forms| forms[0].take())
    {
        for (name, value) in form {
            object.entry(name).or_insert(value);
        }
    }
    object.remove("required");
    if let Some(Json::Object(fields)) = object.get_mut("properties") {
        let file = json!({ "type": "string", "description": "The file that holds it." });
        let secrets = fields.iter().filter(|(_, field)| is_secret(field));
        let files: Map<_, _> =
            secrets.map(|(name, _)| (format!("{name}_file"), file.clone())).collect();
        fields.extend(files);
        object.entry("additionalProperties").or_insert(json!(false));
    }
    object.values_mut().for_each(complete);
}

/// Every key, in order.
pub(super) fn keys() -> impl Iterator<Item = &'static str> {
    DEFAULTS.keys().map(String::as_str)
}

/// A key's default.
pub(super) fn default(key: &str) -> Option<&'static Value> {
    DEFAULTS.get(key)
}

/// A key of a section; of the file itself, where the section is empty.
pub(super) fn join(section: &str, name: &str) -> String {
    if section.is_empty() { name.to_owned() } else { format!("{section}.{name}") }
}

/// The schema of a key, of an entry of a free map, or of a secret's `_file`; none for a section.
pub(super) fn leaf(key: &str) -> Option<Node> {
    let (mut node, mut rest): (Node, _) = (&ROOT, key);
    loop {
        let (name, below) = rest.split_once('.').map_or((rest, None), |(a, b)| (a, Some(b)));
        node = node["properties"].get(name)?;
        match (Kind::of(node), below) {
            (Kind::Fields, Some(below)) => rest = below,
            (Kind::Fields, None) => return None,
            (Kind::Map, Some(_)) => return node.get("additionalProperties"),
            (_, below) => return below.is_none().then_some(node),
        }
    }
}

/// Of which type a key is.
pub(super) fn kind(key: &str) -> Option<Kind> {
    leaf(key).map(Kind::of)
}

/// Whether keys begin with it.
pub(super) fn is_section(key: &str) -> bool {
    let names = key.split('.').filter(|name| !name.is_empty());
    let section = names.into_iter().try_fold(root(), |node, name| node["properties"].get(name));
    section.is_some_and(|node| Kind::of(node) == Kind::Fields)
}

/// The schema of whatever a place names, such as `mirrors.peers[0].login.token`, and whether it
/// lies below a name of the user's own.
pub(super) fn at(place: &str) -> Option<(Node, bool)> {
    below(&ROOT, place, false)
}

fn below(node: Node, path: &str, is_free: bool) -> Option<(Node, bool)> {
    let after = |at: usize| path[at..].trim_start_matches('.');
    if path.is_empty() {
        return Some((node, is_free));
    }
    if let Some(item) = node.get("items") {
        let end = if path.starts_with('[') { path.find(']')? + 1 } else { 0 };
        let item = if end == path.len() { item } else { table_of(item) };
        return below(item, after(end), is_free);
    }
    let mut ends = path.match_indices(['.', '[']).map(|(at, _)| at).chain([path.len()]);
    if Kind::of(node) == Kind::Map {
        // Names of the user's own may hold dots.
        let entry = node.get("additionalProperties")?;
        return ends.find_map(|end| below(entry, after(end), true));
    }
    let end = ends.next()?;
    below(node["properties"].get(&path[..end])?, after(end), is_free)
}

/// The table among the forms of an item.
pub(super) fn table_of(item: Node) -> Node {
    let forms = item.get("anyOf").and_then(Json::as_array).into_iter().flatten();
    forms.into_iter().find(|form| form["type"] == "object").unwrap_or(item)
}

/// The field, or the entry, of a table.
pub(super) fn field(table: Node, name: &str) -> Option<Node> {
    let entry = || table.get("additionalProperties").filter(|it| it.is_object());
    table["properties"].get(name).or_else(entry)
}

/// The fields of a table.
pub(super) fn fields(table: Node) -> impl Iterator<Item = &'static str> {
    table["properties"].as_object().into_iter().flat_map(|fields| fields.keys().map(String::as_str))
}

/// Whether a value must never be shown.
pub(super) fn is_secret(node: &Json) -> bool {
    node["writeOnly"] == true
}

/// The secret that a key with `_file` names a file for.
pub(super) fn secret_of(key: &str) -> Option<&str> {
    let secret = key.strip_suffix("_file")?;
    leaf(secret).filter(|node| is_secret(node)).map(|_| secret)
}

/// Whether a key, or the section that it is in, keeps its value until a restart.
pub(super) fn is_fixed(key: &str) -> bool {
    let parts = key.match_indices('.').map(|(at, _)| &key[..at]).chain([key]);
    parts.into_iter().any(|part| at(part).is_some_and(|(node, _)| node["x-restart"] == true))
}

impl Kind {
    /// The type of a schema.
    pub(super) fn of(node: &Json) -> Self {
        match node["type"].as_str() {
            Some("integer") => Self::Integer,
            Some("number") => Self::Float,
            Some("boolean") => Self::Flag,
            Some("array") if node["items"].get("anyOf").is_some() => Self::Items,
            Some("array") if node["items"]["type"] == "object" => Self::Tables,
            Some("array") => Self::List,
            Some("object") if node["additionalProperties"].is_object() => Self::Map,
            Some("object") if node["additionalProperties"] == true => Self::Object,
            Some("object") => Self::Fields,
            _ => Self::Text,
        }
    }

    /// The value in this type.
    ///
    /// # Errors
    /// What was expected instead.
    pub(super) fn check(self, value: Value) -> Result<Value, &'static str> {
        let is_text_or_table = |item: &Value| item.is_str() || item.is_table();
        match (self, value) {
            (Self::Float, Value::Integer(number)) => Ok(Value::Float(number as f64)),
            (Self::List, Value::Array(items)) if !items.iter().all(Value::is_str) => {
                Err(self.expected())
            }
            (Self::Items, Value::Array(items)) if !items.iter().all(is_text_or_table) => {
                Err(self.expected())
            }
            (Self::Text, value @ Value::String(_))
            | (Self::Integer, value @ Value::Integer(_))
            | (Self::Float, value @ Value::Float(_))
            | (Self::Flag, value @ Value::Boolean(_))
            | (Self::List | Self::Tables | Self::Items, value @ Value::Array(_))
            | (Self::Map | Self::Fields | Self::Object, value @ Value::Table(_)) => Ok(value),
            _ => Err(self.expected()),
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
            Self::List | Self::Items if !is_toml_list(trimmed) => Some(list(text.split(','))),
            _ => trimmed.parse().ok(),
        }
        .ok_or(self.expected())
        .and_then(|value| self.check(value))
    }

    pub(super) fn expected(self) -> &'static str {
        match self {
            Self::Text => "expected a string",
            Self::Integer => "expected an integer",
            Self::Float => "expected a number",
            Self::Flag => "expected true or false",
            Self::List => "expected a list of strings",
            Self::Tables => "expected an array of tables",
            Self::Items => "expected a list of strings and tables",
            Self::Map | Self::Fields | Self::Object => "expected a table",
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
