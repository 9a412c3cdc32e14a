//! The door of the stream: tokens, tickets, pages from elsewhere.

use serde_json::json;

use super::raw::{Reply, ask, usual};
use crate::support::{Node, SERVICE_EMAIL, Spec, mint};

async fn open(node: &Node, query: &str, headers: &str) -> Reply {
    let host = node.address();
    let request = format!("GET /api/stream{query} HTTP/1.1\r\nHost: {host}\r\n{headers}\r\n");
    ask(node, &request).await.0
}

/// A token that may read, or a ticket, once.
#[tokio::test]
async fn a_stream_needs_a_token_or_a_ticket() {
    let node = Spec::new("a").start().await;
    assert_eq!(open(&node, "", "").await.status, 401);
    assert_eq!(open(&node, &format!("?token={}", node.token), "").await.status, 401);
    let service = mint("a", SERVICE_EMAIL, "ADMIN");
    let header = format!("Authorization: Bearer {service}\r\n");
    assert_eq!(open(&node, "", &header).await.status, 403, "a peer does not read");
    let reader = mint("a", "tom@x.example", "TRAINER");
    let header = format!("Authorization: Bearer {reader}\r\n");
    let reply = open(&node, "", &header).await;
    assert_eq!(reply.status, 200);
    assert!(
        reply.header("content-type").is_some_and(|media| media.starts_with("text/event-stream"))
    );
    let ticket = node.post("/api/stream/ticket", json!({})).await.expect(200);
    let query = format!("?ticket={}", ticket["ticket"].as_str().expect("a ticket"));
    assert_eq!(open(&node, &query, "").await.status, 200);
    assert_eq!(open(&node, &query, "").await.status, 401, "a ticket is good once");
    assert_eq!(open(&node, "?ticket=guess", "").await.status, 401);
}

/// A page from elsewhere is refused, whatever it holds; one that is listed is let in.
#[tokio::test]
async fn pages_from_elsewhere_are_refused() {
    let origins = "[\"https://www.example.org\"]";
    let node =
        Spec::new("a").set("stream.public", true).set("stream.origins", origins).start().await;
    assert_eq!(open(&node, "", "").await.status, 200, "a script names no origin");
    let listed = open(&node, "", "Origin: https://www.example.org\r\n").await;
    let allowed = listed.header("access-control-allow-origin");
    assert_eq!((listed.status, allowed), (200, Some("https://www.example.org")));
    for origin in [
        "https://evil.example",
        "null",
        "https://www.example.org.evil.example",
        "http://www.example.org",
    ] {
        let reply = open(&node, "", &format!("Origin: {origin}\r\n")).await;
        assert_eq!((reply.status, reply.code().as_str()), (403, "origin_not_allowed"), "{origin}");
        let with_token = format!(
            "{}Origin: {origin}\r\n",
            usual(&node).split_once("\r\n").expect("two lines").1
        );
        assert_eq!(open(&node, "", &with_token).await.status, 403, "{origin}");
    }
}

/// Without `stream.public` nothing is open, to a listed page neither.
#[tokio::test]
async fn a_listed_page_still_needs_a_ticket() {
    let node = Spec::new("a").set("stream.origins", "[\"https://www.example.org\"]").start().await;
    let origin = "Origin: https://www.example.org\r\n";
    assert_eq!(open(&node, "", origin).await.status, 401);
    let request = format!(
        "OPTIONS /api/stream HTTP/1.1\r\nHost: a\r\n{origin}\
         Access-Control-Request-Method: GET\r\n\r\n"
    );
    let (reply, _) = ask(&node, &request).await;
    assert_eq!(reply.status, 204);
    let headers = reply.header("access-control-allow-headers").unwrap_or_default();
    assert!(headers.contains("authorization") && headers.contains("last-event-id"), "{headers}");
}
