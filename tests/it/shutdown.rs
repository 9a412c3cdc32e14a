//! SIGTERM: finish, flush, end with 0. Twice: end at once.

use std::time::Duration;

use futures_util::{StreamExt, stream};
use serde_json::json;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::support::{INVALIDATE, Spec, Sse, StubPeer, effects, eventually};

/// S1 1.36: events acknowledged during the shutdown are durable, and listeners receive goodbye.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigterm_finishes_requests_in_progress() {
    let mut node = Spec::new("a").start().await;
    let mut reader = Sse::open(&node, None).await;
    let sends = stream::iter(0..200).map(|at| {
        let node = &node;
        async move { node.try_invalidate(json!({ "type": "posts", "id": at })).await }
    });
    let burst = sends.buffer_unordered(8).collect::<Vec<_>>();
    let stop = async {
        eventually("it is at work", async || node.log_text().contains("\"invalidated\"")).await;
        node.signal("TERM").await;
    };
    let (answers, ()) = tokio::join!(burst, stop);
    assert_eq!(node.ended().await.code(), Some(0));
    assert!(reader.next_of("goodbye").await.is_some(), "a listener learns when to come back");
    let stopped = node.log_lines().iter().any(|line| line["status"] == "stopped");
    assert!(stopped, "the log is flushed to its last line");
    node.restart().await;
    let effects = effects(&node.journal().await);
    for answer in answers.into_iter().flatten() {
        let id = answer["id"].as_str().expect("an id");
        assert_eq!(effects.get(id), Some(&1), "acknowledged, so durable");
    }
}

/// A request in flight when the signal comes is finished, and not sent again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigterm_finishes_the_send_in_flight() {
    let (stub, answers) = (StubPeer::start().await, CancellationToken::new());
    let wait = answers.clone();
    stub.on_request(move |seen| {
        let (wait, is_told) = (wait.clone(), seen.path == INVALIDATE);
        Box::pin(async move {
            if is_told {
                wait.cancelled().await;
            }
        })
    });
    let mut node = Spec::new("a").legacy_mirrors([stub.name()]).start().await;
    node.invalidate(json!({ "type": "posts" })).await;
    eventually("it is being sent", async || stub.bodies().len() == 1).await;
    node.signal("TERM").await;
    node.logged("the stop", |line| line["status"] == "stopping").await;
    answers.cancel();
    assert_eq!(node.ended().await.code(), Some(0));
    node.restart().await;
    assert_eq!(node.mirror(&stub.name()).await["backlog_events"], 0);
    assert_eq!(stub.bodies().len(), 1);
}

#[tokio::test]
async fn sigterm_without_work_exits_soon() {
    let stub = StubPeer::start().await;
    let mut node = Spec::new("a").mirrors([stub.name()]).start().await;
    node.invalidate(json!({ "type": "posts" })).await;
    eventually("it is sent", async || stub.bodies().len() == 1).await;
    let started = Instant::now();
    assert_eq!(node.stop().await.code(), Some(0));
    assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_signal_exits_at_once() {
    let stub = StubPeer::start().await;
    stub.hang();
    let spec = Spec::new("a").mirrors([stub.name()]);
    let mut node = spec.set("control.drain_ms_max", 60_000).start().await;
    let path = format!("{INVALIDATE}?wait=all&timeout=30s");
    let request = node.request(reqwest::Method::POST, &path).json(&json!({ "type": "posts" }));
    let waiting = tokio::spawn(async move { request.send().await.map(|answer| answer.status()) });
    eventually("it is in hand", async || !node.journal().await.is_empty()).await;
    node.signal("TERM").await;
    node.logged("the stop", |line| line["status"] == "stopping").await;
    assert!(!waiting.is_finished(), "the request in hand is being waited for");
    let started = Instant::now();
    node.signal("TERM").await;
    assert_eq!(node.ended().await.code(), Some(1));
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    waiting.abort();
    node.restart().await;
    assert_eq!(node.journal().await.len(), 1, "durable all the same");
}

/// For rotation from outside: after SIGHUP lines go to a new file under the old name.
#[tokio::test]
async fn sighup_reopens_the_log() {
    let node = Spec::new("a").start().await;
    node.invalidate(json!({ "type": "posts" })).await;
    node.logged("the first event", |line| line["event"] == "invalidate").await;
    let (file, away) = (node.dir.join("logs/cache.json"), node.dir.join("logs/away"));
    std::fs::rename(&file, &away).expect("the log can be moved");
    node.signal("HUP").await;
    eventually("the file is there again", async || file.exists()).await;
    node.invalidate(json!({ "type": "pages" })).await;
    node.logged("the second event", |line| line["types"] == "pages").await;
    let before = std::fs::read_to_string(away).expect("the old file is whole");
    assert!(before.contains("posts") && !before.contains("pages"), "{before}");
}
