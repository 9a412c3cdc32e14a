//! Tokens and limits at a peer: what is refused is asked again in the right way, and nothing is
//! lost.

use std::time::Duration;

use serde_json::json;

use crate::support::{INVALIDATE, LOGIN, Reply, Spec, StubPeer, eventually, id_of, mint, outcomes};

fn refused(status: u16) -> Reply {
    Reply::Json(status, json!({ "error": "no" }))
}

/// S3 3.5: refresh on 401, once.
#[tokio::test]
async fn one_401_costs_one_more_login() {
    let stub = StubPeer::start().await;
    stub.script(INVALIDATE, [refused(401)]);
    let node = Spec::new("a").mirrors([stub.name()]).start().await;
    node.invalidate(json!({ "type": "posts" })).await;
    eventually("it is delivered", async || node.mirror(&stub.name()).await["delivered"] == 1).await;
    assert_eq!(stub.seen_at(LOGIN).len(), 2);
    let tokens: Vec<String> = stub
        .seen_at(INVALIDATE)
        .iter()
        .map(|request| request.header("authorization").to_owned())
        .collect();
    assert_eq!(tokens, ["Bearer token-1", "Bearer token-2"]);
    assert!(!node.log_lines().iter().any(|line| line["status"] == "failed"), "it is no failure");
}

#[tokio::test]
async fn refused_credentials_pause_the_peer_and_lose_nothing() {
    let stub = StubPeer::start().await;
    stub.always(LOGIN, refused(401));
    let node = Spec::new("a").mirrors([stub.name()]).start().await;
    let posts = id_of(&node.invalidate(json!({ "type": "posts" })).await);
    let pages = id_of(&node.invalidate(json!({ "type": "pages" })).await);
    eventually("it is paused", async || node.mirror(&stub.name()).await["paused"] == "auth").await;
    assert_eq!(node.event(&posts).await["mirrors"][0]["reason"], "auth");
    assert_eq!(node.mirror(&stub.name()).await["backlog_events"], 2);
    stub.repair();
    node.post(&format!("/api/mirrors/{}/resume", stub.name()), json!({})).await.expect(200);
    for id in [&posts, &pages] {
        eventually("it arrives", async || {
            outcomes(&node.event(id).await).values().all(|status| status == "delivered")
        })
        .await;
    }
    let mut bodies = stub.bodies();
    bodies.sort_unstable();
    assert_eq!(bodies, ["pages", "posts"].map(|of| format!(r#"{{"type":"{of}","mirror":false}}"#)));
    let log = node.log_text();
    assert!(!log.contains(crate::support::SERVICE_PASSWORD), "secrets never appear in the log");
}

/// Missing credentials lead to the same state, logged once.
#[tokio::test]
async fn missing_credentials_pause_the_peer_and_are_logged_once() {
    let stub = StubPeer::start().await;
    let spec = Spec::new("a").mirrors([stub.name()]);
    let spec = spec.without_env("SERVICE_EMAIL").without_env("SERVICE_PASSWORD");
    let node = spec.start().await;
    for _ in 0..3 {
        node.invalidate(json!({ "type": "posts" })).await;
    }
    eventually("it is paused", async || node.mirror(&stub.name()).await["paused"] == "auth").await;
    node.logged("the pause", |line| line["status"] == "paused").await;
    let count = node.log_lines().iter().filter(|line| line["status"] == "paused").count();
    assert_eq!((count, stub.bodies().len()), (1, 0));
}

/// A 429 is a wish, not a failure.
#[tokio::test]
async fn retry_after_is_obeyed_and_is_not_a_failure() {
    let stub = StubPeer::start().await;
    stub.script(INVALIDATE, [Reply::throttled(1)]);
    let node = Spec::new("a").mirrors([stub.name()]).start().await;
    node.invalidate(json!({ "type": "posts" })).await;
    let line = node.logged("the wish", |line| line["http_status"] == 429).await;
    assert_eq!(line["event"], "limit");
    assert_eq!(node.mirror(&stub.name()).await["failures"], 0);
    eventually("it is delivered", async || node.mirror(&stub.name()).await["delivered"] == 1).await;
    let requests = stub.seen_at(INVALIDATE);
    assert_eq!(requests.len(), 2);
    assert!(
        requests[1].at - requests[0].at >= Duration::from_millis(990),
        "{:?}",
        requests[1].at - requests[0].at
    );
}

/// A peer's account invalidates here, and may do no more than that.
#[tokio::test]
async fn a_service_account_may_invalidate_locally_and_nothing_else() {
    let stub = StubPeer::start().await;
    let node = Spec::new("a").mirrors([stub.name()]).start().await;
    let token = mint("a", crate::support::SERVICE_EMAIL, "service");
    let answer = node.invalidate_as(&token, json!({ "type": "posts", "mirror": true })).await;
    assert_eq!(answer.expect(200)["mirrors"], json!([]));
    let read = node.request_as(&token, reqwest::Method::GET, "/api/cache/journal");
    assert_eq!(read.send().await.expect("answers").status(), 403);
    let stranger = mint("somebody-else", "editor@example.test", "ADMIN");
    assert_eq!(node.invalidate_as(&stranger, json!({ "type": "posts" })).await.status, 401);
    assert_eq!(node.journal().await.len(), 1);
}
