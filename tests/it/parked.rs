//! A site that refuses one call for ever gets all the others, before and after a restart.

use serde_json::json;

use crate::support::{Reply, Spec, StubPeer, eventually, id_of};

const ROUTE: &str = "/api/revalidate";

fn beside(stub: &StubPeer) -> Spec {
    Spec::new("a")
        .env("NEXT_REVALIDATE_URL", &format!("http://{}{ROUTE}", stub.name()))
        .env("NEXT_REVALIDATE_SECRET", "a-secret-of-the-site-0123456789")
}

/// A path that a site refuses for what it is holds up no later one, before and after a restart.
#[tokio::test]
async fn a_path_that_is_refused_is_parked_and_later_ones_arrive() {
    let stub = StubPeer::start().await;
    stub.answer_by(|seen| match seen.path == ROUTE && seen.text().contains("/p/bad") {
        true => Reply::Json(400, json!({ "success": false, "message": "no such page" })),
        false => Reply::ok(),
    });
    let mut node = beside(&stub).start().await;
    let bad = id_of(&node.invalidate(json!({ "path": "/p/bad" })).await);
    for round in 0..2 {
        eventually("it is parked", async || node.mirror("nextjs").await["state"] == "parked").await;
        assert_eq!(node.mirror("nextjs").await["parked"][0]["what"], "/p/bad");
        for at in 0..3 {
            let path = format!("/p/{round}-{at}");
            let good = id_of(&node.invalidate(json!({ "path": path })).await);
            eventually("it arrives", async || {
                node.event(&good).await["beside"][0]["status"] == "delivered"
            })
            .await;
        }
        let outcome = node.event(&bad).await["beside"][0].clone();
        assert_eq!((&outcome["status"], &outcome["reason"]), (&json!("failed"), &json!("refused")));
        assert_eq!(node.mirror("nextjs").await["backlog_events"], 1);
        if round == 0 {
            node.restart().await;
        }
    }
    node.logged("it is said", |line| line["reason"] == "refused" && line["event"] == "revalidate")
        .await;
    let seen = stub.seen_at(ROUTE);
    let refused = seen.iter().filter(|seen| seen.text().contains("/p/bad")).count();
    assert!(refused <= 3, "once for each start: {refused}");
    stub.answer_by(|_| Reply::ok());
    node.post("/api/mirrors/nextjs/retry", json!({})).await.expect(200);
    eventually("nothing is owed", async || node.mirror("nextjs").await["backlog_events"] == 0)
        .await;
    assert_eq!(node.event(&bad).await["beside"][0]["status"], "delivered");
}
