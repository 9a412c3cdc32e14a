//! Every instance lists every instance, itself included, and all write at once.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::json;

use crate::support::{Node, Scene, effects, eventually, id_of};

const NODES: usize = 4;
const EVENTS: usize = 25;

async fn burst(node: &Node) -> Vec<String> {
    let sends = (0..EVENTS).map(|at| async move {
        let id = format!("{}-{at}", node.name());
        id_of(&node.invalidate(json!({ "type": "posts", "id": id })).await)
    });
    join_all(sends).await
}

/// Sums of `requests`, `delivered` and `backlog_events` over a node's mirrors.
async fn sums(node: &Node) -> [u64; 3] {
    let mirrors = node.mirrors().await;
    ["requests", "delivered", "backlog_events"]
        .map(|field| mirrors.values().filter_map(|mirror| mirror[field].as_u64()).sum())
}

async fn brought_by_mirrors(node: &Node) -> usize {
    let journal = node.journal().await;
    let brought = journal.iter().filter(|event| event["source"] == "mirror");
    brought.map(|event| event["covers"].as_array().map_or(0, Vec::len)).sum()
}

/// S0 0.1, S3 3.5, 3.6, 3.7: every event takes effect once at each instance, is sent to each other
/// one once, and then all is quiet.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn four_concurrent_writers_send_each_event_to_each_other_once() {
    let scene = Scene::mesh(NODES).await;
    let ids: BTreeSet<String> =
        join_all(scene.nodes.iter().map(burst)).await.into_iter().flatten().collect();
    assert_eq!(ids.len(), NODES * EVENTS);
    let each_other = (NODES - 1) * EVENTS;
    for node in &scene.nodes {
        eventually("every event is here and none is owed", async || {
            let arrived = effects(&node.journal().await).len();
            arrived >= ids.len() && sums(node).await[1..] == [each_other as u64, 0]
        })
        .await;
    }
    for node in &scene.nodes {
        let effects = effects(&node.journal().await);
        assert!(ids.iter().all(|id| effects.get(id) == Some(&1)), "{}: {effects:?}", node.name());
        assert_eq!(brought_by_mirrors(node).await, each_other, "at {}", node.name());
        assert_eq!(node.mirror(node.address()).await["kind"], "self");
        assert_eq!(node.mirror(node.address()).await["requests"], 0);
    }
    stays_quiet(&scene).await;
}

/// A loop would go round many times in this window.
async fn stays_quiet(scene: &Scene) {
    let look = async || {
        let lengths = join_all(scene.nodes.iter().map(async |node| node.journal().await.len()));
        (join_all(scene.nodes.iter().map(sums)).await, lengths.await)
    };
    let before = look().await;
    // That nothing moves can only be shown by waiting.
    tokio::time::sleep(Duration::from_millis(700)).await;
    assert_eq!(look().await, before, "something still moves");
}

/// S3 3.8: each receiver walks its own graph, so a picture clears posts, pages and feed everywhere.
#[tokio::test]
async fn a_receiver_applies_the_graph_and_reports_it() {
    let scene = Scene::mesh(2).await;
    let [a, b] = &scene.nodes[..] else { unreachable!("two were asked for") };
    for name in ["posts", "pages", "feed", "translations"] {
        assert!(b.put_entry(name, &format!("type={name}"), "old").await);
    }
    a.invalidate(json!({ "type": "picture", "id": "7" })).await;
    eventually("the feed is cleared at b", async || b.get_entry("feed").await.is_none()).await;
    assert_eq!(b.get_entry("posts").await, None);
    assert_eq!(b.get_entry("pages").await, None);
    assert_eq!(b.get_entry("translations").await.as_deref(), Some("old"), "it depends on nothing");
}

/// S1 1.2, S4 4.5: a change elsewhere holds here when its caller has the answer, not when a life
/// ends.
/// Never stale: what was read before an event elsewhere is not stored here after it.
#[tokio::test]
async fn a_fill_is_fenced_by_an_event_of_another_instance() {
    let scene = Scene::mesh(2).await;
    let [a, b] = &scene.nodes[..] else { unreachable!("two were asked for") };
    let miss = b.get("/api/cache/entries/p1").await;
    let ticket = miss.header("cache-mirror-ticket").expect("a miss gives a ticket").to_owned();
    let path = "/api/cache/invalidate?wait=all&timeout=20s";
    a.post(path, json!({ "type": "posts", "id": 1 })).await.expect(200);
    let fill = b.request(reqwest::Method::PUT, "/api/cache/entries/p1?type=posts&id=1");
    let fill = fill.header("cache-mirror-ticket", ticket).body("read before the change");
    assert_eq!(fill.send().await.expect("answers").status(), 409);
    assert_eq!(b.get_entry("p1").await, None);
}

/// Past what is kept by name events are merged and widened, and the merger clears all of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backlog_beyond_every_limit_still_clears_everything_due() {
    let scene = Scene::mesh_with(2, |spec| {
        spec.set("journal.events_kept", 10).set("journal.backlog_members_max", 20)
    })
    .await;
    let [a, b] = &scene.nodes[..] else { unreachable!("two were asked for") };
    let pause = |what: &str| format!("/api/mirrors/{}/{what}", b.address());
    a.post(&pause("pause"), json!({})).await.expect(200);
    for at in [0, 99] {
        assert!(b.put_entry(&format!("p{at}"), &format!("type=posts&id={at}"), "old").await);
    }
    assert!(b.put_entry("auth", "type=auth", "old").await);
    join_all((0..100).map(|at| a.invalidate(json!({ "type": "posts", "id": at })))).await;
    assert_eq!(a.mirror(b.address()).await["backlog_events"], 100);
    a.post(&pause("resume"), json!({})).await.expect(200);
    eventually("nothing is owed", async || {
        let mirror = a.mirror(b.address()).await;
        mirror["backlog_events"] == 0 && mirror["delivered"] == 100
    })
    .await;
    assert_eq!((b.get_entry("p0").await, b.get_entry("p99").await), (None, None));
    assert_eq!(b.get_entry("auth").await.as_deref(), Some("old"), "widened to posts, not to all");
}
