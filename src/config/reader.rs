//! From typed to true: deserialises what was merged, and gathers what is wrong with it.
//!
//! What a type does not take is refused and dropped, and the rest is deserialised again, so that
//! all problems are found at once; the settings are then not used. What no single type can check
//! is refused where a module's `Config` is built, by the key alone: the value to show and its
//! source are looked up here.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde_path_to_error::{Path, Segment};
use toml::{Table, Value};

use super::invalid::Invalid;
use super::layer::{Leaf, invalid, read_secret};
use super::merged::Merged;
use super::schema::{self, Kind, Node};
use super::sections::Sections;
use super::{mask, webhooks};
use crate::support::Secret;

/// Problems that deserialising finds; each costs another pass.
const PROBLEMS_MAX: usize = 100;

/// The merged values and the problems found in them.
pub(super) struct Reader {
    leaves: BTreeMap<String, Leaf>,
    /// The same as the file that would say it all.
    root: Value,
    /// Keys with a problem already: further ones are not reported.
    refused: BTreeSet<String>,
    pub(super) problems: Vec<Invalid>,
    pub(super) warnings: Vec<String>,
    /// Whether we log in as a person, not as a service account.
    pub(super) is_test_login: bool,
    /// Relative paths start here.
    pub(super) workdir: PathBuf,
}

impl Reader {
    /// Reads what was merged.
    pub(super) fn new(merged: Merged) -> (Self, Sections) {
        let root = Value::Table(whole(&merged.leaves));
        let Merged { leaves, problems, warnings, is_test_login, workdir, .. } = merged;
        let refused = BTreeSet::new();
        let mut from = Self { leaves, root, refused, problems, warnings, is_test_login, workdir };
        let known = from.problems.iter().map(|known| &*known.key);
        // For a secret in an unusable file, only that is reported.
        let keys = known.flat_map(|key| [Some(key), key.strip_suffix("_file")]).flatten();
        from.refused = keys.map(str::to_owned).collect();
        from.read_secrets();
        webhooks::lay_over_presets(&mut from.root);
        let sections = from.deserialise();
        (from, sections)
    }

    fn deserialise(&mut self) -> Sections {
        for _ in 0..PROBLEMS_MAX {
            let error = match serde_path_to_error::deserialize(self.root.clone()) {
                Ok(sections) => return sections,
                Err(error) => error,
            };
            let place = self.place(error.path());
            self.refuse(&key_of(&place), error.inner().message());
            self.refused.insert(key_of(&place));
            self.drop_at(&place);
        }
        let defaults = Value::Table(whole(&BTreeMap::new()));
        defaults.try_into().expect("the reference is of these types, as a test shows")
    }

    /// What is to be dropped: a list of texts as a whole.
    fn place(&self, path: &Path) -> Vec<Segment> {
        let mut place: Vec<Segment> = path.iter().cloned().collect();
        let is_text = |place: &[Segment]| {
            let value = place.iter().try_fold(&self.root, child);
            value.is_none_or(|value| !value.is_table())
        };
        while matches!(place.last(), Some(Segment::Unknown | Segment::Enum { .. }))
            || (matches!(place.last(), Some(Segment::Seq { .. })) && is_text(&place))
        {
            place.pop();
        }
        place
    }

    fn drop_at(&mut self, place: &[Segment]) {
        let key = key_of(place);
        let Some((last, above)) = place.split_last() else { return };
        let mut at = Some(&mut self.root);
        for segment in above {
            at = at.and_then(|value| match segment {
                Segment::Map { key } => value.get_mut(key.as_str()),
                Segment::Seq { index } => value.get_mut(*index),
                _ => None,
            });
        }
        match (at, last) {
            (Some(Value::Table(table)), Segment::Map { key: name }) => {
                table.remove(name);
                table.extend(schema::default(&key).map(|value| (name.clone(), value.clone())));
            }
            (Some(Value::Array(items)), Segment::Seq { index }) => drop(items.remove(*index)),
            _ => {}
        }
    }

    /// Puts the text of its file in the place of each `KEY_file` in a table.
    fn read_secrets(&mut self) {
        let mut root = std::mem::replace(&mut self.root, Value::Integer(0));
        let mut files = Vec::new();
        files_below("", schema::root(), &mut root, &mut files);
        for File { key, path, value, is_double } in files {
            let file = format!("{key}_file");
            let shown = Value::String(path.clone());
            match read_secret(&self.workdir, &path) {
                _ if is_double => {
                    let name = key.rsplit('.').next().unwrap_or(&key);
                    self.refuse_value(&file, &shown, format!("{name} is set as well"));
                }
                Ok(text) => *value = Value::String(text),
                Err(expected) => {
                    self.refuse_value(&file, &shown, expected);
                    self.refused.insert(key);
                }
            }
        }
        self.root = root;
    }

    /// The text in a file that a field of a table names.
    pub(super) fn file(&mut self, key: &str, path: &str) -> Secret {
        match read_secret(&self.workdir, path) {
            Ok(text) => Secret::new(text),
            Err(expected) => {
                self.refuse(key, expected);
                Secret::default()
            }
        }
    }

    /// What is given at a place, such as `mirrors.peers[0].url`.
    fn value(&self, place: &str) -> Option<&Value> {
        let of_leaf = || self.leaves.get(place).map(|leaf| &leaf.value);
        below(&self.root, place).or_else(of_leaf)
    }

    /// Whether a field of an array is given by the user, and not by a preset of it.
    pub(super) fn is_given(&self, place: &str) -> bool {
        let array = place.split_once('[').and_then(|(key, _)| {
            let path = &place[key.len() + 1..];
            below(&self.leaves.get(key)?.value, path)
        });
        array.is_some()
    }

    /// The fields that a table gives.
    pub(super) fn fields(&self, place: &str) -> Vec<String> {
        let table = self.value(place).and_then(Value::as_table).into_iter().flatten();
        table.map(|(name, _)| name.clone()).collect()
    }

    /// Where a key's value, or that of the array that holds it, came from.
    pub(super) fn origin(&self, key: &str) -> String {
        let array = key.split_once('[').map_or(key, |(array, _)| array);
        self.leaves.get(array).map_or("default".into(), |leaf| leaf.origin.to_string())
    }

    /// Says that what is given at a key cannot be used.
    pub(super) fn refuse(&mut self, key: &str, expected: impl Into<String>) {
        let value = self.value(key).cloned().unwrap_or(Value::String(String::new()));
        self.refuse_value(key, &value, expected);
    }

    /// The same of a value that is part of it, or counted. What was refused for itself, or in these
    /// words, is not refused again.
    pub(super) fn refuse_value(&mut self, key: &str, value: &Value, expected: impl Into<String>) {
        let expected = expected.into();
        if self.refused.contains(key) || !self.refused.insert(format!("{key}: {expected}")) {
            return;
        }
        let shown = mask::value(key, value);
        let origin = self.origin(key);
        self.problems.push(invalid(key, shown, &origin, expected));
    }

    /// The same of one item of a list.
    pub(super) fn refuse_item(&mut self, key: &str, at: usize, expected: impl Into<String>) {
        let item = self.value(key).and_then(|list| list.get(at)).cloned();
        self.refuse_value(key, &item.unwrap_or(Value::String(String::new())), expected);
    }

    /// Refuses a list that is too long.
    pub(super) fn refuse_many(&mut self, key: &str, count: usize, max: usize, of: &str) {
        if count > max {
            let found = Value::Integer(i64::try_from(count).unwrap_or(i64::MAX));
            self.refuse_value(key, &found, format!("expected at most {max} {of}"));
        }
    }

    pub(super) fn warn(&mut self, warning: impl Into<String>) {
        self.warnings.push(warning.into());
    }
}

/// All keys as one table; those that are not given have their defaults.
fn whole(leaves: &BTreeMap<String, Leaf>) -> Table {
    let mut root = Table::new();
    for key in schema::keys() {
        let default = schema::default(key).cloned();
        let value = leaves.get(key).map(|leaf| leaf.value.clone()).or(default);
        let (section, name) = key.rsplit_once('.').unwrap_or(("", key));
        table_at(&mut root, section).extend(value.map(|value| (name.to_owned(), value)));
    }
    for (key, leaf) in leaves {
        let maps = key.match_indices('.').map(|(at, _)| key.split_at(at));
        let is_map = |(map, _): &(&str, &str)| schema::kind(map) == Some(Kind::Map);
        if let Some((map, name)) = maps.into_iter().find(is_map) {
            table_at(&mut root, map).insert(name[1..].to_owned(), leaf.value.clone());
        }
    }
    root
}

fn table_at<'a>(root: &'a mut Table, section: &str) -> &'a mut Table {
    let names = section.split('.').filter(|name| !name.is_empty());
    names.fold(root, |table, name| {
        let below = table.entry(name).or_insert_with(|| Value::Table(Table::new()));
        below.as_table_mut().expect("a section, or a free map")
    })
}

fn below<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    let mut parts = path.split(['.', '[']).map(|part| part.trim_end_matches(']'));
    parts.try_fold(value, |value, part| match value {
        Value::Array(items) => items.get(part.parse::<usize>().ok()?),
        value => value.get(part),
    })
}

fn child<'a>(value: &'a Value, segment: &Segment) -> Option<&'a Value> {
    match segment {
        Segment::Map { key } => value.get(key.as_str()),
        Segment::Seq { index } => value.get(*index),
        _ => None,
    }
}

fn key_of(place: &[Segment]) -> String {
    place.iter().fold(String::new(), |key, segment| match segment {
        Segment::Seq { index } => format!("{key}[{index}]"),
        other => schema::join(&key, &other.to_string()),
    })
}

/// A secret in a table, which a file holds.
struct File<'a> {
    key: String,
    path: String,
    value: &'a mut Value,
    is_double: bool,
}

fn files_below<'a>(key: &str, node: Node, value: &'a mut Value, files: &mut Vec<File<'a>>) {
    match value {
        Value::Array(items) if node["items"].is_object() => {
            let table = schema::table_of(&node["items"]);
            for (at, item) in items.iter_mut().enumerate().filter(|(_, item)| item.is_table()) {
                files_below(&format!("{key}[{at}]"), table, item, files);
            }
        }
        Value::Table(table) => {
            let is_secret = |name: &str| schema::field(node, name).is_some_and(schema::is_secret);
            let of_file = |name: &String| {
                name.strip_suffix("_file").filter(|it| is_secret(it)).map(str::to_owned)
            };
            let mut paths: BTreeMap<String, String> = BTreeMap::new();
            for name in table.keys().filter_map(of_file).collect::<Vec<_>>() {
                let path = table.remove(&format!("{name}_file"));
                let path = path.as_ref().and_then(Value::as_str).unwrap_or_default();
                if !path.is_empty() {
                    table.entry(name.clone()).or_insert(Value::String(String::new()));
                    paths.insert(name, path.to_owned());
                }
            }
            for (name, value) in table.iter_mut() {
                let key = schema::join(key, name);
                match (paths.remove(name), schema::field(node, name)) {
                    (Some(path), _) => {
                        let is_double = value.as_str().is_some_and(|text| !text.is_empty());
                        files.push(File { key, path, value, is_double });
                    }
                    (None, Some(node)) => files_below(&key, node, value, files),
                    (None, None) => {}
                }
            }
        }
        _ => {}
    }
}
