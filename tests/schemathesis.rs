//! The API, tested from its description alone.
//!
//! schemathesis (PyPI) generates valid and invalid requests from `/openapi.json`, and compares the
//! answers with it: no 5xx, and no undocumented status, header, media type or body. It is installed
//! once, below `target/`. `CACHE_MIRROR_SKIP_SCHEMATHESIS=1` skips it with a message.

#[path = "it/support/mod.rs"]
mod support;

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use support::{Node, Spec, StubPeer};
use tokio::process::Command;

const PACKAGE: &str = "schemathesis==4.*";
/// Installing takes seconds with a network and never ends without one.
const INSTALL_TIME_MAX: Duration = Duration::from_secs(300);
/// It takes half a minute alone.
const RUN_TIME_MAX: Duration = Duration::from_secs(180);
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,\
    response_headers_conformance,response_schema_conformance,unsupported_method,ignored_auth";

/// Where the program is; `None` where it is not wanted.
#[allow(clippy::print_stderr, reason = "what was left out must be seen")]
async fn program() -> Option<PathBuf> {
    if std::env::var("CACHE_MIRROR_SKIP_SCHEMATHESIS").is_ok_and(|value| value == "1") {
        eprintln!("left out: CACHE_MIRROR_SKIP_SCHEMATHESIS=1, the API was not tried");
        return None;
    }
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("schemathesis");
    let program = dir.join("bin/schemathesis");
    if !program.exists() {
        run(Command::new("python3").args(["-m", "venv"]).arg(&dir), INSTALL_TIME_MAX).await;
        let mut pip = Command::new(dir.join("bin/python"));
        run(pip.args(["-m", "pip", "install", "--quiet", PACKAGE]), INSTALL_TIME_MAX).await;
    }
    Some(program)
}

/// Runs it to its good end.
async fn run(command: &mut Command, time_max: Duration) {
    let output = ended(command, time_max).await;
    let (out, err) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let hint = "CACHE_MIRROR_SKIP_SCHEMATHESIS=1 leaves this test out";
    assert!(output.status.success(), "{command:?}\n{out}\n{err}\n{hint}");
}

async fn ended(command: &mut Command, time_max: Duration) -> Output {
    let output = command.stdin(Stdio::null()).kill_on_drop(true).output();
    let output = tokio::time::timeout(time_max, output).await.expect("it ends in time");
    output.expect("it can be run; CACHE_MIRROR_SKIP_SCHEMATHESIS=1 leaves this test out")
}

/// An instance that has something to show, and a peer to mirror to.
async fn scene() -> (Node, StubPeer) {
    let peer = StubPeer::start().await;
    let hooks =
        "[{ name = 'database', preset = 'supabase', secret = 'admin-token-of-a-0123456789' }]";
    let schedules =
        "[{ id = 'activate-tournaments', cron = '@yearly', invalidate = { all = true } }]";
    let node = Spec::new("a")
        // The password of the description's example, so that its login succeeds.
        .env("SERVICE_EMAIL", "mirror@example.org")
        .env("SERVICE_PASSWORD", "correct horse battery")
        // Every operation is asked with wrong credentials, from one address.
        .set("auth.token_failures_per_minute", 100_000)
        // Its secret is the token that schemathesis sends with everything.
        .set("ingest.hooks", hooks)
        .set("schedules", schedules)
        // Below the client's patience: it asks for the longest wait that is described.
        .set("limits.wait_ms_max", 500)
        .mirrors([peer.name()])
        .start()
        .await;
    assert!(node.put_entry("front-page", "type=posts&id=42", "v").await);
    (node, peer)
}

/// The older routes answer a body that is no JSON with 500, because their callers know it so.
const SETTINGS: &str = r#"
[[operations]]
include-name = "POST /api/revalidate"
checks.not_a_server_error.expected-statuses = ["2xx", "3xx", "4xx", "500"]

[[operations]]
include-name = "POST /api/admin/cache/clear"
checks.not_a_server_error.expected-statuses = ["2xx", "3xx", "4xx", "500"]
"#;

#[tokio::test]
async fn every_answer_to_schemathesis_matches_the_description() {
    let Some(program) = program().await else { return };
    let (node, _peer) = scene().await;
    let settings = node.dir.join("schemathesis.toml");
    std::fs::write(settings, SETTINGS).expect("its settings can be written");
    let mut schemathesis = Command::new(program);
    schemathesis
        .arg("run")
        .arg(format!("{}/openapi.json", node.base))
        .arg("--header")
        .arg(format!("Authorization: Bearer {}", node.token))
        // It has no end; `tests/it/control` reads it.
        .args(["--exclude-path", "/api/stream"])
        .args(["--checks", CHECKS])
        .args(["--phases", "examples,coverage,fuzzing"])
        .args(["--max-examples", "15", "--seed", "20", "--request-timeout", "10"])
        .args(["--generation-database", "none", "--no-color"])
        .current_dir(&node.dir);
    run(&mut schemathesis, RUN_TIME_MAX).await;
    assert_eq!(node.get("/healthz").await.status, 200, "and it still answers");
}
