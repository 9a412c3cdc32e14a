//! Destinations that come and go while the journal runs.
//! What one is owed begins with its coming and ends with its going, also over a crash in between.

use super::*;
use crate::journal::sim::Faults;

#[tokio::test]
async fn what_comes_is_owed_everything_after_and_what_goes_nothing_more() {
    let disk = SimDisk::new();
    let (journal, _) = open(&disk);
    journal.append(mirrored(entity("posts", "1"))).await.expect("durable");
    let done = journal.reconfigure(names(&["a", "c"])).await.expect("open");
    assert_eq!(done.added, names(&["c"]));
    assert_eq!(done.dropped, [("b".to_owned(), 1)]);
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
