//! The end of the records, and the numbers that were given out, over crashes and older copies.
//! A tail that is sound and too old must be seen; a number that was shown must not come again.

use std::collections::BTreeMap;

use super::*;
use crate::journal::WriteRefusal;
use crate::journal::sim::Faults;

fn is_segment(path: &std::path::Path) -> bool {
    path.extension().is_some_and(|name| name == "seg")
}

async fn append(journal: &Journal, ids: std::ops::Range<u32>) {
    for id in ids {
        journal.append(mirrored(entity("posts", &id.to_string()))).await.expect("durable");
    }
}

#[tokio::test]
async fn an_older_copy_of_a_segment_is_seen_after_a_stop_and_after_a_crash() {
    for is_closed in [true, false] {
        let disk = SimDisk::new();
        let (journal, _) = open(&disk);
        append(&journal, 0..3).await;
        let older: BTreeMap<_, _> =
            disk.files().into_iter().filter(|(path, _)| is_segment(path)).collect();
        append(&journal, 3..7).await;
        let version = journal.versions().version;
        if is_closed {
            journal.close().await;
        }
        let mut files = disk.kill().files();
        files.extend(older);
        let (again, recovered) = open(&SimDisk::with_files(&files));
        let damaged = recovered.damaged.expect("seen");
        assert!(damaged.contains("4 to 7"), "{damaged}");
        assert!(owed(&again, "a").hard.is_all() && owed(&again, "b").hard.is_all());
        assert!(again.versions().version > version && recovered.head > 7);
        assert!(again.versions().types[&kind("posts")] > version);
    }
}

#[tokio::test]
async fn a_mark_that_is_behind_or_unreadable_is_no_damage() {
    let disk = SimDisk::new();
    let (journal, _) = open(&disk);
    let mark = PathBuf::from("/data/end.mark");
    append(&journal, 0..2).await;
    let behind = disk.files()[&mark].clone();
    append(&journal, 2..4).await;
    journal.close().await;
    for bytes in [behind, vec![0; 1024], vec![7; 1024], vec![]] {
        let mut files = disk.files();
        files.insert(mark.clone(), bytes);
        let (again, recovered) = open(&SimDisk::with_files(&files));
        assert_eq!((recovered.damaged, recovered.head), (None, 4));
        again.close().await;
    }
}

#[tokio::test]
async fn a_directory_of_the_format_before_is_read_and_upgraded() {
    let disk = SimDisk::new();
    let (journal, _) = open(&disk);
    append(&journal, 0..2).await;
    journal.close().await;
    let mut files = disk.files();
    files.remove(&PathBuf::from("/data/end.mark"));
    files.insert(PathBuf::from("/data/format"), b"cache-mirror data 1\n".to_vec());
    let disk = SimDisk::with_files(&files);
    let (again, recovered) = open(&disk);
    assert_eq!((recovered.damaged, recovered.head), (None, 2));
    again.close().await;
    let files = disk.files();
    assert_eq!(files[&PathBuf::from("/data/format")], b"cache-mirror data 2\n");
    assert!(files.contains_key(&PathBuf::from("/data/end.mark")));
}

/// While disk and slot refuse, events go out, and no version that a crash would take back.
#[tokio::test]
async fn a_version_that_was_shown_never_comes_again() {
    let disk = SimDisk::new();
    let (journal, _) = open(&disk);
    append(&journal, 0..2).await;
    let shown = journal.versions();
    let refuses = Faults { is_full: true, slot_fails: true, ..Faults::default() };
    disk.set_faults(Faults { sync_fails_at: Some(1), sync_fails_on: true, ..refuses });
    for _ in 0..3 {
        let refused = journal.append(mirrored(whole("posts"))).await;
        assert!(matches!(refused, Err(WriteRefusal::Lost(_))), "{refused:?}");
    }
    assert_eq!(journal.versions(), shown);
    let events = journal.after(0, 10).events;
    assert_eq!(events.len(), 5, "they are published all the same");
    assert!(events.iter().all(|event| event.version <= shown.version));
    let (after_crash, _) = {
        let crashed = SimDisk::with_files(&disk.files());
        open(&crashed)
    };
    assert!(after_crash.versions().version >= shown.version);

    disk.set_faults(Faults::default());
    let healed = async {
        while journal.health().is_degraded {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), healed).await.expect("heals");
    assert_eq!(journal.versions().version, 5, "what is on disk is shown");
    assert_eq!(journal.versions().types[&kind("posts")], 5);
}
