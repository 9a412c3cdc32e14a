//! Invalidations by the clock, on a clock that the scene sets.

use serde_json::{Value, json};

use crate::support::{Clock, Node, Spec, eventually, outcomes};

const HOURLY: &str = r#"[{ id = "activate-tournaments", cron = "0 * * * *",
    invalidate = { type = "posts", action = "update" } }]"#;

fn spec(clock: &Clock) -> Spec {
    clock.of(Spec::new("a").set("schedules", HOURLY))
}

/// The times that ran, by the journal.
async fn runs(node: &Node) -> Vec<String> {
    let journal = node.journal().await;
    let by_clock = journal.iter().filter(|event| event["source"] == "schedule");
    let reason = |event: &Value| event["reason"].as_str().unwrap_or_default().to_owned();
    by_clock.map(reason).collect()
}

async fn ran(node: &Node, time: &str) {
    let reason = format!("due {time}.000Z");
    eventually(&reason, async || runs(node).await.contains(&reason)).await;
}

async fn shown(node: &Node) -> Value {
    node.get("/api/schedules").await.expect(200)["schedules"][0].clone()
}

/// S4 4.3: the hourly job of the older system, in the settings: it fires, is mirrored, and three
/// restarts repeat nothing.
#[tokio::test]
async fn a_schedule_fires_on_its_hour_and_three_restarts_repeat_nothing() {
    let clock = Clock::at("2026-11-20T11:59:58Z");
    let peer = clock.of(Spec::new("b")).start().await;
    let mut node = spec(&clock).mirrors([peer.address()]).start().await;
    assert!(node.put_entry("posts-list", "type=posts", "old").await);
    assert!(peer.put_entry("posts-list", "type=posts", "old").await);
    assert_eq!(shown(&node).await["next"][0], "2026-11-20T12:00:00.000Z");
    ran(&node, "2026-11-20T12:00:00").await;
    assert_eq!(node.get_entry("posts-list").await, None);
    let event = node.journal().await.pop().expect("the run");
    assert_eq!(event["principal"], "schedule:activate-tournaments");
    let id = event["id"].as_str().expect("an id").to_owned();
    eventually("the mirror has it", async || {
        outcomes(&node.event(&id).await).values().all(|status| status == "delivered")
    })
    .await;
    assert_eq!(peer.get_entry("posts-list").await, None);
    let line = node.logged("the run", |line| line["event"] == "schedule").await;
    assert_eq!((&line["event_id"], &line["status"]), (&json!(id), &json!("applied")));
    for _ in 0..3 {
        node.stop().await;
        node.restart().await;
        assert_eq!(runs(&node).await.len(), 1);
    }
    clock.set("2026-11-20T13:00:00Z");
    ran(&node, "2026-11-20T13:00:00").await;
    let view = shown(&node).await;
    assert_eq!(view["runs"], 2, "the count went through the restarts: {view}");
    assert_eq!(view["last_run"]["due"], "2026-11-20T13:00:00.000Z");
    assert_eq!(runs(&node).await.len(), 2, "and nothing ran in between");
}

/// Runs that were missed while the instance was down are made up by one run at the start.
#[tokio::test]
async fn missed_runs_are_made_up_once() {
    let clock = Clock::at("2026-11-20T12:10:00Z");
    let mut node = spec(&clock).start().await;
    eventually("it is known how far it came", async || {
        node.dir.join("data/schedules.json").exists()
    })
    .await;
    node.stop().await;
    clock.set("2026-11-20T17:30:00Z");
    node.restart().await;
    ran(&node, "2026-11-20T17:00:00").await;
    node.logged("it is logged", |line| {
        line["event"] == "schedule" && line["level"] == 40 && line["status"] == "applied"
    })
    .await;
    node.stop().await;
    node.restart().await;
    clock.set("2026-11-20T18:00:00Z");
    ran(&node, "2026-11-20T18:00:00").await;
    assert_eq!(runs(&node).await.len(), 2);
}

/// A crash between the journal's write and the file's repeats nothing either.
#[tokio::test]
async fn a_run_that_only_the_journal_knows_is_not_repeated() {
    let clock = Clock::at("2026-11-20T12:59:58Z");
    let mut node = spec(&clock).start().await;
    let file = node.dir.join("data/schedules.json");
    eventually("how far it came is on disk", async || file.exists()).await;
    let before = std::fs::read(&file).expect("the file before the run");
    ran(&node, "2026-11-20T13:00:00").await;
    node.kill9().await;
    std::fs::write(&file, before).expect("the file as a crash would leave it");
    node.restart().await;
    clock.set("2026-11-20T14:00:00Z");
    ran(&node, "2026-11-20T14:00:00").await;
    assert_eq!(runs(&node).await.len(), 2);
}

/// A clock step back repeats nothing; a step forward is detected without a restart.
#[tokio::test]
async fn schedules_follow_a_changed_clock() {
    let clock = Clock::at("2026-11-20T12:30:00Z");
    let node = spec(&clock).start().await;
    clock.set("2026-11-20T13:00:01Z");
    ran(&node, "2026-11-20T13:00:00").await;
    clock.set("2026-11-20T12:59:50Z");
    node.post("/api/schedules/activate-tournaments/run", json!({})).await.expect(200);
    let at = shown(&node).await["last_run"]["at"].to_string();
    assert!(at.starts_with("\"2026-11-20T12:59:5"), "the step back is seen: {at}");
    clock.set("2026-11-20T13:59:59Z");
    ran(&node, "2026-11-20T14:00:00").await;
    let runs = runs(&node).await;
    assert_eq!(runs.iter().filter(|it| it.starts_with("due ")).count(), 2, "{runs:?}");
}

/// A paused schedule stays paused over a restart; a manual run carries the name of its caller.
#[tokio::test]
async fn an_operator_pauses_a_schedule_and_runs_it() {
    let clock = Clock::at("2026-11-20T12:30:00Z");
    let mut node = spec(&clock).start().await;
    let answer = node.post("/api/schedules/activate-tournaments/pause", json!({})).await;
    assert_eq!(answer.expect(200)["schedule"]["state"], "paused");
    node.kill9().await;
    node.restart().await;
    clock.set("2026-11-20T13:00:05Z");
    assert!(node.put_entry("posts-list", "type=posts", "old").await);
    let answer = node.post("/api/schedules/activate-tournaments/run", json!({})).await.expect(200);
    assert_eq!(answer["invalidated_entries"], 1, "{answer}");
    assert_eq!(runs(&node).await, ["schedule activate-tournaments, run by hand"]);
    let view = shown(&node).await;
    assert_eq!((&view["state"], &view["next"]), (&json!("paused"), &json!([])));
    assert_eq!(view["last_run"]["due"], Value::Null);
    let answer = node.post("/api/schedules/activate-tournaments/resume", json!({})).await;
    assert_eq!(answer.expect(200)["schedule"]["next"][0], "2026-11-20T14:00:00.000Z");
    clock.set("2026-11-20T14:00:00Z");
    ran(&node, "2026-11-20T14:00:00").await;
    assert_eq!(runs(&node).await.len(), 2, "13:00 passed while it was held");
    let unknown = node.post("/api/schedules/other/run", json!({})).await;
    let problem = unknown.expect(404);
    assert!(problem["detail"].as_str().is_some_and(|it| it.contains("activate-tournaments")));
}

/// Another pattern under the same id, taken over while running.
#[tokio::test]
async fn a_reload_replaces_the_pattern_and_keeps_the_id() {
    let clock = Clock::at("2026-11-20T12:05:00Z");
    let settings = |cron: &str| {
        format!("[[schedules]]\nid = \"it\"\ncron = \"{cron}\"\ninvalidate = {{ all = true }}\n")
    };
    let node = clock.of(Spec::new("a").file(&settings("0 * * * *"))).start().await;
    assert_eq!(shown(&node).await["next"][0], "2026-11-20T13:00:00.000Z");
    node.write_file(&settings("*/30 * * * *"));
    eventually("the new pattern", async || {
        shown(&node).await["next"][0] == "2026-11-20T12:30:00.000Z"
    })
    .await;
    clock.set("2026-11-20T12:29:59Z");
    ran(&node, "2026-11-20T12:30:00").await;
    node.write_file(&settings("every hour"));
    node.logged("the error is logged", |line| {
        line["msg"].as_str().is_some_and(|msg| msg.contains("schedules[0].cron"))
    })
    .await;
    assert_eq!(shown(&node).await["cron"], "*/30 * * * *");
}
