//! Everybody lists everybody, themselves included, and everybody writes at once.

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

/// S3 3.5, 3.6, 3.7: every event takes effect once at each instance, is sent to each other one once,
/// and then all is quiet.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn four_instances_writing_at_once_tell_each_event_to_each_other_once() {
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
    tokio::time::sleep(Duration::from_millis(700)).await;
    assert_eq!(look().await, before, "something still moves");
}

/// S3 3.8: each receiver walks its own graph, so a picture clears posts, pages and feed everywhere.
#[tokio::test]
async fn a_receiver_walks_the_graph_and_tells_it() {
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
