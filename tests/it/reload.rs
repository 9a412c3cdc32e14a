//! Changed settings without a restart: by signal, by file, by request.
//!
//! A valid change applies without a restart, and no event is lost or sent twice; an invalid one
//! changes nothing and is reported with its error.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{INVALIDATE, Node, Reply, Scene, Spec, StubPeer, effects, eventually, id_of};

/// An instance whose file may change everything that these scenes change.
fn spec(file: &str) -> Spec {
    let spec = Spec::new("a").file(file).unset("graph.preset");
    spec.unset("mirrors.rate_per_second").unset("mirrors.burst").set("instance.watch_config", false)
}

async fn reload(node: &Node) -> Value {
    node.post("/api/reload", json!({})).await.expect(200)
}

async fn reload_with(node: &Node, file: &str) -> Value {
    node.write_file(file);
    reload(node).await
}

async fn cascade(node: &Node, kind: &str) -> Value {
    node.invalidate(json!({ "type": kind })).await["cascade"].take()
}

#[tokio::test]
async fn a_reload_changes_graph_aliases_limits_and_level_and_names_fixed_keys() {
    let node = spec("").start().await;
    assert_eq!(cascade(&node, "pictures").await, json!([]));
    let before = node.stats().await["graph"].clone();
    let reloaded = reload_with(
        &node,
        "[dependencies]\nposts = [\"pictures\"]\n[aliases]\narticle = \"posts\"\n[log]\nlevel = \
         \"warn\"\n[store]\nttl_s = 60\n[limits]\nselectors_max = 1\n[graph]\nstrict_types = \
         true\n",
    )
    .await;
    let changed =
        ["aliases.article", "dependencies.posts", "graph.strict_types", "limits.selectors_max"];
    assert_eq!(&reloaded["changed"].as_array().expect("a list")[..4], &changed.map(Value::from));
    assert_eq!(reloaded["changed"][4], "log.level");
    assert_eq!(reloaded["needs_restart"], json!(["store.ttl_s"]));
    assert_eq!(cascade(&node, "pictures").await, json!(["posts"]));
    assert_eq!(cascade(&node, "article").await, json!([]), "an alias of what the graph knows");
    assert_ne!(node.stats().await["graph"], before);
    let two = node.post("/api/cache/invalidate", json!({ "type": "posts", "ids": [1, 2] })).await;
    assert_eq!(two.status, 422, "selectors_max");
    let odd = node.post("/api/cache/invalidate", json!({ "type": "psots" })).await;
    assert_eq!(odd.status, 422, "strict_types");
    let text = "store.ttl_s cannot change while running: restart";
    node.logged("what needs a restart", |line| line["msg"] == text && line["level"] == 40).await;
    let is_info = |line: &Value| {
        line["event"] == "config" && line["principal"] == "admin" && line["level"] == 30
    };
    assert!(!node.log_lines().iter().any(is_info), "the level is warn");
    // Once more: nothing new, and the same key still waits.
    let again = reload(&node).await;
    assert_eq!((&again["changed"], &again["needs_restart"]), (&json!([]), &json!(["store.ttl_s"])));
}

/// Never stale: entries that were stored under the earlier meaning of a name would not be found
/// under the new one.
#[tokio::test]
async fn an_alias_that_changes_its_type_leaves_nothing_stale() {
    let node = spec("").start().await;
    assert!(node.put_entry("old", "type=article", "old").await);
    let miss = node.get("/api/cache/entries/late").await;
    let ticket = miss.header("cache-mirror-ticket").expect("a miss gives a ticket").to_owned();
    reload_with(&node, "[aliases]\narticle = \"posts\"\narticles = \"posts\"\n").await;
    assert_eq!(node.get_entry("old").await, None);
    let fill = node.request(Method::PUT, "/api/cache/entries/late?type=article");
    let fill = fill.header("cache-mirror-ticket", ticket).body("read before");
    assert_eq!(fill.send().await.expect("answers").status(), 409, "its ticket is older");
    assert!(node.put_entry("new", "type=article", "new").await);
    node.invalidate(json!({ "type": "posts" })).await;
    assert_eq!(node.get_entry("new").await, None);
}

/// A key misspelt, aliases in a circle, a secret that cannot be read: all is as it was.
#[tokio::test]
async fn a_bad_reload_changes_nothing_and_names_the_error() {
    let stub = StubPeer::start().await;
    let good = format!("[mirrors]\nurls = [\"{}\"]\n", stub.name());
    let node = spec(&good).start().await;
    let bad = [
        ("[mirrors]\nurl = []\n", "mirrors.urls"),
        ("[aliases]\nones = \"twos\"\ntwos = \"ones\"\n", "aliases"),
        ("[auth]\nadmin_token_file = \"/nowhere/at/all\"\n", "auth.admin_token_file"),
        ("[log]\nlevel = \"loud\"\n[store]\nttl_s = \"x\"\n", "store.ttl_s"),
        ("not toml at all", "config/cache-mirror.toml"),
    ];
    for (file, names) in bad {
        node.write_file(file);
        let refused = node.post("/api/reload", json!({})).await;
        let problems = refused.expect(422)["problems"].to_string();
        assert!(problems.contains(names), "{problems}");
        assert_eq!(refused.header("content-type"), Some("application/problem+json"));
    }
    node.signal("HUP").await;
    let is_refusal = |line: &Value| line["event"] == "config" && line["level"] == 50;
    node.logged("the refusal", |line| is_refusal(line) && line["principal"] == "signal").await;
    let stderr = node.output().1;
    assert!(stderr.contains("did you mean mirrors.urls?"), "{stderr}");
    let logged = node.log_lines().into_iter().find(|line| {
        is_refusal(line) && line["msg"].as_str().is_some_and(|msg| stderr.contains(msg))
    });
    assert!(logged.is_some(), "the words of stderr are in the log");
    node.invalidate(json!({ "type": "posts" })).await;
    eventually("the mirror still receives events", async || stub.bodies().len() == 1).await;
    assert_eq!(reload_with(&node, &good).await["changed"], json!([]));
}

/// 300 events while graph, limits and the list of mirrors change; each mirror gets every
/// event that was accepted while it was listed, once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_burst_during_reloads_loses_nothing_and_duplicates_nothing() {
    let (steady, coming, going) = (other("b").await, other("c").await, other("d").await);
    let file = |mirrors: &[&Node], rate: u32, needs: &str| {
        let urls: Vec<String> = mirrors.iter().map(|to| format!("{:?}", to.address())).collect();
        let urls = urls.join(",");
        format!(
            "[dependencies]\nposts = [{needs:?}]\n[mirrors]\nurls = [{urls}]\nrate_per_second = \
             {rate}\nburst = {rate}\n"
        )
    };
    let node = spec(&file(&[&steady, &going], 50, "pictures")).start().await;
    let early = burst(&node, "early").await;
    let (during, _) = tokio::join!(burst(&node, "during"), async {
        for turn in 0..6 {
            let file =
                file(&[&steady, &coming, &going], 30 + turn, ["tags", "users"][turn as usize % 2]);
            reload_with(&node, &file).await;
        }
    });
    eventually("the one that goes has everything", async || {
        node.mirror(going.address()).await["backlog_events"] == 0
    })
    .await;
    reload_with(&node, &file(&[&steady, &coming], 1000, "pictures")).await;
    let late = burst(&node, "late").await;
    let all: BTreeSet<&String> = early.iter().chain(&during).chain(&late).collect();
    assert_eq!(all.len(), 300);
    has_once(&steady, &all).await;
    has_once(&coming, &late.iter().collect()).await;
    has_once(&going, &early.iter().chain(&during).collect()).await;
    let there = effects(&going.journal().await);
    assert!(late.iter().all(|id| !there.contains_key(id)), "it is no mirror any more");
    assert_eq!(node.mirrors().await.len(), 2);
}

async fn other(name: &str) -> Node {
    Spec::new(name).start().await
}

async fn burst(node: &Node, name: &str) -> Vec<String> {
    let sends = (0..100).map(|at| async move {
        id_of(&node.invalidate(json!({ "type": "posts", "id": format!("{name}-{at}") })).await)
    });
    join_all(sends).await
}

async fn has_once(node: &Node, ids: &BTreeSet<&String>) {
    eventually("every event is there", async || {
        let there = effects(&node.journal().await);
        ids.iter().all(|id| there.contains_key(*id))
    })
    .await;
    let there = effects(&node.journal().await);
    let doubled: Vec<_> = there.iter().filter(|(_, count)| **count > 1).collect();
    assert!(doubled.is_empty(), "{}: {doubled:?}", node.name());
}

/// The backlog of a mirror survives a change of its limit and its credentials, while an operator's
/// limit ends. The backlog of a removed mirror is kept and later dropped; both are logged.
#[tokio::test]
async fn a_backlog_survives_a_changed_limit_and_for_a_while_a_removed_mirror() {
    let stub = StubPeer::start().await;
    stub.always(INVALIDATE, Reply::Json(503, json!({})));
    let file = |rate: u32, password: &str| {
        format!(
            "[mirrors]\n[[mirrors.peers]]\nurl = \"http://{}\"\nrate_per_second = {rate}\nemail = \
             \"m@x.example\"\npassword = \"{password}\"\n",
            stub.name()
        )
    };
    let node = spec(&file(500, "one")).start().await;
    node.invalidate(json!({ "type": "posts" })).await;
    let path = format!("/api/mirrors/{}", stub.name());
    node.patch(&path, json!({ "rate_per_second": 7 })).await.expect(200);
    let reloaded = reload_with(&node, &file(600, "two")).await;
    assert_eq!(reloaded["changed"], json!(["mirrors.peers"]));
    let mirror = node.mirror(&stub.name()).await;
    assert_eq!((&mirror["rate_per_second"], &mirror["backlog_events"]), (&json!(600.0), &json!(1)));
    let ends = |line: &Value| {
        line["msg"].as_str().is_some_and(|msg| msg.starts_with("the limit set by an operator (7/s"))
    };
    node.logged("the operator's limit ends", ends).await;
    eventually("it logs in anew", async || {
        stub.seen().iter().any(|seen| seen.text().contains("\"two\""))
    })
    .await;
    reload_with(&node, "[mirrors]\nurls = []\n").await;
    assert!(node.mirrors().await.is_empty());
    let is_removed = |line: &Value| line["status"] == "removed" && line["events"] == 1;
    assert_eq!(node.logged("what is kept", is_removed).await["peer"], stub.name());
    reload_with(&node, "[mirrors]\nforget_after = \"0\"\n").await;
    let is_forgotten = |line: &Value| line["status"] == "forgotten" && line["events"] == 1;
    assert_eq!(node.logged("what is dropped", is_forgotten).await["peer"], stub.name());
}

/// `: > file; kill -HUP`, and the same at a restart: no backlog is lost.
#[tokio::test]
async fn a_settings_file_read_while_empty_loses_no_backlog() {
    let stub = StubPeer::start().await;
    stub.always(INVALIDATE, Reply::Json(503, json!({})));
    let whole = format!("[log]\nlevel = \"info\"\n[mirrors]\nurls = [\"{}\"]\n", stub.name());
    let mut node = spec(&whole).start().await;
    node.invalidate(json!({ "type": "posts" })).await;
    for (text, reason) in [
        ("", "is empty"),
        (" \n", "is empty"),
        ("# nothing\n", "is empty"),
        ("[log]\nlevel = \"info\"\n", "cut off"),
        ("[log]\nlevel = \"in", "cut off"),
    ] {
        node.write_file(text);
        let refused = node.post("/api/reload", json!({})).await.expect(422).to_string();
        assert!(refused.contains(reason), "{text:?}: {refused}");
        assert_eq!(node.mirrors().await.len(), 1, "all is as it was");
    }
    // A start accepts it; the backlog waits, with a log line.
    node.write_file("");
    node.restart().await;
    assert!(node.mirrors().await.is_empty());
    let is_removed = |line: &Value| line["status"] == "removed" && line["events"] == 1;
    node.logged("what is kept", is_removed).await;
    let removed = node.get("/api/mirrors").await.json()["removed"].clone();
    assert_eq!(
        (&removed[0]["name"], &removed[0]["backlog_events"]),
        (&json!(stub.name()), &json!(1))
    );
    node.invalidate(json!({ "type": "pages" })).await;
    stub.repair();
    let before = stub.bodies().len();
    reload_with(&node, &whole).await;
    eventually("it goes on from where it was", async || {
        let bodies = stub.bodies()[before..].concat();
        bodies.contains("posts") && bodies.contains("pages")
    })
    .await;
}

/// `CACHE_MIRRORS=` in `.env`: the key exists and its list is empty. It applies, and no backlog is
/// lost.
#[tokio::test]
async fn an_emptied_list_of_mirrors_keeps_their_backlogs() {
    let stub = StubPeer::start().await;
    stub.always(INVALIDATE, Reply::Json(503, json!({})));
    let node = spec("").start().await;
    let dot_env = |list: &str| {
        std::fs::write(node.dir.join(".env"), format!("CACHE_MIRRORS={list}\n")).expect("written");
    };
    dot_env(&stub.name());
    reload(&node).await;
    node.invalidate(json!({ "type": "posts" })).await;
    for empty in ["", "\"\"", " "] {
        dot_env(empty);
        reload(&node).await;
        assert!(node.mirrors().await.is_empty(), "{empty:?}");
        let removed = node.get("/api/mirrors").await.json()["removed"].clone();
        let found = (&removed[0]["name"], &removed[0]["backlog_events"]);
        assert_eq!(found, (&json!(stub.name()), &json!(1)), "{empty:?}");
    }
    stub.repair();
    let before = stub.bodies().len();
    dot_env(&stub.name());
    reload(&node).await;
    eventually("it goes on from where it was", async || {
        stub.bodies()[before..].iter().any(|body| body.contains("posts"))
    })
    .await;
}

/// The cursor of a new mirror is on disk before the reload answers, so its backlog survives a
/// crash.
#[tokio::test]
async fn the_backlog_of_a_new_mirror_survives_a_crash() {
    let stub = StubPeer::start().await;
    stub.always(INVALIDATE, Reply::Json(503, json!({})));
    let mut node = spec("").start().await;
    node.invalidate(json!({ "type": "pages" })).await;
    reload_with(&node, &format!("[mirrors]\nurls = [\"{}\"]\n", stub.name())).await;
    node.invalidate(json!({ "type": "posts" })).await;
    node.kill9().await;
    stub.repair();
    let before = stub.bodies().len();
    node.restart().await;
    eventually("it gets what it is owed", async || {
        stub.bodies()[before..].iter().any(|body| body.contains("posts"))
    })
    .await;
    assert!(stub.bodies().iter().all(|body| !body.contains("pages")), "it began after that");
}

/// Editors replace a file, ConfigMaps turn a link: both are noticed, and a signal is one way too.
#[tokio::test]
async fn a_changed_file_is_detected_and_a_signal_rereads_secrets() {
    let file = |kind: &str| format!("[dependencies]\nposts = [\"{kind}\"]\n");
    let node = spec(&file("tags")).unset("instance.watch_config").start().await;
    node.write_file(&file("pictures"));
    let is_reload = |line: &Value, by: &str| line["event"] == "config" && line["principal"] == by;
    node.logged("a file put in its place", |line| is_reload(line, "file")).await;
    assert_eq!(cascade(&node, "pictures").await, json!(["posts"]));
    let (link, target) = (node.settings_file(), node.dir.join("config/..data"));
    std::fs::write(&target, file("users")).expect("written");
    std::fs::remove_file(&link).expect("removed");
    std::os::unix::fs::symlink(&target, &link).expect("linked");
    eventually("a link", async || cascade(&node, "users").await == json!(["posts"])).await;
    std::fs::write(&target, "[typo]\n").expect("written");
    node.logged("a bad file", |line| is_reload(line, "file") && line["level"] == 50).await;
    assert_eq!(cascade(&node, "users").await, json!(["posts"]), "as it was");
    std::fs::write(&target, file("users")).expect("written");
    std::fs::write(node.dir.join(".env"), "CACHE_MIRROR__LIMITS__SELECTORS_MAX=1\n")
        .expect("written");
    node.signal("HUP").await;
    let is_read = |line: &Value| {
        line["msg"].as_str().is_some_and(|msg| msg.contains("reloaded: limits.selectors_max"))
    };
    node.logged("what .env holds", is_read).await;
}

/// A password in a file changes without the settings changing; mirrors in a mesh go on meanwhile.
#[tokio::test]
async fn only_administrators_may_reload() {
    let scene = Scene::mesh(1).await;
    let node = &scene.nodes[0];
    let editor = crate::support::mint("n0", "e@x.example", "TRAINER");
    let refused = node.request_as(&editor, Method::POST, "/api/reload").send().await;
    assert_eq!(refused.expect("answers").status(), 403);
    assert_eq!(reload(node).await["changed"], json!([]), "isolated: flags and environment stay");
}
