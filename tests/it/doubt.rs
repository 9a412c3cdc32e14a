//! Answers that are no acknowledgement, however much some of them look like one.

use bytes::Bytes;
use serde_json::json;

use crate::support::{INVALIDATE, LOGIN, Node, Reply, Spec, StubPeer, eventually, id_of, outcomes};

/// Sends one event to a peer that gives this answer twice before it behaves; gives what it was
/// sent.
async fn sent_again_after(reply: Reply) -> (Node, StubPeer) {
    let stub = StubPeer::start().await;
    stub.script(INVALIDATE, [reply.clone(), reply]);
    let node = Spec::new("a").mirrors([stub.name()]).start().await;
    let id = id_of(&node.invalidate(json!({ "type": "posts" })).await);
    eventually("it is delivered in the end", async || {
        outcomes(&node.event(&id).await).values().all(|status| status == "delivered")
    })
    .await;
    let line = node.logged("the success", |line| line["status"] == "delivered").await;
    assert_eq!((&line["attempt"], &line["event_id"]), (&json!(3), &json!(id)));
    let failed = node.log_lines().iter().filter(|line| line["status"] == "failed").count();
    assert_eq!((failed, stub.bodies().len()), (2, 3));
    (node, stub)
}

#[tokio::test]
async fn a_page_with_200_is_no_acknowledgement() {
    sent_again_after(Reply::html()).await;
}

#[tokio::test]
async fn success_false_with_200_is_no_acknowledgement() {
    sent_again_after(Reply::Json(200, json!({ "success": false }))).await;
}

#[tokio::test]
async fn a_truncated_answer_is_no_acknowledgement() {
    sent_again_after(Reply::Broken).await;
}

#[tokio::test]
async fn an_endless_answer_is_no_acknowledgement() {
    sent_again_after(Reply::huge()).await;
}

#[tokio::test]
async fn an_answer_in_gzip_is_no_acknowledgement() {
    let (_node, stub) = sent_again_after(Reply::gzip()).await;
    assert_eq!(stub.seen_at(INVALIDATE)[0].header("accept-encoding"), "", "nobody asked for it");
}

#[tokio::test]
async fn server_errors_are_no_acknowledgement() {
    sent_again_after(Reply::Raw(500, vec![], Bytes::new())).await;
    sent_again_after(Reply::Json(404, json!({ "error": "not here" }))).await;
}

/// The token must never follow a redirect of a peer or of an attacker in between.
#[tokio::test]
async fn a_redirect_is_never_followed() {
    let elsewhere = StubPeer::start().await;
    let target = format!("http://{}{INVALIDATE}", elsewhere.name());
    sent_again_after(Reply::redirect(&target)).await;
    assert_eq!(elsewhere.seen().len(), 0);
}

#[tokio::test]
async fn a_redirected_login_is_never_followed() {
    let (stub, elsewhere) = (StubPeer::start().await, StubPeer::start().await);
    stub.script(LOGIN, [Reply::redirect(&format!("http://{}{LOGIN}", elsewhere.name()))]);
    let node = Spec::new("a").mirrors([stub.name()]).start().await;
    node.invalidate(json!({ "type": "posts" })).await;
    eventually("it is delivered", async || node.mirror(&stub.name()).await["delivered"] == 1).await;
    assert_eq!(elsewhere.seen().len(), 0, "the password stays where it belongs");
}
