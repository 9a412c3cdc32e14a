//! Templates of paths and tags: `[revalidate.paths]`, or a target's own.
//!
//! An entry is a list for one type, or for `"*"`: texts, `@group` for a list that has a name, and
//! tables where a filter is wanted.

use std::fmt;

use schemars::JsonSchema;
use serde::de::{Deserializer, MapAccess, Visitor, value::MapAccessDeserializer};
use serde::{Deserialize, de};

use super::reader::Reader;
use super::types::*;
use crate::deliver::targets::route;
use crate::deliver::targets::template::{NameTemplate, NameTemplates};
use crate::domain::{Action, TypeName};
use crate::resolve::Rules;

/// Templates of one target: more want tags, or a pattern of the framework's own.
const TEMPLATES_MAX: usize = 1000;
/// What stands for every type.
const EVERY_TYPE: &str = "*";

/// A path or tag: a text, or a table where it is more than that.
#[derive(Clone, JsonSchema)]
#[serde(untagged)]
pub(super) enum Item {
    Text(String),
    Table(ItemTable),
}

/// A path or tag with filters.
#[derive(Clone, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub(super) struct ItemTable {
    /// The path, with variables in braces.
    path: Option<String>,
    /// layout: all pages below the path.
    r#type: Option<String>,
    /// The tag, with variables in braces.
    tag: Option<String>,
    /// Only for these.
    actions: Vec<String>,
    /// Only where one of these fields changed.
    when_fields: Vec<String>,
    /// Not where nothing else than these fields changed.
    ignore_fields: Vec<String>,
    /// What stands for it where a variable is unknown.
    otherwise: Option<String>,
}

impl<'de> Deserialize<'de> for Item {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = Item;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("a string or a table")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Item, E> {
                Ok(Item::Text(text.to_owned()))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Item, A::Error> {
                ItemTable::deserialize(MapAccessDeserializer::new(map)).map(Item::Table)
            }
        }
        from.deserialize_any(Either)
    }
}

/// How lists of templates are read.
pub(super) struct Lists<'a> {
    /// The table that holds them, as a key.
    pub(super) key: &'a str,
    /// Whether they are paths, rather than tags.
    pub(super) is_path: bool,
    /// Lists that have a name.
    pub(super) groups: &'a Map<Vec<String>>,
    /// What types are called.
    pub(super) rules: Option<&'a Rules>,
}

impl Lists<'_> {
    /// Reads them all.
    pub(super) fn read(&self, from: &mut Reader, lists: &Map<Vec<Item>>) -> NameTemplates {
        let mut templates = NameTemplates::default();
        let mut count = 0;
        for (name, items) in lists {
            let key = format!("{}.{name}", self.key);
            let mut list = Vec::new();
            for (at, item) in items.iter().enumerate() {
                match self.item(item) {
                    Ok(some) => list.extend(some),
                    Err(expected) => from.refuse_item(&key, at, expected),
                }
            }
            count += list.len();
            if name == EVERY_TYPE {
                templates.always = list;
                continue;
            }
            match type_name(name, self.rules) {
                Ok(name) => templates.of.entry(name).or_default().extend(list),
                Err(expected) => from.refuse(&key, expected),
            }
        }
        from.refuse_many(self.key, count, TEMPLATES_MAX, "templates");
        templates
    }

    fn item(&self, item: &Item) -> Result<Vec<NameTemplate>, String> {
        let table = match item {
            Item::Text(text) => return self.texts(text),
            Item::Table(table) => table,
        };
        let (member, other, text, more) = match self.is_path {
            true => ("path", "tag", &table.path, &table.tag),
            false => ("tag", "path", &table.tag, &table.path),
        };
        let text = text.as_ref().ok_or_else(|| format!("expected a table with {member}"))?;
        if more.is_some() {
            return Err(format!("expected {member} here, not {other}"));
        }
        let is_layout = self.is_layout(table)?;
        table.otherwise.as_ref().map_or(Ok(()), |otherwise| self.check(otherwise))?;
        let actions =
            table.actions.iter().map(|text| action(text)).collect::<Result<Vec<_>, _>>()?;
        let filtered = |mut template: NameTemplate| {
            template.actions.clone_from(&actions);
            template.when_fields = table.when_fields.iter().cloned().collect();
            template.ignore_fields = table.ignore_fields.iter().cloned().collect();
            template.otherwise.clone_from(&table.otherwise);
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
        match (self.is_path, text.starts_with('/')) {
            (true, true) => route::check(text),
            (true, false) => Err("expected a path that begins with /".into()),
            (false, _) => Ok(()),
        }
    }

    /// Whether `type` says that everything below a path is meant.
    fn is_layout(&self, table: &ItemTable) -> Result<bool, String> {
        let path = table.path.as_deref().unwrap_or_default();
        match table.r#type.as_deref() {
            None => Ok(false),
            Some(_) if !self.is_path => Err("expected no type beside a tag".into()),
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

fn action(text: &str) -> Result<Action, String> {
    Action::parse(text).ok_or_else(|| format!("expected actions: {}", Action::WORDS.join(", ")))
}
