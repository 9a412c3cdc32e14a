//! SIGTERM: finish, flush, end with 0. Twice: end at once.

use std::time::Duration;

use futures_util::{StreamExt, stream};
use serde_json::json;
use tokio::time::Instant;

use crate::support::{INVALIDATE, Spec, Sse, StubPeer, effects, eventually};

/// S1 1.36: what was acknowledged while it was told to stop is durable; readers are told.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigterm_finishes_what_was_begun() {
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
    assert!(reader.next_of("goodbye").await.is_some(), "a reader is told to come back");
    let stopped = node.log_lines().iter().any(|line| line["status"] == "stopped");
    assert!(stopped, "the log is flushed to its last line");
    node.restart().await;
    let effects = effects(&node.journal().await);
    for answer in answers.into_iter().flatten() {
        let id = answer["id"].as_str().expect("an id");
        assert_eq!(effects.get(id), Some(&1), "acknowledged, so durable");
    }
}

/// A send in flight is finished before the end.
#[tokio::test]
async fn sigterm_without_work_ends_soon() {
    let stub = StubPeer::start().await;
    let mut node = Spec::new("a").mirrors([stub.name()]).start().await;
    node.invalidate(json!({ "type": "posts" })).await;
    eventually("it is told", async || stub.bodies().len() == 1).await;
    let started = Instant::now();
    assert_eq!(node.stop().await.code(), Some(0));
    assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_signal_ends_it_at_once() {
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
