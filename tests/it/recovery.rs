//! After an outage of several mirrors: all are caught up soon after their return.

use futures_util::future::join_all;
use serde_json::json;
use tokio::time::Instant;

use crate::support::{Node, Spec, eventually};

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
async fn a_mirror_that_starts_is_reached_because_it_says_so() {
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
