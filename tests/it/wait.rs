//! `?wait`, `Idempotency-Key` and `dry_run` of one invalidation.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, INVALIDATE, Node, Spec, StubPeer, eventually, outcomes};

async fn invalidate(node: &Node, query: &str) -> Answer {
    node.post(&format!("{INVALIDATE}?{query}"), json!({ "type": "posts" })).await
}

fn statuses(answer: &Value) -> Vec<String> {
    outcomes(answer).into_values().collect()
}

#[tokio::test]
async fn wait_answers_200_with_outcomes_when_enough_acknowledged() {
    let (one, two) = (StubPeer::start().await, StubPeer::start().await);
    let node = Spec::new("a").mirrors([one.name(), two.name()]).start().await;
    let all = invalidate(&node, "wait=all&timeout=20s").await.expect(200);
    assert_eq!(statuses(&all), ["delivered", "delivered"]);
    let two_of_them = invalidate(&node, "wait=2&timeout=20s").await.expect(200);
    assert_eq!(statuses(&two_of_them), ["delivered", "delivered"]);
    invalidate(&node, "wait=local").await.expect(200);
    assert_eq!(invalidate(&node, "wait=everybody").await.status, 400);
    assert_eq!(invalidate(&node, "wait=all&timeout=soon").await.status, 400);
}

#[tokio::test]
async fn wait_answers_202_when_a_peer_is_down() {
    let (well, dead) = (StubPeer::start().await, StubPeer::start().await);
    dead.hang();
    let node = Spec::new("a").mirrors([well.name(), dead.name()]).start().await;
    let any = invalidate(&node, "wait=any&timeout=20s").await.expect(200);
    assert_eq!(outcomes(&any)[&well.name()], "delivered");
    invalidate(&node, "wait=1&timeout=20s").await.expect(200);
    for query in ["wait=all&timeout=100ms", "wait=2&timeout=0.1"] {
        let late = invalidate(&node, query).await.expect(202);
        assert_ne!(outcomes(&late)[&dead.name()], "delivered");
        assert_eq!(late["success"], true, "it is accepted and goes on");
    }
}

/// An answer after the timeout reports what is known by then.
#[tokio::test]
async fn a_late_answer_reports_the_failed_attempts() {
    let unwell = StubPeer::start().await;
    unwell.always(INVALIDATE, crate::support::Reply::Json(500, json!({})));
    let node = Spec::new("a").mirrors([unwell.name()]).start().await;
    eventually("it was asked who it is", async || {
        !unwell.seen_at(crate::support::IDENTITY).is_empty()
    })
    .await;
    let late = invalidate(&node, "wait=all&timeout=2s").await.expect(202);
    assert_eq!(statuses(&late), ["failed"], "{late}");
}

/// `self` does not count and is not waited for.
#[tokio::test]
async fn wait_ignores_the_instance_itself() {
    let port = crate::support::free_port();
    let node = Spec::new("a").port(port).mirrors([format!("127.0.0.1:{port}")]).start().await;
    eventually("oneself is found", async || {
        node.mirrors().await.values().all(|mirror| mirror["kind"] == "self")
    })
    .await;
    let answer = invalidate(&node, "wait=all&timeout=20s").await.expect(200);
    assert_eq!(statuses(&answer), ["self"]);
}

#[tokio::test]
async fn an_idempotency_key_has_one_effect() {
    let node = Spec::new("a").start().await;
    let send = async |body: Value| {
        let request = node.request(Method::POST, INVALIDATE).header("idempotency-key", "k1");
        let response = request.json(&body).send().await.expect("answers");
        let status = response.status().as_u16();
        (status, response.json::<Value>().await.expect("JSON"))
    };
    let posts = || json!({ "type": "posts" });
    let (first, second) = tokio::join!(send(posts()), send(posts()));
    assert_eq!((first.0, &first), (200, &second), "the same answer to both");
    assert_eq!(node.journal().await.len(), 1);
    let (status, problem) = send(json!({ "type": "pages" })).await;
    assert_eq!((status, &problem["code"]), (422, &json!("idempotency_key_reused")));
    assert_eq!(node.journal().await.len(), 1);
}

#[tokio::test]
async fn a_dry_run_reports_and_changes_nothing() {
    let stub = StubPeer::start().await;
    let node = Spec::new("a").mirrors([stub.name()]).start().await;
    assert!(node.put_entry("k", "type=posts", "v").await);
    let answer = node.invalidate(json!({ "type": "pictures", "dry_run": true })).await;
    assert_eq!((&answer["dry_run"], &answer["id"]), (&json!(true), &Value::Null));
    assert_eq!(answer["invalidated_entries"], 1, "it would clear the post");
    assert_eq!(answer["cascade"], json!(["feed", "pages", "posts"]));
    assert_eq!(node.get_entry("k").await.as_deref(), Some("v"));
    assert_eq!(node.journal().await.len(), 0);
    node.invalidate(json!({ "type": "auth" })).await;
    eventually("only the real one is sent", async || !stub.bodies().is_empty()).await;
    assert_eq!(stub.bodies(), [r#"{"type":"auth","mirror":false}"#]);
}
