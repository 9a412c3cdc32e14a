//! A site or a cache that always refuses one call gets all the others, before and after a restart.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::{Node, Reply, Spec, StubPeer, eventually, id_of};

const ROUTE: &str = "/api/revalidate";

fn with_site(stub: &StubPeer) -> Spec {
    Spec::new("a")
        .env("NEXT_REVALIDATE_URL", &format!("http://{}{ROUTE}", stub.name()))
        .env("NEXT_REVALIDATE_SECRET", "a-secret-of-the-site-0123456789")
        .set("revalidate.timeout_ms", 500)
}

fn cache(stub: &StubPeer) -> Spec {
    let fields = "kind = \"http\"\nban_header = \"\"\ntimeout_ms = 500";
    let target = format!("name = \"cache\"\n{fields}\nhosts = [\"http://{}\"]", stub.name());
    Spec::new("a").file(&format!("[[purge.targets]]\n{target}\n"))
}

async fn status(node: &Node, id: &str) -> String {
    node.event(id).await["beside"][0]["status"].as_str().unwrap_or_default().to_owned()
}

/// It arrives, and soon.
async fn arrives(node: &Node, what: serde_json::Value) {
    let begun = Instant::now();
    let id = id_of(&node.invalidate(what.clone()).await);
    eventually("it arrives", async || status(node, &id).await == "delivered").await;
    assert!(begun.elapsed() < Duration::from_secs(5), "{what}: {:?}", begun.elapsed());
}

/// A path that a site refuses as malformed does not delay later ones, before and after a restart.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_path_that_is_refused_is_parked_and_later_ones_arrive() {
    let stub = StubPeer::start().await;
    stub.answer_by(|seen| match seen.path == ROUTE && seen.text().contains("/p/bad") {
        true => Reply::Json(400, json!({ "success": false, "message": "no such page" })),
        false => Reply::ok(),
    });
    let mut node = with_site(&stub).start().await;
    let bad = id_of(&node.invalidate(json!({ "path": "/p/bad" })).await);
    for round in 0..2 {
        eventually("it is parked", async || node.mirror("nextjs").await["state"] == "parked").await;
        assert_eq!(node.mirror("nextjs").await["parked"][0]["what"], "/p/bad");
        for at in 0..3 {
            arrives(&node, json!({ "path": format!("/p/{round}-{at}") })).await;
        }
        let outcome = node.event(&bad).await["beside"][0].clone();
        assert_eq!((&outcome["status"], &outcome["reason"]), (&json!("failed"), &json!("refused")));
        assert_eq!(node.mirror("nextjs").await["backlog_events"], 1);
        if round == 0 {
            node.restart().await;
        }
    }
    node.logged("it is logged", |line| {
        line["reason"] == "refused" && line["event"] == "revalidate"
    })
    .await;
    // Whatever came after it goes out once more after a restart, in one call that is refused and
    // split. Alone it is sent once for each start.
    let seen = stub.seen_at(ROUTE);
    let alone = seen.iter().filter(|seen| seen.text().contains("[\"/p/bad\"]")).count();
    assert_eq!(alone, 2, "once for each start");
    stub.answer_by(|_| Reply::ok());
    node.post("/api/mirrors/nextjs/retry", json!({})).await.expect(200);
    eventually("nothing is owed", async || node.mirror("nextjs").await["backlog_events"] == 0)
        .await;
    assert_eq!(status(&node, &bad).await, "delivered");
}

/// A path at which a site hangs waits on its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_path_that_times_out_does_not_delay_later_ones() {
    let stub = StubPeer::start().await;
    stub.answer_by(|_| Reply::ok());
    stub.on_request(|seen| match seen.text().contains("/p/bad") {
        true => Box::pin(std::future::pending()),
        false => Box::pin(async {}),
    });
    let mut node = with_site(&stub).start().await;
    let bad = id_of(&node.invalidate(json!({ "path": "/p/bad" })).await);
    for round in 0..2 {
        eventually("it failed", async || status(&node, &bad).await == "failed").await;
        for at in 0..5 {
            arrives(&node, json!({ "path": format!("/p/{round}-{at}") })).await;
        }
        assert_eq!(status(&node, &bad).await, "failed");
        assert_eq!(node.mirror("nextjs").await["backlog_events"], 1);
        if round == 0 {
            node.restart().await;
        }
    }
    stub.on_request(|_| Box::pin(async {}));
    node.post("/api/mirrors/nextjs/retry", json!({})).await.expect(200);
    eventually("it arrives", async || status(&node, &bad).await == "delivered").await;
}

/// The same of a cache: one tag that it refuses, one path at which it hangs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cache_that_refuses_one_tag_and_hangs_on_one_path_gets_the_rest() {
    let stub = StubPeer::start().await;
    stub.answer_by(|seen| match seen.header("xkey-purge").contains("odd") {
        true => Reply::Raw(422, vec![], "no".into()),
        false => Reply::Raw(200, vec![], "".into()),
    });
    stub.on_request(|seen| match seen.path == "/hangs" {
        true => Box::pin(std::future::pending()),
        false => Box::pin(async {}),
    });
    let mut node = cache(&stub).start().await;
    let odd = id_of(&node.invalidate(json!({ "tag": "odd" })).await);
    eventually("it is parked", async || node.mirror("cache").await["parked_count"] == 1).await;
    let hangs = id_of(&node.invalidate(json!({ "path": "/hangs" })).await);
    for round in 0..2 {
        for at in 0..3 {
            arrives(&node, json!({ "path": format!("/p/{round}-{at}") })).await;
            arrives(&node, json!({ "tag": format!("t-{round}-{at}") })).await;
        }
        assert_eq!(status(&node, &odd).await, "failed");
        assert_eq!(status(&node, &hangs).await, "failed");
        if round == 0 {
            node.restart().await;
        }
    }
    eventually("it is parked", async || node.mirror("cache").await["parked_count"] == 1).await;
    stub.answer_by(|_| Reply::Raw(200, vec![], "".into()));
    stub.on_request(|_| Box::pin(async {}));
    node.post("/api/mirrors/cache/retry", json!({})).await.expect(200);
    for id in [&odd, &hangs] {
        eventually("it arrives", async || status(&node, id).await == "delivered").await;
    }
}
