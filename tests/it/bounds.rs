//! What a peer sends costs memory in proportion to its length, and is never refused for its shape.

use serde_json::{Value, json};

use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::support::{INVALIDATE, Node, SERVICE_EMAIL, Spec, Sse, eventually, mint};

/// Most memory that the process ever had, in kB.
fn peak_kb(node: &Node) -> u64 {
    let path = format!("/proc/{}/status", node.pid());
    let status = std::fs::read_to_string(path).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a peak");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

fn types(prefix: &str) -> Vec<String> {
    (0..6_000).map(|n| format!("{prefix}{n}")).collect()
}

async fn from_peer(node: &Node, body: Value) -> Value {
    let service = mint("a", SERVICE_EMAIL, "service");
    node.invalidate_as(&service, body).await.expect(200)
}

/// Thousands of types that cascade to thousands of others: the messages do not grow with the
/// product, neither for connected listeners nor for those that come back after a restart.
#[tokio::test]
async fn a_batch_of_thousands_of_types_with_a_cascade_stays_small() {
    let mut node = Spec::new("a").start().await;
    node.invalidate(json!({ "type": "before" })).await;
    let mut reader = Sse::open(&node, None).await;
    reader.next_of("hello").await.expect("a stream");
    let batch = json!({ "protocol": 1, "origin": "b", "epoch": 1, "graph": "other",
        "watermark": 1, "cascade": { "types": types("u") }, "events": [{
            "id": "01980000-0000-7000-8000-000000000001", "seq": 1,
            "selectors": { "types": types("t") } }] });
    from_peer(&node, json!({ "mirror": false, "batch": batch })).await;
    let update = reader.next_of("app-update").await.expect("it is sent");
    assert!(update.data.to_string().len() < 4_096);
    assert!(peak_kb(&node) < 400_000, "{} kB", peak_kb(&node));
    node.restart().await;
    let epoch = node.journal().await[0]["epoch"].clone();
    let mut late = Sse::open(&node, Some(&format!("{epoch}-1"))).await;
    late.next_of("app-update").await.expect("it is sent again");
    assert!(peak_kb(&node) < 400_000, "{} kB", peak_kb(&node));
}

/// A connection without credentials that asks for a replay and reads nothing.
async fn never_reading(node: &Node, last_id: &str) -> TcpStream {
    let mut socket = TcpStream::connect(node.address()).await.expect("it listens");
    let query = format!("lastEventId={last_id}");
    let head = format!("GET /api/stream?{query} HTTP/1.1\r\nHost: {}\r\n\r\n", node.address());
    socket.write_all(head.as_bytes()).await.expect("it can be asked");
    socket
}

/// Listeners far behind that do not read cost the same, however much they missed. One that reads
/// receives everything and continues with new events.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn listeners_far_behind_use_little_memory() {
    const EVENTS: usize = 400;
    const READERS: usize = 200;
    let node = Spec::new("a").set("stream.public", true).start().await;
    let ids = |n: usize| -> Vec<String> { (0..100).map(|m| format!("{n}-{m:090}")).collect() };
    for n in 0..EVENTS {
        node.invalidate(json!({ "type": "auth", "ids": ids(n) })).await;
    }
    let epoch = node.journal().await[0]["epoch"].clone();
    let before = peak_kb(&node);
    let start = format!("{epoch}-0");
    let mut stuck = vec![];
    for _ in 0..READERS {
        stuck.push(never_reading(&node, &start).await);
    }
    eventually("all are there", async || node.stats().await["stream"]["clients"] == json!(READERS))
        .await;
    let mut reader = Sse::open(&node, Some(&start)).await;
    let hello = reader.next_of("hello").await.expect("it begins");
    assert_eq!((&hello.data["replayed"], &hello.data["gap"]), (&json!(EVENTS), &json!(false)));
    node.invalidate(json!({ "type": "auth", "id": "new" })).await;
    for n in 0..EVENTS {
        let update = reader.next_of("app-update").await.expect("it is replayed");
        assert_eq!(update.data["ids"][0], json!(ids(n)[0]));
    }
    assert_eq!(reader.next_of("app-update").await.expect("what is new").data["id"], "new");
    // Whole replays would take 4 MB for each reader: 800 MB.
    let grown = peak_kb(&node).saturating_sub(before);
    assert!(grown < 150_000, "{grown} kB");
}

/// Values of other types, half a character and a very long number: whatever can be read is cleared,
/// and the named entity always is.
#[tokio::test]
async fn values_that_a_peer_spells_differently_are_still_cleared() {
    let node = Spec::new("a").start().await;
    let service = mint("a", SERVICE_EMAIL, "service");
    let long = "1".repeat(2_000);
    for body in [
        r#"{"type":"posts","id":1.0,"mirror":false}"#.to_owned(),
        r#"{"type":"posts","id":["1"],"mirror":"false"}"#.to_owned(),
        r#"{"type":"posts","id":"1","reason":"cut \ud83d"}"#.to_owned(),
        r#"{"type":"posts","id":"1","fields":{"price":{}},"changed":7}"#.to_owned(),
        format!(r#"{{"type":"posts","id":{long}}}"#),
        r#"{"type":"posts","id":"\udead"}"#.to_owned(),
    ] {
        assert!(node.put_entry("post", "type=posts&id=1", "old").await);
        let call = node.request_as(&service, reqwest::Method::POST, INVALIDATE);
        let call = call.header("content-type", "application/json").body(body.clone());
        let answer = call.send().await.expect("an answer");
        assert_eq!(answer.status().as_u16(), 200, "{body}");
        assert_eq!(node.get_entry("post").await, None, "{body}");
    }
    assert!(node.journal().await.iter().all(|event| event["scope"] == "local"));
}
