//! The log of a real process, read by the real `pino-pretty` and `bunyan` from npm.
//!
//! The two programs are installed once, below `target/`. Without npm this fails, because an
//! untested promise is worthless; `CACHE_MIRROR_SKIP_NPM=1` skips it with a message.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use tokio::sync::OnceCell;

use crate::support::{INVALIDATE, Reply, Spec, StubPeer};

const PACKAGES: [&str; 2] = ["pino-pretty@13", "bunyan@2"];
/// Installing takes seconds with a network and never ends without one.
const INSTALL_TIME_MAX: Duration = Duration::from_secs(180);

/// Where the programs are; `None` where they are not wanted.
#[allow(clippy::print_stderr, reason = "what was left out must be seen")]
async fn programs() -> Option<PathBuf> {
    if std::env::var("CACHE_MIRROR_SKIP_NPM").is_ok_and(|value| value == "1") {
        eprintln!(
            "left out: CACHE_MIRROR_SKIP_NPM=1, the log was not read by pino-pretty and bunyan"
        );
        return None;
    }
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("npm");
    let bin = dir.join("node_modules/.bin");
    static INSTALLED: OnceCell<()> = OnceCell::const_new();
    let is_there = || bin.join("pino-pretty").exists() && bin.join("bunyan").exists();
    INSTALLED
        .get_or_init(async || {
            // Tests may run in several processes, and npm allows only one in its directory.
            let path = dir.with_extension("lock");
            let lock = tokio::task::spawn_blocking(move || {
                let lock = std::fs::File::create(path).expect("a file below target/");
                lock.lock().expect("whoever holds it ends");
                lock
            });
            let _lock = lock.await.expect("it runs");
            if !is_there() {
                install(&dir).await;
            }
        })
        .await;
    Some(bin)
}

async fn install(dir: &Path) {
    std::fs::create_dir_all(dir).expect("a directory below target/");
    let mut npm = Command::new("npm");
    npm.args(["install", "--no-audit", "--no-fund", "--no-optional", "--prefix"]).arg(dir);
    npm.args(PACKAGES).stdin(Stdio::null()).kill_on_drop(true);
    let output = tokio::time::timeout(INSTALL_TIME_MAX, npm.output()).await;
    let output = output.expect("npm ends in time");
    let output = output.expect("npm can be run; CACHE_MIRROR_SKIP_NPM=1 leaves this test out");
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "npm: {error}\nCACHE_MIRROR_SKIP_NPM=1 leaves this test out");
}

async fn through(program: &Path, args: &[&str], log: &str) -> String {
    let mut child = Command::new(program)
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("it was installed");
    let mut stdin = child.stdin.take().expect("piped");
    let writing = async move { stdin.write_all(log.as_bytes()).await };
    let (written, output) = tokio::join!(writing, child.wait_with_output());
    let output = output.expect("it ends");
    written.expect("it reads all of it");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

/// A process that did something worth a line of each level.
async fn real_log() -> String {
    let peer = StubPeer::start().await;
    peer.script(INVALIDATE, [Reply::Json(500, json!({})), Reply::ok()]);
    let mut node = Spec::new("a").mirrors([peer.name()]).start().await;
    let answer = node.invalidate(json!({ "type": "posts", "id": 42, "reason": "tried" })).await;
    let id = answer["id"].as_str().expect("an id").to_owned();
    let login = json!({ "email": "nobody@x.example", "password": "x" });
    assert_eq!(node.post("/api/auth/login", login).await.status, 401);
    node.logged("the failure", |line| line["event"] == "mirror" && line["level"] == 40).await;
    node.logged("the delivery", |line| line["msg"] == "mirrored" && line["event_id"] == id).await;
    assert_eq!(node.stop().await.code(), Some(0));
    node.log_text()
}

/// S3 3.10: both print message, level and fields of every line, and leave no line as it was.
#[tokio::test]
async fn pino_pretty_and_bunyan_read_the_log() {
    let Some(bin) = programs().await else { return };
    let log = real_log().await;
    let lines: Vec<Value> =
        log.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let pino = through(&bin.join("pino-pretty"), &["--colorize", "false"], &log).await;
    let bunyan = through(&bin.join("bunyan"), &["--no-color"], &log).await;
    for (program, text) in [("pino-pretty", &pino), ("bunyan", &bunyan)] {
        for line in &lines {
            let msg = line["msg"].as_str().expect("msg");
            assert!(text.contains(msg), "{program} shows {msg:?}:\n{text}");
        }
        for part in ["INFO", "WARN", "posts", "42", "tried", "nobody@x.example", "http 500"] {
            assert!(text.contains(part), "{program} shows {part:?}:\n{text}");
        }
        let raw = text.lines().find(|line| line.starts_with('{'));
        assert_eq!(raw, None, "{program} leaves no line unread");
    }
    assert!(pino.contains("event: \"invalidate\""), "{pino}");
    let heads = bunyan.lines().filter(|line| line.starts_with('['));
    assert_eq!(heads.count(), lines.len(), "one head for each line:\n{bunyan}");
}

/// `bunyan -l warn` shows what is worth a look, and only that.
#[tokio::test]
async fn bunyan_filters_by_level() {
    let Some(bin) = programs().await else { return };
    let log = real_log().await;
    let warnings = through(&bin.join("bunyan"), &["--no-color", "-l", "warn"], &log).await;
    assert!(warnings.contains("login refused") && warnings.contains("mirror failed"), "{warnings}");
    assert!(!warnings.contains("INFO") && !warnings.contains("invalidated"), "{warnings}");
    let condition = "this.event == 'invalidate'";
    let found =
        through(&bin.join("bunyan"), &["--no-color", "-o", "json-0", "-c", condition], &log).await;
    let found: Vec<Value> =
        found.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(found.len(), 1);
    assert_eq!((&found[0]["types"], &found[0]["reason"]), (&json!("posts"), &json!("tried")));
}
