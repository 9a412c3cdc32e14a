//! The entries of the cache over HTTP: fenced fills, ages, lists.

use reqwest::Method;
use serde_json::json;

use crate::support::{Answer, Node, Spec};

async fn send(node: &Node, method: Method, path: &str, ticket: Option<&str>, body: &str) -> Answer {
    let mut request = node.request(method, path).body(body.to_owned());
    if let Some(ticket) = ticket {
        request = request.header("cache-mirror-ticket", ticket);
    }
    let response = request.send().await.expect("an answer");
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    Answer { status, headers, body: response.bytes().await.expect("a body") }
}

async fn put(node: &Node, path: &str, ticket: Option<&str>, body: &str) -> Answer {
    send(node, Method::PUT, &format!("/api/cache/entries/{path}"), ticket, body).await
}

async fn miss(node: &Node, key: &str) -> String {
    let answer = node.get(&format!("/api/cache/entries/{key}")).await;
    assert_eq!(
        (answer.status, answer.header("cache-status")),
        (404, Some("cache-mirror; fwd=miss"))
    );
    answer.header("cache-mirror-ticket").expect("a ticket").to_owned()
}

/// A fill is refused if a matching invalidation happened after its ticket.
#[tokio::test]
async fn a_fill_that_was_overtaken_is_refused() {
    let node = Spec::new("a").start().await;
    for (key, query, demand) in [
        ("a", "type=posts", json!({ "type": "posts" })),
        ("b", "type=posts&id=42", json!({ "type": "posts", "id": 42 })),
        ("c", "type=feed", json!({ "type": "posts" })),
        ("d", "tags=x,y", json!({ "tag": "y" })),
        ("e", "path=/e", json!({ "path": "/e*" })),
        ("f", "", json!({ "key": "f" })),
        ("g", "", json!({ "pattern": "g*" })),
        ("h", "", json!({ "all": true })),
    ] {
        let ticket = miss(&node, key).await;
        node.invalidate(demand.clone()).await;
        let path = format!("{key}?{query}");
        let refused = put(&node, &path, Some(&ticket), "stale").await;
        assert_eq!(refused.status, 409, "{demand}");
        assert_eq!(node.get_entry(key).await, None, "{demand}");
        let ticket = miss(&node, key).await;
        assert_eq!(put(&node, &path, Some(&ticket), "fresh").await.status, 201, "{demand}");
        assert_eq!(node.get_entry(key).await.as_deref(), Some("fresh"), "{demand}");
    }
}

/// A ticket of another instance, of an earlier process or an invented one is refused.
#[tokio::test]
async fn a_foreign_ticket_is_refused() {
    let mut node = Spec::new("a").start().await;
    let other = Spec::new("b").start().await;
    let foreign = miss(&other, "k").await;
    let before = miss(&node, "k").await;
    node.restart().await;
    for ticket in [foreign.as_str(), before.as_str(), "", "nonsense", "0-0", "-1"] {
        let refused = put(&node, "k", Some(ticket), "v").await;
        assert_eq!(refused.status, 409, "{ticket:?}");
    }
    assert_eq!(node.get_entry("k").await, None);
}

#[tokio::test]
async fn an_entry_is_returned_unchanged() {
    let node = Spec::new("a").start().await;
    let key = "a%2Fb%20c%3F";
    let path = format!("/api/cache/entries/{key}?type=post&id=42&tags=x,y&path=/p&ttl=60&swr=30");
    let request = node.request(Method::PUT, &path).header("content-type", "text/x-odd");
    let body = vec![0_u8, 255, 10, 13];
    assert_eq!(request.body(body.clone()).send().await.expect("stored").status(), 201);
    let found = node.get(&format!("/api/cache/entries/{key}")).await;
    assert_eq!((found.status, &found.body[..]), (200, &body[..]));
    assert_eq!(found.header("content-type"), Some("text/x-odd"));
    assert_eq!(found.header("x-content-type-options"), Some("nosniff"));
    assert!(found.header("age").is_some_and(|age| age.parse::<u64>().is_ok_and(|age| age < 60)));
    let status = found.header("cache-status").expect("a status");
    assert!(status.starts_with("cache-mirror; hit; ttl="), "{status}");
    let head = send(&node, Method::HEAD, &format!("/api/cache/entries/{key}"), None, "").await;
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert_eq!(head.header("content-length"), Some("4"));
    let list = node.get("/api/cache/entries?tag=y&limit=10").await.expect(200);
    let entry = &list["entries"][0];
    assert_eq!(
        (&entry["key"], &entry["type"], &entry["id"]),
        (&json!("a/b c?"), &json!("posts"), &json!("42"))
    );
    assert_eq!(
        (&entry["tags"], &entry["path"], &entry["bytes"]),
        (&json!(["x", "y"]), &json!("/p"), &json!(4))
    );
    assert!(entry["ttl"].as_i64().is_some_and(|ttl| (50..=60).contains(&ttl)), "{entry}");
    for query in ["tag=z", "type=pages", "prefix=b", "limit=0"] {
        let list = node.get(&format!("/api/cache/entries?{query}")).await.expect(200);
        assert_eq!(list["entries"], json!([]), "{query}");
    }
}

/// What would be stored otherwise than it was asked for is refused.
#[tokio::test]
async fn an_impossible_fill_is_refused_and_the_parameter_named() {
    let node = Spec::new("a").start().await;
    for (query, status, expected) in [
        ("ttl=0", 422, "at least 1"),
        ("ttl=0&swr=9", 422, "at least 1"),
        ("path=courses/1", 422, "must begin with '/'"),
        ("type=a&type=b", 400, "\"type\" was given twice"),
        ("ttl=10&ttl=20", 400, "\"ttl\" was given twice"),
        ("tll=10", 400, "did you mean \"ttl\"?"),
    ] {
        let refused = put(&node, &format!("k?{query}"), None, "v").await;
        let text = String::from_utf8_lossy(&refused.body).into_owned();
        let text = text.replace('\\', "");
        assert_eq!((refused.status, text.contains(expected)), (status, true), "{query}: {text}");
    }
    assert_eq!(node.get_entry("k").await, None);
    assert_eq!(put(&node, "k?tags=x&tags=y&swr=9", None, "v").await.status, 201);
    node.invalidate(json!({ "tag": "x" })).await;
    assert_eq!(node.get_entry("k").await, None, "each of several tags counts");
}

/// A deletion is this instance's own affair: no event, nothing mirrored.
#[tokio::test]
async fn a_deletion_is_local() {
    let node = Spec::new("a").start().await;
    assert!(node.put_entry("k", "type=posts", "v").await);
    let ticket = miss(&node, "other").await;
    for gone in [1, 0] {
        let answer =
            send(&node, Method::DELETE, "/api/cache/entries/k", None, "").await.expect(200);
        assert_eq!(answer["invalidated_entries"], gone);
    }
    assert_eq!(node.get_entry("k").await, None);
    assert!(node.journal().await.is_empty());
    assert_eq!(put(&node, "other", Some(&ticket), "v").await.status, 201, "others are not fenced");
}

#[tokio::test]
async fn an_unstorable_entry_is_refused() {
    let node = Spec::new("a").set("store.max_bytes", 65_536).start().await;
    for (path, status) in [
        ("k?typo=posts", 400),
        ("k?type=a%20b", 422),
        ("k?id=42", 422),
        ("k?ttl=-1", 422),
        ("k?ttl=1e3", 422),
        ("k?tags=a%0Ab", 422),
        (&format!("k?tags={}", vec!["x"; 129].join(",")), 422),
        (&format!("{}?ttl=1", "k".repeat(1025)), 422),
    ] {
        assert_eq!(put(&node, path, None, "v").await.status, status, "{path}");
    }
    assert_eq!(
        put(&node, "k", None, &"x".repeat(100_000)).await.status,
        413,
        "larger than the store"
    );
    assert_eq!(node.get_entry("k").await, None);
}

/// Soft: stale but served, while one is asked to refresh.
#[tokio::test]
async fn a_soft_invalidation_serves_while_one_refreshes() {
    let node = Spec::new("a").start().await;
    assert!(node.put_entry("k", "type=posts", "old").await);
    node.invalidate(json!({ "type": "posts", "mode": "soft" })).await;
    let first = node.get("/api/cache/entries/k").await;
    assert_eq!((first.status, &first.body[..]), (200, &b"old"[..]));
    assert!(first.header("cache-status").is_some_and(|status| status.contains("stale")));
    let ticket = first.header("cache-mirror-ticket").expect("one is asked").to_owned();
    let second = node.get("/api/cache/entries/k").await;
    assert_eq!((second.status, second.header("cache-mirror-ticket")), (200, None));
    assert_eq!(put(&node, "k?type=posts", Some(&ticket), "new").await.status, 200);
    assert_eq!(node.get_entry("k").await.as_deref(), Some("new"));
    node.invalidate(json!({ "type": "posts" })).await;
    assert_eq!(node.get_entry("k").await, None, "hard is hard");
}

/// A fill without a ticket counts from its PUT. Its answer warns if the value may be stale: if a
/// covering invalidation happened within the time that a fill may take.
#[tokio::test]
async fn a_fill_without_a_ticket_is_warned_of_a_recent_invalidation() {
    let node = Spec::new("a").start().await;
    let warned = async |path: &str| {
        let answer = put(&node, path, None, "v").await;
        let warnings = answer.json()["warnings"].as_array().expect("warnings").clone();
        assert!(
            warnings.iter().all(|text| text.as_str().is_some_and(|text| text.contains("Ticket")))
        );
        !warnings.is_empty()
    };
    assert!(!warned("k?type=products").await, "nothing was invalidated yet");
    for (demand, doubtful, clean) in [
        (
            json!({ "type": "posts", "id": 42 }),
            ["a?type=posts&id=42", "l?type=post"],
            "b?type=posts&id=7",
        ),
        (json!({ "type": "orders" }), ["a?type=orders&id=1", "b?type=orders"], "c?type=products"),
        (json!({ "tag": "x" }), ["a?tags=y,x", "b?tags=x"], "c?tags=y"),
        (json!({ "path": "/p/*" }), ["a?path=/p/1", "%2Fp%2F1"], "c?path=/q"),
        (json!({ "key": "one" }), ["one", "one?type=orders"], "two"),
        (json!({ "pattern": "z*" }), ["z1", "z2?type=products"], "y"),
        (json!({ "type": "menus", "mode": "soft" }), ["a?type=menus", "m?type=menus&id=1"], "n"),
    ] {
        node.invalidate(demand.clone()).await;
        for path in doubtful {
            assert!(warned(path).await, "{demand}: {path}");
        }
        assert!(!warned(clean).await, "{demand}: {clean}");
    }
    // With a ticket no warning is needed.
    let ticket = miss(&node, "fenced").await;
    let answer = put(&node, "fenced?type=posts&id=42", Some(&ticket), "v").await.expect(201);
    assert_eq!(answer["warnings"], json!([]));
    let node = Spec::new("b").set("store.fill_ms_max", 0).start().await;
    node.invalidate(json!({ "all": true })).await;
    assert_eq!(put(&node, "k", None, "v").await.expect(201)["warnings"], json!([]), "switched off");
}

#[tokio::test]
async fn a_fill_without_a_ticket_is_refused_where_tickets_are_required() {
    let node = Spec::new("a").set("store.require_tickets", true).start().await;
    let refused = put(&node, "k?type=posts", None, "v").await;
    assert_eq!(refused.header("content-type"), Some("application/problem+json"));
    let problem = refused.expect(428);
    assert_eq!((&problem["code"], &problem["status"]), (&json!("ticket_required"), &json!(428)));
    assert_eq!(refused.header("cache-mirror-ticket"), None, "a ticket of now would fence nothing");
    assert_eq!(node.get_entry("k").await, None);
    let ticket = miss(&node, "k").await;
    assert_eq!(put(&node, "k?type=posts", Some(&ticket), "v").await.status, 201);
}
