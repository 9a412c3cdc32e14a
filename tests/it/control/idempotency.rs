//! Repeated requests: `Idempotency-Key`, and events that a peer repeats.

use serde_json::{Value, json};

use crate::support::{Node, SERVICE_EMAIL, Spec, mint};

async fn with_key(node: &Node, token: &str, key: &str, body: Value) -> (u16, Value) {
    let request = node.request_as(token, reqwest::Method::POST, "/api/cache/invalidate");
    let answer =
        request.header("idempotency-key", key).json(&body).send().await.expect("an answer");
    (answer.status().as_u16(), answer.json().await.expect("JSON"))
}

#[tokio::test]
async fn the_same_key_always_gets_the_same_answer() {
    let node = Spec::new("a").start().await;
    let posts = json!({ "type": "posts" });
    let (status, first) = with_key(&node, &node.token, "k1", posts.clone()).await;
    let (again, second) = with_key(&node, &node.token, "k1", posts.clone()).await;
    assert_eq!((status, again, &first), (200, 200, &second));
    assert_eq!(node.journal().await.len(), 1);
    let (status, problem) = with_key(&node, &node.token, "k1", json!({ "type": "pages" })).await;
    assert_eq!((status, &problem["code"]), (422, &json!("idempotency_key_reused")));
    let ann = mint("a", "ann@x.example", "ADMIN");
    let (_, hers) = with_key(&node, &ann, "k1", json!({ "type": "pages" })).await;
    assert_ne!(hers["id"], first["id"], "a key is its owner's");
    assert_eq!(node.journal().await.len(), 2);
    for unusable in [&"k".repeat(257), "", "é"] {
        let (status, problem) = with_key(&node, &node.token, unusable, posts.clone()).await;
        assert_eq!((status, &problem["code"]), (400, &json!("bad_idempotency_key")));
    }
    assert_eq!(node.journal().await.len(), 2);
}

/// Between a call and its repetition the entry may have been filled again from a lagging source.
#[tokio::test]
async fn a_repetition_under_a_key_clears_the_store_again() {
    let node = Spec::new("a").set("dependencies.feed", "posts").start().await;
    let posts = json!({ "type": "posts", "id": 42 });
    let (_, first) = with_key(&node, &node.token, "k", posts.clone()).await;
    assert!(node.put_entry("post", "type=posts&id=42", "old").await);
    assert!(node.put_entry("other", "type=posts&id=43", "stays").await);
    assert!(node.put_entry("feed", "type=feed", "old").await);
    let (status, again) = with_key(&node, &node.token, "k", posts).await;
    assert_eq!((status, &again), (200, &first));
    assert_eq!(node.get_entry("post").await, None);
    assert_eq!(node.get_entry("feed").await, None, "the cascade too");
    assert!(node.get_entry("other").await.is_some());
    assert_eq!(node.journal().await.len(), 1);
    let clear = async || {
        let call = node.request(reqwest::Method::POST, "/api/cache/clear");
        let call = call.header("idempotency-key", "c").json(&json!({}));
        call.send().await.expect("an answer").text().await.expect("a body")
    };
    let first = clear().await;
    assert!(node.put_entry("post", "type=posts&id=42", "old").await);
    assert_eq!((clear().await, node.get_entry("post").await), (first, None));
}

/// Of two keys neither is the one that is meant.
#[tokio::test]
async fn several_keys_in_one_request_are_refused() {
    let node = Spec::new("a").start().await;
    let request = node.request(reqwest::Method::POST, "/api/cache/invalidate");
    let request = request.header("idempotency-key", "k1").header("idempotency-key", "k2");
    let answer = request.json(&json!({ "type": "posts" })).send().await.expect("an answer");
    assert_eq!(answer.status().as_u16(), 400);
    assert_eq!(node.journal().await.len(), 0);
}

/// A key belongs to one caller with one kind of credential, also if name and key joined together
/// are equal. A call with a gateway's mark is a different call.
#[tokio::test]
async fn a_key_belongs_to_its_caller() {
    let node = Spec::new("a").start().await;
    let token = |subject: &str| mint("a", subject, "ADMIN");
    let callers = [node.token.clone(), token("admin"), token("ann"), token("ann k")];
    let keys = ["k", "k", "k k", "k"];
    let posts = || json!({ "type": "posts" });
    for (caller, key) in callers.iter().zip(keys) {
        let marked = node.request_as(caller, reqwest::Method::POST, "/api/cache/invalidate");
        let marked = marked.header("idempotency-key", key).header("cache-mirror-via", "b");
        let marked = marked.json(&posts()).send().await.expect("an answer");
        assert!(marked.status().is_success());
        let (status, _) = with_key(&node, caller, key, posts()).await;
        assert_eq!(status, 200);
    }
    let journal = node.journal().await;
    assert_eq!(journal.len(), 8, "each had its effect: {journal:?}");
    let principals: Vec<_> = journal.iter().map(|event| event["principal"].as_str()).collect();
    assert_eq!(principals[1..4], [Some("admin"), Some("jwt:admin"), Some("jwt:admin")]);
}

/// At the same moment too: one effect, one answer.
#[tokio::test]
async fn the_same_key_at_once_has_one_effect() {
    let node = Spec::new("a").start().await;
    let asking = (0..20).map(|_| with_key(&node, &node.token, "k", json!({ "type": "posts" })));
    let answers = futures_util::future::join_all(asking).await;
    assert!(answers.iter().all(|answer| answer == &answers[0]), "{answers:?}");
    assert_eq!(node.journal().await.len(), 1);
}

/// A dry run or a refused call does not consume its key.
#[tokio::test]
async fn a_dry_run_does_not_consume_its_key() {
    let node = Spec::new("a").start().await;
    let asked = json!({ "type": "posts", "dry_run": true });
    let (status, answer) = with_key(&node, &node.token, "k", asked).await;
    assert_eq!((status, &answer["dry_run"], &answer["id"]), (200, &json!(true), &Value::Null));
    let (status, _) = with_key(&node, &node.token, "k", json!({ "type": "a b" })).await;
    assert_eq!(status, 422);
    let (status, done) = with_key(&node, &node.token, "k", json!({ "type": "posts" })).await;
    assert_eq!((status, done["seq"].as_u64()), (200, Some(1)));
}

/// A batch that comes again, whole or in part, and after a restart, has no second
/// effect; what is new in it has its own.
#[tokio::test]
async fn a_repeated_batch_has_no_second_effect() {
    let mut node = Spec::new("a").start().await;
    let service = mint("a", SERVICE_EMAIL, "service");
    let event = |n: u32, name: &str| {
        json!({ "id": format!("01980000-0000-7000-8000-{n:012}"), "seq": n,
            "selectors": { "types": [name] } })
    };
    let batch = |events: Vec<Value>| {
        json!({ "mirror": false, "batch": { "protocol": 1, "origin": "b", "epoch": 1, "graph": "g",
            "watermark": 1, "events": events } })
    };
    let once = batch(vec![event(1, "posts")]);
    let answer = node.invalidate_as(&service, once.clone()).await.expect(200);
    assert_eq!(answer["id"], "01980000-0000-7000-8000-000000000001", "it keeps its name");
    let again = node.invalidate_as(&service, once.clone()).await.expect(200);
    assert_eq!((&again["success"], &again["duplicate"]), (&json!(true), &json!(true)));
    let more = batch(vec![event(1, "posts"), event(2, "pages")]);
    node.invalidate_as(&service, more.clone()).await.expect(200);
    let journal = node.journal().await;
    assert_eq!(journal.len(), 2);
    assert_eq!(journal[1]["selectors"], json!(["pages"]), "only what was new");
    node.restart().await;
    for body in [once, more] {
        let again = node.invalidate_as(&service, body).await.expect(200);
        assert_eq!(again["duplicate"], true, "known over a restart");
    }
    assert_eq!(node.journal().await.len(), 2);
}
