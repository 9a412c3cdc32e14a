//! Background work: what was cleared, banned, stamped or expired does not stay for ever.
//! The sweep frees memory; correctness never waits for it.

use super::*;

const LONG: Duration = Duration::from_secs(60);

fn sweep_all(store: &Memory) {
    while store.sweep(LONG).more {}
}

#[test]
fn a_tag_of_a_hundred_thousand_is_counted_exactly_and_its_memory_comes_back() {
    let (store, clock) = store_of(Config { bytes_max: 1 << 30, ..config() });
    for n in 0..100_000 {
        let one = Fill { type_name: Some(type_name("posts")), ..tagged(&format!("k:{n}"), "t") };
        put(&store, Fill { path: Some(url_path(&format!("/{n}"))), ..one });
    }
    put(&store, fill("other"));
    let applied = store.apply(&hard(tag("t")));
    assert_eq!((applied.entries, applied.types["posts"]), (100_000, 100_000));
    assert_eq!(store.stats().entries, 1);
    clock.advance(secs(1));
    sweep_all(&store);
    for _ in 0..16 {
        store.sweep(LONG);
    }
    assert_eq!(store.stats().stamps, 1, "only the stamp itself is remembered");
}

#[test]
fn what_counting_had_no_time_for_is_gone_at_once_and_reclaimed_later() {
    for selector in [tag("t"), Selector::All, pattern("k*"), Selector::PathPrefix(url_path("/"))] {
        let (store, _) = store_of(Config { count_time_max: Duration::ZERO, ..config() });
        for n in 0..2_000 {
            put(&store, Fill { path: Some(url_path("/p")), ..tagged(&format!("k{n}"), "t") });
        }
        let applied = store.apply(&hard(selector.clone()));
        assert!(!applied.count_complete);
        assert!((0..2_000).all(|n| is_miss(&store, &format!("k{n}"))), "{selector}");
        let step = store.sweep(Duration::from_nanos(1));
        assert!(step.more || store.stats().entries == 0);
        sweep_all(&store);
        let stats = store.stats();
        assert_eq!((stats.entries, stats.bytes), (0, 0), "{selector}");
        put(&store, Fill { path: Some(url_path("/p")), ..tagged("k1", "t") });
        sweep_all(&store);
        assert!(!is_miss(&store, "k1"), "a new fill is not taken for an old one");
    }
}

#[test]
fn expired_entries_leave() {
    let (store, clock) = store();
    put(&store, Fill { ttl: Some(secs(1)), ..fill("a") });
    put(&store, Fill { ttl: Some(secs(1)), swr: Some(secs(100)), ..fill("b") });
    put(&store, fill("c"));
    clock.advance(secs(20));
    assert_eq!(store.sweep(LONG).removed, 1);
    let stats = store.stats();
    assert_eq!((stats.entries, stats.expired_entries), (2, 1));
}

#[test]
fn an_entry_whose_ttl_has_passed_is_counted_at_once() {
    let (store, clock) = store();
    let expired = || store.stats().expired_entries;
    for key in ["a", "b", "c", "d"] {
        put(&store, Fill { ttl: Some(secs(10)), ..tagged(key, "t") });
    }
    put(&store, Fill { ttl: Some(secs(10)), swr: Some(secs(100)), ..tagged("stale", "t") });
    put(&store, tagged("fresh", "t"));
    store.apply(&soft(tag("t")));
    clock.advance(Duration::from_millis(9_999));
    assert_eq!(expired(), 0, "a soft invalidation shortens no ttl");
    clock.advance(Duration::from_millis(1));
    assert_eq!(expired(), 5, "no sweep is needed");
    put(&store, Fill { ttl: Some(secs(10)), ..tagged("a", "t") });
    assert_eq!(expired(), 4, "a replaced entry counts no more");
    store.apply(&hard(Selector::Key(label("b"))));
    sweep_all(&store);
    assert_eq!(expired(), 1, "what was cleared or swept counts no more: {:?}", store.stats());
    store.apply(&hard(tag("t")));
    sweep_all(&store);
    assert_eq!((store.stats().entries, expired()), (0, 0));
}

/// Whatever way an entry leaves the map: replaced, evicted, cleared, swept, or never let in.
#[test]
fn every_entry_is_counted_by_its_expiry_exactly_once() {
    let (store, clock) = store_of(Config { bytes_max: 256 << 10, ..config() });
    for n in 0..5_000_u64 {
        let ttl = Some(Duration::from_millis(1 + n * 37 % 9_000));
        let entry = tagged(&format!("k{}", n * 7919 % 900), &format!("t{}", n % 10));
        let _ = store.admit(Fill { ttl, ..entry }, store.ticket());
        clock.advance(Duration::from_millis(n % 11));
        match n % 100 {
            20 => drop(store.apply(&hard(tag(&format!("t{}", n / 100 % 10))))),
            40 => drop(store.apply(&soft(tag("t3")))),
            60 => drop(store.sweep(LONG)),
            80 => drop(store.apply(&hard(pattern("k1*")))),
            _ => {}
        }
        let now = store.inner.now_ms();
        let is_past = |it: &Arc<entry::StoredEntry>| it.fresh_until_ms().div_ceil(100) <= now / 100;
        let past = store.inner.map.iter().filter(is_past).count() as u64;
        assert_eq!(store.stats().expired_entries, past, "after {n}");
        assert_eq!(store.inner.map.counted(), store.inner.map.len() as u64, "after {n}");
    }
    assert!(store.stats().evictions > 0, "{:?}", store.stats());
}

#[test]
fn an_enforced_ban_still_fences_fills_until_the_floor_passes_it() {
    let (store, clock) = store_of(Config { count_time_max: Duration::ZERO, ..config() });
    let old = store.ticket();
    put(&store, fill("k1"));
    store.sweep(LONG);
    store.apply(&hard(pattern("k*")));
    assert_eq!((store.inner.fence.read().live(), store.stats().bans), (1, 1));
    sweep_all(&store);
    assert_eq!((store.inner.fence.read().live(), store.stats().bans), (0, 1));
    assert_eq!(store.admit(fill("k2"), old), Err(FillRefusal::Overtaken));
    clock.advance(secs(10));
    store.sweep(LONG);
    clock.advance(secs(600));
    sweep_all(&store);
    assert_eq!(store.stats().bans, 0);
    assert_eq!(store.admit(fill("k2"), old), Err(FillRefusal::TicketExpired));
    put(&store, fill("k2"));
}

#[test]
fn a_soft_ban_that_was_swept_keeps_its_window() {
    let (store, clock) = store_of(Config { count_time_max: Duration::ZERO, ..config() });
    put(&store, fill("k1"));
    store.apply(&soft(pattern("k*")));
    clock.advance(secs(30));
    sweep_all(&store);
    assert_eq!(store.inner.fence.read().live(), 0);
    assert_eq!(store.lookup("k1").as_str(), "stale");
    clock.advance(secs(30));
    assert!(is_miss(&store, "k1"), "counted from the invalidation, not from the sweep");
}

#[test]
fn too_many_live_bans_become_one_stamp_on_everything() {
    let tight = Config { count_time_max: Duration::ZERO, bans_max: 2, ..config() };
    for (mode, expected) in [(Mode::Hard, "miss"), (Mode::Soft, "stale")] {
        let (store, _) = store_of(tight.clone());
        put(&store, fill("a"));
        put(&store, fill("bystander"));
        let old = store.ticket();
        for text in ["a*", "x*", "a*", "y*"] {
            let demand = Demand::new(mode, Selectors::one(pattern(text)));
            store.apply(&demand);
        }
        assert_eq!(store.stats().bans_collapsed, 1, "equal bans count once");
        assert_eq!(store.lookup("a").as_str(), expected);
        assert_eq!(store.lookup("bystander").as_str(), expected, "too much, never too little");
        assert_eq!(store.admit(fill("a"), old), Err(FillRefusal::Overtaken));
        put(&store, fill("a"));
        assert_eq!(store.lookup("a").as_str(), "hit");
    }
}

#[test]
fn too_many_fences_give_up_the_oldest_fills_and_clear_nothing() {
    let (store, _) = store_of(Config { bans_max: 4, ..config() });
    put(&store, fill("bystander"));
    let old = store.ticket();
    for n in 0..100 {
        store.apply(&hard(pattern(&format!("x{n}"))));
    }
    assert!(store.stats().bans <= 4);
    assert_eq!(store.stats().bans_collapsed, 0);
    assert!(!is_miss(&store, "bystander"));
    assert_eq!(store.admit(fill("x0"), old), Err(FillRefusal::TicketExpired));
}

#[test]
fn stamps_without_entries_are_remembered_as_long_as_a_ticket_may_come() {
    let (store, clock) = store();
    let old = store.ticket();
    store.sweep(LONG);
    for n in 0..5_000 {
        store.apply(&hard(tag(&format!("t{n}"))));
    }
    sweep_all(&store);
    assert_eq!(store.stats().stamps, 5_000);
    assert_eq!(store.admit(tagged("a", "t17"), old), Err(FillRefusal::Overtaken));
    clock.advance(secs(10));
    store.sweep(LONG);
    clock.advance(secs(600));
    for _ in 0..16 {
        store.sweep(LONG);
    }
    let stats = store.stats();
    assert_eq!((stats.stamps, stats.floor), (0, stats.generation));
    assert_eq!(store.admit(tagged("a", "t17"), old), Err(FillRefusal::TicketExpired));
    put(&store, tagged("a", "t17"));
}

#[test]
fn too_many_stamps_give_up_old_tickets_instead_of_memory() {
    let (store, _) = store_of(Config { stamps_max: 640, ..config() });
    let old = store.ticket();
    put(&store, tagged("kept", "t0"));
    for n in 0..200_000 {
        store.apply(&hard(tag(&format!("x{n}"))));
    }
    let stats = store.stats();
    assert!(stats.stamps < 80_000, "{stats:?}");
    for _ in 0..16 {
        store.sweep(LONG);
    }
    assert!(store.stats().stamps <= 640 + 64, "{:?}", store.stats());
    assert_eq!(store.admit(tagged("a", "x1"), old), Err(FillRefusal::TicketExpired));
    assert!(!is_miss(&store, "kept"));
    assert_eq!(store.apply(&hard(tag("t0"))).entries, 1);
}

/// Names without an entry are bounded in bytes, not only in number.
#[test]
fn names_that_are_remembered_are_bounded_in_bytes() {
    let (store, _) = store_of(Config { stamps_max: 1_000_000, ..config() });
    let long = "x".repeat(1_000);
    for n in 0..200_000 {
        store.apply(&hard(tag(&format!("{long}{n}"))));
    }
    for shard in 0..16 {
        assert!(store.stats().stamps < 150_000, "{shard}: {:?}", store.stats());
        store.sweep(LONG);
    }
    assert!(store.stats().stamps < 70_000, "64 MiB of names: {:?}", store.stats());
}

#[tokio::test]
async fn the_sweeper_is_woken_by_an_invalidation_and_stops_when_told() {
    let store = Memory::new(Config { count_time_max: Duration::ZERO, ..config() });
    let stop = tokio_util::sync::CancellationToken::new();
    let running = tokio::spawn(store.clone().run_sweeper(stop.clone()));
    for n in 0..1_000 {
        put(&store, tagged(&format!("k{n}"), "t"));
    }
    store.apply(&hard(tag("t")));
    let emptied = async {
        while store.stats().entries > 0 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(secs(30), emptied).await.expect("swept");
    stop.cancel();
    tokio::time::timeout(secs(30), running).await.expect("stops").expect("no panic");
}

#[test]
fn an_entry_that_was_replaced_while_somebody_read_it_is_not_counted() {
    let (store, _) = store();
    put(&store, tagged("a", "t"));
    let _reader = store.inner.map.peek("a").expect("held");
    put(&store, tagged("a", "t"));
    assert_eq!(store.estimate(&hard(tag("t"))).entries, 1);
    assert_eq!(store.apply(&hard(tag("t"))).entries, 1);
}

/// Patterns that are costly to compare cannot keep the counting beyond its time: what is compared
/// counts, not how many entries were looked at. A pattern that is told costs no more than that.
#[test]
fn counting_stops_by_the_work_done_and_not_by_the_number_of_entries() {
    let limit = Duration::from_millis(5);
    let (store, _) = store_of(Config { count_time_max: limit, ..config() });
    for at in 0..200 {
        put(&store, fill(&format!("{}{at}", "a".repeat(900))));
    }
    let many = "a".repeat(200);
    let costly = (0..900).map(|at| pattern(&format!("*{many}?{many}b{at}*")));
    let demand = Demand::new(Mode::Hard, costly.collect());
    for apply in [Memory::estimate, Memory::apply] {
        let begun = std::time::Instant::now();
        let applied = apply(&store, &demand);
        assert!(!applied.count_complete, "200 entries by 900 patterns take longer");
        // One entry may be under way when the time is up.
        assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    }
}

/// More patterns in one demand than may live at once become everything, as hard as the hardest, and
/// the forecast says so.
#[test]
fn too_many_patterns_of_one_demand_clear_everything() {
    for (mode, word) in [(Mode::Hard, "miss"), (Mode::Soft, "stale")] {
        let (store, _) = store_of(Config { bans_max: 4, ..config() });
        (0..10).for_each(|at| put(&store, fill(&format!("k{at}"))));
        let patterns = (0..5).map(|at| pattern(&format!("x{at}*")));
        let demand = Demand::new(mode, patterns.collect());
        assert_eq!(store.estimate(&demand).entries, 10);
        assert_eq!(store.apply(&demand).entries, 10);
        assert_eq!((store.lookup("k1").as_str(), store.stats().bans), (word, 0));
        assert_eq!(store.stats().bans_collapsed, 1);
    }
}
