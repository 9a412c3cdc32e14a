//! What `log.file` may lead to: files that are moved, pipes, devices, the process's own output.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::{FileTypeExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::json;

use crate::support::{Spec, eventually};

fn pipe(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().expect("mkfifo runs").success());
}

fn run(dir: &Path, file: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cache-mirror"));
    command.args(args).arg("--isolated").args(["--set", &format!("log.file={}", file.display())]);
    command.env_clear().current_dir(dir).output().expect("it runs")
}

fn text(output: &Output) -> String {
    [&output.stdout[..], &output.stderr[..]].map(String::from_utf8_lossy).concat()
}

#[tokio::test]
async fn a_directory_or_a_socket_as_the_log_is_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    let (folder, socket) = (dir.path().join("folder"), dir.path().join("socket"));
    fs::create_dir(&folder).expect("made");
    let _socket = UnixListener::bind(&socket).expect("bound");
    for (file, kind) in [(&folder, "directory"), (&socket, "socket")] {
        for args in [&["serve"][..], &["config", "check"], &["doctor", "--only", "log"]] {
            let output = run(dir.path(), file, args);
            let shown = text(&output);
            assert_eq!(output.status.code(), Some(78), "{args:?}: {shown}");
            assert!(shown.contains("log.file") && shown.contains(kind), "{args:?}: {shown}");
        }
    }
}

#[tokio::test]
async fn the_target_of_a_linked_log_is_reported() {
    let dir = tempfile::tempdir().expect("a directory");
    let at = |name: &str| dir.path().join(name);
    pipe(&at("pipe"));
    symlink("plain", at("link")).expect("linked");
    fs::create_dir_all(at("full.json.2")).expect("made");
    for (name, expected) in [
        ("pipe", "a pipe"),
        ("link", "a link to plain"),
        ("full.json", "full.json.2 is a directory"),
    ] {
        for args in [&["config", "check"][..], &["doctor", "--only", "log"]] {
            let shown = text(&run(dir.path(), &at(name), args));
            assert!(shown.contains(expected), "{name} {args:?}: {shown}");
        }
    }
    let node = Spec::new("a").set("log.file", "/dev/null").start().await;
    assert!(node.output().1.contains("/dev/null (a device: not rotated)"), "{:?}", node.output());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pipe_as_the_log_never_blocks_the_instance_and_gets_whole_lines() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("pipe");
    pipe(&file);
    let spec = Spec::new("a").set("log.file", file.display()).set("log.rotate_bytes", 65_536);
    let mut node = spec.start().await;
    node.invalidate(json!({ "type": "posts", "reason": "without a reader" })).await;
    let reader = file.clone();
    let read = tokio::task::spawn_blocking(move || {
        let lines = BufReader::new(fs::File::open(reader).expect("opened")).lines();
        lines.map(|line| line.expect("a line")).find(|line| line.contains("without a reader"))
    });
    let line = read.await.expect("it ends").expect("the line waited for its reader");
    assert!(serde_json::from_str::<serde_json::Value>(&line).is_ok(), "{line}");
    // The reader is gone again, and so nothing is read.
    node.invalidate(json!({ "type": "pages" })).await;
    assert_eq!(node.stop().await.code(), Some(0));
    assert!(fs::metadata(&file).expect("there").file_type().is_fifo(), "it was not renamed");
}

#[tokio::test]
async fn stdout_as_the_log_is_not_rotated() {
    for file in ["/dev/stdout", "/proc/self/fd/1", "/dev/fd/1"] {
        let spec = Spec::new("a").set("log.file", file).set("log.rotate_bytes", 65_536);
        let node = spec.start().await;
        for id in 0..200 {
            let reason = format!("{id} {}", "x".repeat(900));
            node.invalidate(json!({ "type": "posts", "id": id, "reason": reason })).await;
        }
        eventually("all of it is written", async || node.output().0.contains("\"199 xxx")).await;
        let stdout = node.output().0;
        let lines = stdout.lines().filter(|line| line.starts_with('{'));
        for line in lines {
            assert!(serde_json::from_str::<serde_json::Value>(line).is_ok(), "{file}: {line}");
        }
        let is_there = stdout.lines().any(|line| line.starts_with("listening control="));
        assert!(is_there, "{file}: neither overwrites the other");
        assert!(!node.dir.join("stdout.txt.1").exists(), "{file}");
    }
}

/// Without a signal: what was deleted or moved away is noticed, with its directory too.
#[tokio::test]
async fn a_moved_or_deleted_log_is_created_again() {
    let node = Spec::new("a").start().await;
    let logs = node.dir.join("logs");
    let file = logs.join("cache.json");
    eventually("it is there", async || file.exists()).await;
    fs::remove_file(&file).expect("deleted");
    eventually("the deleted file is made again", async || file.exists()).await;
    fs::rename(&file, logs.join("away")).expect("moved");
    eventually("the moved file is made again", async || file.exists()).await;
    fs::remove_dir_all(&logs).expect("deleted");
    eventually("its directory is made again", async || file.exists()).await;
    node.invalidate(json!({ "type": "pages" })).await;
    node.logged("the event", |line| line["types"] == "pages").await;
}

#[tokio::test]
async fn a_directory_in_place_of_a_rotated_file_loses_no_line() {
    let spec = Spec::new("a").set("log.rotate_bytes", 65_536);
    let node = spec.start().await;
    fs::create_dir(node.dir.join("logs/cache.json.1")).expect("made");
    for id in 0..200 {
        let reason = format!("{id} {}", "x".repeat(900));
        node.invalidate(json!({ "type": "posts", "id": id, "reason": reason })).await;
    }
    node.logged("the last event", |line| line["reason"].to_string().contains("199 x")).await;
    let written = node.log_lines().iter().filter(|line| line["event"] == "invalidate").count();
    assert_eq!((written, node.stats().await["log"]["dropped"].as_u64()), (200, Some(0)));
}
