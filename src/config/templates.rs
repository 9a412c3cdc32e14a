//! Templates of paths and tags as they are written: `[revalidate.paths]`, or a target's own.
//!
//! An entry is a list for one type, or for `"*"`: texts, `@group` for a list that has a name, and
//! tables where a filter is wanted.

use std::collections::{BTreeMap, BTreeSet};

use toml::{Table, Value};

use super::reader::Reader;
use crate::deliver::targets::route;
use crate::deliver::targets::template::{NameTemplate, NameTemplates};
use crate::domain::{Action, TypeName};
use crate::resolve::Rules;

/// Templates of one target: more want tags, or a pattern of the framework's own.
const TEMPLATES_MAX: usize = 1000;
/// What stands for every type.
const EVERY_TYPE: &str = "*";

/// How lists of templates are read.
pub(super) struct Writings<'a> {
    /// The table that holds them, as a key.
    pub key: &'a str,
    /// The field of a table that holds the text: `path` or `tag`.
    pub member: &'static str,
    /// Lists that have a name.
    pub groups: &'a BTreeMap<String, Vec<String>>,
    /// What types are called.
    pub rules: Option<&'a Rules>,
}

impl Writings<'_> {
    /// Reads them all.
    pub(super) fn read(
        &self,
        from: &mut Reader,
        entries: &BTreeMap<String, Value>,
    ) -> NameTemplates {
        let mut templates = NameTemplates::default();
        let mut count = 0;
        for (name, value) in entries {
            let key = format!("{}.{name}", self.key);
            let mut list = Vec::new();
            for item in value.as_array().into_iter().flatten() {
                match self.item(item) {
                    Ok(some) => list.extend(some),
                    Err(expected) => from.refuse_value(&key, item, expected),
                }
            }
            count += list.len();
            if name == EVERY_TYPE {
                templates.always = list;
                continue;
            }
            match type_name(name, self.rules) {
                Ok(name) => templates.of.entry(name).or_default().extend(list),
                Err(expected) => from.refuse_value(&key, value, expected),
            }
        }
        if count > TEMPLATES_MAX {
            let found = Value::Integer(i64::try_from(count).unwrap_or(i64::MAX));
            let expected = format!("expected at most {TEMPLATES_MAX} templates");
            from.refuse_value(self.key, &found, expected);
        }
        templates
    }

    fn item(&self, item: &Value) -> Result<Vec<NameTemplate>, String> {
        let Value::Table(table) = item else {
            return self.texts(item.as_str().unwrap_or_default());
        };
        let text = table.get(self.member).and_then(Value::as_str);
        let text = text.ok_or_else(|| format!("expected a table with {}", self.member))?;
        let other = if self.member == "path" { "tag" } else { "path" };
        if table.contains_key(other) {
            return Err(format!("expected {} here, not {other}", self.member));
        }
        let is_layout = self.is_layout(table)?;
        let otherwise = table.get("otherwise").and_then(Value::as_str).map(str::to_owned);
        if let Some(otherwise) = &otherwise {
            self.check(otherwise)?;
        }
        let actions = list(table, "actions").map(action).collect::<Result<Vec<_>, _>>()?;
        let set = |field| list(table, field).map(str::to_owned).collect::<BTreeSet<String>>();
        let (when_fields, ignore_fields) = (set("when_fields"), set("ignore_fields"));
        let filtered = |mut template: NameTemplate| {
            template.actions.clone_from(&actions);
            template.when_fields.clone_from(&when_fields);
            template.ignore_fields.clone_from(&ignore_fields);
            template.otherwise.clone_from(&otherwise);
            template.is_layout = is_layout;
            template
        };
        Ok(self.texts(text)?.into_iter().map(filtered).collect())
    }

    /// One text, or those of the group that it names.
    fn texts(&self, text: &str) -> Result<Vec<NameTemplate>, String> {
        let Some(group) = text.strip_prefix('@') else { return Ok(vec![self.one(text)?]) };
        let known = self
            .groups
            .get(group)
            .ok_or_else(|| format!("no group {group:?}: name it in [revalidate.groups]"))?;
        known.iter().map(|text| self.one(text)).collect()
    }

    fn one(&self, text: &str) -> Result<NameTemplate, String> {
        self.check(text)?;
        Ok(NameTemplate::parse(text)?)
    }

    fn check(&self, text: &str) -> Result<(), String> {
        match (self.member == "path", text.starts_with('/')) {
            (true, true) => route::check(text),
            (true, false) => Err("expected a path that begins with /".into()),
            (false, _) => Ok(()),
        }
    }

    /// Whether `type` says that everything below a path is meant.
    fn is_layout(&self, table: &Table) -> Result<bool, String> {
        let path = table.get("path").and_then(Value::as_str).unwrap_or_default();
        match table.get("type").and_then(Value::as_str) {
            None => Ok(false),
            Some(_) if self.member != "path" => Err("expected no type beside a tag".into()),
            Some("layout") => Ok(true),
            Some("page") if route::is_pattern(path) => Ok(false),
            Some("page") => Err("expected no type: page is for patterns such as /posts/[id], and \
                                 refreshes no path that is named in full"
                .into()),
            Some(_) => Err("expected type: layout, or page with a pattern".into()),
        }
    }
}

/// A type in the spelling under which events name it.
pub(super) fn type_name(text: &str, rules: Option<&Rules>) -> Result<TypeName, String> {
    let name = TypeName::parse(text).map_err(|problem| problem.to_string())?;
    Ok(rules.map_or(name.clone(), |rules| rules.canonical(&name)))
}

fn list<'a>(table: &'a Table, field: &str) -> impl Iterator<Item = &'a str> {
    let items = table.get(field).and_then(Value::as_array).into_iter().flatten();
    items.filter_map(Value::as_str)
}

fn action(text: &str) -> Result<Action, String> {
    Action::parse(text).ok_or_else(|| format!("expected actions: {}", Action::WORDS.join(", ")))
}
