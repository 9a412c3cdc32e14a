//! The data directory: one process at a time, and damage means clearing more, never less.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::support::{Node, Spec, eventually, outcomes};

#[tokio::test]
async fn a_data_directory_admits_one_process() {
    let node = Spec::new("a").start().await;
    let data = node.dir.join("data");
    let second = Spec::new("b").set("instance.data_dir", data.display()).try_start().await;
    let error = second.err().expect("the second one does not start");
    assert!(error.contains("data") && error.contains("in use"), "{error}");
    assert_eq!(error.trim().lines().count(), 1, "{error}");
    node.invalidate(json!({ "type": "posts" })).await;
}

fn segment(node: &Node) -> PathBuf {
    let journal = node.dir.join("data/journal");
    let files = std::fs::read_dir(journal).expect("the journal is a directory");
    files.map(|file| file.expect("an entry").path()).max().expect("a segment")
}

/// Flips one bit inside the record that holds `text`.
fn damage(node: &Node, text: &str) {
    let path = segment(node);
    let mut bytes = std::fs::read(&path).expect("the segment can be read");
    let at = bytes.windows(text.len()).position(|window| window == text.as_bytes());
    bytes[at.expect("the record is there")] ^= 1;
    std::fs::write(&path, bytes).expect("the segment can be written");
}

/// Over-invalidation, never silence: the peer receives a hard `all`, because the modes of the lost
/// events are unknown.
#[tokio::test]
async fn a_damaged_journal_sends_clear_all_to_every_mirror() {
    let peer = Spec::new("b").start().await;
    let mut node = Spec::new("a").mirrors([peer.address()]).start().await;
    for reason in ["first-one", "second-one", "third-one"] {
        node.invalidate(json!({ "type": "posts", "reason": reason })).await;
    }
    eventually("the peer has them", async || {
        node.mirror(peer.address()).await["backlog_events"] == 0
    })
    .await;
    assert_eq!(node.stop().await.code(), Some(0));
    assert!(peer.put_entry("auth", "type=auth", "old").await);
    damage(&node, "second-one");
    node.restart().await;
    let is_all = |event: &Value| event["selectors"] == json!(["all"]);
    eventually("the peer clears all", async || peer.journal().await.iter().any(is_all)).await;
    node.logged("the gap", |line| line["event"] == "gap").await;
    let stale = peer.get("/api/cache/entries/auth").await;
    assert_eq!(stale.status, 404);
    let answer = node.invalidate(json!({ "type": "pages" })).await;
    let id = answer["id"].as_str().expect("an id");
    eventually("it works on", async || {
        outcomes(&node.event(id).await).values().all(|status| status == "delivered")
    })
    .await;
}
