//! Mirrors that are dead for long cause only few and short log lines.

use serde_json::{Value, json};

use crate::support::{Spec, eventually, free_port};

/// Each failing mirror is named with its attempt and the next one, then at growing intervals, and
/// events that pile up meanwhile make no line longer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dead_mirrors_cause_few_short_log_lines() {
    const MIRRORS: usize = 12;
    const ATTEMPTS: u64 = 64;
    let dead: Vec<String> = (0..MIRRORS).map(|_| format!("127.0.0.1:{}", free_port())).collect();
    let node = Spec::new("a")
        .mirrors(&dead)
        .set("mirrors.backoff_ms_min", 1)
        .set("mirrors.backoff_ms_max", 20)
        .start()
        .await;
    for id in 0..200 {
        node.invalidate(json!({ "type": "posts", "id": id })).await;
    }
    eventually("all were tried often", async || {
        let failures = |mirror: &Value| mirror["failures"].as_u64().unwrap_or_default();
        node.mirrors().await.values().all(|mirror| failures(mirror) >= ATTEMPTS)
    })
    .await;
    for name in &dead {
        let is_its = |line: &Value| line["peer"] == *name;
        node.logged("a count", |line| is_its(line) && line["attempt"] == ATTEMPTS).await;
        let lines: Vec<Value> = node.log_lines().into_iter().filter(is_its).collect();
        let failed: Vec<&Value> = lines.iter().filter(|line| line["event"] == "mirror").collect();
        assert_eq!(failed[0]["attempt"], 1, "{}", failed[0]);
        // The first attempt may have gathered several events already.
        let is_named = ["event_id", "event_ids"].iter().any(|key| failed[0][key].is_string());
        assert!(is_named && failed[0]["wait_ms"].is_u64(), "{}", failed[0]);
        // Attempts 1, 2, 4 … 64 and perhaps 128; breaker and alert besides.
        assert!(failed.len() <= 8, "{} lines of {name}", failed.len());
        assert!(lines.len() <= 10, "{} lines of {name}", lines.len());
        for line in lines {
            assert!(line.to_string().len() < 700, "{line}");
        }
    }
}
