//! Every selector kind against a naive model: what it covers goes, nothing else does, and the
//! counts are exact.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

#[derive(Debug, Clone)]
struct Row {
    fill: Fill,
    is_stale: bool,
}

#[derive(Debug, Clone)]
enum Step {
    Put(Fill),
    Apply(Demand),
    Remove(String),
    Sweep,
}

/// Keys, tags and ids; some are the same path in another spelling.
const WORDS: [&str; 9] = ["a", "b", "ab", "/a", "/ab", "/b", "/é", "/%c3%a9", "/b/../%61"];

fn word() -> impl Strategy<Value = String> {
    prop::sample::select(WORDS.to_vec()).prop_map(str::to_owned)
}

fn any_type() -> impl Strategy<Value = TypeName> {
    prop::sample::select(vec!["post", "posts", "feed"]).prop_map(type_name)
}

fn any_fill() -> impl Strategy<Value = Fill> {
    let path =
        prop::sample::select(vec![None, Some("/a"), Some("/ab"), Some("/b"), Some("/%C3%a9")]);
    let tags = prop::collection::vec(word(), 0..3);
    (word(), prop::option::of(any_type()), prop::option::of(word()), tags, path).prop_map(
        |(key, type_name, id, tags, path)| Fill {
            type_name,
            id: id.as_deref().map(label),
            tags: tags.iter().map(|tag| label(tag)).collect(),
            path: path.map(url_path),
            ..fill(&key)
        },
    )
}

fn any_selector() -> impl Strategy<Value = Selector> {
    let paths = || prop::sample::select(vec!["/", "/a", "/ab", "/%62", "/é", "/%C3%A9"]);
    let path = || paths().prop_map(url_path);
    prop_oneof![
        1 => Just(Selector::All),
        3 => any_type().prop_map(Selector::Type),
        5 => (any_type(), word()).prop_map(|(name, id)| Selector::Entity(name, label(&id))),
        3 => word().prop_map(|text| tag(&text)),
        3 => path().prop_map(Selector::Path),
        3 => path().prop_map(Selector::PathPrefix),
        3 => word().prop_map(|key| Selector::Key(label(&key))),
        3 => prop::sample::select(vec!["a*", "*b", "?", "/?", "/a"]).prop_map(pattern),
    ]
}

fn any_demand() -> impl Strategy<Value = Demand> {
    let union = || prop::collection::vec(any_selector(), 0..3).prop_map(Selectors::from_iter);
    (union(), union()).prop_map(|(hard, soft)| {
        let mut demand = Demand::new(Mode::Hard, hard);
        demand.join(&Demand::new(Mode::Soft, soft));
        demand
    })
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => any_fill().prop_map(Step::Put),
        3 => any_demand().prop_map(Step::Apply),
        1 => word().prop_map(Step::Remove),
        1 => Just(Step::Sweep),
    ]
}

/// What a selector means, said as plainly as can be.
fn covers(selector: &Selector, fill: &Fill) -> bool {
    let key = fill.key.as_str();
    let has_type = |name: &TypeName| fill.type_name.as_ref() == Some(name);
    let of_key = key.starts_with('/').then(|| url_path(key));
    let paths = || fill.path.iter().chain(&of_key);
    match selector {
        Selector::All => true,
        Selector::Type(name) => has_type(name),
        // An entry without an id is a list: it may show any entity of its type.
        Selector::Entity(name, id) => {
            has_type(name) && fill.id.as_ref().is_none_or(|own| own == id)
        }
        Selector::Tag(tag) => fill.tags.contains(tag),
        Selector::Path(path) => paths().any(|one| one == path),
        Selector::PathPrefix(prefix) => {
            paths().any(|one| one.as_str().starts_with(prefix.as_str()))
        }
        Selector::Key(one) => one == &fill.key,
        Selector::Pattern(glob) => glob.matches(key),
    }
}

type Model = BTreeMap<String, Row>;

/// Applies to the model; answers with the counts.
fn apply(model: &mut Model, demand: &Demand) -> (u64, BTreeMap<String, u64>) {
    let mut types = BTreeMap::new();
    let mut entries = 0;
    let mut count = |fill: &Fill| {
        entries += 1;
        if let Some(name) = &fill.type_name {
            *types.entry(name.to_string()).or_default() += 1;
        }
    };
    model.retain(|_, row| {
        let is_hit = |union: &Selectors| union.iter().any(|one| covers(&one, &row.fill));
        if is_hit(&demand.hard) {
            count(&row.fill);
            return false;
        }
        if is_hit(&demand.soft) && !std::mem::replace(&mut row.is_stale, true) {
            count(&row.fill);
        }
        true
    });
    (entries, types)
}

fn shown(store: &Memory) -> BTreeMap<String, &'static str> {
    WORDS
        .into_iter()
        .map(|key| (key.to_owned(), store.lookup(key).as_str()))
        .filter(|(_, word)| *word != "miss")
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn an_invalidation_clears_what_it_covers_and_nothing_else(
        steps in prop::collection::vec(any_step(), 1..24),
    ) {
        let (store, _) = store();
        let mut model = Model::new();
        for step in steps {
            match step {
                Step::Put(fill) => {
                    put(&store, fill.clone());
                    model.insert(fill.key.to_string(), Row { fill, is_stale: false });
                }
                Step::Apply(demand) => {
                    let estimate = store.estimate(&demand);
                    let applied = store.apply(&demand);
                    let (entries, types) = apply(&mut model, &demand);
                    prop_assert_eq!(applied.entries, entries);
                    prop_assert_eq!(&applied.types, &types);
                    prop_assert!(applied.count_complete);
                    prop_assert_eq!((estimate.entries, &estimate.types), (entries, &types));
                }
                Step::Remove(key) => {
                    let applied = store.remove(&key);
                    let gone = model.remove(&key).is_some();
                    prop_assert_eq!(applied.entries, u64::from(gone));
                }
                Step::Sweep => drop(store.sweep(secs(1))),
            }
            let expected: BTreeMap<_, _> = model
                .iter()
                .map(|(key, row)| (key.clone(), if row.is_stale { "stale" } else { "hit" }))
                .collect();
            prop_assert_eq!(shown(&store), expected);
        }
    }

    /// The same with no time for counting: nothing is enforced on entries but by stamps and bans.
    #[test]
    fn without_time_to_count_nothing_stale_is_served_either(
        steps in prop::collection::vec(any_step(), 1..24),
        bans_max in 0_usize..4,
    ) {
        let (store, _) = store_of(Config { count_time_max: Duration::ZERO, bans_max, ..config() });
        let mut model = Model::new();
        for step in steps {
            match step {
                Step::Put(fill) => {
                    put(&store, fill.clone());
                    model.insert(fill.key.to_string(), Row { fill, is_stale: false });
                }
                Step::Apply(demand) => {
                    store.apply(&demand);
                    apply(&mut model, &demand);
                }
                Step::Remove(key) => {
                    store.remove(&key);
                    model.remove(&key);
                }
                Step::Sweep => drop(store.sweep(secs(1))),
            }
            let shown = shown(&store);
            for (key, word) in &shown {
                let is_stale = model.get(key).map(|row| row.is_stale);
                let is_allowed = is_stale.is_some_and(|is_stale| !is_stale || *word == "stale");
                prop_assert!(is_allowed, "{} is {}", key, word);
            }
            // Bans that collapsed may clear too much; without them nothing else may go.
            if store.stats().bans_collapsed == 0 {
                prop_assert_eq!(shown.len(), model.len());
            }
        }
    }
}
