//! Lists: an entry with a type and no id may show any entity of that type, so it never outlives the
//! invalidation of one, here or at a mirror, whichever way the invalidation came.

use reqwest::Method;
use serde_json::json;

use crate::support::{Node, Scene, Spec, eventually};

/// Two lists, the entity that changes, another one, and a list of another type.
const ENTRIES: [(&str, &str); 5] = [
    ("index", "type=products"),
    ("page2", "type=product&tags=x"),
    ("p42", "type=products&id=42"),
    ("p43", "type=products&id=43"),
    ("orders", "type=orders"),
];

async fn fill(node: &Node) {
    for (key, query) in ENTRIES {
        assert!(node.put_entry(key, query, "old").await, "{key}");
    }
}

async fn held(node: &Node) -> Vec<&'static str> {
    let mut held = vec![];
    for (key, _) in ENTRIES {
        if node.get_entry(key).await.is_some() {
            held.push(key);
        }
    }
    held
}

#[tokio::test]
async fn an_entity_clears_the_lists_of_its_type_here_and_at_the_mirror() {
    let scene = Scene::mesh(2).await;
    let [a, b] = &scene.nodes[..] else { unreachable!("two were asked for") };
    for event in [
        json!({ "type": "products", "id": "42" }),
        json!({ "type": "product", "ids": ["42", "99"] }),
        json!({ "items": [{ "type": "products", "id": 42 }, { "tag": "nothing" }] }),
    ] {
        fill(a).await;
        fill(b).await;
        let mut dry = event.clone();
        dry["dry_run"] = json!(true);
        assert_eq!(a.invalidate(dry).await["invalidated_entries"], 3, "{event}");
        let answer = a.invalidate(event.clone()).await;
        let types = answer["types"].as_object().into_iter().flatten();
        let of_types: u64 = types.filter_map(|(_, count)| count.as_u64()).sum();
        assert_eq!((&answer["invalidated_entries"], of_types), (&json!(3), 3), "{event}");
        assert_eq!(held(a).await, ["p43", "orders"], "{event}");
        eventually("the mirror", async || held(b).await == ["p43", "orders"]).await;
    }
}

/// The calls of legacy servers and of databases name entities too.
#[tokio::test]
async fn lists_are_cleared_however_the_entity_is_selected() {
    let hook = "[[ingest.hooks]]\nname = \"rows\"\npreset = \"supabase\"\nsecret = \"row-secret\"";
    let node = Spec::new("a").file(hook).start().await;
    fill(&node).await;
    node.invalidate(json!({ "type": "products", "id": "42", "mirror": false })).await;
    assert_eq!(held(&node).await, ["p43", "orders"]);
    fill(&node).await;
    let row = json!({ "type": "UPDATE", "table": "products", "schema": "public",
        "record": { "id": 42 }, "old_record": { "id": 42 } });
    let call = node.request_as("row-secret", Method::POST, "/api/hooks/rows").json(&row);
    assert!(call.send().await.expect("an answer").status().is_success());
    assert_eq!(held(&node).await, ["p43", "orders"]);
    // Stale is served and refreshed, a list as well as an entity.
    fill(&node).await;
    node.invalidate(json!({ "type": "products", "id": 42, "mode": "soft" })).await;
    for (key, is_stale) in [("index", true), ("page2", true), ("p42", true), ("p43", false)] {
        let answer = node.get(&format!("/api/cache/entries/{key}")).await;
        let status = answer.header("cache-status").expect("a status");
        assert_eq!(status.contains("stale"), is_stale, "{key}: {status}");
    }
}

/// A page of a list that was read before the entity changed is not stored after it.
#[tokio::test]
async fn a_list_that_was_read_before_the_entity_changed_is_not_stored() {
    let node = Spec::new("a").start().await;
    let miss = node.get("/api/cache/entries/index").await;
    let ticket = miss.header("cache-mirror-ticket").expect("a ticket").to_owned();
    node.invalidate(json!({ "type": "products", "id": "42" })).await;
    let put = |query: &str| {
        let path = format!("/api/cache/entries/index?{query}");
        node.request(Method::PUT, &path).header("cache-mirror-ticket", ticket.clone()).body("old")
    };
    assert_eq!(put("type=products").send().await.expect("an answer").status(), 409);
    assert_eq!(put("type=products&id=43").send().await.expect("an answer").status(), 201);
}

/// `explain` shows that lists are cleared, `why` names the entity that cleared one.
#[tokio::test]
async fn explain_shows_what_happens_to_a_list() {
    let node = Spec::new("a").start().await;
    fill(&node).await;
    let event = json!({ "type": "products", "id": "42" });
    let explained = node.post("/api/cache/explain", event.clone()).await.expect(200);
    assert_eq!(explained["lists"], json!(["products"]));
    assert_eq!((&explained["entries"], &explained["cost"]["stamps"]), (&json!(3), &json!(2)));
    let listed = node.get("/api/cache/entries?type=products").await.expect(200);
    assert_eq!(listed["entries"].as_array().map(Vec::len), Some(4));
    node.invalidate(event).await;
    node.invalidate(json!({ "type": "orders", "id": "1" })).await;
    fill(&node).await;
    for (query, is_touched) in [
        ("key=index", true),
        ("key=p42", true),
        ("key=p43", false),
        ("key=gone&type=product", true),
        ("key=gone&type=products&id=43", false),
    ] {
        let why = node.get(&format!("/api/cache/why?{query}")).await.expect(200);
        let by: Vec<_> =
            why["events"].as_array().into_iter().flatten().map(|it| &it["by"]).collect();
        let expected = json!(["products/42"]);
        assert_eq!(by, if is_touched { vec![&expected] } else { vec![] }, "{query}");
    }
}
