//! What is on its way to the disk may be sent meanwhile; nothing else may be seen of it.

use super::*;
use crate::journal::WriteRefusal;
use crate::journal::sim::Faults;

type Appending = tokio::task::JoinHandle<Result<Arc<Event>, WriteRefusal>>;

/// Appends an event on a disk that waits; gives what may be sent of it to `a` meanwhile.
async fn sent_early(journal: &Journal) -> (Appending, Backlog) {
    let mut due = journal.due();
    let appending = {
        let journal = journal.clone();
        tokio::spawn(async move { journal.append(mirrored(whole("posts"))).await })
    };
    due.changed().await.expect("it ticks before the disk answers");
    (appending, pending(journal, "a").expect("to be sent meanwhile"))
}

#[tokio::test]
async fn what_is_being_synced_may_be_sent_but_no_cursor_passes_it() {
    let disk = SimDisk::new();
    let (journal, _) = open(&disk);
    let held = disk.hold();
    let (appending, backlog) = sent_early(&journal).await;
    assert_eq!((backlog.through, backlog.events.len()), (1, 1));
    assert!(!appending.is_finished());
    assert_eq!((*journal.head().borrow(), journal.after(0, 9).events.len()), (0, 0));

    journal.ack("a", &backlog);
    assert_eq!(pending(&journal, "a"), None, "it is not sent twice");
    assert_eq!((journal.cursor("a"), journal.is_acknowledged("a", 1)), (Some(0), false));

    drop(held);
    let event = appending.await.expect("runs").expect("durable");
    assert_eq!((event.seq, event.version), (1, 1));
    assert_eq!((journal.cursor("a"), journal.is_acknowledged("a", 1)), (Some(1), true));
    assert_eq!(pending(&journal, "a"), None);
    assert_eq!(pending(&journal, "b").expect("b was not told").events, [event]);
}

#[tokio::test]
async fn oneself_is_skipped_past_what_is_on_its_way() {
    let disk = SimDisk::new();
    let (journal, _) = open(&disk);
    let held = disk.hold();
    let (appending, _) = sent_early(&journal).await;
    journal.skip_to_head("a");
    assert_eq!(pending(&journal, "a"), None);
    drop(held);
    appending.await.expect("runs").expect("durable");
    assert_eq!((pending(&journal, "a"), journal.cursor("a")), (None, Some(1)));
}

#[tokio::test]
async fn what_the_disk_refuses_keeps_its_early_acknowledgement() {
    let disk = SimDisk::new();
    let (journal, _) = open(&disk);
    disk.set_faults(Faults { sync_fails_at: Some(1), ..Faults::default() });
    let held = disk.hold();
    let (appending, backlog) = sent_early(&journal).await;
    journal.ack("a", &backlog);
    drop(held);
    // The segment is given up, and the record goes into the next.
    let event = appending.await.expect("runs").expect("durable at the second try");
    assert_eq!(pending(&journal, "a"), None);
    journal.flush().await;
    drop(journal);
    let (again, recovered) = open(&disk.cut_power(3));
    assert_eq!((recovered.damaged, recovered.head), (None, event.seq));
    assert_eq!(owed(&again, "b"), event.demand);
}
