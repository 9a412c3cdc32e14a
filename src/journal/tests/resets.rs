//! Counting anew (acceptance S1 1.33): durable, in order, and nothing but the counters.

use super::*;
use crate::journal::NotReset;
use crate::journal::sim::Faults;

async fn clear(journal: &Journal, name: &str) -> Arc<Event> {
    journal.append(mirrored(whole(name))).await.expect("durable")
}

fn versions_of(journal: &Journal) -> Vec<u64> {
    journal.after(0, usize::MAX).events.iter().map(|event| event.version).collect()
}

#[tokio::test]
async fn a_reset_counts_anew_and_owes_as_before() {
    let disk = SimDisk::new();
    let (journal, _) = open(&disk);
    for name in ["posts", "posts", "feed"] {
        clear(&journal, name).await;
    }
    let due = owed(&journal, "a");
    assert_eq!(journal.reset_versions(5_000).await, Ok(3));
    let versions = journal.versions();
    assert_eq!((versions.version, versions.last_clear_ms), (0, Some(5_000)));
    assert!(versions.types.is_empty(), "every type reads 0");
    assert_eq!(owed(&journal, "a"), due);
    let next = clear(&journal, "feed").await;
    assert_eq!((next.seq, next.version), (4, 1), "sequence numbers go on");
}

/// Over restarts each event keeps the version it was answered with, whichever segment it is in.
#[tokio::test]
async fn versions_around_a_reset_are_the_same_after_restarts() {
    let disk = SimDisk::new();
    let (mut journal, _) = open(&disk);
    let mut expected = vec![];
    for round in 0..3 {
        for name in ["posts", "feed"] {
            expected.push(clear(&journal, name).await.version);
        }
        journal.reset_versions(7_000 + round).await.expect("durable");
        expected.push(clear(&journal, "posts").await.version);
        journal.close().await;
        let (again, recovered) = open(&disk);
        assert_eq!(recovered.damaged, None);
        journal = again;
        assert_eq!(versions_of(&journal), expected, "round {round}");
        assert_eq!(journal.versions().version, 1);
        assert_eq!(journal.versions().types[&kind("posts")], 1);
        assert!(!journal.versions().types.contains_key(&kind("feed")));
    }
    assert_eq!(expected, [1, 2, 1, 2, 3, 1, 2, 3, 1]);
}

#[tokio::test]
async fn a_reset_that_was_answered_survives_a_power_cut() {
    let disk = SimDisk::new();
    let (journal, _) = open(&disk);
    clear(&journal, "posts").await;
    journal.reset_versions(9_000).await.expect("durable");
    let (journal, recovered) = open(&disk.cut_power(1));
    assert_eq!(recovered.damaged, None);
    assert_eq!((journal.versions().version, journal.versions().last_clear_ms), (0, Some(9_000)));
}

#[tokio::test]
async fn a_disk_that_refuses_leaves_the_counters_as_they_are() {
    let disk = SimDisk::new();
    let (journal, _) = open(&disk);
    clear(&journal, "posts").await;
    disk.set_faults(Faults { sync_fails_at: Some(1), sync_fails_on: true, ..Faults::default() });
    assert_eq!(journal.reset_versions(9_000).await, Err(NotReset));
    assert_eq!(journal.versions().version, 1);
}
