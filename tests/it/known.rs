//! Known event ids: the selectors of a call are always cleared again, and only a true repetition is
//! kept from the journal, the listeners and the mirrors.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{INVALIDATE, Node, SERVICE_EMAIL, Spec, mint};

const X: &str = "01980000-0000-7000-8000-000000000001";
const Y: &str = "01980000-0000-7000-8000-000000000002";

/// A marked call, as a gateway makes it, from a caller who may invalidate.
async fn named(node: &Node, ids: &str, body: Value) -> Value {
    let call = node.request(Method::POST, INVALIDATE).header("cache-mirror-event", ids);
    let answer = call.json(&body).send().await.expect("an answer");
    assert_eq!(answer.status().as_u16(), 200);
    answer.json().await.expect("JSON")
}

fn event(id: &str, selectors: Value, mode: &str) -> Value {
    json!({ "id": id, "seq": 1, "selectors": selectors, "mode": mode })
}

/// What a mirror sends under its service account.
async fn batch(node: &Node, events: &[Value]) -> Value {
    let body = json!({ "mirror": false, "batch": { "protocol": 1, "origin": "b", "epoch": 1,
        "graph": "g", "watermark": 1, "events": events } });
    let service = mint("a", SERVICE_EMAIL, "service");
    node.invalidate_as(&service, body).await.expect(200)
}

fn post_42() -> Value {
    json!({ "ids": { "posts": ["42"] } })
}

async fn put_post(node: &Node) {
    assert!(node.put_entry("post", "type=posts&id=42", "old").await);
}

/// An id that was planted with something else suppresses nothing, while it is known and when it has
/// been pushed out of memory.
#[tokio::test]
async fn a_planted_id_suppresses_no_invalidation() {
    for pushed_out in [0, 1, 9] {
        let node = Spec::new("a").set("journal.events_kept", 3).start().await;
        named(&node, X, json!({ "tag": "nothing" })).await;
        for n in 0..pushed_out {
            node.invalidate(json!({ "tag": format!("t{n}") })).await;
        }
        put_post(&node).await;
        let answer = batch(&node, &[event(X, post_42(), "hard")]).await;
        assert_eq!(answer["duplicate"], Value::Null, "{pushed_out}: {answer}");
        assert_eq!(node.get_entry("post").await, None, "{pushed_out}");
        let last = node.journal().await.pop().expect("an event");
        assert_eq!(last["selectors"], json!(["posts/42"]), "{pushed_out}");
    }
}

/// A soft cascade is no hard clear: the hard event that follows under the same id is news.
#[tokio::test]
async fn a_soft_clear_does_not_cover_a_hard_event() {
    let node = Spec::new("a").set("dependencies.posts", r#"["pictures"]"#).start().await;
    let nothing = json!({ "tags": ["nothing"] });
    let pictures = json!({ "types": ["pictures"] });
    batch(&node, &[event(X, nothing, "hard"), event(Y, pictures, "soft")]).await;
    put_post(&node).await;
    let answer = batch(&node, &[event(X, post_42(), "hard")]).await;
    assert_eq!(answer["duplicate"], Value::Null, "{answer}");
    assert_eq!(node.get_entry("post").await, None);
    assert_eq!(node.journal().await.len(), 2);
    // In the other order the hard one covers the soft one.
    let again = batch(&node, &[event(X, post_42(), "soft")]).await;
    assert_eq!(again["duplicate"], true, "{again}");
}

/// A known event clears the store again: the entry may have been filled from a source that did not
/// have the change yet. It is not mirrored a second time.
#[tokio::test]
async fn a_repetition_clears_the_store_again_and_is_not_mirrored() {
    let node = Spec::new("a").start().await;
    let by_header = async || named(&node, X, json!({ "type": "posts", "id": "42" })).await;
    by_header().await;
    for round in 0..4 {
        put_post(&node).await;
        let answer = match round % 2 {
            0 => by_header().await,
            _ => batch(&node, &[event(X, post_42(), "hard")]).await,
        };
        assert_eq!(
            (&answer["duplicate"], &answer["invalidated_entries"]),
            (&json!(true), &json!(1))
        );
        assert_eq!(node.get_entry("post").await, None, "round {round}");
    }
    let journal = node.journal().await;
    assert_eq!((journal.len(), answer_version(&node).await), (1, 1));
}

async fn answer_version(node: &Node) -> u64 {
    node.get("/api/cache/versions").await.expect(200)["version"].as_u64().expect("a number")
}

/// A call that names several events, one of which is not known, is new as a whole; one whose events
/// did it together is a repetition, after a restart as well.
#[tokio::test]
async fn a_call_is_a_repetition_only_if_all_its_events_are_known() {
    let mut node = Spec::new("a").start().await;
    named(&node, X, json!({ "type": "posts" })).await;
    let both = || json!({ "items": [{ "type": "posts" }, { "type": "pages" }] });
    let ids = format!("{X}, {Y}");
    assert_eq!(named(&node, &ids, json!({ "type": "posts" })).await["duplicate"], Value::Null);
    assert_eq!(named(&node, &ids, both()).await["duplicate"], Value::Null);
    assert_eq!(named(&node, &ids, both()).await["duplicate"], true);
    node.restart().await;
    assert!(node.put_entry("page", "type=pages", "old").await);
    assert_eq!(named(&node, &ids, both()).await["duplicate"], true, "known over a restart");
    assert_eq!(node.get_entry("page").await, None);
}

/// An event of this instance counts as known only for what it cleared.
#[tokio::test]
async fn an_own_event_covers_only_what_it_cleared() {
    let node = Spec::new("a").start().await;
    let own = node.invalidate(json!({ "type": "posts" })).await;
    let id = own["id"].as_str().expect("an id");
    put_post(&node).await;
    assert!(node.put_entry("page", "type=pages", "old").await);
    let again = named(&node, id, json!({ "type": "posts", "id": "42" })).await;
    assert_eq!((&again["duplicate"], node.get_entry("post").await), (&json!(true), None));
    let other = named(&node, id, json!({ "type": "pages" })).await;
    assert_eq!((&other["duplicate"], node.get_entry("page").await), (&Value::Null, None));
    assert_eq!(node.journal().await.len(), 2);
}
