//! Files that are not what was written: seen, and answered with `all`; never a panic.
//! Each scene spoils one byte, one length or one file of a sound journal.

use std::collections::BTreeMap;

use super::*;

type Files = BTreeMap<PathBuf, Vec<u8>>;

fn tiny() -> Config {
    Config { segment_bytes: 2048, ..config() }
}

/// A journal of two segments with three owed events, as files, and their demand.
async fn written() -> (Files, Selectors) {
    let disk = SimDisk::new();
    let (journal, _) = open_with(&tiny(), &disk, &["a", "b"]);
    for id in ["1", "2", "3"] {
        let reason = Some("x".repeat(600));
        let event = Event { reason, ..mirrored(entity("posts", id)) };
        journal.append(event).await.expect("durable");
    }
    journal.close().await;
    let files = disk.files();
    let segments = files.keys().filter(|path| path.extension().is_some_and(|e| e == "seg"));
    assert_eq!(segments.count(), 2, "the scene has an older and a newest segment");
    let owed = ["1", "2", "3"].iter().fold(Selectors::default(), |mut sum, id| {
        sum.join(&entity("posts", id));
        sum
    });
    (files, owed)
}

/// Whatever was done to the files: every event is owed to both, or `all` with a word about it.
fn check(files: &Files, owed_events: &Selectors, what: &str) -> Recovered {
    let disk = SimDisk::with_files(files);
    let (journal, recovered) = open_with(&tiny(), &disk, &["a", "b"]);
    for destination in ["a", "b"] {
        let owed = owed(&journal, destination).hard;
        assert!(owed.covers(owed_events), "{what}: {destination} lacks something: {owed}");
        assert_eq!(owed.is_all(), recovered.damaged.is_some(), "{what}: {recovered:?}");
    }
    assert!(journal.versions().version >= 3, "{what}");
    recovered
}

fn segment(files: &Files, index: usize) -> PathBuf {
    files
        .keys()
        .filter(|p| p.extension().is_some_and(|e| e == "seg"))
        .nth(index)
        .expect("is")
        .clone()
}

#[tokio::test]
async fn every_flipped_byte_is_seen_or_harmless() {
    let (files, owed) = written().await;
    assert_eq!(check(&files, &owed, "untouched").damaged, None);
    let (mut seen, mut harmless) = (0, 0);
    for (path, bytes) in &files {
        // The format file is read before anything else and refuses what it does not know.
        if path.ends_with("format") {
            continue;
        }
        for at in 0..bytes.len() {
            let mut files = files.clone();
            files.get_mut(path).expect("is")[at] ^= 0x41;
            let recovered = check(&files, &owed, &format!("{} byte {at}", path.display()));
            *(if recovered.damaged.is_some() { &mut seen } else { &mut harmless }) += 1;
        }
    }
    // Harmless is what the newest checkpoint makes needless: zeros and state in the older segment.
    assert!(seen > harmless && harmless > 0, "{seen} seen, {harmless} harmless");
}

#[tokio::test]
async fn every_cut_is_seen_or_harmless() {
    let (files, owed) = written().await;
    for index in 0..2 {
        let path = segment(&files, index);
        for length in 0..files[&path].len() {
            let mut files = files.clone();
            files.get_mut(&path).expect("is").truncate(length);
            let what = format!("segment {index} cut at {length}");
            let recovered = check(&files, &owed, &what);
            assert!(index == 0 || recovered.damaged.is_some(), "{what}");
        }
    }
}

#[tokio::test]
async fn a_record_that_just_fits_its_space_is_no_damage() {
    const STEP: usize = 4096;
    let settings = Config { segment_bytes: STEP as u64, ..config() };
    let reopen_with = async |padding: usize| {
        let disk = SimDisk::new();
        let (journal, _) = open_with(&settings, &disk, &["a"]);
        let event = Event { reason: Some("x".repeat(padding)), ..mirrored(whole("posts")) };
        journal.append(event).await.expect("durable");
        journal.close().await;
        let (_, recovered) = open_with(&settings, &disk.kill(), &["a"]);
        assert_eq!(recovered.damaged, None, "padding {padding}");
    };
    // The record ends at the end of the step, and 1 to 17 bytes before it, somewhere in here.
    for padding in 3_000..STEP {
        reopen_with(padding).await;
    }
}

#[tokio::test]
async fn a_missing_file_is_seen() {
    let (files, owed) = written().await;
    let slot = PathBuf::from("/data/overflow.slot");
    let (older, newest) = (segment(&files, 0), segment(&files, 1));
    for missing in [vec![&older], vec![&newest], vec![&older, &newest], vec![&slot]] {
        let mut files = files.clone();
        missing.iter().for_each(|path| drop(files.remove(*path)));
        let recovered = check(&files, &owed, &format!("without {missing:?}"));
        assert!(recovered.damaged.is_some(), "without {missing:?}");
        assert!(recovered.head > 1_000_000, "numbers jump past whatever was given");
    }
}

#[tokio::test]
async fn a_record_of_a_later_version_is_damage() {
    let (files, owed) = written().await;
    let newest = segment(&files, 1);
    let text = br#""origin":"#;
    let bytes = &files[&newest];
    let at = bytes.windows(text.len()).position(|window| window == text).expect("an event");
    // Renames a field and mends the checksum: the record is whole, but not an event to us.
    let mut files = files.clone();
    let bytes = files.get_mut(&newest).expect("is");
    bytes[at + 1] = b'O';
    let start = (0..at).rev().find(|&start| mend(bytes, start, at)).expect("a frame before it");
    assert!(start < at);
    let damaged = check(&files, &owed, "a strange event").damaged.expect("seen");
    assert!(damaged.contains("does not parse"), "{damaged}");
}

/// Makes the record at `start` whole if it is a frame of an event that spans `at`.
fn mend(bytes: &mut [u8], start: usize, at: usize) -> bool {
    let length = u32::from_le_bytes(bytes[start..start + 4].try_into().expect("four")) as usize;
    let end = start + 17 + length;
    if bytes[start + 8] != 3 || end > bytes.len() || end <= at || start + 17 > at {
        return false;
    }
    let sum = crc32c::crc32c(&bytes[start..start + 4]);
    let sum = crc32c::crc32c_append(sum, &bytes[start + 8..end]);
    bytes[start + 4..start + 8].copy_from_slice(&sum.to_le_bytes());
    true
}
