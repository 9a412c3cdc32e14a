//! Ambiguous requests are refused, and their connection is closed.

use super::raw::{Raw, ask, invalidation, usual};
use crate::support::{Spec, eventually};

/// Requests that hyper accepts. Each closes the connection, so that nothing after it is read.
#[tokio::test]
async fn ambiguous_framing_is_refused() {
    let node = Spec::new("a").start().await;
    let (host, token) = (node.address(), &node.token);
    let auth = format!("Authorization: Bearer {token}\r\n");
    let usual = usual(&node);
    let post = "POST /api/cache/invalidate HTTP/1.1";
    for (request, status, code) in [
        (format!("GET /healthz HTTP/1.1\r\n{auth}\r\n"), 400, "bad_host"),
        (format!("GET /healthz HTTP/1.1\r\nHost: {host}\r\nHost: b\r\n\r\n"), 400, "bad_host"),
        (format!("GET /healthz HTTP/1.1\r\nHost: a/b\r\n{auth}\r\n"), 400, "bad_host"),
        (format!("GET /healthz HTTP/1.1\r\nHost: u@{host}\r\n{auth}\r\n"), 400, "bad_host"),
        (format!("GET http://{host}0/healthz HTTP/1.1\r\n{usual}\r\n"), 400, "bad_target"),
        (format!("GET ftp://{host}/healthz HTTP/1.1\r\n{usual}\r\n"), 400, "bad_target"),
        (format!("GET http://u@{host}/healthz HTTP/1.1\r\n{usual}\r\n"), 400, "bad_target"),
        ("GET /healthz HTTP/1.1\r\nHost: evil.example\n\n".to_owned(), 400, "bad_head"),
        (format!("GET /healthz HTTP/1.1\n{usual}\r\n"), 400, "bad_head"),
        (
            format!("GET /api/cache/stats HTTP/1.1\r\nHost: evil.example\r\n{auth}\r\n"),
            421,
            "unknown_host",
        ),
        (format!("GET /api/cache/stats HTTP/1.0\r\n{auth}\r\n"), 421, "unknown_host"),
        (format!("GET /api/cache/stats HTTP/1.1\r\nHost:\r\n{auth}\r\n"), 421, "unknown_host"),
        (
            format!("GET /api/cache/stats HTTP/1.1\r\nHost: [::1].evil.example\r\n{auth}\r\n"),
            421,
            "unknown_host",
        ),
        (format!("GET /{} HTTP/1.1\r\n{usual}\r\n", "x".repeat(40_000)), 414, "target_too_long"),
        (
            format!("GET /healthz HTTP/1.1\r\n{usual}X: {}\r\n\r\n", "x".repeat(32_768)),
            431,
            "head_too_large",
        ),
        (
            format!("GET /healthz HTTP/1.1\r\n{usual}{}\r\n", "X: y\r\n".repeat(99)),
            431,
            "head_too_large",
        ),
        (format!("GET http://evil.example/ HTTP/1.1\r\n{usual}\r\n"), 400, "bad_target"),
        (format!("OPTIONS * HTTP/1.1\r\n{usual}\r\n"), 400, "bad_target"),
        (format!("get /healthz HTTP/1.1\r\n{usual}\r\n"), 501, "unknown_method"),
        (format!("QUERY /healthz HTTP/1.1\r\n{usual}\r\n"), 405, "method_not_allowed"),
        (format!("PURGE / HTTP/1.1\r\n{usual}\r\n"), 501, "unknown_method"),
        (format!("TRACE / HTTP/1.1\r\n{usual}\r\n"), 405, "method_not_allowed"),
        (format!("CONNECT b:443 HTTP/1.1\r\n{usual}\r\n"), 405, "method_not_allowed"),
        (
            format!("{post}\r\n{usual}Expect: 200-ok\r\nContent-Length: 2\r\n\r\n"),
            417,
            "unknown_expect",
        ),
        (
            format!("GET /healthz HTTP/1.1\r\n{usual}Content-Length: 2\r\n\r\n{{}}"),
            400,
            "unexpected_body",
        ),
        (
            format!("{post}\r\n{usual}Upgrade: websocket\r\nContent-Length: 2\r\n\r\n{{}}"),
            400,
            "bad_upgrade",
        ),
        (format!("GET /{} HTTP/1.1\r\n{usual}\r\n", "x".repeat(9000)), 414, "target_too_long"),
    ] {
        let (reply, is_over) = ask(&node, &request).await;
        let start = request.lines().next().unwrap_or_default().chars().take(60).collect::<String>();
        assert_eq!((reply.status, reply.code()), (status, code.to_owned()), "{start}");
        assert!(is_over, "the connection ends after {start}");
    }
    assert_eq!(node.journal().await.len(), 0, "none of it had an effect");
}

/// What hyper refuses by itself stays refused: no body of it is taken.
#[tokio::test]
async fn broken_framing_is_refused() {
    let node = Spec::new("a").start().await;
    let usual = usual(&node);
    let body = r#"{"type":"posts"}"#;
    let chunked = format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    for lines in [
        "Transfer-Encoding: gzip, chunked\r\n",
        "Transfer-Encoding: gzip\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked, identity\r\n",
        "Transfer-Encoding: xchunked\r\n",
        "Transfer-Encoding : chunked\r\n",
        "Content-Length: 16\r\nContent-Length: 17\r\n",
        "Content-Length: +16\r\n",
        "Content-Length: 16, 16\r\n",
        "Content-Length: -1\r\n",
        "Content-Length: 0x10\r\n",
        "X: a\r\n continued\r\nTransfer-Encoding: chunked\r\n",
        "X: a\0b\r\nTransfer-Encoding: chunked\r\n",
    ] {
        let mut raw = Raw::open(&node).await;
        let head = format!("POST /api/cache/invalidate HTTP/1.1\r\n{usual}{lines}\r\n");
        raw.send(format!("{head}{chunked}")).await;
        if let Some(reply) = raw.reply().await {
            assert!(matches!(reply.status, 400 | 501), "{lines:?}: {reply:?}");
        }
        assert!(raw.is_over().await, "the connection ends after {lines:?}");
    }
    let old =
        format!("POST /api/cache/invalidate HTTP/1.0\r\n{usual}Transfer-Encoding: chunked\r\n\r\n");
    let mut raw = Raw::open(&node).await;
    raw.send(format!("{old}{chunked}")).await;
    assert!(raw.reply().await.is_none_or(|reply| reply.status == 400));
    assert_eq!(node.journal().await.len(), 0, "none of it had an effect");
}

/// Both lengths at once are refused, also behind a good request, and what stands behind is
/// never a request.
#[tokio::test]
async fn content_length_and_chunked_smuggle_nothing() {
    let node = Spec::new("a").start().await;
    let usual = usual(&node);
    let smuggled = invalidation(&node, r#"{"type":"smuggled"}"#);
    for lines in [
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 4000\r\n",
    ] {
        let mut raw = Raw::open(&node).await;
        let head = format!("POST /api/mirrors/x/pause HTTP/1.1\r\n{usual}{lines}\r\n");
        let first = format!("GET /healthz HTTP/1.1\r\n{usual}\r\n");
        raw.send(format!("{first}{head}0\r\n\r\n{smuggled}")).await;
        assert_eq!(raw.reply().await.expect("an answer").status, 200);
        let reply = raw.reply().await.expect("an answer");
        assert_eq!((reply.status, reply.code().as_str()), (400, "bad_framing"));
        assert!(raw.is_over().await, "the connection ends after {lines:?}");
    }
    let types: Vec<_> = node.journal().await;
    assert!(types.is_empty(), "{types:?}");
}

/// What a proxy sends, and what is just within the bounds.
#[tokio::test]
async fn a_matching_target_and_a_head_within_limits_are_accepted() {
    let node = Spec::new("a").start().await;
    let (host, usual) = (node.address(), usual(&node));
    let begin = format!("GET /healthz HTTP/1.1\r\n{usual}X: ");
    let room = 32 * 1024 - begin.len() - 4;
    for request in [
        format!("GET http://{host}/healthz HTTP/1.1\r\n{usual}\r\n"),
        format!("GET HTTP://{host}/healthz?x HTTP/1.1\r\n{usual}\r\n"),
        "GET http://LocalHost:80/healthz HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned(),
        "GET /healthz HTTP/1.1\r\nHost: evil.example\r\n\r\n".to_owned(),
        format!("{begin}{}\r\n\r\n", "x".repeat(room)),
        format!("GET /healthz HTTP/1.1\r\n{usual}{}\r\n", "X: y\r\n".repeat(98)),
    ] {
        let (reply, _) = ask(&node, &request).await;
        assert_eq!(reply.status, 200, "{request:.200}: {reply:?}");
    }
    let listed = Spec::new("b").set("control.hosts", "[\"*.example\"]").start().await;
    let get = |host: &str| {
        let auth = format!("Authorization: Bearer {}\r\n", listed.token);
        format!("GET /api/cache/stats HTTP/1.1\r\nHost: {host}\r\n{auth}\r\n")
    };
    assert_eq!(ask(&listed, &get("cache.example")).await.0.status, 200);
    assert_eq!(ask(&listed, &get("cache.example.org")).await.0.code(), "unknown_host");
}

/// An unread body is not parsed as the next request.
#[tokio::test]
async fn an_unread_body_is_never_parsed_as_a_request() {
    let node = Spec::new("a").start().await;
    let smuggled = invalidation(&node, r#"{"type":"smuggled"}"#);
    let length = smuggled.len();
    let host = format!("Host: {}\r\n", node.address());
    for head in [
        format!("POST /api/cache/invalidate HTTP/1.1\r\n{host}"),
        format!("POST /nowhere HTTP/1.1\r\n{host}"),
        format!("DELETE /healthz HTTP/1.1\r\n{host}"),
        format!("GET /healthz HTTP/1.1\r\n{host}"),
        format!("POST /api/mirrors/x/pause HTTP/1.1\r\n{}", usual(&node)),
    ] {
        let mut raw = Raw::open(&node).await;
        raw.send(format!("{head}Content-Length: {length}\r\n\r\n{smuggled}")).await;
        let reply = raw.reply().await.expect("an answer");
        assert!((400..500).contains(&reply.status), "{head}: {reply:?}");
        // The connection may go on; then only a request of ours is answered on it.
        raw.send(format!("GET /readyz HTTP/1.1\r\n{host}Connection: close\r\n\r\n")).await;
        if let Some(next) = raw.reply().await {
            assert_eq!(next.json()["status"], "ok", "{head}: {next:?}");
        }
        assert!(raw.is_over().await);
    }
    assert_eq!(node.journal().await.len(), 0, "nothing was smuggled");
}

/// A client that was given an `https` URL of the http port leaves a trace.
#[tokio::test]
async fn https_to_the_http_port_is_logged_and_counted() {
    let node = Spec::new("a").start().await;
    for _ in 0..3 {
        let mut raw = Raw::open(&node).await;
        raw.send(b"\x16\x03\x01\x00\x2e\x01\x00\x00\x2a\x03\x03").await;
        raw.reply().await;
    }
    eventually("the refusals are counted", async || {
        let stats = node.stats().await;
        let by = stats["refused"]["by"].as_array().cloned().unwrap_or_default();
        by.iter().any(|it| it["route"] == "https to the http port" && it["count"] == 3)
    })
    .await;
    let line = node.logged("a line about it", |line| line["reason"] == "tls").await;
    assert_eq!(line["address"], "127.0.0.1");
    let lines = node.log_lines().into_iter().filter(|line| line["reason"] == "tls").count();
    assert_eq!(lines, 1, "one line a minute");
}

/// Good requests share a connection, pipelined or not.
#[tokio::test]
async fn good_requests_share_a_connection() {
    let node = Spec::new("a").start().await;
    let mut raw = Raw::open(&node).await;
    let three = ["posts", "pages", "feed"]
        .map(|name| invalidation(&node, &format!(r#"{{"type":"{name}"}}"#)));
    raw.send(three.concat()).await;
    for seq in 1..=3 {
        let reply = raw.reply().await.expect("an answer");
        assert_eq!((reply.status, reply.json()["seq"].as_u64()), (200, Some(seq)));
    }
    raw.send(format!("GET /healthz HTTP/1.0\r\nHost: {}\r\n\r\n", node.address())).await;
    assert_eq!(raw.reply().await.expect("an answer").status, 200);
    assert!(raw.is_over().await, "HTTP/1.0 ends after one");
}

/// Unknown routes, and known routes with another method.
#[tokio::test]
async fn unknown_paths_are_404_and_wrong_methods_405() {
    let node = Spec::new("a").start().await;
    let usual = usual(&node);
    for (line, status, allow) in [
        ("GET /nowhere", 404, None),
        ("GET /api/cache", 404, None),
        ("GET /api/cache/invalidate/", 404, None),
        ("GET /api/cache/%69nvalidate", 404, None),
        ("GET //healthz", 404, None),
        ("GET /healthz/../api/cache/stats", 404, None),
        ("GET /API/cache/stats", 404, None),
        ("GET /api/cache/entries/%zz", 400, None),
        ("GET /api/cache/entries/%ff", 400, None),
        ("GET /api/cache/entries/%00", 422, None),
        ("GET /api/cache/events/not-an-id", 400, None),
        ("GET /api/cache/invalidate", 405, Some("POST")),
        ("DELETE /healthz", 405, Some("GET, HEAD")),
        ("POST /api/cache/entries/k", 405, Some("DELETE, GET, HEAD, PUT")),
    ] {
        let (reply, _) = ask(&node, &format!("{line} HTTP/1.1\r\n{usual}\r\n")).await;
        assert_eq!((reply.status, reply.header("allow")), (status, allow), "{line}");
        reply.code();
    }
}

/// A body that comes later than its head does not break the next request: either it is read, or the
/// answer announces that the connection closes.
#[tokio::test]
async fn a_late_body_does_not_break_the_next_request() {
    let node = Spec::new("a").start().await;
    let (usual, host) = (usual(&node), format!("Host: {}\r\n", node.address()));
    for (head, status) in [
        (format!("POST /api/cache/invalidate HTTP/1.1\r\n{host}"), 401),
        (format!("POST /nowhere HTTP/1.1\r\n{usual}"), 404),
        (format!("POST /healthz HTTP/1.1\r\n{usual}"), 405),
        (format!("POST /api/stream/ticket HTTP/1.1\r\n{usual}"), 200),
        (format!("POST /api/mirrors/x/pause HTTP/1.1\r\n{usual}"), 404),
        (format!("DELETE /api/cache/entries/k HTTP/1.1\r\n{usual}"), 200),
    ] {
        let mut raw = Raw::open(&node).await;
        raw.send(format!("{head}Content-Length: 2\r\n\r\n")).await;
        let is_answered_early = !raw.is_open().await;
        if !is_answered_early {
            raw.send("{}").await;
        }
        let reply = raw.reply().await.expect("an answer");
        assert_eq!(reply.status, status, "{head}");
        if reply.header("connection") == Some("close") {
            assert!(raw.is_over().await, "{head}");
        } else {
            raw.send(format!("GET /healthz HTTP/1.1\r\n{host}\r\n")).await;
            assert_eq!(raw.reply().await.expect("the next answer").status, 200, "{head}");
        }
    }
}
