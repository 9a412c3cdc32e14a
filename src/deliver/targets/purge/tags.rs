//! The tags of types, entities, custom tags and paths, and which tags a cache accepts.
//! Templates are plain text with variables in braces; the settings are checked for the variables
//! that each template needs.

use crate::domain::{Label, TypeName};

/// The templates for the tags of one target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TagNames {
    /// With `{type}`.
    pub type_tag: String,
    /// With `{type}` and, if single entities have tags, `{id}`.
    pub entity_tag: String,
    /// With `{type}`; empty if the lists of a type only carry the tag of the type.
    pub list_tag: String,
    /// With `{tag}`.
    pub custom_tag: String,
    /// With `{path}`; empty if paths have no tags.
    pub path_tag: String,
    /// A tag that every page carries; empty if there is none.
    pub all_tag: String,
}

impl TagNames {
    /// The tag of a type.
    pub fn of_type(&self, name: &TypeName) -> String {
        fill(&self.type_tag, &[("{type}", name.as_str())])
    }

    /// The tag of one entity.
    pub fn of_entity(&self, name: &TypeName, id: &Label) -> String {
        fill(&self.entity_tag, &[("{type}", name.as_str()), ("{id}", id.as_str())])
    }

    /// The tag of the lists of a type. Without a tag of their own it is the tag of the type, which
    /// also purges all its entities: a stale list must not remain.
    pub fn of_lists(&self, name: &TypeName) -> String {
        let template = if self.list_tag.is_empty() { &self.type_tag } else { &self.list_tag };
        fill(template, &[("{type}", name.as_str())])
    }

    /// The tag of a custom tag.
    pub fn of_tag(&self, tag: &Label) -> String {
        fill(&self.custom_tag, &[("{tag}", tag.as_str())])
    }

    /// The tag of a path in one spelling; `None` if paths have no tags.
    pub fn of_path(&self, path: &str) -> Option<String> {
        let is_used = !self.path_tag.is_empty();
        is_used.then(|| fill(&self.path_tag, &[("{path}", path)]))
    }
}

/// Replaces variables in one pass, so that a value with braces is not replaced again.
fn fill(template: &str, values: &[(&str, &str)]) -> String {
    let mut out = String::new();
    let mut rest = template;
    while !rest.is_empty() {
        let found = values.iter().find(|(name, _)| rest.starts_with(name));
        match (found, rest.chars().next()) {
            (Some((name, value)), _) => {
                out.push_str(value);
                rest = &rest[name.len()..];
            }
            (None, Some(c)) => {
                out.push(c);
                rest = &rest[c.len_utf8()..];
            }
            (None, None) => break,
        }
    }
    out
}

/// Which tags a cache accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TagRules {
    /// Longest tag in bytes.
    pub bytes_max: usize,
    /// Characters with another meaning there.
    pub forbidden: &'static str,
}

impl TagRules {
    /// Whether it accepts this tag. Pages carry tags in headers, so they must be visible ASCII.
    pub fn takes(self, tag: &str) -> bool {
        (1..=self.bytes_max).contains(&tag.len())
            && tag.bytes().all(|byte| byte.is_ascii_graphic())
            && !tag.contains(|c| self.forbidden.contains(c))
    }
}
