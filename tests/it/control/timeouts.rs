//! Slow clients, and clients that send without end.

use std::time::{Duration, Instant};

use super::raw::{Raw, ask, invalidation, usual};
use crate::support::{Spec, Sse};

/// A head that does not arrive ends the connection; so does silence between two requests.
#[tokio::test]
async fn a_slow_head_is_cut_off() {
    let node = Spec::new("a").set("control.header_ms_max", 200).start().await;
    for bytes in ["", "GET /healthz HTTP/1.1\r\n", "GET /healthz HTTP/1.1\r\nHost: a\r\nX: "] {
        let mut raw = Raw::open(&node).await;
        raw.send(bytes).await;
        if let Some(reply) = raw.reply().await {
            assert_eq!(reply.status, 408, "{bytes:?}");
        }
        assert!(raw.is_over().await, "{bytes:?}");
    }
}

/// The pause between two requests has its own limit; a head that has begun has a shorter one.
#[tokio::test]
async fn an_idle_connection_has_its_own_timeout() {
    let spec = Spec::new("a").set("control.header_ms_max", 200).set("control.idle_ms_max", 1_500);
    let node = spec.start().await;
    let mut raw = Raw::open(&node).await;
    let request = invalidation(&node, r#"{"type":"posts"}"#);
    raw.send(&request).await;
    assert_eq!(raw.reply().await.expect("an answer").status, 200);
    // Longer than a head may take: silence is the subject.
    tokio::time::sleep(Duration::from_millis(600)).await;
    raw.send(&request).await;
    assert_eq!(raw.reply().await.expect("an answer after a pause").status, 200);
    raw.send("GET /healthz HT").await;
    let begun = Instant::now();
    assert!(raw.is_over().await, "a head that has begun ends with its own time");
    assert!(begun.elapsed() < Duration::from_millis(1_200), "{:?}", begun.elapsed());
    let mut raw = Raw::open(&node).await;
    raw.send(&request).await;
    assert_eq!(raw.reply().await.expect("an answer").status, 200);
    assert!(raw.is_over().await, "an idle connection ends");
}

/// Neither time ends a stream that is silent.
#[tokio::test]
async fn a_silent_stream_is_not_idle() {
    let spec = Spec::new("a").set("control.header_ms_max", 200).set("control.idle_ms_max", 200);
    let node = spec.start().await;
    let mut stream = Sse::open(&node, None).await;
    stream.next_of("hello").await.expect("it begins");
    assert!(stream.is_quiet(Duration::from_millis(700)).await);
    node.invalidate(serde_json::json!({ "type": "auth" })).await;
    assert!(stream.next_of("app-update").await.is_some(), "it goes on");
}

/// A body that does not arrive is answered 408; the received part has no effect.
#[tokio::test]
async fn a_slow_body_is_answered_408() {
    let node = Spec::new("a").set("control.body_ms_max", 200).start().await;
    for framing in [
        "Content-Length: 4000\r\n\r\n{\"type\":\"posts\"}",
        "Transfer-Encoding: chunked\r\n\r\n5\r\n{\"typ",
    ] {
        for line in
            ["POST /api/cache/invalidate", "POST /api/auth/login", "PUT /api/cache/entries/k"]
        {
            let mut raw = Raw::open(&node).await;
            raw.send(format!("{line} HTTP/1.1\r\n{}{framing}", usual(&node))).await;
            let reply = raw.reply().await.expect("an answer");
            assert_eq!((reply.status, reply.code().as_str()), (408, "body_timeout"), "{line}");
            assert!(raw.is_over().await, "{line}");
        }
    }
    assert!(node.journal().await.is_empty());
    assert_eq!(node.get_entry("k").await, None);
}

/// The client gets to read the 413 though it was still writing, and nothing behind it is
/// taken.
#[tokio::test]
async fn a_large_body_is_refused_readably() {
    let node = Spec::new("a").set("control.body_bytes_max", 4096).start().await;
    let smuggled = invalidation(&node, r#"{"type":"smuggled"}"#);
    let mut raw = Raw::open(&node).await;
    let padding = "x".repeat(500_000);
    let json = format!(r#"{{"type":"posts","reason":"{padding}"}}"#);
    raw.send(invalidation(&node, &json)).await;
    raw.send(&smuggled).await;
    let reply = raw.reply().await.expect("the answer can be read");
    assert_eq!((reply.status, reply.code().as_str()), (413, "body_too_large"));
    assert!(raw.is_over().await);
    let fits = format!(r#"{{"type":"posts","reason":"{}"}}"#, "x".repeat(1000));
    assert_eq!(ask(&node, &invalidation(&node, &fits)).await.0.status, 200);
    assert_eq!(node.journal().await.len(), 1);
}

/// A client with `Expect: 100-continue` is refused before it sends the body.
#[tokio::test]
async fn a_large_body_with_expect_is_refused_at_once() {
    let node = Spec::new("a").set("control.body_bytes_max", 4096).start().await;
    let mut raw = Raw::open(&node).await;
    let head = format!("POST /api/cache/invalidate HTTP/1.1\r\n{}", usual(&node));
    raw.send(format!("{head}Expect: 100-continue\r\nContent-Length: 500000\r\n\r\n")).await;
    assert_eq!(raw.reply().await.expect("an answer").status, 413, "no 100 Continue before it");
    assert!(raw.is_over().await);
}

/// An endless body is cut off at the limit.
#[tokio::test]
async fn an_endless_body_is_cut_off() {
    let node = Spec::new("a").set("control.body_bytes_max", 4096).start().await;
    let mut raw = Raw::open(&node).await;
    let head = format!("POST /api/cache/invalidate HTTP/1.1\r\n{}", usual(&node));
    raw.send(format!("{head}Transfer-Encoding: chunked\r\n\r\n")).await;
    let chunk = format!("{:x}\r\n{}\r\n", 16_384, " ".repeat(16_384));
    let mut sent = 0;
    while raw.send(&chunk).await {
        sent += 16_384;
        assert!(sent < 64 << 20, "it takes anything");
    }
    assert!(node.journal().await.is_empty());
    assert_eq!(node.get("/healthz").await.status, 200);
}
