//! Each mirror has its own pace: dead ones delay no other, and a limit merges events instead of
//! dropping them.

use futures_util::future::join_all;
use futures_util::{StreamExt, stream};
use serde_json::json;
use tokio::time::Instant;

use crate::support::{
    INVALIDATE, Reply, Spec, StubPeer, effects, eventually, free_port, id_of, outcomes,
};

/// R: a mirror that never answers holds up its own events only.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_dead_peer_among_nine_delays_no_other() {
    let stubs = join_all((0..8).map(|_| StubPeer::start())).await;
    let dead = StubPeer::start().await;
    dead.hang();
    let refusing = format!("127.0.0.1:{}", free_port());
    let names = stubs.iter().map(StubPeer::name).chain([dead.name(), refusing.clone()]);
    let node = Spec::new("a")
        .mirrors(names)
        .set("mirrors.timeout_ms", 60_000)
        .set("mirrors.connect_ms_max", 60_000)
        .start()
        .await;
    let mut last = String::new();
    for at in 0..20 {
        last = id_of(&node.invalidate(json!({ "type": "posts", "id": at })).await);
    }
    eventually("the eight have every event", async || {
        let event = node.event(&last).await;
        outcomes(&event).values().filter(|status| *status == "delivered").count() == stubs.len()
    })
    .await;
    assert!(stubs.iter().all(|stub| !stub.bodies().is_empty()));
    for name in [dead.name(), refusing] {
        assert_eq!(node.mirror(&name).await["backlog_events"], 20, "still owed to {name}");
    }
}

/// A peer that hangs in the middle is given up after its time, and gets everything when it is well.
#[tokio::test]
async fn a_peer_that_hangs_is_tried_again() {
    let (slow, well) = (StubPeer::start().await, StubPeer::start().await);
    slow.always(INVALIDATE, Reply::Hang);
    let node = Spec::new("a")
        .mirrors([slow.name(), well.name()])
        .set("mirrors.timeout_ms", 500)
        .start()
        .await;
    node.invalidate(json!({ "type": "posts" })).await;
    eventually("the other one has it", async || well.bodies().len() == 1).await;
    let line = node.logged("the failure", |line| line["status"] == "failed").await;
    assert!(line["error"].as_str().is_some_and(|error| error.contains("timeout")), "{line}");
    slow.repair();
    eventually("it is delivered", async || node.mirror(&slow.name()).await["delivered"] == 1).await;
    assert_eq!(well.bodies().len(), 1, "once for the one that was well");
}

/// S1 1.30: many events, few requests, every id covered.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_events_at_five_a_second_become_few_requests() {
    let peer = Spec::new("b").start().await;
    let node = Spec::new("a")
        .mirrors([peer.address()])
        .set("mirrors.rate_per_second", 5)
        .set("mirrors.burst", 1)
        .start()
        .await;
    let started = Instant::now();
    let sends = stream::iter(0..1000).map(|at| {
        let node = &node;
        async move { id_of(&node.invalidate(json!({ "type": "posts", "id": at })).await) }
    });
    let ids: Vec<String> = sends.buffer_unordered(64).collect().await;
    eventually("nothing is owed", async || {
        let mirror = node.mirror(peer.address()).await;
        mirror["backlog_events"] == 0 && mirror["delivered"] == 1000
    })
    .await;
    let requests = node.mirror(peer.address()).await["requests"].as_f64().expect("a number");
    let allowed = started.elapsed().as_secs_f64() * 5.0 + 2.0;
    assert!(requests <= allowed.min(100.0), "{requests} requests, {allowed} would be the limit");
    let effects = effects(&peer.journal().await);
    assert!(ids.iter().all(|id| effects.get(id) == Some(&1)), "every id is covered once");
}
