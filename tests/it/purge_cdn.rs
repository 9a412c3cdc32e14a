//! CDNs as targets. Stand-ins enforce the published rules of their vendors.

use serde_json::{Value, json};

use crate::support::cdn::{self, Cdn, TOKEN, Taken};
use crate::support::{Node, Spec, eventually, id_of};

/// An instance with one CDN; rates are the test's own, so that it need not wait for a plan's.
async fn instance(cdn: &Cdn, path: &str, fields: &str) -> Node {
    let text = format!(
        "[[purge.targets]]\nname = \"cdn\"\napi = \"{}{path}\"\nrate_per_second = 1000.0\n\
         burst = 1000\n{fields}\n",
        cdn.base()
    );
    Spec::new("a").file(&text).unset("graph.preset").start().await
}

/// Invalidates, waits until it is at the CDN, and gives what the CDN took of it.
async fn purges_of(node: &Node, cdn: &Cdn, event: Value) -> Vec<Taken> {
    let before = cdn.taken().len();
    let id = id_of(&node.invalidate(event.clone()).await);
    eventually(&format!("{event} is purged"), async || {
        node.event(&id).await["beside"][0]["status"] == "delivered"
    })
    .await;
    assert!(cdn.refused().is_empty(), "within the contract: {:?}", cdn.refused());
    cdn.taken().split_off(before)
}

fn bodies(taken: &[Taken]) -> Vec<Value> {
    taken.iter().map(|one| one.body.clone()).collect()
}

fn paths(taken: &[Taken]) -> Vec<&str> {
    taken.iter().map(|one| one.path.as_str()).collect()
}

/// How many tags each call named.
fn sizes(taken: &[Taken], field: &str) -> Vec<usize> {
    taken.iter().map(|one| one.body[field].as_array().map_or(0, Vec::len)).collect()
}

fn many(count: usize) -> Value {
    json!({ "type": "posts", "ids": (0..count).collect::<Vec<_>>() })
}

/// The first call of each is over the limit and gets 429, which is no failure.
async fn waited_for_its_turn(node: &Node) {
    let line = node.logged("the 429", |line| line["reason"] == "throttled").await;
    assert_eq!((&line["peer"], &line["wait_ms"]), (&json!("cdn"), &json!(1000)));
    let failed = node.log_lines().into_iter().find(|line| line["status"] == "failed");
    assert_eq!(failed, None);
    assert!(!node.log_text().contains(TOKEN), "no token in the log");
}

const SITES: &str = "sites = [\"https://www.example.org\"]";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cloudflare_is_purged_by_files_tags_prefixes_and_everything() {
    let cdn = Cdn::start(cdn::cloudflare).await;
    let fields = format!("kind = \"cloudflare\"\nzone = \"z1\"\ntoken = \"{TOKEN}\"\n{SITES}");
    let node = instance(&cdn, "/client/v4", &fields).await;
    let taken = purges_of(&node, &cdn, json!({ "type": "posts", "id": 42 })).await;
    assert_eq!(bodies(&taken), [json!({ "tags": ["posts", "posts:42"] })]);
    assert_eq!(sizes(&purges_of(&node, &cdn, many(150)).await, "tags"), [100, 51]);
    let taken =
        purges_of(&node, &cdn, json!({ "paths": ["/blog/é?page=2", "/blog/*", "/ab*"] })).await;
    let file = "https://www.example.org/blog/%C3%A9?page=2";
    let hosts = json!({ "hosts": ["www.example.org"] });
    // The path is in the first beginning, and the second one is no whole segment.
    assert_eq!(bodies(&taken), [json!({ "prefixes": ["www.example.org/blog/"] }), hosts]);
    let taken = purges_of(&node, &cdn, json!({ "paths": ["/blog/é?page=2"] })).await;
    // Caches compare byte by byte, and hexadecimal digits come in both cases.
    assert_eq!(bodies(&taken), [json!({ "files": [file, file.replace("%C3%A9", "%c3%a9")] })]);
    for wide in [json!({ "all": true }), json!({ "tags": ["with blank"] })] {
        let taken = purges_of(&node, &cdn, wide).await;
        assert_eq!(bodies(&taken), [json!({ "purge_everything": true })]);
    }
    waited_for_its_turn(&node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fastly_is_purged_by_keys_and_urls_and_softly_if_configured() {
    let cdn = Cdn::start(cdn::fastly).await;
    let fields = format!("kind = \"fastly\"\nservice = \"s1\"\ntoken = \"{TOKEN}\"\n{SITES}");
    let node = instance(&cdn, "", &fields).await;
    let taken = purges_of(&node, &cdn, json!({ "type": "posts", "id": 42 })).await;
    let keys = json!({ "surrogate_keys": ["posts", "posts:42"] });
    let call = Taken { path: "/service/s1/purge".into(), body: keys.clone(), is_soft: false };
    assert_eq!(taken, std::slice::from_ref(&call));
    let soft = json!({ "type": "posts", "id": 42, "mode": "soft" });
    assert_eq!(purges_of(&node, &cdn, soft).await, [Taken { is_soft: true, ..call }]);
    assert_eq!(sizes(&purges_of(&node, &cdn, many(300)).await, "surrogate_keys"), [256, 45]);
    let taken = purges_of(&node, &cdn, json!({ "paths": ["/a?b=1"], "mode": "soft" })).await;
    assert_eq!((paths(&taken), taken[0].is_soft), (vec!["/purge/www.example.org/a?b=1"], true));
    let taken = purges_of(&node, &cdn, json!({ "all": true, "mode": "soft" })).await;
    assert_eq!((paths(&taken), taken[0].is_soft), (vec!["/service/s1/purge_all"], false));
    waited_for_its_turn(&node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bunny_is_purged_by_tag_url_and_zone() {
    let cdn = Cdn::start(cdn::bunny).await;
    let fields = format!(
        "kind = \"bunny\"\npull_zone = \"1\"\ntoken = \"{TOKEN}\"\n{SITES}\n\
         list_tag = \"{{type}}:list\""
    );
    let node = instance(&cdn, "", &fields).await;
    let taken = purges_of(&node, &cdn, json!({ "type": "posts", "ids": [1, 2] })).await;
    assert_eq!(
        bodies(&taken),
        ["posts:1", "posts:2", "posts:list"].map(|tag| json!({ "CacheTag": tag }))
    );
    let taken = purges_of(&node, &cdn, json!({ "paths": ["/a", "/blog/*"] })).await;
    let url = |path: &str| format!("/purge?url=https%3A%2F%2Fwww.example.org%2F{path}");
    assert_eq!(paths(&taken), [url("a"), url("blog%2F*")]);
    let zone = "/pullzone/1/purgeCache";
    let taken = purges_of(&node, &cdn, json!({ "all": true })).await;
    assert_eq!((paths(&taken), bodies(&taken)), (vec![zone], vec![Value::Null]));
    // A call for each tag would be too many, so the type goes.
    let taken = purges_of(&node, &cdn, many(60)).await;
    assert_eq!(bodies(&taken), [json!({ "CacheTag": "posts" })]);
    waited_for_its_turn(&node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn vercel_is_purged_by_tags_alone() {
    let cdn = Cdn::start(cdn::vercel).await;
    let fields = format!(
        "kind = \"vercel\"\nproject = \"p1\"\nteam = \"t1\"\ntoken = \"{TOKEN}\"\n\
         all_tag = \"site\"\npath_tag = \"at:{{path}}\""
    );
    let node = instance(&cdn, "", &fields).await;
    let taken = purges_of(&node, &cdn, json!({ "type": "posts", "id": 42 })).await;
    let verb = |verb: &str| format!("/v1/edge-cache/{verb}?projectIdOrName=p1&teamId=t1");
    assert_eq!(paths(&taken), [verb("dangerously-delete-by-tags")]);
    let taken = purges_of(&node, &cdn, json!({ "paths": ["/a"], "mode": "soft" })).await;
    assert_eq!(paths(&taken), [verb("invalidate-by-tags")]);
    assert_eq!(bodies(&taken), [json!({ "tags": ["at:/a"] })]);
    assert_eq!(sizes(&purges_of(&node, &cdn, many(40)).await, "tags"), [16, 16, 9]);
    let taken = purges_of(&node, &cdn, json!({ "all": true })).await;
    assert_eq!(bodies(&taken), [json!({ "tags": ["site"] })]);
    let long = json!({ "type": "posts", "id": "x".repeat(300) });
    assert_eq!(bodies(&purges_of(&node, &cdn, long).await), [json!({ "tags": ["posts"] })]);
    waited_for_its_turn(&node).await;
}

/// A refusal names its target and the remedy, and never shows the token.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refusals_name_the_target_and_the_remedy() {
    let cdn = Cdn::start(cdn::cloudflare).await;
    for (zone, token, expected) in [
        ("z1", "another-token", "Cloudflare refuses the token of cdn: it needs Zone, Cache Purge"),
        ("z2", TOKEN, "Cloudflare has no such zone: set zone of cdn"),
    ] {
        let fields = format!("kind = \"cloudflare\"\nzone = \"{zone}\"\ntoken = \"{token}\"");
        let node = instance(&cdn, "/client/v4", &fields).await;
        let id = id_of(&node.invalidate(json!({ "type": "posts" })).await);
        eventually("it fails", async || {
            let event = node.event(&id).await;
            let error = event["beside"][0]["last_error"].as_str().unwrap_or_default().to_owned();
            error.contains(expected)
        })
        .await;
        let shown = node.mirror("cdn").await;
        assert_eq!((&shown["kind"], &shown["state"]), (&json!("purge"), &json!("failing")));
        let is_shown = |text: &str| text.contains(token);
        assert!(!is_shown(&node.log_text()) && !is_shown(&shown.to_string()), "{shown}");
    }
    assert!(cdn.calls() > 2);
}
