//! The paths or tags of a site that an event affects: templates such as `/products/{slug}`.
//!
//! Values are escaped, so that a value cannot lead to a path outside the template. A template with
//! a variable that the event does not have is left out, or replaced by its `otherwise`. If it is
//! unknown whether a filter matches, it matches: revalidating a page too often is safe, missing it
//! is not.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::action::matters;
use crate::domain::{Action, TypeName};

/// Longest template, and longest path that Next.js accepts, in bytes.
pub const TEMPLATE_BYTES_MAX: usize = 1024;

/// A part of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
enum TemplatePart {
    Text(String),
    Variable(String),
}

/// A path or tag with variables, and a filter for events.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NameTemplate {
    parts: Vec<TemplatePart>,
    /// The actions that it applies to; empty for all.
    pub actions: Vec<Action>,
    /// It applies only to events that changed one of these fields; empty for all.
    pub when_fields: BTreeSet<String>,
    /// It does not apply to events that changed only these fields.
    pub ignore_fields: BTreeSet<String>,
    /// The result if a variable is unknown.
    pub otherwise: Option<String>,
    /// Whether it includes every page below the path.
    pub is_layout: bool,
}

/// A path or tag that a template rendered.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RenderedName {
    /// The path or tag.
    pub text: String,
    /// Whether it includes every page below the path.
    pub is_layout: bool,
}

/// What is known about one entity or a whole type.
#[derive(Debug, Clone, Copy)]
pub struct EntityFacts<'a> {
    /// Its type.
    pub name: &'a TypeName,
    /// Its id; `None` for the whole type.
    pub id: Option<&'a str>,
    /// The action; `None` if unknown.
    pub action: Option<Action>,
    /// The fields that changed; empty if unknown.
    pub changed: &'a [String],
    /// Its other fields.
    pub fields: &'a BTreeMap<String, String>,
}

/// How a value is inserted into a template.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Escaping {
    /// Percent-encoded, as a part of one path segment.
    Path,
    /// Unchanged: tags are opaque.
    Tag,
}

impl NameTemplate {
    /// Parses a template such as `/products/{slug}`.
    ///
    /// # Errors
    /// What was expected instead.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        const VARIABLE: &str = "expected variables as {name}, of A-Z a-z 0-9 _";
        if text.is_empty() || text.len() > TEMPLATE_BYTES_MAX || text.contains(char::is_control) {
            return Err("expected 1 to 1024 bytes without control characters");
        }
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            let (before, after) = rest.split_at(at);
            let inside = after.strip_prefix('{').ok_or(VARIABLE)?;
            let (name, remainder) = inside.split_once('}').ok_or(VARIABLE)?;
            let is_allowed = |c: char| c.is_ascii_alphanumeric() || c == '_';
            if name.is_empty() || !name.chars().all(is_allowed) {
                return Err(VARIABLE);
            }
            if !before.is_empty() {
                parts.push(TemplatePart::Text(before.to_owned()));
            }
            parts.push(TemplatePart::Variable(name.to_owned()));
            rest = remainder;
        }
        if !rest.is_empty() {
            parts.push(TemplatePart::Text(rest.to_owned()));
        }
        Ok(Self { parts, ..Self::default() })
    }

    /// The path or tag for an entity; `None` if the filter does not match or a variable is unknown.
    pub fn render(&self, facts: &EntityFacts<'_>, writing: Escaping) -> Option<String> {
        if !self.applies_to(facts) {
            return None;
        }
        self.substitute(facts, writing).or_else(|| self.otherwise.clone())
    }

    /// Like [`Self::render`], with `is_layout`.
    pub fn render_name(&self, facts: &EntityFacts<'_>, writing: Escaping) -> Option<RenderedName> {
        let text = self.render(facts, writing)?;
        Some(RenderedName { text, is_layout: self.is_layout })
    }

    fn applies_to(&self, facts: &EntityFacts<'_>) -> bool {
        let is_action = facts.action.is_none_or(|action| self.actions.contains(&action));
        let is_named = |field: &String| self.when_fields.contains(field);
        let is_of_interest = |field: &String| {
            (self.when_fields.is_empty() || is_named(field)) && !self.ignore_fields.contains(field)
        };
        (self.actions.is_empty() || is_action)
            && (facts.changed.is_empty() || matters(facts.changed, is_named, is_of_interest))
    }

    fn substitute(&self, facts: &EntityFacts<'_>, writing: Escaping) -> Option<String> {
        let mut out = String::new();
        for part in &self.parts {
            match part {
                TemplatePart::Text(text) => out.push_str(text),
                TemplatePart::Variable(name) => {
                    let value = facts.value(name).filter(|value| !value.is_empty())?;
                    match writing {
                        Escaping::Tag => out.push_str(value),
                        Escaping::Path => push_escaped(&mut out, value)?,
                    }
                }
            }
        }
        Some(out)
    }
}

impl EntityFacts<'_> {
    fn value(&self, name: &str) -> Option<&str> {
        match name {
            "id" => self.id,
            "type" => Some(self.name.as_str()),
            "action" => self.action.map(Action::as_str),
            other => self.fields.get(other).map(String::as_str),
        }
    }
}

/// Percent-encodes all but the unreserved characters (RFC 3986 section 2.3). `.` and `..` are
/// refused: even encoded, many servers resolve them.
fn push_escaped(out: &mut String, value: &str) -> Option<()> {
    if matches!(value, "." | "..") {
        return None;
    }
    for byte in value.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                out.push(char::from(byte));
            }
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    Some(())
}

/// The templates of one target.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NameTemplates {
    /// By type.
    pub of: BTreeMap<TypeName, Vec<NameTemplate>>,
    /// For types without templates of their own.
    pub of_others: Vec<NameTemplate>,
    /// For every event.
    pub always: Vec<NameTemplate>,
}

impl NameTemplates {
    /// Adds the names for one entity or type.
    pub fn render(
        &self,
        facts: &EntityFacts<'_>,
        writing: Escaping,
        out: &mut BTreeSet<RenderedName>,
    ) {
        let own = self.of.get(facts.name).unwrap_or(&self.of_others);
        out.extend(own.iter().filter_map(|template| template.render_name(facts, writing)));
    }

    /// Adds the names for everything: those of every type that need no id.
    pub fn render_all(
        &self,
        facts: &EntityFacts<'_>,
        writing: Escaping,
        out: &mut BTreeSet<RenderedName>,
    ) {
        for name in self.of.keys() {
            self.render(&EntityFacts { name, ..*facts }, writing, out);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn name() -> TypeName {
        TypeName::parse("products").expect("a type")
    }

    fn template(text: &str) -> NameTemplate {
        NameTemplate::parse(text).expect("a template")
    }

    fn strings(list: &[&str]) -> Vec<String> {
        list.iter().map(|text| (*text).to_owned()).collect()
    }

    /// S1 1.6, 1.29: a path if all variables are known, none otherwise.
    #[test]
    fn templates_with_unknown_variables_are_left_out() {
        let fields: BTreeMap<String, String> =
            [("slug", "red-shoe"), ("category", "a/b?c"), ("up", ".."), ("none", "")]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into();
        let name = name();
        let facts = EntityFacts {
            name: &name,
            id: Some("42"),
            action: Some(Action::Archive),
            changed: &[],
            fields: &fields,
        };
        for (text, expected) in [
            ("/", Some("/")),
            ("/products/{id}", Some("/products/42")),
            ("/products/{slug}", Some("/products/red-shoe")),
            ("/{type}/{slug}-{id}.html", Some("/products/red-shoe-42.html")),
            ("/{action}", Some("/archive")),
            ("/category/{category}", Some("/category/a%2Fb%3Fc")),
            ("/products/{size}", None),
            ("/products/{up}", None),
            ("/products/{none}", None),
        ] {
            let rendered = template(text).render(&facts, Escaping::Path);
            assert_eq!(rendered.as_deref(), expected, "{text}");
        }
        let whole = EntityFacts { id: None, ..facts };
        assert_eq!(template("/products/{id}").render(&whole, Escaping::Path), None);
        let with_pattern =
            NameTemplate { otherwise: Some("/products/[id]".into()), ..template("/products/{id}") };
        let rendered = with_pattern.render(&whole, Escaping::Path);
        assert_eq!(rendered.as_deref(), Some("/products/[id]"));
    }

    #[test]
    fn invalid_templates_are_refused() {
        for text in ["", "/{", "/}", "/{}", "/{a b}", "/{a{b}}", "/\n", &"x".repeat(1025)] {
            assert!(NameTemplate::parse(text).is_err(), "{text:?}");
        }
    }

    /// S1 1.9, 1.31, S4 4.9: filters by action and by changed fields; in doubt they match.
    #[test]
    fn filters_exclude_only_what_certainly_does_not_match() {
        let set = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect();
        let by_action = NameTemplate { actions: vec![Action::Archive], ..template("/") };
        let by_field = NameTemplate { when_fields: set(&["slug", "name"]), ..template("/") };
        let unless = NameTemplate { ignore_fields: set(&["admin_notes"]), ..template("/") };
        let (name, fields) = (name(), BTreeMap::new());
        for (which, action, changed, applies_to) in [
            (&by_action, Some(Action::Archive), &[][..], true),
            (&by_action, Some(Action::Update), &[], false),
            (&by_action, None, &[], true),
            (&by_field, None, &["slug"], true),
            (&by_field, None, &["stock", "name"], true),
            (&by_field, None, &["stock"], false),
            (&by_field, None, &[], true),
            (&unless, None, &["admin_notes"], false),
            (&unless, None, &["admin_notes", "price"], true),
            (&unless, None, &[], true),
        ] {
            let changed = strings(changed);
            let facts =
                EntityFacts { name: &name, id: None, action, changed: &changed, fields: &fields };
            let rendered = which.render(&facts, Escaping::Path);
            assert_eq!(rendered.is_some(), applies_to, "{action:?} {changed:?}");
        }
    }

    proptest! {
        /// Any value stays within one path segment of the template.
        #[test]
        fn no_variable_leaks_unescaped(value in "\\PC{1,24}", id in "\\PC{1,24}") {
            let fields = BTreeMap::from([("slug".to_owned(), value)]);
            let name = name();
            let facts = EntityFacts {
                name: &name, id: Some(&id), action: None, changed: &[], fields: &fields,
            };
            if let Some(path) = template("/p/{slug}/{id}").render(&facts, Escaping::Path) {
                prop_assert_eq!(path.matches('/').count(), 3);
                let is_plain = |c: char| c.is_ascii_alphanumeric() || "-._~%/".contains(c);
                prop_assert!(path.chars().all(is_plain), "{}", path);
                let url = url::Url::parse(&format!("http://h{path}")).expect("a URL");
                prop_assert_eq!(url.path(), path.as_str(), "the URL parser changes nothing");
            }
        }
    }
}
