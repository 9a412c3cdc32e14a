//! The stream over a WebSocket: its messages, who may read it, and how it ends.

use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use super::raw::{Raw, Reply, ask, usual};
use crate::support::{ACCEPT, HANDSHAKE, Node, SERVICE_EMAIL, Spec, Sse, Ws, eventually, mint};

/// The answer to a handshake with other lines.
async fn shake(node: &Node, lines: &str) -> Reply {
    let request = format!("GET /api/stream HTTP/1.1\r\n{}{lines}\r\n", usual(node));
    ask(node, &request).await.0
}

async fn readers(node: &Node) -> u64 {
    node.stats().await["stream"]["clients"].as_u64().expect("a number")
}

/// Reads to its end, and gives the code that it was closed with.
async fn end(ws: &mut Ws) -> Option<u16> {
    while ws.message().await.is_some() {}
    ws.code
}

/// S4 4.6: at one address, both send the same: hello, the update, its cascade.
#[tokio::test]
async fn a_websocket_sends_the_same_as_server_sent_events() {
    let node = Spec::new("a").start().await;
    let (mut sse, mut ws) = (Sse::open(&node, None).await, Ws::open(&node, None).await);
    assert_eq!(readers(&node).await, 2, "both are readers");
    let hello = ws.next().await.expect("it begins");
    assert_eq!((hello.event.as_str(), &hello.data["instance"]), ("hello", &json!("a")));
    assert_eq!(sse.next().await, Some(hello));
    node.invalidate(json!({ "type": "post", "id": 7, "action": "delete" })).await;
    let update = ws.next().await.expect("an update");
    assert_eq!(update.event, "app-update");
    assert_eq!((&update.data["type"], &update.data["id"]), (&json!("posts"), &json!("7")));
    let cascade = ws.next().await.expect("the cascade");
    assert_eq!(
        (&cascade.data["type"], &cascade.data["cause"]),
        (&json!("feed"), &json!(["posts"]))
    );
    assert!(cascade.id.is_some());
    for frame in [update, cascade] {
        assert_eq!(sse.next_of("app-update").await, Some(frame));
    }
    let metrics = node.get("/metrics").await.body;
    assert!(String::from_utf8_lossy(&metrics).contains("cache_mirror_sse_clients 2\n"));
}

/// With its last id a reader gets what it missed, over a kill too, and nothing twice.
#[tokio::test]
async fn missed_events_are_replayed() {
    let mut node = Spec::new("a").start().await;
    let clear = async |node: &Node, id: u32| {
        node.invalidate(json!({ "type": "auth", "id": id })).await;
    };
    let mut ws = Ws::open(&node, None).await;
    clear(&node, 1).await;
    let seen = ws.next_of("app-update").await.and_then(|frame| frame.id).expect("an id");
    clear(&node, 2).await;
    node.restart().await;
    clear(&node, 3).await;
    let header = format!("Authorization: Bearer {}\r\nLast-Event-ID: {seen}\r\n", node.token);
    let by_header = Ws::ask(node.address(), "", &header).await.expect("it opens");
    for mut ws in [Ws::open(&node, Some(&seen)).await, by_header] {
        let hello = ws.next().await.expect("hello");
        assert_eq!((&hello.data["replayed"], &hello.data["gap"]), (&json!(2), &json!(false)));
        for id in ["2", "3"] {
            assert_eq!(ws.next().await.expect("it goes on").data["id"], id);
        }
    }
    let mut lost = Ws::open(&node, Some("77-1")).await;
    assert_eq!(lost.next().await.expect("hello").data["gap"], true);
    assert_eq!(lost.next().await.expect("what follows").event, "resync");
}

/// A token that may read, or a ticket, once; a handshake that is refused costs none.
#[tokio::test]
async fn a_websocket_needs_a_token_or_a_ticket() {
    let node = Spec::new("a").set("stream.clients_max", 1).start().await;
    let refused = async |query: &str, headers: &str| {
        Ws::ask(node.address(), query, headers).await.err().unwrap_or_default()
    };
    assert!(refused("", "").await.starts_with("HTTP/1.1 401 "));
    let service = format!("Authorization: Bearer {}\r\n", mint("a", SERVICE_EMAIL, "ADMIN"));
    assert!(refused("", &service).await.starts_with("HTTP/1.1 403 "), "a peer does not read");
    let ticket = node.post("/api/stream/ticket", json!({})).await.expect(200);
    let query = format!("?ticket={}", ticket["ticket"].as_str().expect("a ticket"));
    let old = HANDSHAKE.replace("13", "8");
    let request = format!("GET /api/stream{query} HTTP/1.1\r\nHost: a\r\n{old}\r\n");
    assert_eq!(ask(&node, &request).await.0.status, 426);
    let ws = Ws::ask(node.address(), &query, "").await;
    assert!(refused(&query, "").await.starts_with("HTTP/1.1 401 "), "a ticket is good once");
    let full = shake(&node, HANDSHAKE).await;
    assert_eq!((full.status, full.code().as_str()), (503, "too_many_readers"));
    assert_eq!(ws.expect("it was good").next().await.expect("hello").event, "hello");
}

/// No browser asks before it opens a WebSocket, so the origin alone keeps other pages out.
#[tokio::test]
async fn pages_from_elsewhere_get_no_websocket() {
    let listed = "https://www.example.org";
    let origins = format!("[\"{listed}\"]");
    let node =
        Spec::new("a").set("stream.public", true).set("stream.origins", origins).start().await;
    for origin in ["https://evil.example", "null", "http://www.example.org"] {
        let reply = shake(&node, &format!("{HANDSHAKE}Origin: {origin}\r\n")).await;
        assert_eq!((reply.status, reply.code().as_str()), (403, "origin_not_allowed"), "{origin}");
    }
    let origin = format!("Origin: {listed}\r\n");
    for headers in ["", &origin] {
        let mut ws = Ws::ask(node.address(), "", headers).await.expect("it opens");
        assert_eq!(ws.next().await.expect("hello").event, "hello");
    }
}

/// The bytes of the handshake: what is accepted, what is refused and how, and what is left alone.
#[tokio::test]
async fn only_a_handshake_changes_the_protocol() {
    let node = Spec::new("a").start().await;
    let good = shake(&node, HANDSHAKE).await;
    assert_eq!((good.status, good.header("sec-websocket-accept")), (101, Some(ACCEPT)));
    assert_eq!(
        (good.header("upgrade"), good.header("connection")),
        (Some("websocket"), Some("upgrade"))
    );
    for absent in ["content-length", "transfer-encoding", "sec-websocket-extensions"] {
        assert_eq!(good.header(absent), None);
    }
    for lines in [
        HANDSHAKE.replace("Sec-WebSocket-Version: 13\r\n", ""),
        HANDSHAKE.replace("Version: 13", "Version: 8"),
    ] {
        let reply = shake(&node, &lines).await;
        assert_eq!((reply.status, reply.code().as_str()), (426, "unknown_version"), "{lines}");
        assert_eq!(reply.header("sec-websocket-version"), Some("13"));
        assert_eq!(reply.header("upgrade"), Some("websocket"));
    }
    for lines in [
        HANDSHAKE.replace("keep-alive, Upgrade", "keep-alive"),
        HANDSHAKE.replace("dGhlIHNhbXBsZSBub25jZQ==", "c2hvcnQ="),
        HANDSHAKE.replace("dGhlIHNhbXBsZSBub25jZQ==", "?"),
        HANDSHAKE.replace("Sec-WebSocket-Key", "X-Key"),
        format!("{HANDSHAKE}Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"),
    ] {
        let reply = shake(&node, &lines).await;
        assert_eq!((reply.status, reply.code().as_str()), (400, "bad_handshake"), "{lines}");
    }
    let body = shake(&node, &format!("{HANDSHAKE}Content-Length: 0\r\n")).await;
    assert_eq!(body.code(), "bad_upgrade");

    let h2c = shake(&node, "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n").await;
    assert!(h2c.header("content-type").is_some_and(|media| media.starts_with("text/event-stream")));
    let usual = usual(&node);
    for (line, status) in [
        ("GET /api/stream HTTP/1.0", 200),
        ("GET /healthz HTTP/1.1", 200),
        ("GET /api/cache/stats HTTP/1.1", 200),
        ("GET /nowhere HTTP/1.1", 404),
        ("HEAD /api/stream HTTP/1.1", 405),
        ("POST /api/stream HTTP/1.1", 405),
    ] {
        let (reply, _) = ask(&node, &format!("{line}\r\n{usual}{HANDSHAKE}\r\n")).await;
        assert_eq!(reply.status, status, "{line}");
    }
}

/// A connection goes on after a handshake that was refused, and belongs to the other protocol after
/// one that was not: what follows is no request.
#[tokio::test]
async fn nothing_is_smuggled_behind_a_handshake() {
    let node = Spec::new("a").start().await;
    let mut raw = Raw::open(&node).await;
    let usual = usual(&node);
    let clear = super::raw::invalidation(&node, r#"{"type":"posts"}"#);
    let old = HANDSHAKE.replace("13", "8");
    raw.send(format!("GET /api/stream HTTP/1.1\r\n{usual}{old}\r\n{clear}")).await;
    for status in [426, 200] {
        assert_eq!(raw.reply().await.expect("an answer").status, status);
    }
    raw.send(format!("GET /api/stream HTTP/1.1\r\n{usual}{HANDSHAKE}\r\n{clear}")).await;
    assert_eq!(raw.reply().await.expect("an answer").status, 101);
    assert!(raw.reply().await.is_none(), "it ends as a WebSocket would");
    assert_eq!(node.journal().await.len(), 1, "only the first was a request");
}

/// Messages of a listener are ignored; its pings and its close are answered.
#[tokio::test]
async fn messages_from_a_listener_have_no_effect() {
    let node = Spec::new("a").start().await;
    let mut ws = Ws::open(&node, None).await;
    assert_eq!(ws.next().await.expect("hello").event, "hello");
    assert!(ws.send(Message::text(r#"{"type":"posts"}"#)).await);
    assert!(ws.send(Message::binary(vec![0; 4096])).await);
    assert!(ws.send(Message::Ping("are you there".into())).await);
    assert_eq!(ws.message().await, Some(Message::Pong("are you there".into())));
    assert!(node.journal().await.is_empty());
    node.invalidate(json!({ "type": "auth" })).await;
    assert_eq!(ws.next().await.expect("it goes on").data["type"], "auth");
    let reason = CloseFrame { code: CloseCode::from(3999), reason: "enough".into() };
    assert!(ws.send(Message::Close(Some(reason.clone()))).await);
    assert_eq!(ws.message().await, Some(Message::Close(Some(reason))));
    assert_eq!(ws.message().await, None, "and the connection ends");
}

/// A message that is too large, and what is none, end it with a code that can be read, though more
/// was still being sent.
#[tokio::test]
async fn too_large_or_invalid_frames_close_the_websocket() {
    let node = Spec::new("a").start().await;
    let mut large = Ws::open(&node, None).await;
    assert!(large.send(Message::binary(vec![b'x'; 300_000])).await);
    assert_eq!(end(&mut large).await, Some(1009));
    let mut text = Ws::open(&node, None).await;
    assert!(text.send(Message::text("x".repeat(4097))).await);
    assert_eq!(end(&mut text).await, Some(1009));
    for (bytes, code) in [
        // A text of one byte, not masked.
        (&b"\x81\x01a"[..], 1002),
        // A reserved kind.
        (b"\x83\x80\0\0\0\0", 1002),
        // A bit of an extension that was not negotiated.
        (b"\xc1\x80\0\0\0\0", 1002),
        // A text that is no UTF-8.
        (b"\x81\x81\0\0\0\0\xff", 1007),
    ] {
        let mut ws = Ws::open(&node, None).await;
        ws.raw().write_all(bytes).await.expect("sent");
        assert_eq!(end(&mut ws).await, Some(code), "{bytes:?}");
    }
}

/// A listener that does not read is disconnected and delays no other; long messages arrive whole.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_websocket_is_disconnected_and_others_are_not() {
    let node = Spec::new("a").set("stream.queue_events_max", 16).start().await;
    let mut slow = TcpStream::connect(node.address()).await.expect("it listens");
    let request = format!("GET /api/stream HTTP/1.1\r\n{}{HANDSHAKE}\r\n", usual(&node));
    slow.write_all(request.as_bytes()).await.expect("it can be asked");
    let (mut well, mut sse) = (Ws::open(&node, None).await, Sse::open(&node, None).await);
    eventually("all are there", async || readers(&node).await == 3).await;
    let tags: Vec<String> = (100..999).map(|at| format!("{at}-{}", "x".repeat(900))).collect();
    let expected = json!(tags);
    let reading = tokio::spawn(async move {
        let mut seen = 0_u64;
        loop {
            let frame = well.next_of("app-update").await.expect("it goes on");
            assert!(sse.next_of("app-update").await.as_ref() == Some(&frame), "both are whole");
            seen += 1;
            if frame.data["type"] == "auth" {
                return seen;
            }
            assert!(frame.data["tags"] == expected, "a long message is whole");
        }
    });
    let mut sent = 0;
    eventually("the slow one is cut off", async || {
        node.invalidate(json!({ "tags": tags })).await;
        sent += 1;
        readers(&node).await == 2
    })
    .await;
    node.invalidate(json!({ "type": "auth" })).await;
    assert_eq!(reading.await.expect("it reads to the end"), sent + 1, "the others got all");
    eventually("its connection is ended", async || slow.write_all(b"\x8a\x80").await.is_err())
        .await;
    node.logged("the cut", |line| line["event"] == "announce" && line["status"] == "cut").await;
}

/// It holds the place of its connection for as long as it lives, and gives it back at any end.
#[tokio::test]
async fn a_websocket_counts_as_one_connection() {
    for key in ["control.connections_max", "control.connections_per_address_max"] {
        let node = Spec::new("a").set(key, 2).start().await;
        let health = format!("GET /healthz HTTP/1.1\r\n{}\r\n", usual(&node));
        let (mut first, second) = (Ws::open(&node, None).await, Ws::open(&node, None).await);
        assert_eq!(first.next().await.expect("hello").event, "hello");
        let mut third = Raw::open(&node).await;
        third.send(&health).await;
        let early = tokio::time::timeout(Duration::from_millis(300), third.reply()).await;
        assert!(matches!(early, Err(_) | Ok(None)), "{key}: a third was served: {early:?}");
        drop(third);
        // One just disconnects, the other sends a close.
        drop(second);
        eventually("a place is free", async || {
            let mut raw = Raw::open(&node).await;
            raw.send(&health).await;
            raw.reply().await.is_some_and(|reply| reply.status == 200)
        })
        .await;
        assert!(first.send(Message::Close(None)).await);
        end(&mut first).await;
        eventually("both places are free", async || {
            let (mut one, mut two) = (Raw::open(&node).await, Raw::open(&node).await);
            one.send(&health).await;
            two.send(&health).await;
            matches!((one.reply().await, two.reply().await), (Some(_), Some(_)))
        })
        .await;
    }
}

/// A shutdown sends goodbye with a time to reconnect at, closes with 1001, and waits for no
/// listener.
#[tokio::test]
async fn a_shutdown_closes_the_websocket_and_ends_soon() {
    let mut node = Spec::new("a").set("control.drain_ms_max", 60_000).start().await;
    let mut ws = Ws::open(&node, None).await;
    // One that reads, and never sends anything.
    let mut mute = TcpStream::connect(node.address()).await.expect("it listens");
    let request = format!("GET /api/stream HTTP/1.1\r\n{}{HANDSHAKE}\r\n", usual(&node));
    mute.write_all(request.as_bytes()).await.expect("it can be asked");
    eventually("both are there", async || readers(&node).await == 2).await;
    assert_eq!(ws.next().await.expect("it begins").event, "hello");
    let started = Instant::now();
    node.signal("TERM").await;
    let Some(Message::Text(goodbye)) = ws.message().await else { panic!("a last word") };
    let goodbye: serde_json::Value = serde_json::from_str(&goodbye).expect("JSON");
    assert_eq!(goodbye["event"], "goodbye");
    assert!(goodbye["retry"].as_u64().is_some_and(|ms| (1_000..=11_000).contains(&ms)));
    assert_eq!(end(&mut ws).await, Some(1001));
    assert_eq!(node.ended().await.code(), Some(0));
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    let mut received = vec![];
    mute.read_to_end(&mut received).await.expect("it ends in order");
    assert!(received.ends_with(b"\x88\x02\x03\xe9"), "its last frame is a close");
}
