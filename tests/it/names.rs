//! Names deceive: oneself under another name, one instance under two.

use serde_json::json;
use tempfile::TempDir;

use crate::support::{
    INVALIDATE, LOGIN, Reply, Spec, StubPeer, effects, eventually, free_port, id_of, outcomes,
};

/// No loop 3: found by proof, not by name.
#[tokio::test]
async fn an_instance_skips_itself_under_every_name() {
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
async fn another_instance_under_two_names_applies_an_event_once() {
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

/// A name and a stored id prove nothing: machines are cloned, disks and all.
#[tokio::test]
async fn two_clones_of_one_disk_are_two_instances() {
    let port = free_port();
    let mut first = Spec::new("a").mirrors([format!("127.0.0.1:{port}")]).start().await;
    first.invalidate(json!({ "type": "posts" })).await;
    first.stop().await;
    let clone = TempDir::new().expect("a temporary directory");
    let copied = std::process::Command::new("cp")
        .arg("-r")
        .args([first.dir.join("data"), clone.path().join("data")])
        .status();
    assert!(copied.expect("cp runs").success());
    let spec = Spec::new("a").port(port).dir(clone.path()).mirrors([first.address()]);
    let second = spec.start().await;
    first.restart().await;
    for (from, to) in [(&first, &second), (&second, &first)] {
        let id = id_of(&from.invalidate(json!({ "type": "pages" })).await);
        eventually("it arrives at the clone", async || {
            effects(&to.journal().await).get(&id) == Some(&1)
        })
        .await;
    }
}

/// What was before a peer was known is none of its business.
#[tokio::test]
async fn a_new_peer_starts_at_the_head() {
    let stub = StubPeer::start().await;
    let mut node = Spec::new("a").start().await;
    node.invalidate(json!({ "type": "posts" })).await;
    node.restart_with(|spec| spec.mirrors([stub.name()])).await;
    node.invalidate(json!({ "type": "pages" })).await;
    eventually("it is sent", async || !stub.bodies().is_empty()).await;
    assert_eq!(stub.bodies(), [r#"{"type":"pages","mirror":false}"#]);
}

/// A path in the list is a prefix of everything at that peer.
#[tokio::test]
async fn a_peer_below_a_path_is_called_below_that_path() {
    let stub = StubPeer::start().await;
    let below = |path: &str| format!("/site{path}");
    let token = json!({ "access_token": "t", "expires_in": 60 });
    stub.always(&below(LOGIN), Reply::Json(200, token));
    stub.always(&below(INVALIDATE), Reply::ok());
    let node = Spec::new("a").mirrors([format!("http://{}/site", stub.name())]).start().await;
    let path = format!("{INVALIDATE}?wait=all&timeout=20s");
    node.post(&path, json!({ "type": "posts" })).await.expect(200);
    assert_eq!(stub.seen_at(&below(INVALIDATE)).len(), 1);
    assert!(stub.seen().iter().all(|seen| seen.path.starts_with("/site/")));
}
