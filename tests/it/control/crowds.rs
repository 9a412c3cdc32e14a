//! Many connections at once, and a token at the wrong instance.

use std::time::Duration;

use hyper::Method;
use serde_json::json;

use super::raw::{Raw, usual};
use crate::support::Spec;

fn health(node: &crate::support::Node) -> String {
    format!("GET /healthz HTTP/1.1\r\n{}\r\n", usual(node))
}

/// Beyond the limit, a connection waits in the kernel's queue and is served when another ends.
#[tokio::test]
async fn connections_beyond_the_limit_wait_and_are_served_later() {
    let node = Spec::new("a").set("control.connections_max", 3).start().await;
    let mut held = vec![];
    for _ in 0..3 {
        let mut raw = Raw::open(&node).await;
        raw.send(health(&node)).await;
        assert_eq!(raw.reply().await.expect("an answer").status, 200);
        held.push(raw);
    }
    let mut fourth = Raw::open(&node).await;
    fourth.send(health(&node)).await;
    let early = tokio::time::timeout(Duration::from_millis(300), fourth.reply()).await;
    assert!(early.is_err(), "a fourth was served: {early:?}");
    drop(held.pop());
    assert_eq!(fourth.reply().await.expect("its turn").status, 200);
}

/// One address may have only so many connections; closing one makes it available again.
#[tokio::test]
async fn one_address_cannot_take_every_connection() {
    let node = Spec::new("a").set("control.connections_per_address_max", 2).start().await;
    let mut held = vec![];
    for _ in 0..2 {
        let mut raw = Raw::open(&node).await;
        raw.send(health(&node)).await;
        assert_eq!(raw.reply().await.expect("an answer").status, 200);
        held.push(raw);
    }
    let mut third = Raw::open(&node).await;
    third.send(health(&node)).await;
    assert!(third.reply().await.is_none(), "it is closed without an answer");
    drop(held);
    crate::support::eventually("a place is free again", async || {
        let mut raw = Raw::open(&node).await;
        raw.send(health(&node)).await;
        raw.reply().await.is_some_and(|reply| reply.status == 200)
    })
    .await;
}

/// A token of one instance is refused by another, even if both have the same account.
#[tokio::test]
async fn a_token_of_another_site_is_refused() {
    let account =
        |spec: Spec| spec.env("SERVICE_EMAIL", "m@a.example").env("SERVICE_PASSWORD", "x");
    let (a, b) = (account(Spec::new("a")).start().await, account(Spec::new("b")).start().await);
    let login = json!({ "email": "m@a.example", "password": "x" });
    let answer = a.post("/api/auth/login", login).await.expect(200);
    let token = answer["access_token"].as_str().expect("a token");
    assert_eq!(a.invalidate_as(token, json!({ "type": "posts" })).await.status, 200);
    assert_eq!(b.invalidate_as(token, json!({ "type": "posts" })).await.status, 401);
    let me = b.request_as(token, Method::GET, "/api/cache/stats").send().await.expect("answers");
    assert_eq!(me.status(), 401);
}
