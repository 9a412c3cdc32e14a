//! The scenery itself: an instance starts, answers, stops and comes back; a stub plays its script.

use serde_json::json;

use crate::support::{Scene, Spec, StubPeer, effects, eventually};

#[tokio::test]
async fn an_instance_starts_answers_stops_and_restarts() {
    let mut node = Spec::new("a").start().await;
    assert!(node.put_entry("k", "type=posts", "v").await);
    let answer = node.invalidate(json!({ "type": "posts" })).await;
    assert_eq!(answer["invalidated_entries"], 1);
    assert_eq!(node.get_entry("k").await, None);
    assert_eq!(node.stop().await.code(), Some(0));
    node.restart().await;
    assert_eq!(node.journal().await.len(), 1, "the journal outlives the process");
    assert_eq!(node.output().0.lines().count(), 1, "stdout says where it listens, nothing more");
}

#[tokio::test]
async fn a_legacy_stub_receives_the_legacy_form() {
    let stub = StubPeer::start().await;
    let node = Spec::new("a").mirrors([stub.name()]).start().await;
    node.invalidate(json!({ "type": "posts" })).await;
    eventually("the stub receives it", async || stub.bodies().len() == 1).await;
    assert_eq!(stub.bodies(), [r#"{"type":"posts","mirror":false}"#]);
}

#[tokio::test]
async fn two_instances_mirror_to_each_other() {
    let scene = Scene::mesh(2).await;
    let [a, b] = &scene.nodes[..] else { unreachable!("two were asked for") };
    let answer = a.invalidate(json!({ "type": "posts" })).await;
    let id = answer["id"].as_str().expect("an id");
    eventually("b has it", async || effects(&b.journal().await).get(id) == Some(&1)).await;
}
