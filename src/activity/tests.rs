//! Log lines as a reader of the file gets them (`docs/LOG.md`), down to the bytes.
//! Real files in a temporary directory: rotation, a full queue, a reopened file.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};
use tracing::dispatcher::with_default;

use super::log::{Log, LogConfig};
use super::*;

struct Scene {
    dir: tempfile::TempDir,
    log: Log,
}

impl Scene {
    fn with(change: impl FnOnce(&mut LogConfig)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut config = LogConfig {
            file: dir.path().join("logs/cache.json"),
            level: Level::Info,
            rotate_bytes: 0,
            rotate_count: 5,
            queue_lines_max: 65536,
            name: "cache-mirror".into(),
        };
        change(&mut config);
        Self { log: Log::start(config).unwrap(), dir }
    }

    fn new() -> Self {
        Self::with(|_| {})
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join("logs").join(name)
    }

    fn emit(&self, activity: Activity<'_>) {
        with_default(&self.log.dispatch(), || activity.emit());
    }

    fn log(&self, msg: &str) {
        self.emit(Activity { msg, ..Activity::default() });
    }

    /// The content of the current file, once everything emitted is in it.
    fn lines(&self) -> Vec<Map<String, Value>> {
        assert!(self.log.flush());
        lines_of(&self.path("cache.json"))
    }

    fn messages(&self) -> Vec<String> {
        self.lines().iter().map(msg_of).collect()
    }
}

fn lines_of(path: &Path) -> Vec<Map<String, Value>> {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.is_empty() || text.ends_with('\n'), "the last line is whole");
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn msg_of(line: &Map<String, Value>) -> String {
    line["msg"].as_str().unwrap().to_owned()
}

#[test]
fn the_head_of_a_line_is_bunyans() {
    let scene = Scene::new();
    scene.emit(Activity { level: Level::Warn, msg: "hello", ..Activity::default() });
    let line = scene.lines().remove(0);
    let text = fs::read_to_string(scene.path("cache.json")).unwrap();
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    let head = format!(
        concat!(
            r#"{{"v":0,"name":"cache-mirror","msg":"hello","level":40,"#,
            r#""hostname":"{}","pid":{},"time":"{}","target":"cache","#,
        ),
        host.trim(),
        std::process::id(),
        line["time"].as_str().unwrap(),
    );
    assert!(text.starts_with(&head), "{text}");
    let time = line["time"].as_str().unwrap();
    assert!(time.ends_with('Z') && time.parse::<jiff::Timestamp>().is_ok(), "{time}");
    let rest: Vec<&str> = line.keys().map(String::as_str).collect();
    assert_eq!(
        rest.iter().filter(|key| !["line", "file"].contains(key)).count(),
        9,
        "nothing but the head and `event`: {rest:?}"
    );
}

/// Every text field holding its own name.
fn full() -> Activity<'static> {
    let text = |name: &'static str| Some(name);
    Activity {
        level: Level::Error,
        event: ActivityKind::Loop,
        msg: "message",
        event_id: text("event_id"),
        event_ids: text("event_ids"),
        origin: text("origin"),
        principal: text("principal"),
        source: text("source"),
        scope: text("scope"),
        mode: text("mode"),
        action: text("action"),
        types: text("types"),
        ids: text("ids"),
        tags: text("tags"),
        paths: text("paths"),
        keys: text("keys"),
        cascade: text("cascade"),
        peer: text("peer"),
        status: text("status"),
        http_status: Some(503),
        attempt: Some(2),
        duration_ms: Some(1.234_567),
        propagation_ms: Some(7),
        entries: Some(3),
        events: Some(4),
        seq: Some(u64::MAX),
        version: Some(5),
        last_clear: text("last_clear"),
        updates_per_hour: Some(12.0),
        hit_rate: Some(0.123_456),
        wait_ms: Some(6),
        reason: text("reason"),
        error: text("error"),
        address: text("address"),
        url: text("url"),
        has_secret: Some(true),
        response: text("response"),
        body: text("body"),
    }
}

#[test]
fn every_field_appears_and_an_unset_one_does_not() {
    let scene = Scene::new();
    scene.emit(full());
    let line = scene.lines().remove(0);
    for name in [
        "event_id",
        "event_ids",
        "origin",
        "principal",
        "source",
        "scope",
        "mode",
        "action",
        "types",
        "ids",
        "tags",
        "paths",
        "keys",
        "cascade",
        "peer",
        "status",
        "reason",
        "error",
        "address",
        "last_clear",
        "url",
        "response",
        "body",
    ] {
        assert_eq!(line[name], name);
    }
    assert_eq!((&line["event"], &line["has_secret"]), (&"loop".into(), &true.into()));
    assert_eq!(line["duration_ms"], 1.235);
    assert_eq!((&line["updates_per_hour"], &line["hit_rate"]), (&12.0.into(), &0.123.into()));
    for (name, number) in [
        ("level", 50),
        ("http_status", 503),
        ("attempt", 2),
        ("entries", 3),
        ("events", 4),
        ("seq", u64::MAX),
        ("version", 5),
        ("wait_ms", 6),
        ("propagation_ms", 7),
    ] {
        assert_eq!(line[name], number);
    }
    assert_eq!(line.len(), 7 + 3 + 35 + 1, "v..time, target..file, ours, event");
}

#[test]
fn nothing_in_a_field_can_start_a_line_of_its_own() {
    let scene = Scene::new();
    let hostile = "\n{\"level\":60}\r\n\u{1b}[31mred\u{1b}[0m \u{2028}\u{0}\u{7f}";
    scene.emit(Activity { msg: hostile, error: Some(hostile), ..Activity::default() });
    let lines = scene.lines();
    assert_eq!(lines.len(), 1);
    assert_eq!(lines[0]["msg"], hostile);
    assert_eq!(lines[0]["error"], hostile);
    assert_eq!(lines[0]["level"], 30);
    let text = fs::read_to_string(scene.path("cache.json")).unwrap();
    assert!(!text.trim_end().chars().any(|c| c < ' '), "control characters are escaped: {text:?}");
}

#[test]
fn long_fields_are_cut_at_a_character() {
    let scene = Scene::new();
    let long = "x".to_owned() + &"é".repeat(600);
    scene.emit(Activity { msg: &long, error: Some(&long), ..Activity::default() });
    let line = scene.lines().remove(0);
    assert_eq!(line["error"], "x".to_owned() + &"é".repeat(511));
    assert_eq!(line["msg"], line["error"]);
}

#[test]
fn joined_lists_say_what_did_not_fit() {
    assert_eq!(joined(Vec::<String>::new()), "");
    assert_eq!(joined(["posts", "pages"]), "posts,pages");
    let many = joined((0..10_000).map(|id| format!("posts/{id}")));
    assert!(many.len() <= FIELD_BYTES_MAX && many.starts_with("posts/0,posts/1,"), "{many}");
    let (shown, more) = many.split_once('…').unwrap();
    let shown = shown.split(',').count();
    assert_eq!(more, format!("+{} more", 10_000 - shown));
    let one = joined(["é".repeat(2000), "b".into()]);
    assert!(one.len() <= FIELD_BYTES_MAX && one.ends_with("é…+2 more"), "{one}");
}

#[test]
fn the_level_changes_live() {
    let scene = Scene::new();
    let at = |level, msg| scene.emit(Activity { level, msg, ..Activity::default() });
    at(Level::Debug, "too early");
    at(Level::Info, "one");
    scene.log.set_level(Level::Trace);
    at(Level::Trace, "two");
    scene.log.set_level(Level::Error);
    at(Level::Warn, "too mild");
    at(Level::Error, "three");
    assert_eq!(scene.messages(), ["one", "two", "three"]);
}

#[test]
fn spans_and_the_events_of_other_crates_stay_out() {
    let scene = Scene::new();
    with_default(&scene.log.dispatch(), || {
        let span = tracing::error_span!(target: "cache", "spoils", peer = "b");
        let _inside = span.enter();
        tracing::error!(target: "h2", "noise");
        Activity { msg: "clean", ..Activity::default() }.emit();
    });
    assert_eq!(scene.messages(), ["clean"]);
}

#[test]
fn rotation_keeps_so_many_files_and_loses_no_line() {
    let scene = Scene::with(|config| (config.rotate_bytes, config.rotate_count) = (4096, 100));
    for number in 0..200 {
        scene.log(&number.to_string());
    }
    assert!(scene.log.shutdown());
    let rotated = (1..).take_while(|n| scene.path(&format!("cache.json.{n}")).exists()).count();
    assert!(rotated > 5, "{rotated}");
    let files = (1..=rotated).rev().map(|n| scene.path(&format!("cache.json.{n}")));
    let files: Vec<PathBuf> = files.chain([scene.path("cache.json")]).collect();
    assert!(files.iter().all(|file| fs::metadata(file).unwrap().len() <= 4096));
    let all: Vec<String> =
        files.iter().flat_map(|file| lines_of(file)).map(|l| msg_of(&l)).collect();
    let expected: Vec<String> = (0..200).map(|number| number.to_string()).collect();
    assert_eq!(all, expected);
    assert_eq!((scene.log.dropped(), scene.log.write_errors()), (0, 0));
}

#[test]
fn the_oldest_file_goes_and_zero_truncates() {
    let scene = Scene::with(|config| (config.rotate_bytes, config.rotate_count) = (1, 2));
    for msg in ["a", "b", "c", "d"] {
        scene.log(msg);
    }
    assert_eq!(scene.messages(), ["d"]);
    assert_eq!(msg_of(&lines_of(&scene.path("cache.json.1"))[0]), "c");
    assert_eq!(msg_of(&lines_of(&scene.path("cache.json.2"))[0]), "b");
    assert!(!scene.path("cache.json.3").exists());

    let scene = Scene::with(|config| (config.rotate_bytes, config.rotate_count) = (1, 0));
    scene.log("a");
    scene.log("b");
    assert_eq!(scene.messages(), ["b"]);
    assert!(!scene.path("cache.json.1").exists());
}

#[test]
fn what_is_in_the_file_counts_towards_its_size() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("cache.json");
    fs::write(&file, "x".repeat(5000)).unwrap();
    let scene = Scene::with(|config| (config.file, config.rotate_bytes) = (file.clone(), 5001));
    scene.log("new");
    assert!(scene.log.flush());
    assert_eq!(fs::read(dir.path().join("cache.json.1")).unwrap().len(), 5000);
    assert_eq!(msg_of(&lines_of(&file)[0]), "new");
}

#[test]
fn only_the_owner_reads_it() {
    let scene = Scene::new();
    let mode = fs::metadata(scene.path("cache.json")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn a_file_moved_away_is_followed_by_a_new_one() {
    let scene = Scene::new();
    scene.log("before");
    assert_eq!(scene.messages(), ["before"]);
    fs::rename(scene.path("cache.json"), scene.path("moved")).unwrap();
    scene.log.reopen();
    scene.log("after");
    assert_eq!(scene.messages(), ["after"]);
    fs::remove_dir_all(scene.path("")).unwrap();
    scene.log("even without a signal, and without the directory");
    assert_eq!(scene.messages().len(), 1);
    assert_eq!(scene.log.write_errors(), 0);
}

#[test]
fn a_full_disk_blocks_nobody_and_is_told_of_afterwards() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("cache.json");
    symlink("/dev/full", &file).unwrap();
    let scene = Scene::with(|config| (config.file, config.queue_lines_max) = (file.clone(), 10));
    scene.log("kept");
    assert!(!scene.log.flush(), "the disk takes nothing");
    for number in 0..500 {
        scene.log(&number.to_string());
    }
    assert_eq!(scene.log.dropped(), 490, "ten wait in the queue");
    assert!(scene.log.write_errors() > 0);

    fs::remove_file(&file).unwrap();
    assert!(scene.log.flush());
    let lines = lines_of(&file);
    assert_eq!(lines.len(), 1 + 10 + 1);
    assert_eq!(msg_of(&lines[0]), "kept");
    assert_eq!(
        (lines[11]["event"].as_str(), lines[11]["level"].as_u64()),
        (Some("server"), Some(40))
    );
    assert_eq!(lines[11]["events"], 490);
    scene.log("again");
    assert!(scene.log.flush());
    assert_eq!(lines_of(&file).len(), 13, "reported once");
}

#[test]
fn a_directory_that_became_a_file_is_waited_out() {
    let scene = Scene::new();
    fs::remove_dir_all(scene.path("")).unwrap();
    fs::write(scene.dir.path().join("logs"), "in the way").unwrap();
    // Makes it look now: until it has noticed, a line still goes to the file that was deleted.
    scene.log.flush();
    scene.log("patient");
    assert!(!scene.log.flush());
    assert!(scene.log.write_errors() > 0);
    fs::remove_file(scene.dir.path().join("logs")).unwrap();
    assert_eq!(scene.messages(), ["patient"]);
    assert_eq!(scene.log.dropped(), 0);
}

#[test]
fn a_file_that_cannot_be_opened_is_an_error_at_the_start() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("logs"), "in the way").unwrap();
    let config = LogConfig {
        file: dir.path().join("logs/cache.json"),
        level: Level::Info,
        rotate_bytes: 0,
        rotate_count: 0,
        queue_lines_max: 1,
        name: String::new(),
    };
    assert!(Log::start(config).is_err());
}

#[test]
fn shutdown_writes_every_line_of_every_thread_whole() {
    let scene = Scene::new();
    std::thread::scope(|threads| {
        for thread in 0..4 {
            let scene = &scene;
            threads.spawn(move || {
                with_default(&scene.log.dispatch(), || {
                    for number in 0..2500 {
                        let msg = format!("{thread}/{number}");
                        Activity { msg: &msg, ..Activity::default() }.emit();
                    }
                });
            });
        }
    });
    assert!(scene.log.shutdown());
    assert!(scene.log.shutdown(), "twice is fine");
    assert_eq!(lines_of(&scene.path("cache.json")).len(), 10_000);
    assert_eq!(scene.log.dropped(), 0);
    scene.log("too late");
    assert_eq!(scene.log.dropped(), 1);
}

#[test]
fn what_a_broken_disk_never_took_is_counted_at_the_end() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("cache.json");
    symlink("/dev/full", &file).unwrap();
    let scene = Scene::with(|config| config.file = file);
    for number in 0..7 {
        scene.log(&number.to_string());
    }
    assert!(!scene.log.shutdown());
    assert_eq!(scene.log.dropped(), 7);
}

#[test]
fn emitting_counts_whatever_the_level() {
    let scene = Scene::new();
    let before = counters().happened(ActivityKind::Schedule);
    for level in Level::ALL {
        scene.emit(Activity {
            level,
            event: ActivityKind::Schedule,
            msg: "tick",
            ..Activity::default()
        });
    }
    assert!(
        counters().happened(ActivityKind::Schedule) >= before + 5,
        "of all tests of the process"
    );
    assert_eq!(scene.messages().len(), 3);
}

#[test]
fn levels_are_read_by_name() {
    for level in Level::ALL {
        assert_eq!(Level::parse(level.as_str()), Some(level));
    }
    assert_eq!(Level::parse("WARN"), Some(Level::Warn));
    assert_eq!(Level::parse("loud"), None);
    assert!(Level::Debug < Level::Info);
}

/// A pipe without a reader must not hang the start, and a device or a link is not renamed away.
#[test]
fn only_plain_files_are_rotated_and_nothing_else_is_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let pipe = dir.path().join("pipe");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
    assert!(made.success());
    let (null, link) = (dir.path().join("null"), dir.path().join("link"));
    symlink("/dev/null", &null).unwrap();
    symlink(dir.path().join("plain"), &link).unwrap();
    for file in [&pipe, &null, &link] {
        let config = LogConfig {
            file: file.clone(),
            level: Level::Info,
            rotate_bytes: 100,
            rotate_count: 2,
            queue_lines_max: 64,
            name: "cache-mirror".into(),
        };
        let log = Log::start(config).unwrap();
        for msg in ["one", "two", "three"] {
            with_default(&log.dispatch(), || Activity { msg, ..Activity::default() }.emit());
        }
        assert_eq!(log.shutdown(), *file != pipe, "{}", file.display());
        assert_eq!(log.dropped(), if *file == pipe { 3 } else { 0 });
    }
    let is_link = |path: &Path| fs::symlink_metadata(path).unwrap().is_symlink();
    assert!(is_link(&null) && is_link(&link) && !dir.path().join("null.1").exists());
    assert!(!dir.path().join("link.1").exists(), "the file behind the link is rotated");
    assert!(dir.path().join("plain.1").exists() && dir.path().join("plain").exists());
}
