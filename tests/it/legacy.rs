//! A peer of the time before: it knows one type and at most one id at a time, and nothing else.

use serde_json::json;

use crate::support::{
    INVALIDATE, LOGIN, Reply, SERVICE_EMAIL, SERVICE_PASSWORD, Spec, StubPeer, eventually, id_of,
    outcomes,
};

/// Settings that declare the kind of the stub.
fn stated(stub: &StubPeer) -> String {
    format!("[[mirrors.peers]]\nurl = \"http://{}\"\nkind = \"legacy\"\n", stub.name())
}

/// S3 3.5: exactly the old request, bytes and headers.
#[tokio::test]
async fn a_legacy_mirror_receives_exactly_the_legacy_request() {
    let stub = StubPeer::start().await;
    let node = Spec::new("a").mirrors([stub.name()]).start().await;
    node.invalidate(json!({ "type": "post" })).await;
    eventually("the stub receives the type", async || stub.bodies().len() == 1).await;
    node.invalidate(json!({ "type": "posts", "id": 42 })).await;
    eventually("the stub receives the id", async || stub.bodies().len() == 2).await;
    let old =
        [r#"{"type":"posts","mirror":false}"#, r#"{"type":"posts","id":"42","mirror":false}"#];
    assert_eq!(stub.bodies(), old, "the type alone, in the plural; no cascade");
    let login = stub.seen_at(LOGIN);
    assert_eq!(login.len(), 1, "one login serves many sends");
    let credentials = json!({ "email": SERVICE_EMAIL, "password": SERVICE_PASSWORD });
    assert_eq!(login[0].text(), credentials.to_string());
    for request in stub.seen_at(INVALIDATE) {
        assert_eq!(request.method, "POST");
        assert_eq!(request.header("authorization"), "Bearer token-1");
        assert_eq!(request.header("cache-mirror-via"), "a");
        assert_eq!(request.header("content-type"), "application/json");
    }
}

/// A backlog of several ids is sent as one request without an id.
#[tokio::test]
async fn several_ids_of_one_type_are_sent_as_the_type() {
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
async fn all_is_sent_as_one_request_for_each_known_type() {
    let stub = StubPeer::start().await;
    let node = Spec::new("a").file(&stated(&stub)).start().await;
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

/// Selectors that the legacy form cannot express are skipped and logged.
#[tokio::test]
async fn tags_keys_and_patterns_are_skipped_and_logged() {
    let stub = StubPeer::start().await;
    let node = Spec::new("a").file(&stated(&stub)).start().await;
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

/// An event of which only a part was sent does not count as delivered: the outcome shows it.
#[tokio::test]
async fn a_partly_sent_event_is_reported_as_partial() {
    let stub = StubPeer::start().await;
    let node = Spec::new("a").file(&stated(&stub)).start().await;
    for rest in [json!({ "tag": "sale" }), json!({ "path": "/x" }), json!({ "key": "k" })] {
        let mixed = json!({ "items": [{ "type": "posts", "id": "1" }, rest] });
        let mut dry = mixed.clone();
        dry["dry_run"] = json!(true);
        let foreseen = &node.invalidate(dry).await["mirrors"][0];
        assert_eq!(foreseen["status"], "would_queue");
        assert_eq!(foreseen["reason"], "partly_unsupported");
        let id = id_of(&node.invalidate(mixed).await);
        eventually("the part is delivered", async || {
            outcomes(&node.event(&id).await).values().all(|status| status == "delivered")
        })
        .await;
        assert_eq!(node.event(&id).await["mirrors"][0]["reason"], "partly_unsupported");
    }
    let id = id_of(&node.invalidate(json!({ "type": "posts" })).await);
    eventually("all is delivered", async || {
        outcomes(&node.event(&id).await).values().all(|status| status == "delivered")
    })
    .await;
    assert!(node.event(&id).await["mirrors"][0]["reason"].is_null());
}

/// One answer without an identity, which a proxy may give, does not make a legacy server.
#[tokio::test]
async fn one_404_to_a_ping_does_not_mean_legacy() {
    let stub = StubPeer::start().await;
    for (spec, kind) in [
        (Spec::new("a").mirrors([stub.name()]), "unknown"),
        (Spec::new("b").file(&stated(&stub)), "legacy"),
    ] {
        let node = spec.start().await;
        let path = format!("/api/mirrors/{}/ping", stub.name());
        let ping = node.post(&path, json!({})).await.expect(200);
        assert_eq!((&ping["reachable"], &ping["kind"]), (&json!(true), &json!(kind)));
    }
}

/// A type that it refuses is parked and shown, and the types after it arrive: at once, and after a
/// restart and a reload.
#[tokio::test]
async fn a_refused_type_is_parked_and_the_others_arrive() {
    let stub = StubPeer::start().await;
    stub.answer_by(|seen| match seen.path.as_str() {
        LOGIN => Reply::Json(200, json!({ "access_token": "t", "expires_in": 3600 })),
        INVALIDATE if seen.text().contains("banners") => Reply::Json(400, json!({})),
        INVALIDATE => Reply::ok(),
        _ => Reply::Json(404, json!({})),
    });
    let mut node = Spec::new("a").file(&stated(&stub)).start().await;
    let bad = id_of(&node.invalidate(json!({ "type": "banners" })).await);
    let name = stub.name();
    for round in 0..3 {
        for of in ["pages", "posts"] {
            let good = id_of(&node.invalidate(json!({ "type": of })).await);
            eventually("it arrives", async || {
                outcomes(&node.event(&good).await)[&name] == "delivered"
            })
            .await;
        }
        eventually("banners are parked", async || node.mirror(&name).await["state"] == "parked")
            .await;
        let mirror = node.mirror(&name).await;
        assert_eq!(mirror["parked"][0]["what"], "banners");
        let outcome = node.event(&bad).await["mirrors"][0].clone();
        assert_eq!((&outcome["status"], &outcome["reason"]), (&json!("failed"), &json!("refused")));
        match round {
            0 => node.restart().await,
            1 => {
                node.signal("HUP").await;
                node.logged("the reload", |line| line["event"] == "config").await;
            }
            _ => {}
        }
    }
    let banners = stub.bodies().iter().filter(|body| body.contains("banners")).count();
    assert!(banners <= 3, "once for each start, and perhaps once with a reload: {banners}");
    let metrics = node.get("/metrics").await;
    let metrics = String::from_utf8_lossy(&metrics.body).into_owned();
    assert!(metrics.contains("parked_requests"), "{metrics}");
}
