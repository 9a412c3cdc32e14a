//! Pure resolution: an invalidation and the rules give a plan. It cannot fail, only warn.
//!
//! Names are folded here (aliases, singular and plural, the graph's spelling) and the cascade is
//! computed here. This module knows no store, peer or clock, so its laws are property tests: no
//! selector outside the cover of the cascade is ever added.

mod aliases;
mod fields;
mod graph;
mod recipe;

use std::collections::{BTreeMap, BTreeSet};

pub use aliases::Aliases;
pub use fields::left_out_text;
pub use graph::Graph;
pub use recipe::{Fields, Recipe, RecipeConfig, Recipes};

use fields::FieldRules;

use crate::domain::{Demand, Invalidation, Plan, Selector, Selectors, Submission, TypeName};

/// The rules as configured.
#[derive(Debug, Clone, Default)]
pub struct Config {
    /// Type → what it depends on.
    pub dependencies: BTreeMap<String, Vec<String>>,
    /// Other name → type.
    pub aliases: BTreeMap<String, String>,
    /// Whether unknown types are refused.
    pub is_strict: bool,
    /// What `POST /api/revalidate/{name}` clears.
    pub names: BTreeMap<String, RecipeConfig>,
    /// What the group calls of older systems clear.
    pub groups: BTreeMap<String, RecipeConfig>,
    /// What happened to an entity → what that clears.
    pub hooks: BTreeMap<String, RecipeConfig>,
    /// Type → the fields that matter to it; none: all.
    pub when_fields: BTreeMap<String, Vec<String>>,
    /// Type → the fields that do not.
    pub ignore_fields: BTreeMap<String, Vec<String>>,
}

/// Why a configured rule is invalid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{key} = {value:?}: {problem}")]
pub struct BadRule {
    /// The configuration key.
    pub key: String,
    /// What it held.
    pub value: String,
    /// What was expected instead.
    pub problem: String,
}

/// Everything resolution needs, checked.
#[derive(Debug, Clone)]
pub struct Rules {
    aliases: Aliases,
    graph: Graph,
    is_strict: bool,
    names: Recipes,
    groups: Recipes,
    hooks: Recipes,
    fields: FieldRules,
}

/// Unknown types that a warning names: each needs a comparison with every known type.
pub const UNKNOWN_NAMED: usize = 8;

impl Rules {
    /// Checks names and alias chains and builds the graph.
    ///
    /// # Errors
    /// [`BadRule`] naming the key for a name outside the alphabet or aliases in a circle.
    pub fn new(config: &Config) -> Result<Self, BadRule> {
        let aliases = Aliases::new(config)?;
        let graph = Graph::new(config, &aliases)?;
        Ok(Self {
            names: Recipes::new("names", &config.names)?,
            groups: Recipes::new("groups", &config.groups)?,
            hooks: Recipes::new("hooks", &config.hooks)?,
            fields: FieldRules::new(&config.when_fields, &config.ignore_fields, &aliases)?,
            is_strict: config.is_strict,
            aliases,
            graph,
        })
    }

    /// The graph.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// The one spelling of a name: aliases first, then the graph's, then as given.
    pub fn canonical(&self, name: &TypeName) -> TypeName {
        self.aliases.canonical(name)
    }

    /// The type of the graph, or the one behind an alias, that this name of another system can only
    /// mean, where it is not simply a name of it: `BlogPost` for `blog_posts`.
    pub fn resembling(&self, text: &str) -> Option<TypeName> {
        let meant = self.aliases.resembling(text)?;
        let is_same = TypeName::parse(text).is_ok_and(|name| self.knows(&name));
        (!is_same).then(|| meant.clone())
    }

    /// Whether the graph names this type, under any of its names.
    pub fn knows(&self, name: &TypeName) -> bool {
        self.graph.knows(&self.canonical(name))
    }

    /// The configured aliases, each with the canonical name of its type.
    pub fn aliases(&self) -> BTreeMap<String, String> {
        self.aliases.canonical_names()
    }

    /// The types that the graph does not know; the first of them with the nearest known name.
    pub fn unknown_types(&self, selectors: &Selectors) -> Vec<(TypeName, Option<TypeName>)> {
        selectors
            .named_types()
            .map(|name| self.canonical(name))
            .filter(|name| !self.graph.knows(name))
            .enumerate()
            .map(|(at, name)| {
                let nearest = if at < UNKNOWN_NAMED { self.graph.nearest(&name) } else { None };
                (name, nearest)
            })
            .collect()
    }

    /// The types in names, groups and hooks that the graph must know and does not, each with the
    /// key of the settings that names it.
    pub fn unknown_in_recipes(&self) -> Vec<(String, TypeName)> {
        if !self.is_strict {
            return vec![];
        }
        let of = |section: &str, recipes: &Recipes| -> Vec<(String, TypeName)> {
            let unknown = |(name, selectors): (&str, Selectors)| {
                let key = format!("{section}.{name}");
                let unknown = self.unknown_types(&selectors).into_iter();
                unknown.map(move |(name, _)| (key.clone(), name)).collect::<Vec<_>>()
            };
            recipes.most().flat_map(unknown).collect()
        };
        [of("names", &self.names), of("groups", &self.groups), of("hooks", &self.hooks)].concat()
    }

    /// Takes the types that the graph does not know out of a submission, and of its parts.
    pub fn take_out_unknown(&self, submission: &mut Submission) {
        let is_known = |name: &TypeName| self.knows(name);
        submission.selectors.retain_types(is_known);
        let mut stray = BTreeSet::new();
        for part in &mut submission.parts {
            part.selectors.retain_types(is_known);
            part.parents.retain(|name, tags| {
                let is_kept = is_known(name);
                if !is_kept {
                    stray.append(tags);
                }
                is_kept
            });
        }
        for part in &submission.parts {
            part.parents.values().flatten().chain(part.selectors.tags()).for_each(|tag| {
                stray.remove(tag);
            });
        }
        submission.selectors.retain_tags(|tag| !stray.contains(tag));
    }

    /// Whether these rules and those give every name the same meaning. Where they do not, what is
    /// stored under the one cannot be found by the other.
    pub fn means_as(&self, other: &Self) -> bool {
        self.aliases.means_as(&other.aliases)
    }

    /// What a name stands for: the configured one, else the type of that name, where a dash may
    /// stand for an underscore; `None` where the graph knows no such type.
    pub fn named(&self, name: &str) -> Option<Selectors> {
        if let Some(recipe) = self.names.get(name) {
            return Some(recipe.selectors(&Fields::new()));
        }
        let folded = name.replace('-', "_");
        let types = [name, &folded].into_iter().filter_map(|text| TypeName::parse(text).ok());
        let mut types = types.map(|name| self.canonical(&name));
        let known = types.find(|name| self.graph.knows(name))?;
        Some(Selectors::one(Selector::Type(known)))
    }

    /// The group of that name; `expertSessions` is `expert_sessions` too.
    pub fn group(&self, name: &str) -> Option<&Recipe> {
        self.groups.get(name).or_else(|| self.groups.get(&snake_case(name)))
    }

    /// Whether a field of that name narrows a group.
    pub fn is_group_field(&self, name: &str) -> bool {
        self.groups.has_field(name)
    }

    /// The hooks.
    pub fn hooks(&self) -> &Recipes {
        &self.hooks
    }

    /// Whether a type outside the graph is a 422 rather than a warning.
    pub fn is_strict(&self) -> bool {
        self.is_strict
    }

    /// A demand in canonical names.
    pub fn canonical_demand(&self, demand: &Demand) -> Demand {
        let canonical = |selectors: &Selectors| selectors.map_types(|name| self.canonical(name));
        let mut canon = Demand { hard: canonical(&demand.hard), ..Demand::default() };
        if !demand.soft.is_empty() {
            canon.join(&Demand { soft: canonical(&demand.soft), hard: Selectors::default() });
        }
        canon
    }

    /// All that a demand clears here, cascade included.
    pub fn total(&self, demand: &Demand) -> Demand {
        let mut total = self.canonical_demand(demand);
        let (hard, soft) = self.cascades(&total, &Selectors::default());
        total.join(&Demand { hard, soft });
        total
    }

    /// The plan of an invalidation: canonical names, cascade, warnings.
    pub fn resolve(&self, mut invalidation: Invalidation) -> Plan {
        let demand = self.canonical_demand(&invalidation.demand);
        self.warn_of_unknown(&mut invalidation, &demand);
        let foreign = invalidation.foreign_cascade.map_types(|name| self.canonical(name));
        let (cascade_hard, cascade_soft) = self.cascades(&demand, &foreign);
        let mut again = self.canonical_demand(&std::mem::take(&mut invalidation.again));
        if !again.is_empty() {
            let (hard, soft) = self.cascades(&again, &foreign);
            again.join(&Demand { hard, soft });
        }
        invalidation.demand = demand;
        Plan { invalidation, cascade_hard, cascade_soft, again }
    }

    /// What the graph adds for each mode. A peer's cascade follows the mode of what it sent; of a
    /// mixed batch, the stronger one. Its types changed here too, so they spread along this graph.
    fn cascades(&self, demand: &Demand, foreign: &Selectors) -> (Selectors, Selectors) {
        let mut hard = self.graph.cascade(&demand.hard);
        let mut soft = self.graph.cascade(&demand.soft);
        let stronger = if demand.hard.is_empty() { &mut soft } else { &mut hard };
        stronger.join(foreign);
        stronger.join(&self.graph.cascade(foreign));
        (hard, soft)
    }

    fn warn_of_unknown(&self, invalidation: &mut Invalidation, demand: &Demand) {
        if self.graph.is_empty() {
            return;
        }
        let unknown = self.unknown_types(&demand.selectors());
        let more = unknown.len().saturating_sub(UNKNOWN_NAMED);
        for (name, nearest) in unknown.into_iter().take(UNKNOWN_NAMED) {
            let hint = nearest.map(|n| format!("; did you mean {n}?")).unwrap_or_default();
            invalidation
                .warnings
                .push(format!("{name} is not in the graph: only itself was cleared{hint}"));
        }
        if more > 0 {
            invalidation.warnings.push(format!("{more} more types are not in the graph"));
        }
    }
}

/// `expertSessions` as `expert_sessions`.
fn snake_case(name: &str) -> String {
    let mut out = String::with_capacity(name.len() + 2);
    for letter in name.chars() {
        if letter.is_ascii_uppercase() {
            out.push('_');
        }
        out.push(letter.to_ascii_lowercase());
    }
    out
}

impl Plan {
    /// All that the store has to clear, cascade included.
    pub fn total(&self) -> Demand {
        let mut total = self.invalidation.demand.clone();
        total.join(&self.again);
        total.join(&Demand { hard: self.cascade_hard.clone(), soft: self.cascade_soft.clone() });
        total
    }
}

#[cfg(test)]
mod tests;
