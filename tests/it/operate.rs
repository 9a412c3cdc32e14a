//! An operator's hand on a mirror: pause, resume, retry, another limit.

use serde_json::json;

use crate::support::{INVALIDATE, Reply, Spec, StubPeer, eventually, id_of, outcomes};

/// S4 4.2.
#[tokio::test]
async fn a_paused_mirror_gets_nothing_until_it_is_resumed() {
    let stub = StubPeer::start().await;
    let node = Spec::new("a").mirrors([stub.name()]).start().await;
    let name = stub.name();
    let answer = node.post(&format!("/api/mirrors/{name}/pause"), json!({})).await.expect(200);
    assert_eq!(answer["mirror"]["paused"], "operator");
    let id = id_of(&node.invalidate(json!({ "type": "posts" })).await);
    assert_eq!(outcomes(&node.event(&id).await)[&name], "paused");
    node.post(&format!("/api/mirrors/{name}/retry"), json!({})).await.expect(200);
    assert_eq!(node.mirror(&name).await["paused"], "operator", "a retry is no resume");
    assert_eq!(stub.bodies().len(), 0);
    node.post(&format!("/api/mirrors/{name}/resume"), json!({})).await.expect(200);
    eventually("it is delivered", async || outcomes(&node.event(&id).await)[&name] == "delivered")
        .await;
    let problem = node.post("/api/mirrors/nobody/pause", json!({})).await.expect(404);
    assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains(&name)), "{problem}");
}

/// A pause survives a restart, and its backlog is kept.
#[tokio::test]
async fn a_pause_survives_a_kill_and_loses_nothing() {
    let stub = StubPeer::start().await;
    let mut node = Spec::new("a").mirrors([stub.name()]).start().await;
    let name = stub.name();
    let operate = |what: &str| format!("/api/mirrors/{name}/{what}");
    node.post(&operate("pause"), json!({})).await.expect(200);
    let before = id_of(&node.invalidate(json!({ "type": "posts" })).await);
    node.kill9().await;
    node.restart().await;
    let after = id_of(&node.invalidate(json!({ "type": "pages" })).await);
    let listed = node.mirror(&name).await;
    assert_eq!((&listed["paused"], &listed["backlog_events"]), (&json!("operator"), &json!(2)));
    let is_logged = |line: &serde_json::Value| line["reason"] == "operator" && line["peer"] == name;
    node.logged("the pause is logged", is_logged).await;
    assert_eq!(stub.bodies().len(), 0);

    node.post(&operate("resume"), json!({})).await.expect(200);
    for id in [before, after] {
        let is_delivered = async || outcomes(&node.event(&id).await)[&name] == "delivered";
        eventually("it is delivered", is_delivered).await;
    }
    node.restart().await;
    assert_eq!(node.mirror(&name).await["paused"], json!(null), "a resume lasts too");
}

/// Sending what should wait is seen; holding back what should go is not.
#[tokio::test]
async fn a_damaged_pause_file_pauses_nothing_and_is_logged() {
    let stub = StubPeer::start().await;
    let mut node = Spec::new("a").mirrors([stub.name()]).start().await;
    let pause = format!("/api/mirrors/{}/pause", stub.name());
    node.post(&pause, json!({})).await.expect(200);
    node.kill9().await;
    std::fs::write(node.dir.join("data/pauses.json"), "{\"paused\":[").expect("written");
    node.restart().await;
    node.logged("the damage", |line| line["status"] == "unread" && line["level"] == 50).await;
    node.invalidate(json!({ "type": "posts" })).await;
    eventually("it goes", async || node.mirror(&stub.name()).await["delivered"] == 1).await;
    node.post(&pause, json!({})).await.expect(200);
    node.restart().await;
    assert_eq!(node.mirror(&stub.name()).await["paused"], "operator", "the file is whole again");
}

#[tokio::test]
async fn a_retry_does_not_wait_for_the_back_off() {
    let stub = StubPeer::start().await;
    stub.always(INVALIDATE, Reply::Json(500, json!({})));
    let node = Spec::new("a")
        .mirrors([stub.name()])
        .set("mirrors.backoff_ms_min", 3_600_000)
        .set("mirrors.backoff_ms_max", 3_600_000)
        .start()
        .await;
    node.invalidate(json!({ "type": "posts" })).await;
    eventually("it has failed", async || node.mirror(&stub.name()).await["failures"] == 1).await;
    assert_eq!(node.mirror(&stub.name()).await["state"], "failing");
    stub.repair();
    node.post(&format!("/api/mirrors/{}/retry", stub.name()), json!({})).await.expect(200);
    eventually("it is delivered", async || node.mirror(&stub.name()).await["delivered"] == 1).await;
    assert_eq!(node.mirror(&stub.name()).await["last_error"], json!(null));
}

/// The breaker opens after so many failures in a row, once, and closes with the first success.
#[tokio::test]
async fn the_breaker_opens_once_and_closes_once() {
    let stub = StubPeer::start().await;
    stub.always(INVALIDATE, Reply::Json(503, json!({})));
    let node = Spec::new("a").mirrors([stub.name()]).start().await;
    node.invalidate(json!({ "type": "posts" })).await;
    let is_open = |line: &serde_json::Value| line["event"] == "breaker" && line["status"] == "open";
    node.logged("the breaker opens", is_open).await;
    assert_eq!(node.mirror(&stub.name()).await["breaker"], "open");
    stub.repair();
    node.logged("it closes", |line| line["event"] == "breaker" && line["status"] == "closed").await;
    let opened = node.log_lines().iter().filter(|line| is_open(line)).count();
    assert_eq!(opened, 1);
}

#[tokio::test]
async fn a_limit_changes_while_a_send_waits_for_it() {
    let stub = StubPeer::start().await;
    let node = Spec::new("a")
        .mirrors([stub.name()])
        .set("mirrors.rate_per_second", 0.001)
        .set("mirrors.burst", 1)
        .start()
        .await;
    node.invalidate(json!({ "type": "posts" })).await;
    eventually("the first one goes", async || stub.bodies().len() == 1).await;
    node.invalidate(json!({ "type": "pages" })).await;
    assert_eq!(stub.bodies().len(), 1);
    let path = format!("/api/mirrors/{}", stub.name());
    let answer = node.patch(&path, json!({ "rate_per_second": 1000, "burst": 10 })).await;
    assert_eq!(answer.expect(200)["burst"], 10);
    eventually("the second one goes", async || stub.bodies().len() == 2).await;
    assert_eq!(node.mirror(&stub.name()).await["rate_per_second"], 1000.0);
    assert_eq!(node.patch(&path, json!({ "burst": 0 })).await.status, 422);
    assert_eq!(node.patch(&path, json!({ "bursts": 1 })).await.status, 400);
}
