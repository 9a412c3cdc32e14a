//! Fields that matter: an update of nothing but an internal note need not clear a page.
//!
//! Only the fields that the caller lists as changed count, and only for updates: an entity that was
//! created or deleted matters whatever its fields. A type without rules, or a call that names no
//! fields, is never left out. Of several events each is judged by itself: what is true of one is
//! not true of the others.

use std::collections::{BTreeMap, BTreeSet};

use super::{Aliases, BadRule, Rules, aliases};
use crate::domain::action;
use crate::domain::{Action, Selector, Selectors, Submission, TypeName};

/// Which fields of a type matter.
#[derive(Debug, Clone, Default)]
pub(super) struct FieldRules {
    when: BTreeMap<TypeName, BTreeSet<String>>,
    ignore: BTreeMap<TypeName, BTreeSet<String>>,
}

impl FieldRules {
    pub(super) fn new(
        when: &BTreeMap<String, Vec<String>>,
        ignore: &BTreeMap<String, Vec<String>>,
        names: &Aliases,
    ) -> Result<Self, BadRule> {
        let by_type = |section: &str, config: &BTreeMap<String, Vec<String>>| {
            let mut by_type: BTreeMap<TypeName, BTreeSet<String>> = BTreeMap::new();
            for (name, fields) in config {
                let name = names.canonical(&aliases::parse(&format!("{section}.{name}"), name)?);
                by_type.entry(name).or_default().extend(fields.iter().cloned());
            }
            Ok(by_type)
        };
        Ok(Self { when: by_type("when_fields", when)?, ignore: by_type("ignore_fields", ignore)? })
    }

    /// Whether a change of these fields matters to the type.
    fn matters(&self, name: &TypeName, changed: &[String]) -> bool {
        let is_named =
            |field: &String| self.when.get(name).is_some_and(|fields| fields.contains(field));
        let is_wanted = |field: &String| !self.when.contains_key(name) || is_named(field);
        let is_ignored =
            |field: &String| self.ignore.get(name).is_some_and(|fields| fields.contains(field));
        let is_of_interest = |field: &String| is_wanted(field) && !is_ignored(field);
        action::matters(changed, is_named, is_of_interest)
    }
}

impl Rules {
    /// Removes the types to which no changed field matters from a submission, and returns them.
    pub fn leave_out(&self, submission: &mut Submission) -> Vec<TypeName> {
        if submission.peer.is_some() {
            return vec![];
        }
        if submission.parts.is_empty() {
            let Submission { selectors, action, changed, .. } = submission;
            return self.leave_out_of(selectors, *action, changed).into_iter().collect();
        }
        let mut left_out = BTreeSet::new();
        let mut kept = Selectors::default();
        for part in &submission.parts {
            let mut selectors = part.selectors.clone();
            let mut asked = selectors.clone();
            part.parents.keys().for_each(|it| asked.insert(Selector::Type(it.clone())));
            let left = self.leave_out_of(&mut asked, part.action, &part.changed);
            selectors.retain_types(|name| !left.contains(name));
            let parents = part.parents.iter().filter(|(name, _)| !left.contains(*name));
            parents.flat_map(|(_, tags)| tags).for_each(|tag| {
                selectors.insert(Selector::Tag(tag.clone()));
            });
            left_out.extend(left);
            kept.join(&selectors);
        }
        if left_out.is_empty() {
            // What stands here may have been widened beyond the union of its parts.
            return vec![];
        }
        left_out.retain(|name| !kept.types().contains(name) && !kept.ids().contains_key(name));
        submission.selectors = kept;
        left_out.into_iter().collect()
    }

    fn leave_out_of(
        &self,
        selectors: &mut Selectors,
        action: Action,
        changed: &[String],
    ) -> BTreeSet<TypeName> {
        if action != Action::Update || changed.is_empty() {
            return BTreeSet::new();
        }
        let left_out: BTreeSet<TypeName> = selectors
            .named_types()
            .filter(|name| !self.fields.matters(&self.canonical(name), changed))
            .cloned()
            .collect();
        selectors.retain_types(|name| !left_out.contains(name));
        left_out
    }
}

/// The warning for the caller.
pub fn left_out_text(name: &TypeName) -> String {
    format!("{name} was not cleared: nothing in changed matters to it (when_fields, ignore_fields)")
}

#[cfg(test)]
mod tests {
    use super::super::Config;
    use super::*;
    use crate::domain::{Mode, Selector, Source};
    use proptest::prelude::*;

    fn rules() -> Rules {
        let list = |fields: &[&str]| fields.iter().map(|field| (*field).to_owned()).collect();
        Rules::new(&Config {
            dependencies: BTreeMap::from([("products".into(), vec!["pictures".into()])]),
            when_fields: BTreeMap::from([("products".into(), list(&["name", "price", "slug"]))]),
            ignore_fields: BTreeMap::from([
                ("product".into(), list(&["slug"])),
                ("posts".into(), list(&["admin_notes", "internal_sku"])),
            ]),
            ..Config::default()
        })
        .expect("rules")
    }

    fn submission(selectors: Selectors, action: Action, changed: &[&str]) -> Submission {
        Submission {
            selectors,
            mode: Mode::Hard,
            action,
            reason: None,
            changed: changed.iter().map(|field| (*field).to_owned()).collect(),
            parts: vec![],
            fields: std::collections::BTreeMap::new(),
            routes: vec![],
            mirror: None,
            source: Source::Api,
            is_marked: false,
            ids: vec![],
            address: None,
            peer: None,
        }
    }

    fn name(text: &str) -> TypeName {
        TypeName::parse(text).expect("a type")
    }

    fn left(types: &[&str], action: Action, changed: &[&str]) -> String {
        let selectors = types.iter().map(|text| Selector::Type(name(text))).collect();
        let mut submission = submission(selectors, action, changed);
        rules().leave_out(&mut submission);
        submission.selectors.to_string()
    }

    /// S1 1.31: what matters, and what does not; S1 1.9: slug or name.
    #[test]
    fn only_fields_that_matter_clear() {
        for (types, changed, expected) in [
            (&["products"][..], &["name"][..], "products"),
            (&["product"], &["price", "stock"], "product"),
            (&["products"], &["stock"], ""),
            (&["products"], &["slug"], ""),
            (&["products"], &[], "products"),
            (&["posts"], &["admin_notes"], ""),
            (&["post"], &["admin_notes", "internal_sku"], ""),
            (&["posts"], &["admin_notes", "title"], "posts"),
            (&["pages"], &["admin_notes"], "pages"),
            (&["posts", "products", "pages"], &["admin_notes"], "pages"),
        ] {
            assert_eq!(left(types, Action::Update, changed), expected, "{types:?} {changed:?}");
        }
    }

    /// The lists of a parent show no more of an entity than it has.
    #[test]
    fn parents_are_left_out_with_their_type() {
        let tag = |text: &str| crate::domain::Label::parse(text).expect("a tag");
        for (changed, expected) in [
            (&["stock"][..], ""),
            (&["name"], "products,tag:products:client:7"),
            (&[], "products,tag:products:client:7"),
        ] {
            let part = crate::domain::submission::SubmissionPart {
                selectors: Selectors::one(Selector::Type(name("products"))),
                action: Action::Update,
                changed: changed.iter().map(|field| (*field).to_owned()).collect(),
                parents: BTreeMap::from([(
                    name("products"),
                    BTreeSet::from([tag("products:client:7")]),
                )]),
            };
            let mut whole = part.selectors.clone();
            part.parent_tags().for_each(|tag| whole.insert(tag));
            let mut submission = submission(whole, Action::Update, changed);
            submission.parts = vec![part];
            rules().leave_out(&mut submission);
            assert_eq!(submission.selectors.to_string(), expected, "{changed:?}");
        }
    }

    #[test]
    fn what_came_or_went_matters_whatever_its_fields() {
        for action in
            [Action::Create, Action::Delete, Action::Restore, Action::ForceDelete, Action::Archive]
        {
            assert_eq!(left(&["posts"], action, &["admin_notes"]), "posts", "{action:?}");
        }
    }

    proptest! {
        /// Nothing is added, nothing that matters goes, and tags and paths stay whatever changed.
        #[test]
        fn leaving_out_takes_only_types_to_which_nothing_matters(
            types in prop::collection::btree_set("posts|products|pages", 0..3),
            changed in prop::collection::vec("name|slug|admin_notes|title", 0..4),
        ) {
            let tag = Selector::path("/x").expect("a path");
            let asked: Selectors = types
                .iter()
                .map(|text| Selector::Type(name(text)))
                .chain([tag.clone()])
                .collect();
            let changed: Vec<&str> = changed.iter().map(String::as_str).collect();
            let mut kept = submission(asked.clone(), Action::Update, &changed);
            let left_out = rules().leave_out(&mut kept);
            prop_assert!(asked.covers(&kept.selectors));
            prop_assert!(kept.selectors.covers_one(&tag));
            prop_assert!(!left_out.contains(&name("pages")), "a type without rules stays");
            for gone in &left_out {
                prop_assert!(asked.covers_one(&Selector::Type(gone.clone())));
                prop_assert!(!kept.selectors.covers_one(&Selector::Type(gone.clone())));
                prop_assert!(!changed.contains(&"title") || *gone != name("posts"));
            }
        }
    }
}
