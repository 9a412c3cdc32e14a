//! Names, graph and recipes: the tables whose entries are the user's own.
//!
//! Types are checked here, entry by entry, so that each problem names its key; what only the whole
//! can show (a circle of aliases, a selector that is none) is asked of the rules themselves.

use std::collections::BTreeMap;

use toml::Value;

use super::reader::Reader;
use crate::domain::TypeName;
use crate::resolve::{Config, RecipeConfig, Rules};

const TYPE: &str = "expected 1 to 128 of A-Z a-z 0-9 _ . : -";

pub(super) fn resolve(from: &mut Reader) -> Config {
    let mut config = Config { is_strict: from.flag("graph.strict_types"), ..Config::default() };
    for (name, needs) in lists(from, "dependencies") {
        check_types(from, "dependencies", &name, &needs);
        config.dependencies.insert(name, needs);
    }
    for (name, value) in from.entries("aliases") {
        let meant = value.as_str().unwrap_or_default().to_owned();
        check_types(from, "aliases", &name, &[]);
        if TypeName::parse(&meant).is_err() {
            // Without the text: what stands under a name of the user's own may be a secret.
            from.refuse(&format!("aliases.{name}"), format!("what it means is no type: {TYPE}"));
        }
        config.aliases.insert(name, meant);
    }
    for (name, clears) in lists(from, "names") {
        config.names.insert(name, RecipeConfig { clears, ..RecipeConfig::default() });
    }
    config.groups = recipes(from, "groups");
    config.hooks = recipes(from, "hooks");
    for (map, into) in
        [("when_fields", &mut config.when_fields), ("ignore_fields", &mut config.ignore_fields)]
    {
        for (name, fields) in lists(from, map) {
            check_types(from, map, &name, &[]);
            into.insert(name, fields);
        }
    }
    config
}

/// The rules that these make; those that cannot stand together are refused.
pub(super) fn check(rules: &Config, from: &mut Reader) -> Option<Rules> {
    let rules = match Rules::new(rules) {
        Ok(rules) => rules,
        Err(bad) => {
            // What was refused for itself is not said again, nor in words that may hold it.
            if !from.problems.iter().any(|told| told.key == bad.key) {
                from.refuse(&bad.key, bad.problem);
            }
            return None;
        }
    };
    // Where the graph is strict, a call of such a recipe would be refused.
    for (key, name) in rules.unknown_in_recipes() {
        from.refuse(&key, format!("{name} is no type of the graph, which is strict"));
    }
    Some(rules)
}

fn recipes(from: &Reader, section: &str) -> BTreeMap<String, RecipeConfig> {
    let recipe = |value: &Value| {
        let list = |field: &str| value.get(field).map(texts).unwrap_or_default();
        RecipeConfig { clears: list("clears"), narrowed: list("narrowed") }
    };
    from.entries(section).iter().map(|(name, value)| (name.clone(), recipe(value))).collect()
}

fn lists(from: &Reader, map: &str) -> Vec<(String, Vec<String>)> {
    from.entries(map).iter().map(|(name, value)| (name.clone(), texts(value))).collect()
}

/// The strings of a list.
fn texts(value: &Value) -> Vec<String> {
    let items = value.as_array().into_iter().flatten().filter_map(Value::as_str);
    items.map(str::to_owned).collect()
}

fn check_types(from: &mut Reader, map: &str, name: &str, others: &[String]) {
    for text in std::iter::once(name).chain(others.iter().map(String::as_str)) {
        if TypeName::parse(text).is_err() {
            let expected = format!("{text:?} is no type: {TYPE}");
            from.refuse(&format!("{map}.{name}"), expected);
        }
    }
}
