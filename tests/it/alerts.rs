//! Alerts when a destination is in trouble, and the periodic log line with statistics.

use serde_json::{Value, json};

use crate::support::{
    INVALIDATE, Node, Reply, Spec, StubPeer, eventually, free_port, webhook_signature,
};

const HOOK: &str = "/services/T0/a-secret-path";

/// A receiver of alerts.
async fn hook() -> (StubPeer, String) {
    let hook = StubPeer::start().await;
    hook.always(HOOK, Reply::Json(200, json!({ "ok": true })));
    let url = format!("http://{}{HOOK}", hook.name());
    (hook, url)
}

fn alerts_at(hook: &StubPeer) -> Vec<Value> {
    let parsed = |text: String| serde_json::from_str(&text).expect("a message is JSON");
    hook.seen_at(HOOK).iter().map(|seen| parsed(seen.text())).collect()
}

async fn is_firing(node: &Node, peer: &str, alert: &str) -> bool {
    let text = node.get("/metrics").await;
    let text = String::from_utf8_lossy(&text.body).into_owned();
    let labels = format!("{{peer=\"{peer}\",alert=\"{alert}\"}}");
    let gauge = format!("cache_mirror_alerts_firing{labels} ");
    let value = text.lines().find_map(|line| line.strip_prefix(&gauge));
    value.unwrap_or_else(|| panic!("{gauge} in\n{text}")) == "1"
}

fn alert_lines(node: &Node, status: &str) -> Vec<Value> {
    let lines = node.log_lines().into_iter();
    lines.filter(|line| line["event"] == "alert" && line["status"] == status).collect()
}

/// S1 1.26: a dead mirror causes one alert, and its return another one.
#[tokio::test]
async fn a_dead_mirror_and_its_return_are_alerted_once_each() {
    let (mirror, (hook, url)) = (StubPeer::start().await, hook().await);
    mirror.always(INVALIDATE, Reply::Json(500, json!({})));
    let node = Spec::new("a")
        .mirrors([mirror.name()])
        .set("alerts.failures", 3)
        .set("alerts.webhook", &url)
        .set("alerts.signing_secret", "whsec_c2lnbmVkIHdpdGggdGhpcywgYW5kIG5vdGhpbmcgZWxzZQ==")
        .start()
        .await;
    assert!(!is_firing(&node, &mirror.name(), "failures").await);
    node.invalidate(json!({ "type": "posts" })).await;
    eventually("the webhook receives the alert", async || alerts_at(&hook).len() == 1).await;
    assert!(is_firing(&node, &mirror.name(), "failures").await);
    // It goes on failing, which is no news.
    eventually("more failures", async || {
        node.mirror(&mirror.name()).await["failures"].as_u64() >= Some(12)
    })
    .await;
    mirror.repair();
    eventually("the webhook receives the end", async || alerts_at(&hook).len() >= 2).await;
    let alerts = alerts_at(&hook);
    let statuses: Vec<_> = alerts.iter().map(|it| (&it["alert"], &it["status"])).collect();
    let expected = [("failures", "firing"), ("failures", "resolved")];
    let expected = expected.map(|(alert, status)| (json!(alert), json!(status)));
    assert_eq!(statuses, expected.iter().map(|(a, s)| (a, s)).collect::<Vec<_>>());
    assert_eq!(alerts[0]["destination"], mirror.name());
    let first = hook.seen_at(HOOK).remove(0);
    assert_eq!(first.header("cache-mirror-via"), "a");
    assert_eq!(first.header("webhook-id"), alerts[0]["id"]);
    let signature = webhook_signature(b"signed with this, and nothing else", &first);
    assert_eq!(first.header("webhook-signature"), signature);
    assert!(!is_firing(&node, &mirror.name(), "failures").await);
    node.logged("the end", |line| line["event"] == "alert" && line["status"] == "resolved").await;
    let firing = alert_lines(&node, "firing");
    assert_eq!((firing.len(), alert_lines(&node, "resolved").len()), (1, 1));
    assert_eq!((&firing[0]["level"], &firing[0]["reason"]), (&json!(50), &json!("failures")));
    assert!(!node.log_text().contains("a-secret-path"), "the URL is in no line");
}

/// What waited through a restart is as old as it is, and other thresholds count without a restart.
#[tokio::test]
async fn an_old_backlog_is_alerted_after_a_restart_too_and_thresholds_change_live() {
    let (dead, (hook, url)) = (format!("127.0.0.1:{}", free_port()), hook().await);
    let settings = |seconds: u32| {
        format!("[alerts]\nfailures = 0\nbacklog_s_max = {seconds}\nwebhook = '{url}'")
    };
    let mut node = Spec::new("a")
        .mirrors([&dead])
        .set("instance.watch_config", false)
        .file(&settings(86_400))
        .start()
        .await;
    node.invalidate(json!({ "type": "posts" })).await;
    node.write_file(&settings(1));
    let reloaded = node.post("/api/reload", json!({})).await.expect(200);
    assert_eq!(reloaded["changed"], json!(["alerts.backlog_s_max"]));
    eventually("the webhook receives the alert", async || alerts_at(&hook).len() == 1).await;
    let first = alerts_at(&hook).remove(0);
    assert_eq!((&first["alert"], &first["status"]), (&json!("backlog"), &json!("firing")));
    assert_eq!(first["backlog_events"], 1);
    assert!(first["backlog_oldest_s"].as_u64() >= Some(2), "{first}");

    node.restart().await;
    eventually("it is sent again", async || alerts_at(&hook).len() == 2).await;
    assert!(alerts_at(&hook)[1]["backlog_oldest_s"].as_u64() >= first["backlog_oldest_s"].as_u64());
    assert!(is_firing(&node, &dead, "backlog").await);
    node.write_file(&settings(0));
    node.post("/api/reload", json!({})).await.expect(200);
    eventually("it is over", async || alerts_at(&hook).len() == 3).await;
    let last = alerts_at(&hook).remove(2);
    assert_eq!((&last["status"], &last["reason"]), (&json!("resolved"), &json!("threshold")));
    assert!(!is_firing(&node, &dead, "backlog").await);
}

/// S1 1.35: how the cache does, in one line every so often.
#[tokio::test]
async fn the_log_reports_cache_statistics() {
    let node = Spec::new("a").set("log.metrics_every_s", 1).start().await;
    assert!(node.put_entry("k", "type=posts", "v").await);
    assert!(node.get_entry("k").await.is_some());
    node.invalidate(json!({ "type": "pages" })).await;
    let line = node
        .logged("the figures", |line| line["msg"] == "Cache metrics" && line["version"] == 1)
        .await;
    assert_eq!((&line["event"], &line["level"]), (&json!("store"), &json!(30)));
    assert_eq!(line["entries"], 1);
    assert!(line["updates_per_hour"].as_f64() > Some(0.0), "{line}");
    assert!(line["last_clear"].as_str().is_some_and(|at| at.ends_with('Z')), "{line}");
    let rated = node.logged("a hit", |line| line["hit_rate"].as_f64() == Some(1.0)).await;
    assert_eq!(rated["msg"], "Cache metrics");
}

/// S1 1.26: alerts cover targets as well as mirrors.
#[tokio::test]
async fn a_failing_site_is_alerted_like_a_mirror() {
    let (site, (hook, url)) = (StubPeer::start().await, hook().await);
    let route = "/api/revalidate";
    site.always(route, Reply::Json(500, json!({})));
    let node = Spec::new("a")
        .file("[revalidate.paths]\nposts = [\"/posts\"]\n")
        .env("NEXT_REVALIDATE_URL", &format!("http://{}{route}", site.name()))
        .env("NEXT_REVALIDATE_SECRET", "a-secret-of-the-site-0123456789")
        .set("alerts.failures", 2)
        .set("alerts.webhook", &url)
        .start()
        .await;
    node.invalidate(json!({ "type": "posts" })).await;
    eventually("the webhook receives the alert", async || alerts_at(&hook).len() == 1).await;
    site.always(route, Reply::ok());
    eventually("and of the end", async || alerts_at(&hook).len() == 2).await;
    let alerts = alerts_at(&hook);
    assert!(
        alerts.iter().all(|it| it["kind"] == "beside" && it["alert"] == "failures"),
        "{alerts:?}"
    );
    assert_eq!(
        (&alerts[0]["status"], &alerts[1]["reason"]),
        (&json!("firing"), &json!("recovered"))
    );
}
