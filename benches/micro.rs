//! Micro-benchmarks of the rooms that every invalidation and every lookup passes through.
//!
//! `cargo bench --bench micro` prints them; `-- store` picks one group. The journal writes to a
//! real disk, under `target/`. What whole processes do over sockets is `benches/propagation/`.

use std::sync::LazyLock;

use bytes::Bytes;
use cache_mirror::domain::{Label, Selector, Selectors, TypeName};
use cache_mirror::store::{Config, Fill, Memory};
use divan::{Bencher, black_box};

fn main() {
    divan::main();
}

fn label(text: &str) -> Label {
    Label::parse(text).expect("a label")
}

fn posts() -> TypeName {
    TypeName::parse("posts").expect("a type")
}

fn entity(number: usize) -> Selector {
    Selector::Entity(posts(), label(&number.to_string()))
}

/// So many posts by their ids, from a number on.
fn entities(from: usize, count: usize) -> Selectors {
    (from..from + count).map(entity).collect()
}

/// A cheap walk over all numbers below a power of two, in an order no prefetcher knows.
struct Walk(usize);

impl Walk {
    fn next(&mut self, below: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963);
        (self.0 >> 33) & (below - 1)
    }
}

mod store {
    use std::time::Duration;

    use cache_mirror::domain::{
        Action, Demand, EventId, Invalidation, Mode, Principal, Role, Scope, Source,
    };
    use cache_mirror::resolve::{self, Rules};

    use super::{
        Bencher, Bytes, Config, Fill, LazyLock, Memory, Selector, Selectors, Walk, black_box,
        entity, label, posts,
    };

    const SIZES: [usize; 4] = [1_000, 10_000, 100_000, 1_000_000];
    const KEYS: usize = 1 << 17;
    /// Each sample fills a store anew: few samples, or the million would take minutes.
    const SAMPLES: u32 = 5;
    const STAMPS: u32 = 9;

    fn config(count_time_max: Duration) -> Config {
        Config {
            bytes_max: 4 << 30,
            count_time_max,
            ttl: Duration::from_secs(3_600),
            ttl_max: Duration::from_secs(3_600),
            soft_time_max: Duration::from_secs(60),
            fill_time_max: Duration::from_secs(30),
            ticket_time_max: Duration::from_secs(600),
            bans_max: 1_024,
            stamps_max: 1_000_000,
        }
    }

    fn fill(key: &str) -> Fill {
        Fill {
            key: label(key),
            body: Bytes::from_static(b"a page of a hundred bytes would not change the picture"),
            content_type: None,
            type_name: None,
            id: None,
            tags: vec![label("shared")],
            path: None,
            ttl: None,
            swr: None,
        }
    }

    fn filled(entries: usize, count_time_max: Duration) -> Memory {
        let store = Memory::new(config(count_time_max));
        let ticket = store.ticket();
        for number in 0..entries {
            store.admit(fill(&format!("posts:{number}")), ticket).expect("fits");
        }
        store
    }

    /// Filled, and then used a little: what is measured is the stamp, not the first touch of
    /// memory that a million fills have pushed out of every cache.
    fn warmed(entries: usize, rules: &Rules) -> Memory {
        let store = filled(entries, Duration::ZERO);
        let selectors = Selectors::one(Selector::Tag(label("warm")));
        for _ in 0..64 {
            store.apply(&rules.resolve(invalidation(selectors.clone())).total());
        }
        store
    }

    fn rules() -> Rules {
        let on = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
        let dependencies = [
            ("posts".to_owned(), on(&["categories", "pictures"])),
            ("pages".to_owned(), on(&["categories", "pictures", "translations"])),
            ("categories".to_owned(), on(&["types"])),
            ("feed".to_owned(), on(&["posts", "pages", "categories"])),
        ];
        let config = resolve::Config { dependencies: dependencies.into(), ..Default::default() };
        Rules::new(&config).expect("rules")
    }

    fn invalidation(selectors: Selectors) -> Invalidation {
        Invalidation {
            id: EventId::fresh(),
            origin: "here".to_owned(),
            principal: Principal { name: "admin".to_owned(), role: Role::AdminToken },
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

    fn tagged(tag: &str) -> Demand {
        Demand::new(Mode::Hard, Selectors::one(Selector::Tag(label(tag))))
    }

    /// Names, cascade and plan of one id under the polymech graph; no store.
    #[divan::bench(sample_size = 500)]
    fn resolve_one_id(bencher: Bencher) {
        let rules = rules();
        bencher
            .with_inputs(|| invalidation(Selectors::one(entity(42))))
            .bench_values(|invalidation| rules.resolve(invalidation).total());
    }

    fn resolve_and_stamp(bencher: Bencher, entries: usize, tag: &str) {
        let rules = rules();
        let selectors = Selectors::one(Selector::Tag(label(tag)));
        bencher
            .with_inputs(|| {
                let invalidation = invalidation(selectors.clone());
                (warmed(entries, &rules), invalidation)
            })
            .bench_local_refs(|(store, invalidation)| {
                store.apply(&rules.resolve(invalidation.clone()).total())
            });
    }

    /// All N entries carry the tag. Without counting: this is what must not grow with N.
    #[divan::bench(args = SIZES, sample_count = STAMPS, sample_size = 1)]
    fn stamp_a_tag_of_all(bencher: Bencher, entries: usize) {
        resolve_and_stamp(bencher, entries, "shared");
    }

    /// The control: the same store, and a tag that none of the N entries carries.
    #[divan::bench(args = SIZES, sample_count = STAMPS, sample_size = 1)]
    fn stamp_a_tag_of_none(bencher: Bencher, entries: usize) {
        resolve_and_stamp(bencher, entries, "nobody's");
    }

    /// Stamped, and then every entry is counted and freed, however long it takes.
    #[divan::bench(args = SIZES, sample_count = SAMPLES, sample_size = 1)]
    fn apply_and_count_all(bencher: Bencher, entries: usize) {
        bencher
            .with_inputs(|| filled(entries, Duration::from_secs(60)))
            .bench_local_refs(|store| store.apply(&tagged("shared")));
    }

    /// As configured by default: counting stops after 20 ms, the sweep does the rest.
    #[divan::bench(args = SIZES, sample_count = SAMPLES, sample_size = 1)]
    fn apply_with_the_default_limit(bencher: Bencher, entries: usize) {
        bencher
            .with_inputs(|| filled(entries, Duration::from_millis(20)))
            .bench_local_refs(|store| store.apply(&tagged("shared")));
    }

    /// A tag that no entry carries, again and again: the least an invalidation costs the store.
    #[divan::bench(sample_size = 500)]
    fn apply_to_nothing(bencher: Bencher) {
        let store = filled(1_000, Duration::from_millis(20));
        let demand = Demand::new(Mode::Hard, Selectors::one(Selector::Type(posts())));
        bencher.bench(|| store.apply(&demand));
    }

    static LOOKUPS: LazyLock<(Memory, Vec<String>)> = LazyLock::new(|| {
        let keys = (0..KEYS).map(|number| format!("posts:{number}")).collect();
        (filled(KEYS, Duration::ZERO), keys)
    });

    thread_local! {
        static WALK: std::cell::RefCell<Walk> = const { std::cell::RefCell::new(Walk(1)) };
    }

    fn draw() -> usize {
        WALK.with_borrow_mut(|walk| walk.next(KEYS))
    }

    /// Any of 131,072 keys with the same chance: what the caches of the machine do not hold counts.
    #[divan::bench(threads = [1, 2], sample_size = 2_000)]
    fn lookup_hit(bencher: Bencher) {
        hit(bencher, KEYS);
    }

    /// Any of 1,024 keys: what the code costs.
    #[divan::bench(threads = [1, 2], sample_size = 2_000)]
    fn lookup_hit_hot(bencher: Bencher) {
        hit(bencher, 1_024);
    }

    fn hit(bencher: Bencher, below: usize) {
        let (store, keys) = &*LOOKUPS;
        bencher.bench(|| {
            let answer = store.lookup(&keys[draw() & (below - 1)]);
            assert!(answer.found().is_some(), "every key is there");
            answer
        });
    }

    #[divan::bench(threads = [1, 2], sample_size = 2_000)]
    fn lookup_miss(bencher: Bencher) {
        let (store, _) = &*LOOKUPS;
        let absent: Vec<String> = (0..1_024).map(|number| format!("absent:{number}")).collect();
        bencher.bench(|| store.lookup(&absent[draw() & 1_023]));
    }

    /// A key that is there already, with one tag: the fill replaces it.
    #[divan::bench(sample_size = 500)]
    fn admit_again(bencher: Bencher) {
        let store = filled(KEYS, Duration::ZERO);
        let ticket = store.ticket();
        bencher
            .with_inputs(|| fill(&format!("posts:{}", draw())))
            .bench_values(|fill| store.admit(fill, ticket).expect("fits"));
    }

    /// A page as an application stores it: type, id, two tags, and a path for its key.
    #[divan::bench(sample_size = 500)]
    fn admit_new_page(bencher: Bencher) {
        let store = Memory::new(config(Duration::ZERO));
        let ticket = store.ticket();
        let mut number = 0_usize;
        let page = move || {
            number += 1;
            Fill {
                type_name: Some(posts()),
                id: Some(label(&number.to_string())),
                tags: vec![label("shared"), label("home")],
                ..fill(&format!("/posts/{number}"))
            }
        };
        bencher
            .with_inputs(page)
            .bench_local_values(|fill| black_box(store.admit(fill, ticket)).expect("fits"));
    }
}

mod journal {
    use std::path::Path;
    use std::sync::Arc;

    use cache_mirror::domain::{Action, Demand, Event, EventId, Mode, Scope, Source};
    use cache_mirror::journal::{Config, FileDisk, Journal};
    use divan::counter::ItemsCount;

    use super::{Bencher, Selectors, entities};

    const APPENDS_EACH: usize = 32;

    /// With one destination that never acknowledges, as when a mirror is away.
    fn open(dir: &Path) -> Journal {
        let config = Config {
            dir: dir.to_owned(),
            segment_bytes: 4 << 20,
            events_kept: 10_000,
            bytes_kept: 16 << 20,
            backlog_members_max: 10_000,
        };
        let names = ["peer:eu".to_owned()];
        Journal::open(config, Arc::new(FileDisk), &names).expect("the journal opens").0
    }

    fn event() -> Event {
        Event {
            id: EventId::fresh(),
            seq: 0,
            epoch: 0,
            version: 0,
            at_ms: 1_700_000_000_000,
            origin: "here".to_owned(),
            principal: "admin".to_owned(),
            source: Source::Api,
            scope: Scope::Mirrored,
            demand: Demand::new(Mode::Hard, entities(42, 1)),
            cascade: Selectors::default(),
            action: Action::Update,
            reason: None,
            changed: vec![],
            fields: Default::default(),
            routes: vec![],
            covers: vec![],
            ends_here: false,
            quenched_for: None,
        }
    }

    /// Durable before the answer: N producers, each waiting for its own append before the next.
    #[divan::bench(args = [1, 64], sample_count = 30, sample_size = 1)]
    fn append_durably(bencher: Bencher, producers: usize) {
        let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
        let runtime = runtime.expect("a runtime");
        let journal = open(dir.path());
        let produce = |journal: Journal| async move {
            for _ in 0..APPENDS_EACH {
                journal.append(event()).await.expect("the disk takes it");
            }
        };
        let round = || {
            let tasks: Vec<_> =
                (0..producers).map(|_| runtime.spawn(produce(journal.clone()))).collect();
            for task in tasks {
                runtime.block_on(task).expect("a producer");
            }
        };
        bencher.counter(ItemsCount::new(producers * APPENDS_EACH)).bench_local(round);
        runtime.block_on(journal.close());
    }

    /// The floor: the same bytes into a preallocated file, one `fdatasync` each; no journal.
    #[divan::bench(sample_count = 30, sample_size = 1)]
    fn bare_write_and_sync(bencher: Bencher) {
        use std::os::unix::fs::FileExt as _;
        let file = tempfile::tempfile_in(env!("CARGO_TARGET_TMPDIR")).expect("a file");
        let record = serde_json::to_vec(&event()).expect("plain data");
        let zeros = vec![0_u8; 1 << 20];
        for at in 0..4_u64 {
            file.write_all_at(&zeros, at << 20).expect("preallocated");
        }
        file.sync_all().expect("synced");
        let mut at = 0;
        bencher.counter(ItemsCount::new(APPENDS_EACH)).bench_local(|| {
            for _ in 0..APPENDS_EACH {
                file.write_all_at(&record, at % (3 << 20)).expect("written");
                file.sync_data().expect("synced");
                at += record.len() as u64;
            }
        });
    }
}

mod selectors {
    use super::{Bencher, Selectors, entities, entity};

    /// Two unions of 1,000 ids, half of them the same.
    #[divan::bench]
    fn join_a_thousand(bencher: Bencher) {
        let (left, right) = (entities(0, 1_000), entities(500, 1_000));
        bencher.with_inputs(|| left.clone()).bench_local_refs(|left| left.join(&right));
    }

    /// 10,000 ids in a limit of 1,000: they become their type.
    #[divan::bench]
    fn widen_ten_thousand(bencher: Bencher) {
        let ids = entities(0, 10_000);
        bencher.with_inputs(|| ids.clone()).bench_local_refs(|ids| ids.widen_to(1_000));
    }

    /// What a worker does with 10,000 single events that waited for one peer.
    #[divan::bench]
    fn coalesce_ten_thousand_events(bencher: Bencher) {
        let events: Vec<Selectors> =
            (0..10_000).map(|number| Selectors::one(entity(number * 7_919 % 10_000))).collect();
        bencher.bench_local(|| {
            let mut union = Selectors::default();
            events.iter().for_each(|event| union.join(event));
            union
        });
    }
}
