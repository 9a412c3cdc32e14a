//! The laws of the algebra, as property tests (acceptance 3.2, 3.8; invariants I5, I12).
//! Merging, batching and bounding a backlog lose nothing as long as these hold.

use proptest::prelude::*;

use super::*;

/// Single selectors over a small alphabet, so that collisions and coverings are frequent.
fn selector() -> impl Strategy<Value = Selector> {
    let label = || "[ab]{1,3}".prop_map(|s| Label::parse(&s).expect("label"));
    let texts = || "([ab]|%61|%c3%A9|é|/|/\\.\\.){0,3}";
    let path = || texts().prop_map(|s| UrlPath::parse(&format!("/{s}")).expect("path"));
    let prefix = || texts().prop_map(|s| UrlPath::prefix(&format!("/{s}")).expect("path"));
    let name = || {
        prop::sample::select(vec!["post", "posts", "feed", "categories"])
            .prop_map(|s| TypeName::parse(s).expect("type"))
    };
    prop_oneof![
        1 => Just(Selector::All),
        6 => name().prop_map(Selector::Type),
        12 => (name(), label()).prop_map(|(name, id)| Selector::Entity(name, id)),
        6 => label().prop_map(Selector::Tag),
        6 => path().prop_map(Selector::Path),
        4 => prefix().prop_map(Selector::PathPrefix),
        6 => label().prop_map(Selector::Key),
        4 => "[ab*?]{1,3}".prop_map(|s| Selector::Pattern(Glob::parse(&s).expect("glob"))),
    ]
}

fn union() -> impl Strategy<Value = Selectors> {
    prop::collection::vec(selector(), 0..8).prop_map(Selectors::from_iter)
}

fn joined(a: &Selectors, b: &Selectors) -> Selectors {
    let mut out = a.clone();
    out.join(b);
    out
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn join_is_commutative_associative_idempotent(a in union(), b in union(), c in union()) {
        prop_assert_eq!(joined(&a, &b), joined(&b, &a));
        prop_assert_eq!(joined(&joined(&a, &b), &c), joined(&a, &joined(&b, &c)));
        prop_assert_eq!(joined(&a, &a), a);
    }

    #[test]
    fn covers_is_the_order_of_join(a in union(), b in union()) {
        prop_assert_eq!(a.covers(&b), joined(&a, &b) == a);
        prop_assert!(joined(&a, &b).covers(&a) && joined(&a, &b).covers(&b));
    }

    #[test]
    fn covers_is_transitive_and_antisymmetric(a in union(), b in union(), c in union()) {
        prop_assert!(!(a.covers(&b) && b.covers(&c)) || a.covers(&c));
        prop_assert!(!(a.covers(&b) && b.covers(&a)) || a == b);
    }

    #[test]
    fn covering_one_agrees_with_the_single_order(a in union(), s in selector()) {
        prop_assert_eq!(a.covers_one(&s), a.iter().any(|member| member.covers(&s)));
    }

    #[test]
    fn what_covers_reaches_all_that_the_other_reaches(
        a in union(), b in union(), place in selector(),
    ) {
        prop_assert!(!(a.covers(&b) && b.reaches(&place)) || a.reaches(&place));
        prop_assert_eq!(a.reaches(&place), a.iter().any(|member| member.reaches(&place)));
    }

    #[test]
    fn the_normal_form_holds_nothing_that_another_member_covers(a in union()) {
        let members: Vec<_> = a.iter().collect();
        for (at, one) in members.iter().enumerate() {
            let others = members.iter().enumerate().filter(|(other, _)| *other != at);
            prop_assert!(others.into_iter().all(|(_, other)| !other.covers(one)), "{}", one);
        }
    }

    #[test]
    fn widening_never_uncovers(a in union(), limit in 0_usize..6) {
        let mut wide = a.clone();
        let widened = wide.widen_to(limit);
        prop_assert!(wide.covers(&a));
        prop_assert_eq!(widened, a.members() > limit);
        prop_assert!(wide.members() <= limit.max(1));
    }

    #[test]
    fn coalescing_in_any_order_covers_every_member(
        parts in prop::collection::vec(union(), 0..6),
        seed in any::<prop::sample::Index>(),
    ) {
        let mut turned = parts.clone();
        if !turned.is_empty() {
            let by = seed.index(turned.len());
            turned.rotate_left(by);
            turned.reverse();
        }
        let fold = |parts: &[Selectors]| {
            parts.iter().fold(Selectors::default(), |sum, part| joined(&sum, part))
        };
        let whole = fold(&parts);
        prop_assert!(parts.iter().all(|part| whole.covers(part)));
        prop_assert_eq!(fold(&turned), whole);
    }

    #[test]
    fn wire_form_reads_back(a in union()) {
        let text = serde_json::to_string(&a).expect("serialises");
        prop_assert_eq!(serde_json::from_str::<Selectors>(&text).expect("reads back"), a);
    }
}

#[test]
fn an_unknown_kind_from_a_newer_peer_widens() {
    let read: Selectors = serde_json::from_str(r#"{"types":["posts"],"hosts":["a"]}"#).expect("ok");
    assert!(read.is_all());
}

/// Older peers and journals have paths as their callers spelt them.
#[test]
fn paths_of_older_versions_are_read_in_any_spelling() {
    let read = |text| serde_json::from_str::<Selectors>(text).expect("reads").to_string();
    for (text, expected) in [
        (r#"{"paths":["/café","/caf%c3%a9"]}"#, "path:/caf%C3%A9"),
        (r#"{"prefixes":["/café/","/a%C"]}"#, "path:/a*,path:/caf%C3%A9/*"),
        (r#"{"paths":["/a/../b"],"prefixes":["/%62"]}"#, "path:/b*"),
        (r#"{"paths":["about"]}"#, "all"),
    ] {
        assert_eq!(read(text), expected, "{text}");
    }
}

#[test]
fn nothing_is_not_everything() {
    assert!(Selectors::default().is_empty());
    assert!(!Selectors::default().covers(&Selectors::one(Selector::All)));
    assert!(Selectors::all().covers(&Selectors::default()));
}

#[test]
fn paths_are_read_as_users_write_them() {
    let path = |s: &str| UrlPath::parse(s).expect("path");
    assert_eq!(Selector::path("/a/*"), Ok(Selector::PathPrefix(path("/a/"))));
    assert_eq!(Selector::path("/a"), Ok(Selector::Path(path("/a"))));
    assert_eq!(Selector::path("/*"), Ok(Selector::PathPrefix(path("/"))));
    assert_eq!(Selector::path("/caf%c3*"), Ok(Selector::PathPrefix(path("/caf%C3"))));
    assert!(Selector::path("a").is_err());
    assert!(Selector::path("*").is_err());
}
