//! Blocks for a shell: curl, secrets, the checklist, and what Supabase sends.

use std::path::Path;
use std::process::Stdio;

use serde_json::{Value, json};
use tokio::process::Command;

use crate::blocks::text;
use crate::support::{Node, Spec, eventually, id_of, outcomes};

/// Runs a block in a shell, with the variables that the page names; returns what it printed.
pub async fn run(node: &Node, name: &str, more: &[(&str, &str)]) -> String {
    let binary = Path::new(env!("CARGO_BIN_EXE_cache-mirror")).parent().expect("its folder");
    let path = format!("{}:{}", binary.display(), std::env::var("PATH").expect("PATH"));
    let mut shell = Command::new("bash");
    shell.args(["-euo", "pipefail", "-c", &text(name)]).env_clear().current_dir(&node.dir);
    shell.env("PATH", path).env("CACHE_MIRROR_URL", &node.base);
    shell.env("CACHE_MIRROR_TOKEN", &node.token).envs(more.iter().copied());
    let output = shell.stdin(Stdio::null()).kill_on_drop(true).output().await.expect("bash runs");
    let (out, error) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{name}: {}\n{out}\n{error}", output.status);
    out.into_owned()
}

/// The selectors of each event, and what was done.
async fn recorded_events(node: &Node) -> Vec<(Value, Value)> {
    let events = node.journal().await;
    events.into_iter().map(|event| (event["selectors"].clone(), event["action"].clone())).collect()
}

/// S0 0.7, S1 1.28: four ways to a secret, each of them long enough.
#[tokio::test]
async fn the_commands_create_secrets() {
    let node = Spec::new("a").start().await;
    let printed = run(&node, "secrets.sh", &[]).await;
    let lengths: Vec<usize> = printed.lines().map(str::len).collect();
    assert_eq!(lengths, [64, 64, 64, 44], "{printed}");
}

/// S1 1.1: the call at the head of the chain; S2 2.7: many changes are one event.
#[tokio::test]
async fn curl_invalidates_one_thing_or_many_as_one_event() {
    let node = Spec::new("a").start().await;
    let one: Value = serde_json::from_str(&run(&node, "curl.sh", &[]).await).expect("JSON");
    let many: Value = serde_json::from_str(&run(&node, "bulk.sh", &[]).await).expect("JSON");
    assert_eq!((&one["version"], &many["version"]), (&json!(1), &json!(2)));
    let events = recorded_events(&node).await;
    assert_eq!(events[0], (json!(["posts/42"]), json!("update")));
    assert_eq!(events.len(), 2, "{events:?}");
    let selectors = events[1].0.as_array().expect("a list").len();
    assert_eq!(selectors, 3, "{events:?}");
}

/// S2 2.3: the requests after the five kinds of writes are accepted unchanged.
#[tokio::test]
async fn the_request_after_each_write_is_accepted() {
    let node = Spec::new("a").unset("graph.preset").start().await;
    let query = "type=products&id=9&tags=products:client:3";
    assert!(node.put_entry("list-of-client-3", query, "v").await);
    for line in text("writes.jsonl").lines() {
        let answer = node.invalidate(serde_json::from_str(line).expect("JSON")).await;
        assert_eq!(answer["success"], true, "{line}");
        if line.contains("products:client:3") {
            assert_eq!(answer["invalidated_entries"], 1, "the tag found the client's list");
        }
    }
    let events = recorded_events(&node).await;
    assert_eq!(events.len(), 5, "the import is one event: {events:?}");
    assert_eq!(events[0].1, "create");
}

/// S1 1.22, S3 3.10: the checklist runs through, and what mirrors answered is in the log alone.
#[tokio::test]
async fn the_checklist_finds_the_failing_step() {
    let b = Spec::new("b").start().await;
    let a = Spec::new("a").mirrors([b.address()]).start().await;
    let id = id_of(&a.invalidate(json!({ "type": "posts", "id": 42 })).await);
    eventually("b has it", async || {
        outcomes(&a.event(&id).await).values().all(|status| status == "delivered")
    })
    .await;
    a.logged("the delivery", |line| line["status"] == "delivered").await;
    let printed = run(&a, "checklist.sh", &[]).await;
    for part in [" is ok\n", "everything was sent to all", "posts/42", " delivered", "mirrored"] {
        assert!(printed.contains(part), "{part:?} in\n{printed}");
    }
    let (stdout, stderr) = a.output();
    assert_eq!(stdout, format!("listening control={}\n", a.base));
    let activity = ["mirrored", "delivered", "posts"];
    assert!(!activity.iter().any(|word| stderr.contains(word)), "{stderr}");
}

/// Only where this build serves webhooks.
#[tokio::test]
#[allow(clippy::print_stderr, reason = "what was left out must be seen")]
async fn supabase_reports_a_write() {
    let node = Spec::new("a").start().await;
    let served = node.get("/openapi.json").await.expect(200);
    if !served["paths"].as_object().expect("paths").contains_key("/api/hooks/{name}") {
        eprintln!("left out: this build serves no /api/hooks/{{name}}");
        return;
    }
    let node = Spec::new("b").file(&text("supabase.toml")).start().await;
    let secret = "replace-this-by-a-secret";
    assert!(text("supabase.toml").contains(secret) && text("supabase.sql").contains(secret));
    run(&node, "supabase.sh", &[("SUPABASE_SECRET", secret)]).await;
    eventually("the write is an event", async || recorded_events(&node).await.len() == 1).await;
    assert_eq!(recorded_events(&node).await[0].0, json!(["posts/42"]));
}
