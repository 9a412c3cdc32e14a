//! Names, graph and recipes: the tables whose entries are the user's own.
//!
//! Types are checked here, entry by entry, so that each problem names its key; what only the whole
//! can show (a circle of aliases, a selector that is none) is asked of the rules themselves.

use schemars::JsonSchema;
use serde::Deserialize;

use super::reader::Reader;
use super::sections::Sections;
use crate::domain::TypeName;
use crate::resolve::{Config, RecipeConfig, Rules};

const TYPE: &str = "expected 1 to 128 of A-Z a-z 0-9 _ . : -";

/// Where the graph comes from, and how strict it is.
#[derive(Deserialize, JsonSchema)]
pub(super) struct Graph {
    #[expect(dead_code, reason = "the layers are merged by it")]
    preset: String,
    strict_types: bool,
}

pub(super) fn resolve(from: &mut Reader, all: &Sections) -> Config {
    for (name, needs) in &all.dependencies {
        check_types(from, "dependencies", name, needs);
    }
    for (name, meant) in &all.aliases {
        check_types(from, "aliases", name, &[]);
        if TypeName::parse(meant).is_err() {
            // Without the text: what stands under a name of the user's own may be a secret.
            from.refuse(&format!("aliases.{name}"), format!("what it means is no type: {TYPE}"));
        }
    }
    for (map, fields) in [("when_fields", &all.when_fields), ("ignore_fields", &all.ignore_fields)]
    {
        fields.keys().for_each(|name| check_types(from, map, name, &[]));
    }
    let named = |(name, clears): (&String, &Vec<String>)| {
        (name.clone(), RecipeConfig { clears: clears.clone(), ..RecipeConfig::default() })
    };
    Config {
        is_strict: all.graph.strict_types,
        dependencies: all.dependencies.clone(),
        aliases: all.aliases.clone(),
        names: all.names.iter().map(named).collect(),
        groups: all.groups.clone(),
        hooks: all.hooks.clone(),
        when_fields: all.when_fields.clone(),
        ignore_fields: all.ignore_fields.clone(),
    }
}

/// The rules that these make; those that cannot stand together are refused.
pub(super) fn check(rules: &Config, from: &mut Reader) -> Option<Rules> {
    let rules = match Rules::new(rules) {
        Ok(rules) => rules,
        Err(bad) => {
            // A key that has a problem is not reported again: the text might show its value.
            if !from.problems.iter().any(|known| known.key == bad.key) {
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

fn check_types(from: &mut Reader, map: &str, name: &str, others: &[String]) {
    for text in std::iter::once(name).chain(others.iter().map(String::as_str)) {
        if TypeName::parse(text).is_err() {
            let expected = format!("{text:?} is no type: {TYPE}");
            from.refuse(&format!("{map}.{name}"), expected);
        }
    }
}
