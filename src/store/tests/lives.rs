//! Lives: ttl, swr, soft windows, the election of one refresh, what is refused.
//! Every life is finite, and no window is prolonged by asking again.

use super::*;

fn refresh_of(answer: &Lookup) -> Option<Ticket> {
    match answer {
        Lookup::Stale { refresh, .. } => *refresh,
        other => panic!("{}", other.as_str()),
    }
}

/// S0 0.10, S1 1.2: where nobody calls, an entry ends by its life.
#[test]
fn an_entry_lives_as_long_as_requested() {
    let (store, clock) = store();
    let told = Fill { ttl: Some(secs(10)), swr: Some(secs(5)), ..fill("a") };
    let admitted = store.admit(told, store.ticket()).expect("admitted");
    assert_eq!((admitted.ttl, admitted.swr, admitted.replaced), (secs(10), secs(5), false));
    clock.advance(secs(9));
    let Lookup::Hit(found) = store.lookup("a") else { panic!("fresh at 9 s") };
    assert_eq!((found.age, found.ttl_left, &found.body[..]), (secs(9), 1, &b"a"[..]));
    clock.advance(secs(3));
    let stale = store.lookup("a");
    assert!(refresh_of(&stale).is_some(), "the first reader is asked to refresh");
    assert_eq!(stale.found().map(|found| found.ttl_left), Some(-2));
    clock.advance(secs(3));
    assert!(is_miss(&store, "a"), "past swr");
}

#[test]
fn lives_are_always_finite() {
    let (store, _) = store();
    for (asked, given) in [
        (None, secs(300)),
        (Some(Duration::ZERO), secs(300)),
        (Some(secs(7)), secs(7)),
        (Some(Duration::MAX), secs(604_800)),
        (Some(Duration::from_nanos(1)), Duration::from_millis(1)),
    ] {
        let asking = Fill { ttl: asked, swr: Some(Duration::MAX), ..fill("a") };
        let admitted = store.admit(asking, store.ticket()).expect("admitted");
        assert_eq!((admitted.ttl, admitted.swr), (given, secs(604_800)), "{asked:?}");
    }
}

#[test]
fn a_soft_invalidation_lets_one_reader_refresh_while_the_others_go_on() {
    let (store, clock) = store();
    put(&store, tagged("a", "t"));
    assert_eq!(store.apply(&soft(tag("t"))).entries, 1);
    let ticket = refresh_of(&store.lookup("a")).expect("elected");
    assert_eq!(refresh_of(&store.lookup("a")), None);
    clock.advance(secs(10));
    assert!(refresh_of(&store.lookup("a")).is_some(), "the lease lapsed");
    assert_eq!(refresh_of(&store.lookup("a")), None);
    store.admit(tagged("a", "t"), ticket).expect("begun after the soft stamp");
    assert!(matches!(store.lookup("a"), Lookup::Hit(_)));
    clock.advance(secs(120));
    assert!(matches!(store.lookup("a"), Lookup::Hit(_)), "the new one is not stale");
}

#[test]
fn a_refresh_that_is_overtaken_or_withdrawn_makes_room_for_another() {
    let (store, _) = store();
    put(&store, tagged("a", "t"));
    store.apply(&soft(tag("t")));
    let ticket = refresh_of(&store.lookup("a")).expect("elected");
    store.apply(&soft(tag("t")));
    assert_eq!(store.admit(tagged("a", "t"), ticket), Err(FillRefusal::Overtaken));
    assert!(refresh_of(&store.lookup("a")).is_some());
    store.withdraw("a");
    assert!(refresh_of(&store.lookup("a")).is_some());
}

#[test]
fn the_soft_window_ends_and_is_not_prolonged() {
    for selector in [tag("t"), Selector::Key(label("a")), pattern("a*"), Selector::All] {
        let (store, clock) = store();
        put(&store, tagged("a", "t"));
        assert_eq!(store.apply(&soft(selector.clone())).entries, 1);
        clock.advance(secs(40));
        assert_eq!(store.apply(&soft(selector.clone())).entries, 0, "it was stale already");
        clock.advance(secs(19));
        assert_eq!(store.lookup("a").as_str(), "stale", "{selector}");
        clock.advance(secs(1));
        assert!(is_miss(&store, "a"), "{selector}");
    }
}

#[test]
fn hard_wins_over_a_running_soft_window() {
    let (store, _) = store();
    put(&store, tagged("a", "t"));
    store.apply(&soft(tag("t")));
    assert_eq!(store.apply(&hard(tag("t"))).entries, 1);
    assert!(is_miss(&store, "a"));
}

#[test]
fn tickets_of_other_processes_and_forged_ones_are_refused() {
    let ((store, _), (other, _)) = (store(), store());
    let ticket = store.ticket();
    assert_eq!(store.parse_ticket(&ticket.to_string()), Ok(ticket));
    assert_eq!(store.admit(fill("a"), other.ticket()), Err(FillRefusal::ForeignTicket));
    let future = Ticket { generation: ticket.generation + 1, ..ticket };
    assert_eq!(store.admit(fill("a"), future), Err(FillRefusal::ForeignTicket));
    let foreign = other.ticket().to_string();
    for text in ["", "-", "x-1", "1", "1-", "-1", "+1-1", "1-+1", &foreign] {
        assert_eq!(store.parse_ticket(text), Err(FillRefusal::ForeignTicket), "{text:?}");
    }
    assert!(is_miss(&store, "a"));
}

#[test]
fn a_body_of_a_mebibyte_fits_by_default_and_what_does_not_fit_is_said() {
    let (store, _) = store();
    let big = |bytes: usize| Fill { body: Bytes::from(vec![7; bytes]), ..fill("big") };
    put(&store, big(1 << 20));
    assert_eq!(store.lookup("big").found().map(|found| found.body.len()), Some(1 << 20));
    let refused = store.admit(big(64 << 20), store.ticket());
    assert!(matches!(refused, Err(FillRefusal::TooLarge { .. })), "{refused:?}");
    // Exactly what is promised to fit does, one byte more is refused and never silently dropped.
    let most = usize::try_from(store.inner.map.entry_bytes_max()).expect("fits");
    let body = most - 3 - usize::try_from(super::super::entry::ENTRY_BYTES).expect("fits");
    put(&store, big(body));
    assert!(!is_miss(&store, "big"));
    assert!(store.admit(big(body + 1), store.ticket()).is_err());
}

#[test]
fn the_store_stays_within_its_bytes_and_so_do_its_tags() {
    let (store, _) = store_of(Config { bytes_max: 4 << 20, ..config() });
    for n in 0..40_000 {
        put(&store, tagged(&format!("key:{n}"), "t"));
    }
    let stats = store.stats();
    assert!(stats.bytes <= 4 << 20 && stats.evictions > 0, "{stats:?}");
    let members = store.inner.cells.get("ct").expect("interned").len() as u64;
    assert!(members <= 2 * stats.entries + 8, "{members} members of {} entries", stats.entries);
    let applied = store.apply(&hard(tag("t")));
    assert_eq!(applied.entries, stats.entries, "evicted entries are not counted as cleared");
}

#[test]
fn listings_show_what_may_be_served() {
    let (store, clock) = store();
    put(&store, Fill { type_name: Some(type_name("post")), ..tagged("p:1", "t") });
    put(&store, Fill { type_name: Some(type_name("posts")), ..fill("p:2") });
    put(&store, Fill { ttl: Some(secs(1)), ..tagged("q:1", "t") });
    let keys = |filter: EntryFilter| {
        let mut keys: Vec<_> =
            store.list(&filter, 10).into_iter().map(|one| one.key.to_string()).collect();
        keys.sort();
        keys.join(" ")
    };
    assert_eq!(keys(EntryFilter::default()), "p:1 p:2 q:1");
    let by_type = EntryFilter { type_name: Some(type_name("posts")), ..EntryFilter::default() };
    assert_eq!(keys(by_type.clone()), "p:1 p:2");
    let by_tag = EntryFilter { tag: Some(label("t")), ..EntryFilter::default() };
    assert_eq!(keys(by_tag.clone()), "p:1 q:1");
    assert_eq!(keys(EntryFilter { tag: Some(label("t")), ..by_type.clone() }), "p:1");
    assert_eq!(keys(EntryFilter { prefix: Some("q".into()), ..EntryFilter::default() }), "q:1");
    assert_eq!(store.list(&EntryFilter::default(), 1).len(), 1);
    clock.advance(secs(1));
    assert_eq!(keys(by_tag), "p:1", "expired ones are not listed");
    store.apply(&hard(Selector::Type(type_name("posts"))));
    assert_eq!(keys(by_type), "");
}

/// A list is cleared, counted and forecast with any entity of its type, in the mode of that; other
/// entities and lists of other types stay.
#[test]
fn a_list_goes_with_every_entity_of_its_type() {
    let entity = |of: &str, id: &str| Selector::Entity(type_name(of), label(id));
    let of = |key: &str, kind: &str, id: Option<&str>| Fill {
        type_name: Some(type_name(kind)),
        id: id.map(label),
        ..fill(key)
    };
    let (store, _) = store();
    let rows = [("index", "posts", None), ("page2", "post", None), ("42", "posts", Some("42"))];
    let others = [("43", "posts", Some("43")), ("feed", "feed", None)];
    let put_all = || rows.iter().chain(&others).for_each(|(k, t, id)| put(&store, of(k, t, *id)));
    put_all();
    let demand = hard(entity("posts", "42"));
    let forecast = store.estimate(&demand);
    let applied = store.apply(&demand);
    assert_eq!((applied.entries, forecast.entries), (3, 3));
    assert_eq!(applied.types, forecast.types);
    rows.iter().for_each(|(key, ..)| assert!(is_miss(&store, key), "{key}"));
    others.iter().for_each(|(key, ..)| assert!(!is_miss(&store, key), "{key}"));
    // Of an entity that nobody ever stored.
    put_all();
    assert_eq!(store.apply(&soft(entity("post", "99"))).entries, 2);
    for (key, word) in [("index", "stale"), ("page2", "stale"), ("42", "hit"), ("43", "hit")] {
        assert_eq!(store.lookup(key).as_str(), word, "{key}");
    }
    assert_eq!(store.apply(&hard(entity("posts", "1"))).entries, 2, "stale ones are still there");
}

/// Ids of one type stamp its lists once, whatever their number.
#[test]
fn lists_cost_one_stamp_for_each_type() {
    let (store, _) = store();
    let ids = (0..1_000).map(|id| Selector::Entity(type_name("posts"), label(&id.to_string())));
    store.apply(&Demand::new(Mode::Hard, Selectors::from_iter(ids)));
    assert_eq!(store.stats().stamps, 1_001);
}

/// A fill without a ticket is judged as if it had begun `fill_time_max` ago.
#[test]
fn a_fill_without_a_ticket_is_doubtful_for_as_long_as_a_fill_may_take() {
    let (store, clock) = store();
    let doubtful = |key: &str, tag: &str| {
        let taken = store.admit_unfenced(tagged(key, tag), store.ticket()).expect("taken");
        taken.is_doubtful
    };
    assert!(!doubtful("a", "t"));
    store.apply(&hard(tag("t")));
    assert!(doubtful("a", "t") && !doubtful("b", "u"));
    clock.advance(secs(20));
    store.apply(&soft(tag("u")));
    assert!(doubtful("a", "t") && doubtful("b", "u"));
    clock.advance(secs(11));
    assert!(!doubtful("a", "t") && doubtful("b", "u"), "t is 31 seconds ago, u 11");
    clock.advance(secs(30));
    assert!(!doubtful("b", "u"));
}
