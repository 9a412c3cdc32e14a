//! On the real file system.
//! What the simulated disk cannot show: the lock, the modes, real names and real directories.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::*;
use crate::journal::{FileDisk, OpenError};

fn on_disk(dir: &Path) -> Config {
    Config { dir: dir.to_owned(), segment_bytes: 600 * 1024, ..config() }
}

fn open_at(dir: &Path) -> Result<(Journal, Recovered), OpenError> {
    Journal::open(on_disk(dir), Arc::new(FileDisk), &names(&["a"]))
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("there").permissions().mode() & 0o777
}

#[tokio::test]
async fn a_directory_is_made_private_locked_and_read_again() {
    let root = tempfile::tempdir().expect("tempdir");
    let dir = root.path().join("deep/data");
    let (journal, _) = open_at(&dir).expect("opens");
    journal.append(mirrored(whole("posts"))).await.expect("durable");
    assert_eq!((mode(&dir), mode(&dir.join("journal"))), (0o700, 0o700));
    let segment = dir.join("journal/00000000000000000001.seg");
    for file in [&segment, &dir.join("overflow.slot"), &dir.join("format"), &dir.join("lock")] {
        assert_eq!(mode(file), 0o600, "{}", file.display());
    }
    assert_eq!(fs::metadata(&segment).expect("there").len(), 256 * 1024);
    assert_eq!(fs::metadata(dir.join("overflow.slot")).expect("there").len(), 4096);

    let second = open_at(&dir).err().expect("one process at a time");
    assert!(matches!(second, OpenError::Locked { .. }), "{second}");
    assert!(second.to_string().contains("in use by another"));
    journal.close().await;
    let (again, recovered) = open_at(&dir).expect("the lock was given back");
    assert_eq!((recovered.damaged, recovered.events), (None, 1));
    assert_eq!(owed(&again, "a").hard, whole("posts"));
}

#[tokio::test]
async fn segments_are_replaced_and_their_number_stays_bounded() {
    let root = tempfile::tempdir().expect("tempdir");
    let settings = Config { segment_bytes: 8 * 1024, events_kept: 20, ..on_disk(root.path()) };
    let open = || Journal::open(settings.clone(), Arc::new(FileDisk), &names(&["a"]));
    let (journal, _) = open().expect("opens");
    for id in 0..400 {
        journal.append(mirrored(entity("posts", &id.to_string()))).await.expect("durable");
    }
    assert!(journal.health().segments <= 3, "{:?}", journal.health());
    let files = fs::read_dir(root.path().join("journal")).expect("there").count();
    assert_eq!(files, journal.health().segments);
    journal.close().await;
    let (again, recovered) = open().expect("opens");
    assert_eq!((recovered.damaged, recovered.events), (None, 20));
    let owed = owed(&again, "a");
    assert!((0..400).all(|id| owed.hard.covers(&entity("posts", &id.to_string()))));
}

#[tokio::test]
async fn idle_restarts_leave_no_files_behind() {
    let root = tempfile::tempdir().expect("tempdir");
    for _ in 0..20 {
        let (journal, recovered) = open_at(root.path()).expect("opens");
        assert_eq!(recovered.damaged, None);
        assert_eq!(journal.health().segments, 1);
        journal.close().await;
    }
}

#[test]
fn another_format_is_refused_by_name() {
    let root = tempfile::tempdir().expect("tempdir");
    fs::write(root.path().join("format"), "cache-mirror data 3\n").expect("written");
    let error = open_at(root.path()).err().expect("refused");
    assert!(matches!(&error, OpenError::UnknownFormat { found } if found == "cache-mirror data 3"));
    assert!(!root.path().join("overflow.slot").exists(), "nothing was touched");
}

#[test]
fn a_directory_that_cannot_be_is_an_error_with_its_path() {
    let root = tempfile::tempdir().expect("tempdir");
    let file = root.path().join("file");
    fs::write(&file, "").expect("written");
    let error = open_at(&file).err().expect("refused");
    assert!(matches!(&error, OpenError::Io { .. }) && error.to_string().contains("file"));
}

/// Another program empties or shortens the segment that is being written.
#[tokio::test]
async fn a_segment_that_is_cut_meanwhile_is_seen_and_everything_known_is_written_again() {
    for rest in [0, 100, 4096] {
        let root = tempfile::tempdir().expect("tempdir");
        let dir = root.path().join("data");
        let (journal, _) = open_at(&dir).expect("opens");
        journal.append(mirrored(entity("posts", "1"))).await.expect("durable");
        let segment = dir.join("journal/00000000000000000001.seg");
        let file = fs::OpenOptions::new().write(true).open(&segment).expect("there");
        file.set_len(rest).expect("cut");
        // The one second look may come first; then the append is durable in another segment.
        drop(journal.append(mirrored(entity("posts", "2"))).await);
        let healthy = async {
            while journal.health().is_degraded {
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(20), healthy).await.expect("recovers");
        journal.append(mirrored(entity("posts", "3"))).await.expect("durable again");
        // As after a kill: what is on the disk is all there is.
        let copy = root.path().join("copy");
        fs::create_dir_all(copy.join("journal")).expect("made");
        for sub in ["", "journal"] {
            for entry in fs::read_dir(dir.join(sub)).expect("readable") {
                let path = entry.expect("listed").path();
                if path.is_file() {
                    let name = path.file_name().expect("named");
                    fs::copy(&path, copy.join(sub).join(name)).expect("copied");
                }
            }
        }
        let (again, recovered) = open_at(&copy).expect("opens");
        let owed = owed(&again, "a").hard;
        assert!(!owed.is_all(), "{rest}: nothing was damaged; {recovered:?}");
        for id in ["1", "2", "3"] {
            assert!(owed.covers(&entity("posts", id)), "{rest}: {id} of {owed}; {recovered:?}");
        }
        assert!(again.versions().version >= 3);
    }
}
