//! Destinations that come and go while the journal runs.
//! What one is owed begins with its coming. One that goes is sent nothing, and what it misses is
//! kept for a while, also over a crash in between.

use super::*;
use crate::journal::Destination;
use crate::journal::sim::Faults;

#[tokio::test]
async fn what_comes_is_owed_everything_after_and_what_goes_is_sent_nothing_more() {
    let disk = SimDisk::new();
    let (journal, _) = open(&disk);
    journal.append(mirrored(entity("posts", "1"))).await.expect("durable");
    let done = journal.reconfigure(names(&["a", "c"])).await.expect("open");
    assert_eq!(done.added, names(&["c"]));
    assert_eq!(done.removed, [("b".to_owned(), 1)]);
    journal.append(mirrored(entity("posts", "2"))).await.expect("durable");
    let check = |journal: &Journal| {
        assert_eq!(pending(journal, "a").expect("due").events.len(), 2, "it stays as it was");
        assert_eq!(owed(journal, "c").hard, entity("posts", "2"));
        assert_eq!((pending(journal, "b"), journal.cursor("b")), (None, None));
    };
    check(&journal);
    drop(journal);
    let (again, recovered) = open_with(&config(), &disk.cut_power(7), &["a", "c"]);
    assert_eq!((recovered.damaged, recovered.added), (None, vec![]), "c was known to the disk");
    check(&again);
}

/// A send in flight to one that went, and came again, settles nothing of its new life.
#[tokio::test]
async fn an_acknowledgement_of_an_earlier_life_settles_nothing() {
    let (journal, _) = open(&SimDisk::new());
    journal.append(mirrored(entity("posts", "1"))).await.expect("durable");
    let in_flight = pending(&journal, "b").expect("due");
    journal.reconfigure(names(&["a"])).await.expect("open");
    journal.reconfigure(names(&["a", "b"])).await.expect("open");
    let later = journal.append(mirrored(entity("posts", "2"))).await.expect("durable");
    journal.ack("b", &in_flight);
    assert!(!journal.is_acknowledged("b", later.seq));
    assert_eq!(owed(&journal, "b").hard, entity("posts", "2"));
}

/// On a full disk it takes effect at once, and whatever is accepted later is owed after a crash.
#[tokio::test]
async fn on_a_disk_that_refuses_nothing_accepted_later_is_missing() {
    let disk = SimDisk::new();
    let (journal, _) = open(&disk);
    disk.set_faults(Faults { is_full: true, ..Faults::default() });
    journal.reconfigure(names(&["a", "c"])).await.expect("open");
    assert!(journal.health().is_degraded);
    assert!(journal.append(mirrored(whole("posts"))).await.is_err(), "the slot says all");
    assert!(owed(&journal, "c").hard.covers(&whole("posts")));
    drop(journal);
    let (again, _) = open_with(&config(), &disk.kill(), &["a", "c"]);
    assert!(owed(&again, "c").hard.covers(&whole("posts")));
}

/// Settings caught empty, and whole again later: nothing is missing, by name or within `all`.
#[tokio::test]
async fn what_was_removed_and_returns_goes_on_from_its_cursor_over_restarts() {
    let disk = SimDisk::new();
    let (journal, _) = open(&disk);
    journal.append(mirrored(entity("posts", "1"))).await.expect("durable");
    journal.reconfigure(names(&[])).await.expect("open");
    journal.append(mirrored(entity("posts", "2"))).await.expect("durable");
    drop(journal);
    let disk = disk.kill();
    let (journal, recovered) = open_with(&config(), &disk, &[]);
    assert_eq!(recovered.reconciled, Default::default(), "they were removed before");
    let removed = journal.removed();
    let sizes: Vec<_> = removed.iter().map(|it| (&it.name[..], it.backlog.events)).collect();
    assert_eq!(sizes, [("a", 2), ("b", 2)]);
    journal.append(mirrored(entity("posts", "3"))).await.expect("durable");
    assert_eq!(pending(&journal, "a"), None, "nothing is sent to it meanwhile");
    drop(journal);
    let disk = disk.kill();
    let (journal, recovered) = open(&disk);
    assert_eq!(recovered.reconciled.returned, [("a".to_owned(), 3), ("b".to_owned(), 3)]);
    assert_eq!(pending(&journal, "a").expect("due").events.len(), 3);
    assert!(journal.removed().is_empty());
}

#[tokio::test]
async fn a_start_without_destinations_says_what_they_are_owed() {
    let disk = SimDisk::new();
    let (journal, _) = open(&disk);
    journal.append(mirrored(entity("posts", "1"))).await.expect("durable");
    drop(journal);
    let (_, recovered) = open_with(&config(), &disk.kill(), &["b"]);
    assert_eq!(recovered.reconciled.removed, [("a".to_owned(), 1)]);
}

#[tokio::test]
async fn a_place_under_another_name_goes_on_from_its_cursor() {
    let disk = SimDisk::new();
    let at = |name: &str, address: &str| Destination {
        address: address.to_owned(),
        ..Destination::from(&name.to_owned())
    };
    let before = [at("mirror:old", "http://b/"), at("mirror:stays", "http://c/")];
    let open = |disk: &SimDisk, listed: &[Destination]| {
        Journal::open(config(), Arc::new(disk.clone()), listed).expect("opens")
    };
    let (journal, _) = open(&disk, &before);
    journal.append(mirrored(entity("posts", "1"))).await.expect("durable");
    let after = vec![at("mirror:new", "http://b/"), at("mirror:stays", "http://c/")];
    let done = journal.reconfigure(after.clone()).await.expect("open");
    assert_eq!(done.renamed, [("mirror:old".to_owned(), "mirror:new".to_owned())]);
    assert_eq!((done.added.len(), done.removed.len()), (0, 0));
    assert_eq!(owed(&journal, "mirror:new").hard, entity("posts", "1"));
    drop(journal);
    // And over a restart; another class at the same address is another destination.
    let again = [at("mirror:third", "http://b/"), at("beside:x", "http://c/")];
    let (journal, recovered) = open(&disk.kill(), &again);
    let renamed = [("mirror:new".to_owned(), "mirror:third".to_owned())];
    assert_eq!(recovered.reconciled.renamed, renamed);
    assert_eq!(owed(&journal, "mirror:third").hard, entity("posts", "1"));
    assert_eq!(pending(&journal, "beside:x"), None);
}

#[tokio::test]
async fn what_was_removed_is_forgotten_after_its_time_and_not_before() {
    let (journal, _) = open(&SimDisk::new());
    journal.append(mirrored(entity("posts", "1"))).await.expect("durable");
    journal.reconfigure(names(&["a"])).await.expect("open");
    assert_eq!(journal.removed().len(), 1);
    journal.forget_after(std::time::Duration::ZERO);
    let forgotten = async {
        while !journal.removed().is_empty() {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), forgotten).await.expect("in time");
    let done = journal.reconfigure(names(&["a", "b"])).await.expect("open");
    assert_eq!((done.added, done.returned.len()), (names(&["b"]), 0), "it begins anew");
}
