//! A destination that never answers.
//! What it is owed stays bounded in memory and on disk, by widening and never by forgetting.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_thousand_events_for_a_dead_destination_stay_within_bounds() {
    const EVENTS: usize = 100_000;
    const MEMBERS_MAX: usize = 500;
    let settings = Config {
        events_kept: 100,
        backlog_members_max: MEMBERS_MAX,
        segment_bytes: 4 << 20,
        ..config()
    };
    let disk = SimDisk::new();
    let (journal, _) = open_with(&settings, &disk, &["dead"]);
    let labels: Vec<_> =
        (0..EVENTS).map(|id| entity(&format!("t{}", id % 40), &id.to_string())).collect();
    for part in labels.chunks(500) {
        let appends = part.iter().map(|selectors| journal.append(mirrored(selectors.clone())));
        for receipt in futures_util::future::join_all(appends).await {
            receipt.expect("durable");
        }
    }
    let check = |journal: &Journal| {
        let backlog = pending(journal, "dead").expect("due");
        assert!(backlog.events.len() <= 100 && backlog.merged.members() <= MEMBERS_MAX);
        assert_eq!(journal.backlog_size("dead").events, EVENTS as u64);
        assert_eq!(backlog.merged_count + backlog.events.len() as u64, EVENTS as u64);
        assert!(!backlog.widened, "40 whole types fit; nothing had to become all");
        let owed = backlog.demand();
        assert!(labels.iter().all(|selectors| owed.hard.covers(selectors)));
    };
    check(&journal);
    assert!(journal.health().segments <= 3);
    journal.close().await;
    check(&open_with(&settings, &disk.kill(), &["dead"]).0);
}

#[tokio::test]
async fn past_every_bound_it_is_owed_all_and_that_says_it_was_widened() {
    let settings = Config { events_kept: 5, backlog_members_max: 10, ..config() };
    let (journal, _) = open_with(&settings, &SimDisk::new(), &["dead"]);
    for id in 0..40 {
        journal.append(mirrored(whole(&format!("type{id}x")))).await.expect("durable");
    }
    let backlog = pending(&journal, "dead").expect("due");
    assert!(backlog.widened && backlog.merged.hard.is_all());
    assert!(journal.backlog_size("dead").widened);
    journal.append(mirrored(Selectors::all())).await.expect("durable");
    for _ in 0..5 {
        journal.append(mirrored(whole("posts"))).await.expect("durable");
    }
    let asked = pending(&journal, "dead").expect("due");
    assert!(asked.merged.hard.is_all() && !asked.widened, "somebody asked for this all");
}

#[tokio::test]
async fn what_leaves_the_ring_during_a_send_is_settled_by_its_acknowledgement() {
    let settings = Config { events_kept: 3, ..config() };
    let (journal, _) = open_with(&settings, &SimDisk::new(), &["a"]);
    for id in ["1", "2"] {
        journal.append(mirrored(entity("posts", id))).await.expect("durable");
    }
    let sent = pending(&journal, "a").expect("due");
    for id in ["3", "4", "5"] {
        journal.append(mirrored(entity("posts", id))).await.expect("durable");
    }
    assert_eq!(pending(&journal, "a").expect("due").merged_count, 2);
    journal.ack("a", &sent);
    let rest = pending(&journal, "a").expect("due");
    assert_eq!((rest.merged_count, rest.events.len()), (0, 3));

    // And what grew past the send stays, even where that says something twice.
    journal.append(mirrored(entity("posts", "6"))).await.expect("durable");
    let sent = journal
        .pending("a", Limits { events_max: 1, bytes_max: 0, members_max: usize::MAX })
        .expect("due");
    for id in ["7", "8", "9"] {
        journal.append(mirrored(entity("posts", id))).await.expect("durable");
    }
    journal.ack("a", &sent);
    assert!((5..=9).all(|id| owed(&journal, "a").hard.covers(&entity("posts", &id.to_string()))));
}

#[tokio::test]
async fn a_loop_of_crashes_does_not_fill_the_directory() {
    const LIVES: u64 = 300;
    let settings = Config { segment_bytes: 1024, ..config() };
    let mut disk = SimDisk::new();
    for life in 0..LIVES {
        let (journal, recovered) = open_with(&settings, &disk, &["a"]);
        assert_eq!(recovered.damaged, None);
        journal.append(mirrored(entity("posts", &life.to_string()))).await.expect("durable");
        assert!(journal.health().segments <= 256);
        disk = disk.kill();
    }
    let (journal, recovered) = open_with(&settings, &disk, &["a"]);
    assert_eq!((recovered.damaged, recovered.head), (None, LIVES));
    let owed = owed(&journal, "a").hard;
    assert!((0..LIVES).all(|life| owed.covers(&entity("posts", &life.to_string()))));
}

/// What memory an event takes counts, not how short its record is.
#[tokio::test]
async fn many_short_selectors_are_not_kept_as_if_they_were_small() {
    let settings = Config { bytes_kept: 1 << 20, ..config() };
    let (journal, _) = open_with(&settings, &SimDisk::new(), &[]);
    for round in 0..60 {
        let tags =
            (0..1000).map(|n| Selector::Tag(Label::parse(&format!("{round}{n}")).expect("label")));
        journal.append(local(tags.collect())).await.expect("durable");
    }
    let kept = journal.after(0, usize::MAX).events.len();
    assert!((5..16).contains(&kept), "{kept} events of 64 kB and more in a megabyte");
}
