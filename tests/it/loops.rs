//! Peers that send back what they receive, with and without our marks.

use std::time::Duration;

use futures_util::future::join_all;
use reqwest::Method;
use reqwest::header::HeaderName;
use serde_json::{Value, json};

use crate::support::{
    INVALIDATE, Node, SERVICE_EMAIL, Seen, Spec, StubPeer, client, eventually, mint,
};

const VIA: HeaderName = HeaderName::from_static("cache-mirror-via");

/// A loop without a wall goes round hundreds of times in this window.
const WINDOW: Duration = Duration::from_millis(600);

/// Sends every invalidation that the stub gets back to where it came from, as `token`, and only
/// then acknowledges it: the hardest order, because the sender knows nothing of its success yet.
fn echo(stub: &StubPeer, node: &Node, token: String, change: fn(&Seen) -> Option<(String, bool)>) {
    let (client, url) = (client(), format!("{}{INVALIDATE}", node.base));
    stub.on_request(move |seen| {
        let back = (seen.path == INVALIDATE).then(|| change(seen)).flatten();
        let Some((body, is_marked)) = back else { return Box::pin(async {}) };
        let mut request = client.post(&url).bearer_auth(&token).body(body);
        request = request.header("content-type", "application/json");
        if is_marked {
            request = request.header(VIA, seen.header("cache-mirror-via"));
        }
        Box::pin(async move { drop(request.send().await) })
    });
}

/// Forgets `mirror: false` and every mark.
fn stripped(seen: &Seen) -> Option<(String, bool)> {
    let mut body: Value = serde_json::from_slice(&seen.body).ok()?;
    body.as_object_mut()?.remove("mirror");
    Some((body.to_string(), false))
}

/// No loop 2: a mark that cannot be read is a mark all the same, on every way in.
#[tokio::test]
async fn a_call_with_a_malformed_mark_is_not_mirrored() {
    let hooks = "[{ name = 'h', preset = 'supabase', secret = 'hook-secret-0123456' }]";
    let node = Spec::new("a")
        .set("ingest.hooks", hooks)
        .set("groups", "{ posts = { clears = ['posts'] } }")
        .set("hooks", "{ onPost = { clears = ['posts'] } }")
        .start()
        .await;
    let id = "01980000-0000-7000-8000-000000000000";
    let row = json!({ "type": "INSERT", "table": "posts", "record": { "id": 1 } });
    for mark in [format!("{id},x"), "x".to_owned(), ",".to_owned(), String::new()] {
        for (path, body) in [
            (INVALIDATE, json!({ "type": "posts" })),
            ("/api/cache/clear", json!({})),
            ("/api/admin/cache/clear", json!({ "type": "posts" })),
            ("/api/cache/hooks/onPost", json!({})),
            ("/api/hooks/h", row.clone()),
        ] {
            let call = match path {
                "/api/hooks/h" => node.request_as("hook-secret-0123456", Method::POST, path),
                _ => node.request(Method::POST, path),
            };
            let call = call.header("cache-mirror-event", &mark).json(&body);
            let answer = call.send().await.expect("an answer");
            assert!(answer.status().is_success(), "{path} {mark:?}: {}", answer.status());
        }
    }
    let journal = node.journal().await;
    assert_eq!(journal.len(), 4 * 5, "each had its effect");
    assert!(journal.iter().all(|event| event["scope"] == "local"), "{journal:?}");
}

/// No loop 1: a call under a service account is never mirrored, whatever role it claims.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_echo_under_our_service_account_is_not_mirrored() {
    let stub = StubPeer::start().await;
    let node = Spec::new("a").mirrors([stub.name()]).start().await;
    echo(&stub, &node, mint("a", SERVICE_EMAIL, "ADMIN"), stripped);
    node.invalidate(json!({ "type": "posts" })).await;
    eventually("the echo is applied", async || node.journal().await.len() >= 2).await;
    // That nothing comes can only be shown by waiting for it.
    tokio::time::sleep(WINDOW).await;
    assert_eq!(stub.bodies().len(), 1);
    let journal = node.journal().await;
    assert_eq!((journal.len(), &journal[1]["scope"]), (2, &json!("local")));
    node.logged("the wall", |line| line["reason"] == "credential").await;
}

/// No loop 2: a forwarder that keeps our mark, like a revalidate hook that leads back to us.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_forwarder_that_keeps_the_mark_does_not_loop() {
    let stub = StubPeer::start().await;
    let node = Spec::new("a").mirrors([stub.name()]).start().await;
    let with_mark = |seen: &Seen| stripped(seen).map(|(body, _)| (body, true));
    echo(&stub, &node, mint("a", "editor@example.test", "ADMIN"), with_mark);
    node.invalidate(json!({ "type": "posts" })).await;
    eventually("it came back", async || node.journal().await.len() >= 2).await;
    // That nothing comes can only be shown by waiting for it.
    tokio::time::sleep(WINDOW).await;
    assert_eq!(stub.bodies().len(), 1);
    assert_eq!(node.journal().await[1]["scope"], "local");
    node.logged("the wall", |line| line["reason"] == "mark").await;
}

/// No loop 2: an event id that comes back has no second effect, even without the header.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_returned_batch_has_no_second_effect() {
    let stub = StubPeer::start().await;
    stub.pose_as_cache_mirror();
    let node = Spec::new("a").mirrors([stub.name()]).start().await;
    let unmarked = |seen: &Seen| Some((seen.text(), false));
    echo(&stub, &node, mint("a", "editor@example.test", "ADMIN"), unmarked);
    // Many at once, because an echo may overtake the answer to who asked.
    for round in 0..5 {
        let send = |at| node.invalidate(json!({ "type": "posts", "id": round * 100 + at }));
        join_all((0..20).map(send)).await;
    }
    eventually("all went out", async || node.mirror(&stub.name()).await["backlog_events"] == 0)
        .await;
    let sends = stub.bodies().len();
    // That nothing comes can only be shown by waiting for it.
    tokio::time::sleep(WINDOW).await;
    assert_eq!(stub.bodies().len(), sends);
    assert_eq!(node.journal().await.len(), 100, "an echo is no event");
}

/// No loop 2: a call with a gateway's mark is not mirrored, even from the admin.
#[tokio::test]
async fn a_request_with_the_mark_is_local() {
    let stub = StubPeer::start().await;
    let node = Spec::new("a").mirrors([stub.name()]).start().await;
    let body = json!({ "type": "posts", "mirror": true });
    let request = node.request(Method::POST, INVALIDATE).header(VIA, "b").json(&body);
    let answer: Value = request.send().await.expect("answers").json().await.expect("JSON");
    assert_eq!(answer["mirrors"], json!([]));
    assert!(answer["warnings"][0].as_str().is_some_and(|text| text.contains("mirror")), "{answer}");
    node.invalidate(json!({ "type": "pages" })).await;
    eventually("the unmarked one is sent", async || !stub.bodies().is_empty()).await;
    assert_eq!(stub.bodies(), [r#"{"type":"pages","mirror":false}"#]);
    assert_eq!(node.journal().await[0]["scope"], "local");
}
