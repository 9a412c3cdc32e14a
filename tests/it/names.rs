//! Names deceive: oneself under another name, one instance under two.

use serde_json::json;

use crate::support::{Spec, effects, eventually, free_port, id_of, outcomes};

/// No loop 3: found by proof, not by name.
#[tokio::test]
async fn oneself_under_two_names_is_skipped_under_both() {
    let port = free_port();
    let names = [format!("127.0.0.1:{port}"), format!("localhost:{port}")];
    let node = Spec::new("a").port(port).mirrors(&names).start().await;
    eventually("both names are found to be this instance", async || {
        node.mirrors().await.values().all(|mirror| mirror["kind"] == "self")
    })
    .await;
    let answer = node.invalidate(json!({ "type": "posts" })).await;
    assert!(outcomes(&answer).values().all(|status| status == "self"), "{answer}");
    let line = node.logged("oneself found", |line| line["reason"] == "self").await;
    assert_eq!(line["event"], "loop");
    assert_eq!(node.journal().await.len(), 1);
}

/// R3: a known event id has no second effect.
#[tokio::test]
async fn another_instance_under_two_names_is_changed_once() {
    let peer = Spec::new("b").start().await;
    let names = [peer.address().to_owned(), format!("localhost:{}", peer.port())];
    let node = Spec::new("a").mirrors(&names).start().await;
    let mut ids = vec![];
    for at in 0..5 {
        ids.push(id_of(&node.invalidate(json!({ "type": "posts", "id": at })).await));
    }
    let last = ids.last().expect("five were sent");
    eventually("both names acknowledged", async || {
        outcomes(&node.event(last).await).values().all(|status| status == "delivered")
    })
    .await;
    let effects = effects(&peer.journal().await);
    assert!(ids.iter().all(|id| effects.get(id) == Some(&1)), "{effects:?}");
}
