//! Server-sent events of a real process: each once, in order, over reconnects and restarts.

use std::time::Duration;

use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::support::{Frame, Node, Spec, Sse, StubPeer, eventually};

async fn clear(node: &Node, ids: std::ops::Range<u32>) {
    for id in ids {
        // A type that nothing depends on: one frame for each event.
        node.invalidate(json!({ "type": "auth", "id": id })).await;
    }
}

/// Reads this many updates and gives what they are about, and the last id.
async fn read(stream: &mut Sse, count: usize) -> (Vec<String>, String) {
    let mut frames: Vec<Frame> = vec![];
    while frames.len() < count {
        frames.push(stream.next_of("app-update").await.expect("the stream goes on"));
    }
    let last = frames.last().and_then(|frame| frame.id.clone()).expect("updates have ids");
    let ids = frames.iter().map(|frame| frame.data["id"].as_str().unwrap_or_default().to_owned());
    (ids.collect(), last)
}

fn names(ids: std::ops::Range<u32>) -> Vec<String> {
    ids.map(|id| id.to_string()).collect()
}

/// S3 3.3: payload and name of the event.
#[tokio::test]
async fn an_update_contains_type_id_action_and_cause() {
    let node = Spec::new("a").start().await;
    let mut stream = Sse::open(&node, None).await;
    let hello = stream.next().await.expect("the stream begins");
    assert_eq!((hello.event.as_str(), &hello.data["instance"]), ("hello", &json!("a")));
    let body = json!({ "type": "post", "id": 7, "action": "delete" });
    node.invalidate(body).await;
    let update = stream.next_of("app-update").await.expect("an update");
    let member = |field: &str| update.data[field].clone();
    assert_eq!((member("type"), member("id")), (json!("posts"), json!("7")));
    assert_eq!((member("action"), member("cause")), (json!("delete"), json!([])));
    let cascade = stream.next_of("app-update").await.expect("the cascade");
    assert_eq!(cascade.data["type"], "feed");
    assert_eq!(cascade.data["cause"], json!(["posts"]));
}

/// S3 3.9: a new entity needs one entry in the graph and one in the aliases. Then it clears what
/// depends on it, is mirrored in the plural, and listeners receive its other name.
#[tokio::test]
async fn one_table_makes_a_new_entity_known_to_graph_mirrors_and_listeners() {
    let peer = StubPeer::start().await;
    let spec = Spec::new("a").set("dependencies.feed", "[\"posts\", \"reviews\"]");
    let node = spec.set("aliases", "{ rating = \"reviews\" }").mirrors([peer.name()]);
    let node = node.start().await;
    let mut stream = Sse::open(&node, None).await;
    let hello = stream.next().await.expect("the stream begins");
    assert_eq!(hello.data["aliases"]["rating"], "reviews", "{}", hello.data);
    for name in ["review", "rating"] {
        node.invalidate(json!({ "type": name })).await;
        let update = stream.next_of("app-update").await.expect("an update");
        assert_eq!(update.data["type"], "reviews");
        let cascade = stream.next_of("app-update").await.expect("the cascade");
        assert_eq!(cascade.data["type"], "feed");
    }
    eventually("the mirror receives it", async || !peer.bodies().is_empty()).await;
    let bodies = peer.bodies();
    let plural = r#"{"type":"reviews","mirror":false}"#;
    assert!(bodies.iter().all(|body| body == plural), "{bodies:?}");
}

/// Each event once and in order, over a reconnect and over two kinds of restart.
#[tokio::test]
async fn a_listener_misses_nothing_and_sees_nothing_twice() {
    let mut node = Spec::new("a").start().await;
    let mut stream = Sse::open(&node, None).await;
    clear(&node, 0..5).await;
    let (seen, last) = read(&mut stream, 5).await;
    assert_eq!(seen, names(0..5));

    drop(stream);
    clear(&node, 5..8).await;
    let mut stream = Sse::open(&node, Some(&last)).await;
    clear(&node, 8..10).await;
    let (seen, last) = read(&mut stream, 5).await;
    assert_eq!(seen, names(5..10), "what was missed, then what comes");

    clear(&node, 10..12).await;
    node.stop().await;
    node.restart().await;
    let mut stream = Sse::open(&node, Some(&last)).await;
    clear(&node, 12..14).await;
    let (seen, last) = read(&mut stream, 4).await;
    assert_eq!(seen, names(10..14), "over a stop");

    clear(&node, 14..15).await;
    node.restart().await;
    clear(&node, 15..16).await;
    let mut stream = Sse::open(&node, Some(&last)).await;
    assert_eq!(read(&mut stream, 2).await.0, names(14..16), "over a kill");
    assert!(stream.is_quiet(Duration::from_millis(300)).await, "nothing comes twice");
}

#[tokio::test]
async fn an_unknown_id_gets_a_resync() {
    let node = Spec::new("a").start().await;
    clear(&node, 0..2).await;
    for unknown in ["77-1", "no id at all", "1-999999"] {
        let mut stream = Sse::open(&node, Some(unknown)).await;
        assert_eq!(stream.next().await.expect("hello").data["gap"], true, "{unknown}");
        let resync = stream.next().await.expect("what follows");
        assert_eq!(resync.event, "resync", "{unknown}");
        let id = resync.id.expect("an id to go on from");
        let mut again = Sse::open(&node, Some(&id)).await;
        assert_eq!(again.next().await.expect("hello").data["gap"], false);
    }
}

/// A connection on which a stream was asked for, and from which nothing is ever read.
async fn never_reading(node: &Node) -> TcpStream {
    let mut socket = TcpStream::connect(node.address()).await.expect("it listens");
    let (host, token) = (node.address(), &node.token);
    let head = format!(
        "GET /api/stream HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n\r\n"
    );
    socket.write_all(head.as_bytes()).await.expect("it can be asked");
    socket
}

/// A listener that does not read is disconnected and delays no other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_listener_is_disconnected_and_others_are_not() {
    let node = Spec::new("a").set("stream.queue_events_max", 16).start().await;
    let mut slow = never_reading(&node).await;
    let mut well = Sse::open(&node, None).await;
    eventually("both are there", async || node.stats().await["stream"]["clients"] == 2).await;
    let reading = tokio::spawn(async move {
        let mut seen = 0_u64;
        while let Some(frame) = well.next_of("app-update").await {
            seen += 1;
            if frame.data["type"] == "auth" {
                break;
            }
        }
        seen
    });
    let tags: Vec<String> = (0..900).map(|at| format!("{at}-{}", "x".repeat(900))).collect();
    let mut sent = 0_u64;
    eventually("the slow one is cut off", async || {
        node.invalidate(json!({ "tags": tags })).await;
        sent += 1;
        node.stats().await["stream"]["clients"] == 1
    })
    .await;
    node.invalidate(json!({ "type": "auth" })).await;
    assert_eq!(reading.await.expect("it reads to the end"), sent + 1, "the other one got all");
    eventually("its connection is ended", async || slow.write_all(b"\r\n").await.is_err()).await;
    node.logged("the cut", |line| line["event"] == "announce" && line["status"] == "cut").await;
}
