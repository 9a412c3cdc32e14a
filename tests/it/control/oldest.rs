//! The oldest form of an invalidation, and the counters that older clients compare (S1, S3).

use serde_json::{Value, json};

use crate::support::{Spec, StubPeer, eventually};

/// S3 3.2, 3.9: a type, or a type with an id and `mirror`; singular or plural, it is one entity,
/// and the tree is walked.
#[tokio::test]
async fn the_oldest_form_is_accepted_in_singular_and_plural() {
    let peer = StubPeer::start().await;
    let node = Spec::new("a").mirrors([peer.name()]).start().await;
    for (body, is_left) in [
        (json!({ "type": "post" }), [false, false]),
        (json!({ "type": "posts" }), [false, false]),
        (json!({ "type": "post", "id": "42", "mirror": false }), [false, true]),
        (json!({ "type": "posts", "id": 42, "mirror": true }), [false, true]),
        (json!({ "type": "picture" }), [false, false]),
    ] {
        assert!(node.put_entry("one", "type=posts&id=42", "v").await);
        assert!(node.put_entry("other", "type=post&id=43", "v").await);
        assert!(node.put_entry("feed", "type=feed", "v").await);
        let answer = node.invalidate(body.clone()).await;
        assert_eq!(answer["success"], true, "{answer}");
        let left = [node.get_entry("one").await.is_some(), node.get_entry("other").await.is_some()];
        assert_eq!(left, is_left, "{body}");
        assert_eq!(node.get_entry("feed").await, None, "{body}");
    }
    eventually("the peer receives the graph's spelling", async || {
        peer.bodies().iter().any(|body| body.contains(r#""type":"posts""#))
    })
    .await;
    assert!(!peer.bodies().iter().any(|body| body.contains(r#""type":"post""#)));
}

/// S1 1.7, 1.11, 1.20, 1.23: each event counts one, the last clear has a time, and what was never
/// cleared reads 0, not nothing; the log has a line for who looks for it.
#[tokio::test]
async fn versions_rise_by_one_and_begin_at_zero() {
    let node = Spec::new("a").start().await;
    let empty = node.get("/api/cache/versions?types=posts,unheard-of").await.expect(200);
    assert_eq!((&empty["version"], &empty["last_cache_clear"]), (&json!(0), &Value::Null));
    assert_eq!(empty["types"], json!({ "posts": 0, "unheard-of": 0 }));
    for version in 1..=3 {
        node.invalidate(json!({ "type": "posts", "id": version })).await;
        let now = node.get("/api/cache/versions?types=post,posts,feed,auth").await.expect(200);
        assert_eq!(now["version"], json!(version));
        let types = json!({ "post": version, "posts": version, "feed": version, "auth": 0 });
        assert_eq!(now["types"], types);
        let at: jiff::Timestamp =
            now["last_cache_clear"].as_str().expect("a time").parse().expect("ISO 8601");
        assert!((jiff::Timestamp::now() - at).get_seconds().abs() < 60, "{at}");
    }
    let batch = json!({ "items": [{ "type": "pages", "id": 1 }, { "type": "pages", "id": 2 }] });
    node.invalidate(batch).await;
    let now = node.get("/api/cache/versions").await.expect(200);
    assert_eq!((&now["version"], &now["types"]["pages"]), (&json!(4), &json!(1)));
    node.logged("the event", |line| line["msg"] == "invalidated" && line["version"] == 4).await;
}

/// What clears everything counts for every type of the graph, also for one that nothing named yet.
#[tokio::test]
async fn clearing_everything_raises_the_version_of_every_known_type() {
    let mut node = Spec::new("a").start().await;
    node.invalidate(json!({ "all": true })).await;
    node.invalidate(json!({ "type": "posts" })).await;
    node.restart().await;
    let now = node.get("/api/cache/versions?types=posts,auth,unheard-of").await.expect(200);
    assert_eq!(now["types"], json!({ "posts": 2, "auth": 1, "unheard-of": 0 }));
    let all = node.get("/api/cache/versions").await.expect(200);
    assert_eq!((&all["types"]["pages"], &all["types"]["feed"]), (&json!(1), &json!(2)));
    node.post("/api/cache/versions/reset", json!({})).await.expect(200);
    let none = node.get("/api/cache/versions").await.expect(200);
    assert_eq!((&none["version"], &none["types"]), (&json!(0), &json!({})));
}

/// S1 1.8: an event keeps the action of the model.
#[tokio::test]
async fn every_change_has_an_action() {
    let node = Spec::new("a").start().await;
    for action in ["create", "update", "delete", "restore", "force_delete", "archive"] {
        let body = json!({ "type": "posts", "id": 1, "action": action });
        assert!(node.invalidate(body).await["id"].is_string(), "{action}");
        let event = node.journal().await.pop().expect("an event");
        assert_eq!(event["action"], action);
    }
    for (named, action) in
        [("created", "create"), ("trashed", "delete"), ("forceDeleted", "force_delete")]
    {
        let body = json!({ "type": "posts", "id": 1, "action": named });
        assert!(node.invalidate(body).await["id"].is_string(), "{named}");
        assert_eq!(node.journal().await.pop().expect("an event")["action"], action);
    }
    let early = json!({ "type": "posts", "action": "updating" });
    assert_eq!(node.post("/api/cache/invalidate", early).await.status, 400);
}
