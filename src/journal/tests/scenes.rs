//! One journal, one story each.
//! They read as the promises of `journal` do, in the same order.

use super::*;
use crate::journal::WriteRefusal;
use crate::journal::sim::Faults;

#[tokio::test]
async fn a_destination_is_owed_what_it_has_not_acknowledged_and_nothing_else() {
    let disk = SimDisk::new();
    let (journal, recovered) = open(&disk);
    assert_eq!(recovered.damaged, None);
    assert_eq!(recovered.added, names(&["a", "b"]));
    assert_eq!(pending(&journal, "a"), None);

    let first = journal.append(mirrored(entity("posts", "1"))).await.expect("durable");
    journal.append(local(whole("pages"))).await.expect("durable");
    let sent = pending(&journal, "a").expect("one is due");
    assert_eq!((sent.events.len(), sent.through), (1, 2), "the local one is settled with it");
    let second = journal.append(mirrored(entity("posts", "2"))).await.expect("durable");
    journal.ack("a", &sent);

    assert!(journal.is_acknowledged("a", first.seq) && !journal.is_acknowledged("b", first.seq));
    assert!(!journal.is_acknowledged("a", second.seq) && !journal.is_acknowledged("a", 99));
    assert_eq!(owed(&journal, "a").hard, entity("posts", "2"));
    assert_eq!(journal.backlog_size("b").events, 2);
    journal.skip_to_head("b");
    assert_eq!(pending(&journal, "b"), None);
    assert_eq!(journal.cursor("b"), Some(3));
}

#[tokio::test]
async fn limits_cut_a_backlog_but_one_event_always_fits() {
    let (journal, _) = open(&SimDisk::new());
    for id in ["1", "2", "3"] {
        journal.append(mirrored(entity("posts", id))).await.expect("durable");
    }
    let limits = Limits { events_max: 2, bytes_max: usize::MAX, members_max: usize::MAX };
    let two = journal.pending("a", limits).expect("due");
    assert_eq!((two.events.len(), two.through), (2, 2));
    let tight = Limits { events_max: 0, bytes_max: 0, members_max: usize::MAX };
    let one = journal.pending("a", tight).expect("due");
    assert_eq!((one.events.len(), one.through), (1, 1));
    journal.ack("a", &two);
    journal.ack("a", &one);
    assert_eq!(journal.cursor("a"), Some(2), "an older acknowledgement moves nothing back");
}

#[tokio::test]
async fn everything_is_there_again_after_a_restart() {
    let disk = SimDisk::new();
    let (journal, _) = open(&disk);
    let mut batch = local(whole("feed"));
    batch.covers = vec![EventId::fresh()];
    let ids: Vec<_> = batch.known_ids().collect();
    let first = journal.append(mirrored(entity("posts", "1"))).await.expect("durable");
    journal.append(batch).await.expect("durable");
    let sent = pending(&journal, "a").expect("due");
    journal.ack("a", &sent);
    let versions = journal.versions();
    journal.close().await;
    assert_eq!(journal.append(local(whole("x"))).await, Err(WriteRefusal::Closed));

    let (again, recovered) = open_with(&config(), &disk.kill(), &["b", "c"]);
    assert_eq!((recovered.damaged, recovered.events, recovered.head), (None, 2, 2));
    let Recovered { added, reconciled, .. } = recovered;
    assert_eq!(added, names(&["c"]));
    assert_eq!(reconciled.removed.len(), 1, "a is kept for a while");
    assert_eq!(again.versions(), versions);
    assert_eq!(again.versions().types[&kind("post")], 1);
    assert!(again.epoch() > journal.epoch());
    assert_eq!(owed(&again, "b").hard, entity("posts", "1"));
    assert_eq!(pending(&again, "c"), None);
    let event = again.event(ids[1]).expect("found by what it covers");
    assert_eq!((event.id, event.seq, event.epoch), (ids[0], 2, first.epoch));
    let whole_feed = Demand::new(Mode::Hard, whole("feed"));
    assert!(again.has_done(&ids, &whole_feed), "what was done under both ids is known again");
    let third = again.append(local(Selectors::all())).await.expect("durable");
    assert_eq!((third.seq, third.version), (3, 3));
    let versions = again.versions();
    assert_eq!((versions.types[&kind("posts")], versions.last_clear_ms), (2, Some(1_000)));
}

#[tokio::test]
async fn a_flushed_acknowledgement_survives_power_loss_without_being_sent_again() {
    let disk = SimDisk::new();
    let (journal, _) = open(&disk);
    journal.append(mirrored(whole("posts"))).await.expect("durable");
    let mut acks = journal.acks();
    let sent = pending(&journal, "a").expect("due");
    journal.ack("a", &sent);
    acks.changed().await.expect("the ack ticks");
    journal.flush().await;
    let (again, recovered) = open(&disk.cut_power(1));
    assert_eq!(recovered.damaged, None);
    assert_eq!(pending(&again, "a"), None);
    assert!(pending(&again, "b").is_some());
}

/// Journals of older versions hold back some events from every mirror until a release.
#[tokio::test]
async fn what_an_older_version_held_back_is_owed_after_a_start() {
    let disk = SimDisk::new();
    let (journal, _) = open(&disk);
    let quench = |selectors| Event { quenched_for: Some("m".to_owned()), ..mirrored(selectors) };
    let released = quench(whole("feed"));
    journal.append(released.clone()).await.expect("durable");
    journal.append(Event { source: Source::Quench, ..released }).await.expect("durable");
    let sent = pending(&journal, "a").expect("the release is due");
    journal.ack("a", &sent);
    journal.append(quench(whole("posts"))).await.expect("durable");
    journal.append(quench(whole("pages"))).await.expect("durable");
    assert_eq!(pending(&journal, "a"), None);
    drop(journal);

    let (journal, recovered) = open(&disk.kill());
    assert_eq!(recovered.damaged, None);
    let mut both = whole("posts");
    both.join(&whole("pages"));
    assert_eq!(owed(&journal, "a").hard, both);
    journal.ack("a", &pending(&journal, "a").expect("due"));
    assert_eq!(pending(&journal, "a"), None);
    journal.flush().await;
    drop(journal);
    let (journal, _) = open(&disk.kill());
    assert_eq!(pending(&journal, "a"), None, "once is enough");
}

/// A held copy delays no other event, and is owed over a restart.
#[tokio::test]
async fn what_is_held_for_one_destination_stays_owed_while_later_events_go() {
    let disk = SimDisk::new();
    let small = Config { events_kept: 2, ..config() };
    let (journal, _) = open_with(&small, &disk, &["a", "b"]);
    let limits = Limits { events_max: 100, bytes_max: 1 << 20, members_max: 1_000 };
    let first = journal.append(mirrored(whole("posts"))).await.expect("durable");
    let hold = std::collections::BTreeSet::from([first.id]);
    assert_eq!(journal.pending_but("a", 0, limits, &hold), None);
    assert!(!journal.has("a", first.seq) && !journal.is_acknowledged("a", first.seq));
    for at in 0..8 {
        let event = journal.append(mirrored(entity("pages", &at.to_string()))).await;
        let event = event.expect("durable");
        let sent = journal.pending_but("a", 0, limits, &hold).expect("due");
        assert_eq!(sent.events, [Arc::clone(&event)]);
        journal.ack("a", &sent);
        assert!(journal.has("a", event.seq) && !journal.is_acknowledged("a", event.seq));
        assert_eq!(journal.pending_but("a", 0, limits, &hold), None);
        assert_eq!(journal.backlog_size("a").events, 1);
    }
    journal.flush().await;
    let (again, recovered) = open_with(&small, &disk.kill(), &["a", "b"]);
    assert_eq!(recovered.damaged, None);
    assert!(owed(&again, "a").covers(&first.demand), "a restart sends it");

    let released = pending(&journal, "a").expect("due");
    assert_eq!(released.events, [Arc::clone(&first)]);
    journal.ack("a", &released);
    assert!(journal.is_acknowledged("a", *journal.head().borrow()));
    assert_eq!(journal.cursor("a"), Some(9));
    assert!(owed(&journal, "b").covers(&first.demand), "b has nothing yet");
}

#[tokio::test]
async fn a_reader_is_told_of_a_gap() {
    let small = Config { events_kept: 2, ..config() };
    let disk = SimDisk::new();
    let (journal, _) = open_with(&small, &disk, &[]);
    let mut head = journal.head();
    assert!(!journal.after(0, 10).gap);
    for _ in 0..4 {
        journal.append(local(whole("posts"))).await.expect("durable");
    }
    assert_eq!(*head.borrow_and_update(), 4);
    let page = journal.after(2, 1);
    assert_eq!((page.gap, page.events.len(), page.events[0].seq), (false, 1, 3));
    assert!(journal.after(1, 10).gap, "event 2 is gone");
    assert!(journal.after(9, 10).gap, "9 was never given");
    let (again, _) = open_with(&small, &disk.kill(), &[]);
    assert!(again.after(1, 10).gap && !again.after(2, 10).gap);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_appends_share_their_syncs() {
    const APPENDS: u64 = 64;
    let disk = SimDisk::new();
    let (journal, _) = open(&disk);
    let before = disk.syncs();
    // The writer cannot publish while the book is locked, so all the others gather behind the
    // first.
    let held = disk.hold();
    let tasks: Vec<_> = (0..APPENDS)
        .map(|id| {
            let journal = journal.clone();
            let event = mirrored(entity("posts", &id.to_string()));
            tokio::spawn(async move { journal.append(event).await.expect("durable").seq })
        })
        .collect();
    while journal.queued() < APPENDS as usize {
        tokio::task::yield_now().await;
    }
    drop(held);
    let mut seqs = Vec::new();
    for task in tasks {
        seqs.push(task.await.expect("no panic"));
    }
    seqs.sort_unstable();
    assert_eq!(seqs, (1..=APPENDS).collect::<Vec<_>>());
    assert!(disk.syncs() - before <= 4, "{} syncs", disk.syncs() - before);
}

#[tokio::test]
async fn a_full_disk_degrades_and_heals_without_losing_a_name() {
    let disk = SimDisk::new();
    let (journal, _) = open_with(&config(), &disk, &["a"]);
    disk.set_faults(Faults { is_full: true, ..Faults::default() });
    let filler = "x".repeat(1_000);
    let mut refused = None;
    for id in 0..40 {
        let event =
            Event { reason: Some(filler.clone()), ..mirrored(entity("p", &id.to_string())) };
        match journal.append(event).await {
            Ok(_) => assert!(refused.is_none(), "nothing is durable on a full disk"),
            Err(error) => refused = Some(error),
        }
    }
    let Some(WriteRefusal::Degraded(receipt)) = refused else { panic!("{refused:?}") };
    assert_eq!((receipt.seq, receipt.version), (40, 40));
    assert!(journal.health().is_degraded && journal.health().last_error.is_some());
    assert_eq!(pending(&journal, "a").expect("due").events.len(), 40);

    disk.set_faults(Faults::default());
    let healed = async {
        while journal.health().is_degraded {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), healed).await.expect("heals alone");
    journal.append(mirrored(whole("last"))).await.expect("durable again");
    drop(journal);
    let (again, recovered) = open_with(&config(), &disk.cut_power(3), &["a"]);
    assert_eq!(recovered.damaged, None);
    let owed = owed(&again, "a").hard;
    assert!(!owed.is_all());
    assert!((0..40).all(|id| owed.covers(&entity("p", &id.to_string()))));
}

#[tokio::test]
async fn a_crash_while_degraded_is_answered_with_all() {
    let disk = SimDisk::new();
    let (journal, _) = open(&disk);
    disk.set_faults(Faults { sync_fails_at: Some(1), sync_fails_on: true, ..Faults::default() });
    let lost = journal.append(mirrored(whole("posts"))).await;
    assert!(
        matches!(lost, Err(WriteRefusal::Lost(_))),
        "the slot cannot be synced either: {lost:?}"
    );
    disk.set_faults(Faults { sync_fails_at: Some(2), sync_fails_on: true, ..Faults::default() });
    let degraded = journal.append(mirrored(whole("posts"))).await;
    assert!(matches!(degraded, Err(WriteRefusal::Degraded(_))), "{degraded:?}");
    let (again, recovered) = open(&disk.cut_power(7));
    assert!(recovered.damaged.is_some());
    let backlog = pending(&again, "b").expect("all is due");
    assert!(backlog.widened && backlog.merged.hard.is_all());
    assert!(again.versions().version > journal.versions().version);
    again.ack("b", &backlog);
    assert_eq!(pending(&again, "b"), None);
    drop(again);
}
