//! The data directory of an instance disappears while it runs. The instance logs it, acknowledges
//! nothing that a restart would lose, and recovers without a restart.

use std::fs;

use serde_json::json;

use crate::support::{Node, Spec, eventually};

/// An instance that owes an event to a mirror which does not answer.
async fn owing() -> Node {
    let node = Spec::new("a").mirrors(["http://127.0.0.1:1"]).start().await;
    node.invalidate(json!({ "type": "posts", "id": 1 })).await;
    node
}

async fn is_ready(node: &Node) -> bool {
    node.get("/readyz").await.status == 200
}

/// Whether the mirror must still receive this many events, or everything.
async fn owes(node: &Node, events: u64) {
    let mirror = node.mirror("127.0.0.1:1").await;
    let owed = mirror["backlog_events"].as_u64().expect("a number");
    assert!(mirror["backlog_widened"] == true || owed >= events, "{mirror}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_acknowledged_while_the_data_directory_is_deleted() {
    let mut node = owing().await;
    let data = node.data_dir();
    fs::remove_dir_all(&data).expect("removed");
    let answer = node.post("/api/cache/invalidate", json!({ "type": "posts", "id": 2 })).await;
    assert!(answer.status == 503 || answer.json()["degraded"] == true, "{answer:?}");
    assert!(!is_ready(&node).await);
    node.logged("the reason", |line| {
        line["event"] == "journal"
            && line["error"].as_str().is_some_and(|error| error.contains("is gone"))
    })
    .await;
    assert!(!data.exists(), "it is not made again: it may have been a mount");

    fs::create_dir(&data).expect("made");
    eventually("it goes on in an empty directory", async || is_ready(&node).await).await;
    let answer = node.post("/api/cache/invalidate", json!({ "type": "posts", "id": 3 })).await;
    assert_eq!((answer.status, &answer.json()["degraded"]), (200, &json!(null)), "{answer:?}");
    let version = node.get("/api/cache/versions").await.json()["version"].as_u64();
    node.restart().await;
    owes(&node, 3).await;
    assert!(node.get("/api/cache/versions").await.json()["version"].as_u64() >= version);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_data_directory_that_is_moved_away_and_back_is_used_again() {
    let mut node = owing().await;
    let data = node.data_dir();
    let away = data.with_extension("away");
    fs::rename(&data, &away).expect("moved");
    eventually("it is seen without an event", async || !is_ready(&node).await).await;
    let answer = node.post("/api/cache/invalidate", json!({ "type": "posts", "id": 2 })).await;
    assert_eq!(answer.status, 503, "{answer:?}");
    fs::rename(&away, &data).expect("moved back");
    eventually("it goes on", async || is_ready(&node).await).await;
    node.invalidate(json!({ "type": "posts", "id": 3 })).await;
    node.restart().await;
    owes(&node, 3).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_segment_restored_from_an_older_copy_is_seen_at_the_start() {
    let mut node = owing().await;
    let segments = node.data_dir().join("journal");
    let copy = segments.with_extension("copy");
    fs::create_dir(&copy).expect("made");
    for entry in fs::read_dir(&segments).expect("there") {
        let entry = entry.expect("an entry");
        fs::copy(entry.path(), copy.join(entry.file_name())).expect("copied");
    }
    for id in 2..5 {
        node.invalidate(json!({ "type": "posts", "id": id })).await;
    }
    let before = node.get("/api/cache/versions").await.json()["version"].as_u64();
    node.kill9().await;
    for entry in fs::read_dir(&copy).expect("there") {
        let entry = entry.expect("an entry");
        fs::copy(entry.path(), segments.join(entry.file_name())).expect("restored");
    }
    node.restart().await;
    node.logged("the gap", |line| line["event"] == "gap").await;
    assert_eq!(node.mirror("127.0.0.1:1").await["backlog_widened"], true);
    assert!(node.get("/api/cache/versions").await.json()["version"].as_u64() > before);
}

/// Not the journal alone: secrets that tokens were signed with, pauses and schedules.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn state_in_memory_is_written_again_to_an_emptied_directory() {
    let schedule = r#"[{ id = "nightly", cron = "0 3 1 1 *", invalidate = { type = "posts" } }]"#;
    let spec = Spec::new("a").unset("auth.jwt_secret").set("schedules", schedule);
    let mut node = spec.mirrors(["http://127.0.0.1:1"]).start().await;
    node.post("/api/mirrors/127.0.0.1:1/pause", json!({})).await.expect(200);
    node.post("/api/schedules/nightly/pause", json!({})).await.expect(200);
    let data = node.data_dir();
    let files = ["jwt.secret", "pauses.json", "schedules.json", "in-use.json"];
    let read = || files.map(|file| fs::read_to_string(data.join(file)).unwrap_or_default());
    eventually("all are written", async || read().iter().all(|text| !text.is_empty())).await;
    let before = read();

    fs::remove_dir_all(&data).expect("removed");
    eventually("it is seen", async || !is_ready(&node).await).await;
    node.post("/api/reload", json!({})).await.expect(200);
    assert!(!data.exists(), "a reload does not make it either");
    fs::create_dir(&data).expect("made");
    eventually("it goes on", async || is_ready(&node).await).await;
    eventually("the files are back", async || read() == before).await;
    node.post("/api/reload", json!({})).await.expect(200);
    assert_eq!(read()[0], before[0]);
    assert!(!node.log_text().contains(before[0].trim()), "no secret is in the log");
    node.restart().await;
    assert_eq!(node.mirror("127.0.0.1:1").await["paused"], "operator");
    assert_eq!(read()[0], before[0]);
}

/// The directory stays, the journal is idle, and single files are deleted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_small_file_that_is_deleted_is_written_again() {
    use cache_mirror::gate::{AppToken, AppTokens};
    let schedule = r#"[{ id = "nightly", cron = "0 3 1 1 *", invalidate = { type = "posts" } }]"#;
    let mirror = Spec::new("b").start().await;
    let address = mirror.address().trim_start_matches("http://").to_owned();
    let spec = Spec::new("a").unset("auth.jwt_secret").set("schedules", schedule);
    let mut node = spec.mirrors([mirror.address()]).start().await;
    let data = node.data_dir();
    let files = ["jwt.secret", "pauses.json", "schedules.json", "in-use.json", "kinds.json"];
    let read = || files.map(|file| fs::read_to_string(data.join(file)).unwrap_or_default());
    node.invalidate(json!({ "type": "posts", "id": 1 })).await;
    eventually("the kind is known", async || data.join("kinds.json").exists()).await;
    node.post(&format!("/api/mirrors/{address}/pause"), json!({})).await.expect(200);
    node.post("/api/schedules/nightly/pause", json!({})).await.expect(200);
    eventually("all are written", async || read().iter().all(|text| !text.is_empty())).await;
    let before = read();
    let app = |app: &str| AppToken {
        app: app.into(),
        jti: "7".into(),
        role: "TRAINER".into(),
        created_ms: 1,
        revoked_ms: None,
    };
    let list = AppTokens::new(&data);
    let listing = list.change(|tokens| {
        tokens.push(app("shop"));
        Ok(())
    });
    listing.expect("listed");
    let claims = json!({ "iss": "a", "aud": "cache-mirror", "sub": "app:shop", "iat": 1 });
    let token = crate::support::sign(&claims);
    drop(node.request_as(&token, reqwest::Method::GET, "/api/cache/versions").send().await);

    for (at, file) in files.iter().enumerate() {
        fs::remove_file(data.join(file)).expect("removed");
        eventually(file, async || read() == before).await;
        let says = |line: &serde_json::Value| {
            let msg = line["msg"].as_str().unwrap_or_default();
            msg.contains("were gone") && msg.contains(file)
        };
        node.logged(&format!("{at}: it says so"), says).await;
    }
    fs::remove_file(data.join("app-tokens.json")).expect("removed");
    node.logged("the list is only reported", |line| {
        line["msg"].as_str().is_some_and(|msg| msg.contains("app-tokens.json is gone"))
    })
    .await;
    assert!(!data.join("app-tokens.json").exists());
    assert!(is_ready(&node).await, "none of it concerns the journal");
    assert!(!node.log_text().contains(before[0].trim()), "no secret is in the log");
    node.restart().await;
    assert_eq!(node.mirror(&address).await["paused"], "operator");
    assert_eq!(read()[0], before[0]);
}
