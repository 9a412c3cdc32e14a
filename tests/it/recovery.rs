//! After an outage of several mirrors: all are caught up soon after their return.

use futures_util::future::join_all;
use serde_json::json;
use tokio::time::Instant;

use crate::support::{INVALIDATE, Node, Reply, Spec, StubPeer, eventually};

/// With the shipped back-off, which grows to a minute, and an outage that lets it grow.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mirrors_that_come_back_after_an_outage_catch_up_at_once() {
    let mut mirrors: Vec<Node> =
        join_all(["b", "c", "d", "e"].map(|name| Spec::new(name).start())).await;
    let names: Vec<String> = mirrors.iter().map(|node| node.address().to_owned()).collect();
    let spec = Spec::new("a").mirrors(&names);
    let node = spec.unset("mirrors.backoff_ms_min").unset("mirrors.backoff_ms_max").start().await;
    let delivered = async |count: u64| {
        for name in &names {
            if node.mirror(name).await["delivered"].as_u64() < Some(count) {
                return false;
            }
        }
        true
    };
    node.invalidate(json!({ "type": "feed" })).await;
    eventually("all have the first", async || delivered(1).await).await;
    for mirror in &mut mirrors {
        mirror.kill9().await;
    }
    node.invalidate(json!({ "type": "posts" })).await;
    // Uncapped, a wait after ten failures is half a minute on average.
    for name in &names {
        eventually("the back-off has grown", async || {
            node.mirror(name).await["failures"].as_u64() >= Some(10)
        })
        .await;
    }
    join_all(mirrors.iter_mut().map(Node::restart)).await;
    let back = Instant::now();
    eventually("all have the second", async || delivered(2).await).await;
    // 2.5 s and what the machine needs.
    assert!(back.elapsed().as_secs() < 15, "{:?}", back.elapsed());
}

/// The start of a mirror is reason enough to try it at once, whatever the back-off.
#[tokio::test]
async fn a_starting_mirror_announces_itself_and_is_reached() {
    let port = crate::support::free_port();
    let hour = 3_600_000;
    let a = Spec::new("a")
        .mirrors([format!("127.0.0.1:{port}")])
        .set("mirrors.backoff_ms_min", hour)
        .set("mirrors.backoff_ms_max", hour)
        .start()
        .await;
    let name = format!("127.0.0.1:{port}");
    let mut b = Spec::new("b").port(port).mirrors([a.address()]).start().await;
    a.invalidate(json!({ "type": "feed" })).await;
    eventually("b has the first", async || a.mirror(&name).await["delivered"] == 1).await;
    b.kill9().await;
    a.invalidate(json!({ "type": "posts" })).await;
    eventually("it fails", async || a.mirror(&name).await["failures"] == 1).await;
    b.restart().await;
    a.logged("the announcement", |line| line["event"] == "identity" && line["status"] == "started")
        .await;
    eventually("b has the second", async || a.mirror(&name).await["delivered"] == 2).await;
}

/// A mirror whose Retry-After is not in the future, in every form: few calls, and a state that
/// shows it.
#[tokio::test]
async fn a_retry_after_of_zero_or_in_the_past_causes_no_busy_loop() {
    let past = "Sun, 06 Nov 1994 08:49:37 GMT";
    let forms = ["0", past, "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994", "-1"];
    let stubs = join_all(forms.map(|_| StubPeer::start())).await;
    for (stub, form) in stubs.iter().zip(forms) {
        let headers = vec![("retry-after", form.to_owned())];
        stub.always(INVALIDATE, Reply::Raw(429, headers, bytes::Bytes::new()));
    }
    let node = Spec::new("a").mirrors(stubs.iter().map(StubPeer::name)).start().await;
    node.invalidate(json!({ "type": "posts" })).await;
    for stub in &stubs {
        eventually("it is throttled", async || {
            let mirror = node.mirror(&stub.name()).await;
            mirror["state"] == "throttled" && mirror["throttled_until"].is_string()
        })
        .await;
    }
    // What is measured is a rate, not an event.
    tokio::time::sleep(std::time::Duration::from_secs(4)).await;
    for stub in &stubs {
        assert!(stub.bodies().len() <= 4, "{} calls", stub.bodies().len());
    }
}

/// A host whose clock is ten minutes off refuses our token: the clock is named, and the account is
/// not blamed.
#[tokio::test]
async fn a_clock_difference_to_a_mirror_is_reported() {
    let stub = StubPeer::start().await;
    let date = vec![("date", "Sun, 06 Nov 1994 08:49:37 GMT".to_owned())];
    stub.always(INVALIDATE, Reply::Raw(401, date, bytes::Bytes::new()));
    let node = Spec::new("a").mirrors([stub.name()]).start().await;
    node.invalidate(json!({ "type": "posts" })).await;
    let line = node.logged("the pause", |line| line["status"] == "paused").await;
    let error = line["error"].as_str().unwrap_or_default();
    assert!(error.contains("the clock of this host and of the peer differ by"), "{line}");
    assert!(!line["msg"].as_str().unwrap_or_default().contains("credentials"), "{line}");
    node.logged("the warning", |line| line["event"] == "identity" && line["status"] == "clock")
        .await;
}
