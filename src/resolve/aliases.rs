//! Other names of types. What is configured wins over the rule of singular and plural, and the
//! graph's spelling is the one shown and sent. A name that only resembles a type or an alias
//! (`BlogPost` and `blog_posts`) is never folded; webhooks clear what it resembles as well.

use std::collections::BTreeMap;

use super::{BadRule, Config};
use crate::domain::TypeName;
use crate::domain::type_name::loose_stem;

/// Longest chain of aliases followed; more is a mistake, a circle is one too.
const CHAIN_MAX: usize = 8;

/// Maps names to the types that they mean.
#[derive(Debug, Clone, Default)]
pub struct Aliases {
    /// Exact spelling → canonical name.
    explicit: BTreeMap<String, TypeName>,
    /// The graph's spelling of each stem.
    spelling: BTreeMap<TypeName, TypeName>,
    /// The same as `explicit` for other spellings of those names (plural, dashes), where all agree
    /// and the graph has no such type.
    folded: BTreeMap<TypeName, TypeName>,
    /// By the words of a name, whatever its case and separators: what types and aliases mean.
    loose: BTreeMap<String, TypeName>,
}

impl Aliases {
    pub(super) fn new(config: &Config) -> Result<Self, BadRule> {
        let mut aliases = Self::default();
        for from in config.aliases.keys() {
            aliases.explicit.insert(from.clone(), target(config, from)?);
        }
        let nodes = config
            .dependencies
            .iter()
            .flat_map(|(name, on)| std::iter::once(name).chain(on).map(move |n| (name, n)));
        for (key, node) in nodes {
            let name = parse(&format!("dependencies.{key}"), node)?;
            // The first spelling met stays: keys of the table come before what they depend on.
            aliases.spelling.entry(name.clone()).or_insert(name);
        }
        for name in config.dependencies.keys() {
            let name = parse(&format!("dependencies.{name}"), name)?;
            aliases.spelling.insert(name.clone(), name);
        }
        aliases.fold();
        Ok(aliases)
    }

    /// Extends the aliases to other spellings of their names.
    fn fold(&mut self) {
        let mut folded: BTreeMap<TypeName, Option<TypeName>> = BTreeMap::new();
        for (from, to) in &self.explicit {
            let Ok(name) = TypeName::parse(from) else { continue };
            // A name that is kept apart is none for its plural.
            let to = (!to.is_exact()).then(|| to.clone());
            let known = folded.entry(name).or_insert_with(|| to.clone());
            if *known != to {
                *known = None;
            }
        }
        let agreed = folded.into_iter().filter_map(|(name, to)| Some((name, to?)));
        self.folded = agreed.filter(|(name, _)| !self.spelling.contains_key(name)).collect();
        let types = self.spelling.values().map(|name| (name.as_str(), self.canonical(name)));
        let names = self.explicit.iter().map(|(from, to)| (from.as_str(), self.canonical(to)));
        let loose = names.chain(types).map(|(name, meant)| (loose_stem(name), meant));
        self.loose = loose.filter(|(words, _)| !words.is_empty()).collect();
    }

    /// The type whose name has the words of this one, or of its last part: `App\Models\BlogPost`
    /// and `api::blog-post.blog-post` are `blog_posts`.
    pub(super) fn resembling(&self, text: &str) -> Option<&TypeName> {
        let last = text.rsplit(['.', ':', '/', '\\']).next().unwrap_or(text);
        [text, last].into_iter().find_map(|text| self.loose.get(&loose_stem(text)))
    }

    /// Whether every name means the same type in both; how the graph spells it does not matter.
    pub(super) fn means_as(&self, other: &Self) -> bool {
        self.explicit == other.explicit && self.folded == other.folded
    }

    /// Each configured alias with the canonical name of its type.
    pub(super) fn canonical_names(&self) -> BTreeMap<String, String> {
        let canonical =
            |(name, meant): (&String, &TypeName)| (name.clone(), self.canonical(meant).to_string());
        self.explicit.iter().map(canonical).collect()
    }

    /// The one spelling of a name.
    pub fn canonical(&self, name: &TypeName) -> TypeName {
        let target = self.explicit.get(name.as_str()).or_else(|| self.folded.get(name));
        let target = target.unwrap_or(name);
        self.spelling.get(target).unwrap_or(target).clone()
    }
}

/// Follows a chain of aliases to its end.
fn target(config: &Config, from: &str) -> Result<TypeName, BadRule> {
    let key = format!("aliases.{from}");
    parse(&key, from)?;
    let mut at = from;
    for _ in 0..CHAIN_MAX {
        match config.aliases.get(at) {
            Some(next) if next == at => {
                return TypeName::exact(at).map_err(|problem| bad(&key, at, &problem.to_string()));
            }
            Some(next) => at = next,
            None => return parse(&key, at),
        }
    }
    Err(bad(&key, at, "aliases go round in a circle, or the chain is longer than 8"))
}

pub(super) fn parse(key: &str, text: &str) -> Result<TypeName, BadRule> {
    TypeName::parse(text).map_err(|problem| bad(key, text, &problem.to_string()))
}

fn bad(key: &str, value: &str, problem: &str) -> BadRule {
    BadRule { key: key.to_owned(), value: value.to_owned(), problem: problem.to_owned() }
}
