//! The rules, as tables and as laws (acceptance 3.2, 3.8, 3.9).
//! The polymech graph is the example that users know, so it is the one tried here.

use proptest::prelude::*;

use super::*;
use crate::domain::{
    Action, EventId, Label, Mode, Principal, Role, Scope, Selector, Source, TypeName,
};

fn config(dependencies: &[(&str, &[&str])], aliases: &[(&str, &str)]) -> Config {
    Config {
        dependencies: dependencies
            .iter()
            .map(|(name, on)| ((*name).to_owned(), on.iter().map(|s| (*s).to_owned()).collect()))
            .collect(),
        aliases: aliases.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect(),
        ..Config::default()
    }
}

fn polymech() -> Config {
    config(
        &[
            ("posts", &["categories", "pictures"]),
            ("pages", &["categories", "pictures", "translations"]),
            ("categories", &["types"]),
            ("translations", &[]),
            ("feed", &["posts", "pages", "categories"]),
            ("auth", &[]),
        ],
        &[("article", "posts"), ("news", "news")],
    )
}

fn rules(config: &Config) -> Rules {
    Rules::new(config).expect("valid rules")
}

fn name(text: &str) -> TypeName {
    TypeName::parse(text).expect("type")
}

fn of(selectors: Selectors) -> Invalidation {
    Invalidation {
        id: EventId::fresh(),
        origin: "here".into(),
        principal: Principal { name: "admin".into(), role: Role::AdminToken },
        source: Source::Api,
        scope: Scope::Mirrored,
        wall: None,
        demand: Demand::new(Mode::Hard, selectors),
        again: Demand::default(),
        foreign_cascade: Selectors::default(),
        action: Action::Update,
        reason: None,
        changed: vec![],
        fields: Default::default(),
        routes: vec![],
        covers: vec![],
        ends_here: false,
        warnings: vec![],
    }
}

fn cascade_of(rules: &Rules, text: &str) -> Vec<String> {
    let plan = rules.resolve(of(Selectors::one(Selector::Type(name(text)))));
    plan.cascade().types().iter().map(ToString::to_string).collect()
}

/// S3 3.8: the preset's graph, transitively, and never backwards.
#[test]
fn the_polymech_graph_cascades_one_way() {
    let rules = rules(&polymech());
    assert_eq!(cascade_of(&rules, "types"), ["categories", "feed", "pages", "posts"]);
    assert_eq!(cascade_of(&rules, "picture"), ["feed", "pages", "posts"]);
    assert_eq!(cascade_of(&rules, "posts"), ["feed"]);
    assert_eq!(cascade_of(&rules, "feed"), [""; 0]);
    assert_eq!(cascade_of(&rules, "auth"), [""; 0]);
    assert_eq!(cascade_of(&rules, "nobody"), [""; 0]);
}

/// S3 3.2, 3.9: singular, plural and configured aliases meet in the graph's spelling.
#[test]
fn names_fold_to_the_graphs_spelling() {
    let rules = rules(&polymech());
    for text in ["post", "posts", "article"] {
        assert_eq!(rules.canonical(&name(text)).as_str(), "posts", "{text}");
    }
    assert_eq!(rules.canonical(&name("widget")).as_str(), "widget");
    assert_ne!(rules.canonical(&name("news")), rules.canonical(&name("new")));
}

#[test]
fn dashes_and_plurals_of_an_alias_mean_what_it_means() {
    let graph: &[(&str, &[&str])] = &[("blog_posts", &[]), ("products", &[])];
    let names = [
        ("job_readiness_products", "products"),
        ("article", "blog_posts"),
        ("BlogEntry", "blog_posts"),
        ("kept-apart", "kept-apart"),
        ("x_y", "products"),
        ("x-y", "blog_posts"),
    ];
    let rules = rules(&config(graph, &names));
    for (text, expected) in [
        ("blog-post", "blog_posts"),
        ("blog_post", "blog_posts"),
        ("job-readiness-product", "products"),
        ("articles", "blog_posts"),
        ("x_y", "products"),
        ("x-y", "blog_posts"),
        ("x_ys", "x_ys"),
        ("BlogPost", "BlogPost"),
    ] {
        assert_eq!(rules.canonical(&name(text)).as_str(), expected, "{text}");
    }
    assert_ne!(rules.canonical(&name("kept-apart")), rules.canonical(&name("kept_apart")));
    for (text, expected) in [
        ("BlogPost", Some("blog_posts")),
        ("blog post", Some("blog_posts")),
        ("api::blog-post.blog-post", Some("blog_posts")),
        ("App\\Models\\BlogPost", Some("blog_posts")),
        ("public.blog_posts", Some("blog_posts")),
        ("blogEntries", Some("blog_posts")),
        ("blog-post", None),
        ("article", None),
        ("posts", None),
        ("", None),
        ("::", None),
    ] {
        let found = rules.resembling(text);
        assert_eq!(found.as_ref().map(TypeName::as_str), expected, "{text}");
    }
}

#[test]
fn an_unknown_type_clears_itself_and_names_the_nearest() {
    let rules = rules(&polymech());
    let plan = rules.resolve(of(Selectors::one(Selector::Type(name("psots")))));
    assert_eq!(plan.total().hard.types().len(), 1);
    assert_eq!(
        plan.invalidation.warnings,
        ["psots is not in the graph: only itself was cleared; did you mean posts?"]
    );
}

/// A sender's graph may know an edge that is not here: what it cleared has dependents here too.
#[test]
fn the_cascade_of_a_peer_spreads_along_the_graph_of_the_receiver() {
    let rules = rules(&config(&[("feed", &["posts"]), ("home", &["feed"])], &[]));
    for mode in [Mode::Hard, Mode::Soft] {
        let told = of(Selectors::one(Selector::Type(name("labels"))));
        let told = Invalidation {
            demand: Demand::new(mode, told.demand.hard),
            foreign_cascade: Selectors::one(Selector::Type(name("post"))),
            ..of(Selectors::default())
        };
        let plan = rules.resolve(told);
        assert_eq!(plan.cascade().to_string(), "feed,home,posts");
        let (hard, soft) = (plan.total().hard, plan.total().soft);
        assert_eq!(
            (hard.members(), soft.members()),
            if mode == Mode::Hard { (4, 0) } else { (0, 4) }
        );
    }
}

#[test]
fn cycles_end_and_widen_what_they_come_back_to() {
    let rules = rules(&config(&[("a", &["b"]), ("b", &["c"]), ("c", &["a"])], &[]));
    assert_eq!(cascade_of(&rules, "a"), ["b", "c"]);
    let id = Label::parse("1").expect("label");
    let plan = rules.resolve(of(Selectors::one(Selector::Entity(name("a"), id))));
    assert_eq!(plan.cascade().types().len(), 3, "one id comes back as the whole type");
    assert_eq!(plan.total().hard.members(), 3);
}

#[test]
fn aliases_in_a_circle_are_refused_by_name() {
    let bad = Rules::new(&config(&[], &[("x", "y"), ("y", "x")])).expect_err("a circle");
    assert!(bad.to_string().contains("aliases.x"), "{bad}");
    let bad = Rules::new(&config(&[("po sts", &[])], &[])).expect_err("no type");
    assert!(bad.to_string().contains("dependencies.po sts"), "{bad}");
}

#[test]
fn the_hash_sees_edges_and_not_their_order() {
    let one = rules(&config(&[("a", &["b", "c"])], &[]));
    let same = rules(&config(&[("a", &["c", "b"])], &[("x", "a")]));
    let other = rules(&config(&[("b", &["a"]), ("a", &["c"])], &[]));
    assert_eq!(one.graph().hash(), same.graph().hash());
    assert_ne!(one.graph().hash(), other.graph().hash());
}

fn graphs() -> impl Strategy<Value = Config> {
    let node = || prop::sample::select(vec!["a", "b", "c", "d", "f", "g"]);
    prop::collection::btree_map(node(), prop::collection::vec(node(), 0..3), 0..6).prop_map(|map| {
        Config {
            dependencies: map
                .into_iter()
                .map(|(k, v)| (k.to_owned(), v.into_iter().map(ToOwned::to_owned).collect()))
                .collect(),
            ..Config::default()
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    /// What the cascade holds is exactly what edges reach: computed the slow way, by fixpoint.
    #[test]
    fn the_cascade_is_the_transitive_closure(
        config in graphs(),
        start in prop::sample::select(vec!["a", "b", "c", "zz"]),
        by_id in any::<bool>(),
    ) {
        let rules = rules(&config);
        let start_name = name(start);
        let selector = if by_id {
            Selector::Entity(start_name.clone(), Label::parse("1").expect("label"))
        } else {
            Selector::Type(start_name.clone())
        };
        let plan = rules.resolve(of(Selectors::one(selector.clone())));
        let mut reached: std::collections::BTreeSet<&str> = [start].into();
        let mut cleared: std::collections::BTreeSet<&str> = std::collections::BTreeSet::new();
        loop {
            let more: Vec<&str> = config
                .dependencies
                .iter()
                .filter(|(_, on)| on.iter().any(|n| reached.contains(n.as_str())))
                .map(|(dependent, _)| dependent.as_str())
                .filter(|dependent| cleared.insert(dependent))
                .collect();
            if more.is_empty() { break; }
            reached.extend(more);
        }
        if !by_id { cleared.remove(start); }
        let expected: Vec<String> = cleared.into_iter().map(ToOwned::to_owned).collect();
        let found: Vec<String> = plan.cascade().types().iter().map(ToString::to_string).collect();
        prop_assert_eq!(found, expected);
        prop_assert!(plan.total().hard.covers_one(&selector));
    }

    /// Resolving a union clears what resolving its parts clears: merging before or after is one.
    #[test]
    fn resolution_commutes_with_join(
        config in graphs(),
        a in prop::sample::select(vec!["a", "b", "c", "zz"]),
        b in prop::sample::select(vec!["a", "d", "f", "zz"]),
    ) {
        let rules = rules(&config);
        let one = |text: &str| Selectors::one(Selector::Type(name(text)));
        let mut both = one(a);
        both.join(&one(b));
        let mut parts = rules.resolve(of(one(a))).total();
        parts.join(&rules.resolve(of(one(b))).total());
        prop_assert_eq!(rules.resolve(of(both)).total(), parts);
    }
}

/// The chain is the way that the cascade went, and none is made up.
#[test]
fn a_chain_leads_from_what_changed_to_what_went_with_it() {
    let rules = rules(&polymech());
    let graph = rules.graph();
    let changed = Selectors::one(Selector::Type(name("types")));
    let chain = graph.chain(&changed, &name("feed"));
    assert_eq!((chain.first(), chain.last()), (Some(&name("types")), Some(&name("feed"))));
    for pair in chain.windows(2) {
        let is_edge = graph.edges().any(|(from, to)| *from == pair[0] && to.contains(&pair[1]));
        assert!(is_edge, "{pair:?} of {chain:?}");
    }
    assert!(graph.chain(&changed, &name("auth")).is_empty());
    let walked: Vec<_> = graph.walk(&changed).into_iter().map(|(_, to)| to.clone()).collect();
    assert_eq!(walked.len(), graph.cascade(&changed).members(), "each type once: {walked:?}");
}

/// S0 0.3: a configured name first, else a type that the graph knows, dashes folded; nothing else.
#[test]
fn names_stand_for_selectors_or_for_known_types() {
    let recipe = |clears: &str| RecipeConfig { clears: vec![clears.into()], narrowed: vec![] };
    let config = Config {
        dependencies: BTreeMap::from([("training_days".into(), vec!["courses".into()])]),
        names: BTreeMap::from([
            ("courses".into(), recipe("tag:courses")),
            ("menu".into(), recipe("path:/menu*")),
        ]),
        ..Config::default()
    };
    let rules = Rules::new(&config).expect("rules");
    for (name, expected) in [
        ("courses", Some("tag:courses")),
        ("course", Some("courses")),
        ("menu", Some("path:/menu*")),
        ("training-days", Some("training_days")),
        ("training_day", Some("training_days")),
        ("pictures", None),
        ("no type", None),
        ("", None),
    ] {
        let found = rules.named(name).map(|selectors| selectors.to_string());
        assert_eq!(found.as_deref(), expected, "{name}");
    }
}

/// Each unknown name is compared with every known one, so only the first few are.
#[test]
fn many_unknown_types_are_named_in_part_and_counted() {
    let rules = rules(&config(&[("feed", &["posts"])], &[]));
    let many = (0..100).map(|at| Selector::Type(name(&format!("post{at}"))));
    let plan = rules.resolve(of(many.collect()));
    let warnings = &plan.invalidation.warnings;
    assert_eq!(warnings.len(), UNKNOWN_NAMED + 1, "{warnings:?}");
    assert!(warnings[0].contains("did you mean posts?"), "{warnings:?}");
    assert_eq!(warnings[UNKNOWN_NAMED], "92 more types are not in the graph");
}
