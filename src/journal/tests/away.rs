//! The data directory is taken away, emptied or replaced while the journal is in use.
//! Nothing is acknowledged into files without a name, and what is known is written when it can be.

use super::*;
use crate::journal::WriteRefusal;
use crate::journal::sim::Faults;

async fn post(journal: &Journal, id: &str) -> Result<Arc<Event>, WriteRefusal> {
    journal.append(mirrored(entity("posts", id))).await
}

async fn until(journal: &Journal, is_degraded: bool) {
    let reached = async {
        while journal.health().is_degraded != is_degraded {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), reached).await.expect("it turns");
}

/// A journal with one acknowledged event for two destinations.
async fn begun() -> (SimDisk, Journal) {
    let disk = SimDisk::new();
    let (journal, _) = open(&disk);
    post(&journal, "1").await.expect("durable");
    (disk, journal)
}

/// Opens what is at the path after a crash: it must owe these.
fn owes(disk: &SimDisk, ids: &[&str]) {
    let (again, recovered) = open(&disk.kill());
    let owed = owed(&again, "a").hard;
    for id in ids {
        assert!(owed.covers(&entity("posts", id)), "{id} of {owed}; {recovered:?}");
    }
    assert!(again.versions().version >= ids.len() as u64);
}

#[tokio::test]
async fn a_directory_that_is_gone_is_seen_at_the_next_commit_and_by_itself() {
    let (disk, journal) = begun().await;
    let away = disk.take_away();
    let refused = post(&journal, "2").await;
    assert!(matches!(refused, Err(WriteRefusal::Lost(_))), "{refused:?}");
    let error = journal.health().last_error.expect("said");
    assert!(error.contains("/data") && error.contains("is gone"), "{error}");
    assert!(disk.files().is_empty(), "a directory that is gone is not made again");
    disk.put_back(away);
    until(&journal, false).await;
    post(&journal, "3").await.expect("durable again");
    drop(disk.take_away());
    until(&journal, true).await;
}

/// As after a remount: what is there can be read, and nothing can be changed.
#[tokio::test]
async fn a_disk_that_turns_read_only_is_seen_and_holds_everything_when_it_is_writable_again() {
    let (disk, journal) = begun().await;
    disk.set_faults(Faults { stops_after: Some(0), ..Faults::default() });
    let refused = post(&journal, "2").await;
    assert!(refused.is_err(), "nothing is acknowledged: {refused:?}");
    until(&journal, true).await;
    assert!(journal.health().last_error.is_some());
    disk.set_faults(Faults::default());
    until(&journal, false).await;
    post(&journal, "3").await.expect("durable again");
    owes(&disk, &["1", "2", "3"]);
}

#[tokio::test]
async fn a_directory_that_comes_back_holds_what_was_refused_meanwhile() {
    let (disk, journal) = begun().await;
    let away = disk.take_away();
    assert!(post(&journal, "2").await.is_err());
    disk.put_back(away);
    until(&journal, false).await;
    post(&journal, "3").await.expect("durable");
    owes(&disk, &["1", "2", "3"]);
}

#[tokio::test]
async fn an_empty_directory_in_its_place_gets_everything_that_is_known() {
    let (disk, journal) = begun().await;
    disk.replace(&Default::default());
    assert!(post(&journal, "2").await.is_err(), "it is said before it is used");
    until(&journal, false).await;
    post(&journal, "3").await.expect("durable");
    owes(&disk, &["1", "2", "3"]);
}

#[tokio::test]
async fn the_journal_of_another_instance_is_left_alone() {
    let other = SimDisk::new();
    let (theirs, _) = open(&other);
    theirs.append(mirrored(whole("theirs"))).await.expect("durable");
    theirs.close().await;
    let files = other.files();
    let (disk, journal) = begun().await;
    disk.replace(&files);
    let refused = post(&journal, "2").await;
    assert!(matches!(refused, Err(WriteRefusal::Lost(_))), "{refused:?}");
    until(&journal, true).await;
    tokio::time::sleep(std::time::Duration::from_millis(1_200)).await;
    assert!(post(&journal, "3").await.is_err());
    assert_eq!(disk.files(), files, "not a byte was changed");
    assert!(journal.health().last_error.is_some_and(|error| error.contains("another process")));
}

/// A copy of the directory as it was in this life, put in its place.
#[tokio::test]
async fn a_copy_that_this_process_wrote_is_used_again() {
    let (disk, journal) = begun().await;
    let copy = disk.files();
    post(&journal, "2").await.expect("durable");
    disk.replace(&copy);
    assert!(post(&journal, "3").await.is_err());
    until(&journal, false).await;
    owes(&disk, &["1", "2", "3"]);
}

#[tokio::test]
async fn segments_that_are_taken_are_written_anew_and_marked_meanwhile() {
    let (disk, journal) = begun().await;
    disk.take_files(|path| path.extension().is_some_and(|name| name == "seg"));
    let refused = post(&journal, "2").await;
    assert!(matches!(refused, Err(WriteRefusal::Degraded(_))), "the slot is there: {refused:?}");
    until(&journal, false).await;
    post(&journal, "3").await.expect("durable");
    owes(&disk, &["1", "2", "3"]);
}

#[tokio::test]
async fn every_single_file_that_is_taken_is_noticed_and_made_again() {
    for name in ["overflow.slot", "format", "end.mark"] {
        let (disk, journal) = begun().await;
        disk.take_files(|path| path.ends_with(name));
        until(&journal, true).await;
        assert!(journal.health().last_error.is_some_and(|error| error.contains(name)), "{name}");
        until(&journal, false).await;
        drop(journal);
        let (again, recovered) = open(&disk.kill());
        assert_eq!(recovered.damaged, None, "{name}");
        assert_eq!(owed(&again, "a").hard, entity("posts", "1"), "{name}");
    }
}
