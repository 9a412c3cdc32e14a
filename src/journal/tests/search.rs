//! Which events touched something: newest first, over pieces, and honest about what is gone.

use super::*;

#[tokio::test]
async fn the_newest_events_that_touch_it_come_first_whatever_lies_between() {
    let (journal, _) = open(&SimDisk::new());
    for id in 0..600 {
        let name = if id % 200 == 0 { "posts" } else { "pages" };
        journal.append(local(entity(name, &id.to_string()))).await.expect("durable");
    }
    let mut brought = local(whole("pictures"));
    brought.cascade = whole("posts");
    journal.append(brought).await.expect("durable");
    let post = [Selector::Entity(kind("posts"), Label::parse("400").expect("label"))];
    let found = journal.touching(&post, 10);
    let seqs: Vec<u64> = found.events.iter().map(|event| event.seq).collect();
    assert_eq!((seqs, found.is_complete), (vec![601, 401], true));
    let one = journal.touching(&post, 1);
    assert_eq!((one.events.len(), one.is_complete), (1, false), "the older ones were not asked");
    assert!(journal.touching(&[Selector::Tag(Label::parse("t").expect("label"))], 9).is_complete);
}

#[tokio::test]
async fn what_has_left_memory_makes_the_answer_incomplete() {
    let config = Config { events_kept: 3, ..config() };
    let (journal, _) = open_with(&config, &SimDisk::new(), &[]);
    for id in ["1", "2", "3", "4", "5"] {
        journal.append(local(entity("posts", id))).await.expect("durable");
    }
    let selector = |id: &str| Selector::Entity(kind("posts"), Label::parse(id).expect("label"));
    let gone = journal.touching(&[selector("1")], 5);
    assert_eq!((gone.events.len(), gone.is_complete), (0, false));
    let kept = journal.touching(&[selector("4")], 5);
    assert_eq!((kept.events.len(), kept.is_complete), (1, false));
}

/// What was done under some ids is known only while the journal has it, by mode, and no wider than
/// it was.
#[tokio::test]
async fn what_was_done_under_ids_covers_what_is_asked_in_the_same_mode() {
    let config = Config { events_kept: 3, ..config() };
    let (journal, _) = open_with(&config, &SimDisk::new(), &[]);
    let mut mixed = local(entity("posts", "1"));
    mixed.demand.join(&Demand::new(Mode::Soft, whole("pictures")));
    mixed.cascade = whole("feed");
    let mut other = local(entity("posts", "2"));
    other.cascade = whole("home");
    let mut ended = local(whole("pages"));
    ended.ends_here = true;
    let ids = [mixed.id, other.id, ended.id];
    for event in [mixed, other, ended] {
        journal.append(event).await.expect("durable");
    }
    let [first, second, third] = ids;
    let hard = |selectors| Demand::new(Mode::Hard, selectors);
    let soft = |selectors| Demand::new(Mode::Soft, selectors);
    let both: Selectors =
        ["1", "2"].iter().flat_map(|id| entity("posts", id).iter().collect::<Vec<_>>()).collect();
    for (ids, asked, expected) in [
        (vec![first], hard(entity("posts", "1")), true),
        (vec![first], soft(entity("posts", "1")), true),
        (vec![first], hard(entity("posts", "2")), false),
        (vec![first], soft(whole("posts")), false),
        (vec![first], soft(whole("pictures")), true),
        (vec![first], hard(whole("pictures")), false),
        (vec![first], soft(whole("feed")), true),
        (vec![first], hard(whole("feed")), false),
        (vec![second], hard(whole("home")), true),
        (vec![first, second], hard(both.clone()), true),
        (vec![first, EventId::fresh()], hard(entity("posts", "1")), false),
        (vec![third], hard(whole("pages")), false),
        (vec![], hard(entity("posts", "1")), false),
    ] {
        assert_eq!(journal.has_done(&ids, &asked), expected, "{ids:?} {asked:?}");
    }
    journal.append(local(whole("x"))).await.expect("durable");
    assert!(!journal.has_done(&[first], &hard(entity("posts", "1"))), "it left memory");
    assert!(journal.has_done(&[second], &hard(entity("posts", "2"))));
}
