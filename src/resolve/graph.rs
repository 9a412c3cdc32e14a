//! The dependency graph of types, and what a change of one clears.
//!
//! An edge `posts = ["pictures"]` says that a change of `pictures` clears `posts`; never the other
//! way round. Cycles are allowed and end, because a type is visited once.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use aws_lc_rs::digest;

use super::{Aliases, BadRule, Config, aliases};
use crate::domain::{Selector, Selectors, TypeName};
use crate::support::nearest;

/// How many letters may differ before a name is no longer called "nearest".
const NEAREST_DISTANCE_MAX: usize = 3;

/// The dependency graph, edges turned round: from what changes to what it clears.
#[derive(Debug, Clone, Default)]
pub struct Graph {
    dependents: BTreeMap<TypeName, BTreeSet<TypeName>>,
    hash: String,
}

impl Graph {
    pub(super) fn new(config: &Config, names: &Aliases) -> Result<Self, BadRule> {
        let mut graph = Self::default();
        for (name, depends_on) in &config.dependencies {
            let key = format!("dependencies.{name}");
            let dependent = names.canonical(&aliases::parse(&key, name)?);
            graph.dependents.entry(dependent.clone()).or_default();
            for one in depends_on {
                let one = names.canonical(&aliases::parse(&key, one)?);
                graph.dependents.entry(one).or_default().insert(dependent.clone());
            }
        }
        graph.hash = graph.digest();
        Ok(graph)
    }

    /// Whether there are no rules at all.
    pub fn is_empty(&self) -> bool {
        self.dependents.is_empty()
    }

    /// Whether the graph names this type.
    pub fn knows(&self, name: &TypeName) -> bool {
        self.dependents.contains_key(name)
    }

    /// Every type it names, in its spelling.
    pub fn types(&self) -> impl Iterator<Item = &TypeName> {
        self.dependents.keys()
    }

    /// What a change of each type clears, for showing.
    pub fn edges(&self) -> impl Iterator<Item = (&TypeName, &BTreeSet<TypeName>)> {
        self.dependents.iter()
    }

    /// SHA-256 over the edges, in hexadecimal: equal graphs on two instances have equal hashes,
    /// whatever the order in their files.
    pub fn hash(&self) -> &str {
        &self.hash
    }

    /// The dependents that a change of these selectors clears too: whole types, transitively. What
    /// was selected as a whole already is not repeated.
    pub fn cascade(&self, selectors: &Selectors) -> Selectors {
        self.walk(selectors)
            .into_iter()
            .filter(|(_, name)| !selectors.types().contains(*name))
            .map(|(_, name)| Selector::Type(name.clone()))
            .collect()
    }

    /// How a change of these selectors spreads, breadth first: each edge that brought a type for
    /// the first time, as (what changed, what it clears).
    pub fn walk<'a>(&'a self, selectors: &'a Selectors) -> Vec<(&'a TypeName, &'a TypeName)> {
        let mut visited: BTreeSet<&TypeName> = BTreeSet::new();
        let mut edges = Vec::new();
        let mut queue: VecDeque<&TypeName> = selectors.named_types().collect();
        while let Some(changed) = queue.pop_front() {
            for dependent in self.dependents.get(changed).into_iter().flatten() {
                if visited.insert(dependent) {
                    edges.push((changed, dependent));
                    queue.push_back(dependent);
                }
            }
        }
        edges
    }

    /// The types by which a change of these selectors reaches this one, both ends included; empty
    /// where it does not.
    pub fn chain(&self, selectors: &Selectors, to: &TypeName) -> Vec<TypeName> {
        let edges = self.walk(selectors);
        let mut chain = Vec::new();
        let mut at = to;
        // A cycle leads back to a start; no chain is longer than there are edges.
        for _ in 0..edges.len() {
            let Some((from, _)) = edges.iter().find(|(_, name)| *name == at) else { break };
            chain.push(at.clone());
            at = *from;
            if selectors.types().contains(at) || selectors.ids().contains_key(at) {
                chain.push(at.clone());
                break;
            }
        }
        chain.reverse();
        chain
    }

    /// The known name most like this one, if any is.
    pub fn nearest(&self, name: &TypeName) -> Option<TypeName> {
        let known = || self.dependents.keys();
        let words = known().map(TypeName::as_str);
        let near = nearest::nearest(name.as_str(), words, NEAREST_DISTANCE_MAX)?;
        known().find(|name| name.as_str() == near).cloned()
    }

    fn digest(&self) -> String {
        let mut text = String::new();
        for (name, dependents) in &self.dependents {
            text.push_str(name.stem());
            for dependent in dependents {
                text.push('<');
                text.push_str(dependent.stem());
            }
            text.push('\n');
        }
        let digest = digest::digest(&digest::SHA256, text.as_bytes());
        digest.as_ref().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
    }
}
