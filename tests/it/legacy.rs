//! A peer of the time before: it knows one type and at most one id at a time, and nothing else.

use serde_json::json;

use crate::support::{
    INVALIDATE, LOGIN, SERVICE_EMAIL, SERVICE_PASSWORD, Spec, StubPeer, eventually, id_of, outcomes,
};

/// S3 3.5: exactly the old request, bytes and headers.
#[tokio::test]
async fn it_gets_exactly_the_old_request() {
    let stub = StubPeer::start().await;
    let node = Spec::new("a").mirrors([stub.name()]).start().await;
    node.invalidate(json!({ "type": "post" })).await;
    eventually("the stub is told", async || stub.bodies().len() == 1).await;
    node.invalidate(json!({ "type": "posts", "id": 42 })).await;
    eventually("the stub is told of the id", async || stub.bodies().len() == 2).await;
    let old =
        [r#"{"type":"posts","mirror":false}"#, r#"{"type":"posts","id":"42","mirror":false}"#];
    assert_eq!(stub.bodies(), old, "the type alone, in the plural; no cascade");
    let login = stub.seen_at(LOGIN);
    assert_eq!(login.len(), 1, "one login serves many sends");
    let credentials = json!({ "email": SERVICE_EMAIL, "password": SERVICE_PASSWORD });
    assert_eq!(login[0].text(), credentials.to_string());
    for told in stub.seen_at(INVALIDATE) {
        assert_eq!(told.method, "POST");
        assert_eq!(told.header("authorization"), "Bearer token-1");
        assert_eq!(told.header("cache-mirror-via"), "a");
        assert_eq!(told.header("content-type"), "application/json");
    }
}

/// What gathered while it could not be told goes as one request without an id.
#[tokio::test]
async fn several_ids_of_one_type_go_as_the_type() {
    let stub = StubPeer::start().await;
    let node = Spec::new("a").mirrors([stub.name()]).start().await;
    node.post(&format!("/api/mirrors/{}/pause", stub.name()), json!({})).await.expect(200);
    for id in 1..=3 {
        node.invalidate(json!({ "type": "posts", "id": id })).await;
    }
    node.post(&format!("/api/mirrors/{}/resume", stub.name()), json!({})).await.expect(200);
    eventually("nothing is owed", async || node.mirror(&stub.name()).await["backlog_events"] == 0)
        .await;
    assert_eq!(stub.bodies(), [r#"{"type":"posts","mirror":false}"#]);
}

#[tokio::test]
async fn all_goes_as_one_request_for_each_known_type() {
    let stub = StubPeer::start().await;
    let node = Spec::new("a").mirrors([stub.name()]).start().await;
    node.invalidate(json!({ "all": true })).await;
    eventually("nothing is owed", async || {
        let mirror = node.mirror(&stub.name()).await;
        mirror["backlog_events"] == 0 && mirror["delivered"] == 1
    })
    .await;
    let mut types: Vec<String> = stub.bodies();
    types.sort_unstable();
    let known =
        ["auth", "categories", "feed", "pages", "pictures", "posts", "translations", "types"];
    assert_eq!(types, known.map(|name| format!(r#"{{"type":"{name}","mirror":false}}"#)));
}

/// What it has no words for is skipped, and said so.
#[tokio::test]
async fn tags_keys_and_patterns_are_skipped_and_logged() {
    let stub = StubPeer::start().await;
    let node = Spec::new("a").mirrors([stub.name()]).start().await;
    eventually("the stub is known", async || node.mirror(&stub.name()).await["kind"] == "legacy")
        .await;
    let selectors = json!({ "tag": "sale", "key": "k", "pattern": "p:*", "path": "/x" });
    let id = id_of(&node.invalidate(selectors).await);
    eventually("the event is settled", async || {
        outcomes(&node.event(&id).await).values().all(|status| status == "skipped")
    })
    .await;
    assert_eq!(node.event(&id).await["mirrors"][0]["reason"], "unsupported");
    let line = node.logged("the skipping", |line| line["status"] == "skipped").await;
    assert_eq!(line["event_id"], id.as_str());
    assert_eq!(line["reason"], "unsupported");
    assert_eq!(stub.bodies().len(), 0);
}
