//! Real caches as targets: their pages are fresh after the event, even if other destinations are
//! down.

use serde_json::{Value, json};

use crate::support::{Cache, Node, Reply, Spec, StubPeer, eventually, free_port, id_of};

/// An instance with one target; the other fields are TOML.
fn instance(fields: &str) -> Spec {
    Spec::new("a").file(&format!("[[purge.targets]]\nname = \"cache\"\n{fields}"))
}

fn varnish_at(hosts: &[&str]) -> String {
    format!(
        "kind = \"http\"\nhosts = {hosts:?}\nsoft_tag_header = \"xkey-softpurge\"\n\
         soft_header = \"soft-purge\"\ntimeout_ms = 500\nlist_tag = \"{{type}}:list\"\n"
    )
}

/// The answer of an origin for a page: its text, and the tags in its header.
fn publish(origin: &StubPeer, path: &str, tags: &str, text: &str) {
    let fields = vec![("xkey", tags.to_owned()), ("cache-control", "max-age=3600".into())];
    origin.always(path, Reply::Raw(200, fields, text.to_owned().into()));
}

/// Pages, each in the cache as `old`, and their origin at `new`.
async fn cached(origin: &StubPeer, cache: &Cache) {
    let pages = [
        ("/blog", "posts posts:list"),
        ("/blog/42", "posts posts:42"),
        ("/blog/43", "posts posts:43"),
        ("/about", "hi"),
    ];
    for (path, tags) in pages {
        publish(origin, path, tags, "old");
        cache.shows(path, "old").await;
        publish(origin, path, tags, "new");
        assert_eq!(cache.page(path).await, "old", "{path} is cached");
    }
}

/// Where an event stands at each cache.
async fn target_outcomes(node: &Node, id: &str) -> Vec<(String, String)> {
    let event = node.event(id).await;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let all = event["beside"].as_array().cloned().unwrap_or_default();
    all.iter().map(|one| (text(&one["peer"]), text(&one["status"]))).collect()
}

async fn purged(node: &Node, id: &str) {
    eventually("the purge", async || {
        target_outcomes(node, id).await.iter().all(|(_, status)| status == "delivered")
    })
    .await;
}

/// Tags, paths, beginnings of paths, patterns and everything, each no wider than it is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn varnish_misses_what_an_event_cleared_and_nothing_else() {
    let origin = StubPeer::start().await;
    let cache = Cache::varnish(&origin.name()).await;
    let node = instance(&varnish_at(&[&cache.base])).start().await;
    for (event, fresh) in [
        (json!({ "type": "posts", "id": 42 }), vec!["/blog", "/blog/42"]),
        (json!({ "type": "posts" }), vec!["/blog", "/blog/42", "/blog/43"]),
        (json!({ "type": "pictures" }), vec!["/blog", "/blog/42", "/blog/43"]),
        (json!({ "tags": ["hi"] }), vec!["/about"]),
        (json!({ "paths": ["/about"] }), vec!["/about"]),
        (json!({ "paths": ["/blog/4*"] }), vec!["/blog/42", "/blog/43"]),
        (json!({ "patterns": ["/*2"] }), vec!["/blog/42"]),
        (json!({ "all": true }), vec!["/blog", "/blog/42", "/blog/43", "/about"]),
    ] {
        cached(&origin, &cache).await;
        let id = id_of(&node.invalidate(event.clone()).await);
        purged(&node, &id).await;
        for path in ["/blog", "/blog/42", "/blog/43", "/about"] {
            let expected = if fresh.contains(&path) { "new" } else { "old" };
            assert_eq!(cache.page(path).await, expected, "{path} after {event}");
        }
        // The next round begins with an empty cache.
        let id = id_of(&node.invalidate(json!({ "all": true })).await);
        purged(&node, &id).await;
    }
    // Types that the graph adds are purged too, because a cache does not know the graph.
    let line = node.logged("a purge", |line| line["event"] == "purge").await;
    assert_eq!((&line["msg"], &line["peer"]), (&json!("purged"), &json!("cache")));
    assert_eq!(
        (&line["http_status"], &line["tags"]),
        (&json!(200), &json!("feed,posts:42,posts:list"))
    );
}

/// Where lists have no tag of their own, the type's is purged: a list that carries no other must
/// not stay, even at the price of other entities.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn varnish_misses_the_list_of_a_type_by_the_tag_of_the_type() {
    let origin = StubPeer::start().await;
    let cache = Cache::varnish(&origin.name()).await;
    let fields = format!("kind = \"http\"\nhosts = [{:?}]\n", cache.base);
    let node = instance(&fields).start().await;
    for (path, tags) in [("/blog", "posts"), ("/blog/42", "posts:42"), ("/about", "pages")] {
        publish(&origin, path, tags, "old");
        cache.shows(path, "old").await;
        publish(&origin, path, tags, "new");
    }
    let id = id_of(&node.invalidate(json!({ "type": "posts", "id": 42 })).await);
    purged(&node, &id).await;
    for (path, text) in [("/blog", "new"), ("/blog/42", "new"), ("/about", "old")] {
        assert_eq!(cache.page(path).await, text, "{path}");
    }
}

/// A `#` may be a character of a path or begin a fragment: both pages are purged, and no other one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_path_with_a_hash_purges_the_page_with_it_and_the_one_without() {
    let origin = StubPeer::start().await;
    let cache = Cache::varnish(&origin.name()).await;
    let node = instance(&varnish_at(&[&cache.base])).start().await;
    for path in ["/tag/c%23", "/tag/c", "/tag/c%23/1", "/tag"] {
        publish(&origin, path, "", "old");
        cache.shows(path, "old").await;
        publish(&origin, path, "", "new");
    }
    let id = id_of(&node.invalidate(json!({ "paths": ["/tag/c#"] })).await);
    purged(&node, &id).await;
    for (path, text) in
        [("/tag/c%23", "new"), ("/tag/c", "new"), ("/tag/c%23/1", "old"), ("/tag", "old")]
    {
        assert_eq!(cache.page(path).await, text, "{path}");
    }
}

/// A cache keeps pages as they were asked for: hex digits in either case, brackets raw or encoded.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_is_purged_in_every_usual_spelling_of_its_path() {
    let origin = StubPeer::start().await;
    let cache = Cache::varnish(&origin.name()).await;
    let node = instance(&varnish_at(&[&cache.base])).start().await;
    let spellings = ["/caf%C3%A9", "/caf%c3%a9"];
    for event in ["/café", "/caf%c3%A9", "/caf%C*"] {
        for path in spellings.into_iter().chain(["/cafe", "/ca%2Ff"]) {
            publish(&origin, path, "", "old");
            cache.shows(path, "old").await;
            publish(&origin, path, "", "new");
        }
        let id = id_of(&node.invalidate(json!({ "paths": [event] })).await);
        purged(&node, &id).await;
        for path in spellings {
            assert_eq!(cache.page(path).await, "new", "{path} after {event}");
        }
        assert_eq!(cache.page("/ca%2Ff").await, "old", "{event}");
        // The next round begins with an empty cache.
        let id = id_of(&node.invalidate(json!({ "all": true })).await);
        purged(&node, &id).await;
    }
}

/// What is soft is served once more, while the fresh page is fetched.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn varnish_serves_the_stale_page_until_it_has_the_fresh_one() {
    let origin = StubPeer::start().await;
    let cache = Cache::varnish(&origin.name()).await;
    let node = instance(&varnish_at(&[&cache.base])).start().await;
    for event in [
        json!({ "type": "posts", "id": 42, "mode": "soft" }),
        json!({ "paths": ["/blog/42"], "mode": "soft" }),
    ] {
        cached(&origin, &cache).await;
        let id = id_of(&node.invalidate(event).await);
        purged(&node, &id).await;
        assert_eq!(cache.page("/blog/42").await, "old", "stale, but there");
        cache.shows("/blog/42", "new").await;
        assert_eq!(cache.page("/blog/43").await, "old");
        let id = id_of(&node.invalidate(json!({ "all": true })).await);
        purged(&node, &id).await;
    }
}

/// A host that is down holds up none of the others, and gets its purge when it is back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_host_delays_no_other_and_is_retried() {
    let origin = StubPeer::start().await;
    let (cache, port) = (Cache::varnish(&origin.name()).await, free_port());
    let (dead, alive) = (format!("127.0.0.1:{port}"), cache.base.trim_start_matches("http://"));
    let node = instance(&varnish_at(&[&format!("http://{dead}"), &cache.base])).start().await;
    cached(&origin, &cache).await;
    let id = id_of(&node.invalidate(json!({ "type": "posts" })).await);
    cache.shows("/blog/42", "new").await;
    let (dead, alive) = (format!("cache@{dead}"), format!("cache@{alive}"));
    eventually("both are reported", async || {
        let found = target_outcomes(&node, &id).await;
        found == [(dead.clone(), "failed".into()), (alive.clone(), "delivered".into())]
    })
    .await;
    let line = |line: &Value| line["event"] == "purge" && line["status"] == "failed";
    assert_eq!(node.logged("the failure", line).await["peer"], dead);
    let _back = Cache::varnish_at(port, &origin.name()).await;
    purged(&node, &id).await;
}

/// What was acknowledged is purged, though we were killed before the cache answered.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pending_purge_survives_a_restart() {
    let origin = StubPeer::start().await;
    let cache = Cache::varnish(&origin.name()).await;
    let mut node = instance(&varnish_at(&[&cache.base])).start().await;
    cached(&origin, &cache).await;
    cache.signal("STOP").await;
    let id = id_of(&node.invalidate(json!({ "type": "posts" })).await);
    node.kill9().await;
    node.restart().await;
    cache.signal("CONT").await;
    purged(&node, &id).await;
    assert_eq!(cache.page("/blog/42").await, "new");
}

/// A cache without purge is made to fetch each path again, before any visitor does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nginx_has_the_fresh_page_after_the_event() {
    let origin = StubPeer::start().await;
    let cache = Cache::nginx(&origin.name()).await;
    let fields = format!("kind = \"refresh\"\nhosts = [{:?}]\ntoken = \"change-me\"\n", cache.base);
    let node = instance(&fields).start().await;
    cached(&origin, &cache).await;
    // Longer than what is read of other answers.
    let long = "x".repeat(300_000);
    publish(&origin, "/about", "", &long);
    let paths = json!({ "paths": ["/blog/42", "/about"] });
    let id = id_of(&node.invalidate(paths).await);
    purged(&node, &id).await;
    publish(&origin, "/blog/42", "", "newer");
    assert_eq!(cache.page("/blog/42").await, "new", "the fresh page is in the cache");
    assert_eq!(cache.page("/blog/43").await, "old", "nobody asked for this one");
    assert_eq!(cache.page("/about").await, long);
    origin.always("/blog/42", Reply::Raw(404, vec![], "gone".into()));
    let id = id_of(&node.invalidate(json!({ "paths": ["/blog/42"] })).await);
    purged(&node, &id).await;
    assert_eq!(cache.page("/blog/42").await, "gone");
}

/// A selector that is not a path cannot be refreshed, and is reported instead of being dropped.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_cache_cannot_express_is_skipped_and_logged() {
    let origin = StubPeer::start().await;
    let cache = Cache::nginx(&origin.name()).await;
    let node = instance(&format!("kind = \"refresh\"\nhosts = [{:?}]\n", cache.base)).start().await;
    let id = id_of(&node.invalidate(json!({ "tags": ["hi"] })).await);
    eventually("it is skipped", async || {
        target_outcomes(&node, &id).await == [("cache".to_owned(), "skipped".to_owned())]
    })
    .await;
    assert_eq!(node.event(&id).await["beside"][0]["reason"], "unsupported");
    let is_it = |line: &Value| line["event"] == "purge" && line["reason"] == "unsupported";
    let line = node.logged("the selectors", is_it).await;
    assert_eq!((&line["error"], &line["peer"]), (&json!("tag:hi"), &json!("cache")));
    assert!(origin.seen().is_empty(), "nothing was called");
}

/// A purge that the cache always refuses, also as everything, holds up none of the later ones.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_purge_is_parked_and_later_ones_arrive() {
    let stub = StubPeer::start().await;
    stub.answer_by(|seen| match seen.method == "BAN" || seen.path == "/odd" {
        true => Reply::Raw(400, vec![], "no".into()),
        false => Reply::Raw(200, vec![], "".into()),
    });
    let node = instance(&varnish_at(&[&format!("http://{}", stub.name())])).start().await;
    let odd = id_of(&node.invalidate(json!({ "paths": ["/odd"] })).await);
    eventually("it is parked", async || node.mirror("cache").await["state"] == "parked").await;
    for path in ["/a", "/b"] {
        let good = id_of(&node.invalidate(json!({ "paths": [path] })).await);
        purged(&node, &good).await;
        assert_eq!(stub.seen_at(path).len(), 1);
    }
    assert_eq!(target_outcomes(&node, &odd).await, [("cache".to_owned(), "failed".to_owned())]);
    stub.answer_by(|_| Reply::Raw(200, vec![], "".into()));
    node.post("/api/mirrors/cache/retry", json!({})).await.expect(200);
    purged(&node, &odd).await;
}

/// A cache that cannot clear everything (it knows no `BAN`) still gets every single purge after
/// that: what is wider does not hide it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cache_that_cannot_clear_everything_still_gets_single_purges() {
    for status in [404, 405, 500, 501] {
        let stub = StubPeer::start().await;
        stub.answer_by(move |seen| match seen.method == "BAN" {
            true => Reply::Raw(status, vec![], "no".into()),
            false => Reply::Raw(200, vec![], "".into()),
        });
        let node = instance(&varnish_at(&[&format!("http://{}", stub.name())])).start().await;
        let wide = [json!({ "path": "/a*" }), json!({ "all": true })];
        let mut ids = vec![];
        for event in wide {
            ids.push(id_of(&node.invalidate(event).await));
            eventually("it fails", async || {
                node.mirror("cache").await["failures"].as_u64() > Some(1)
                    || node.mirror("cache").await["state"] != "ok"
            })
            .await;
            for path in ["/a1", "/a2"] {
                let before = stub.seen_at(path).len();
                node.invalidate(json!({ "paths": [path] })).await;
                eventually("it is purged", async || stub.seen_at(path).len() > before).await;
            }
        }
        for id in ids {
            let is_at = target_outcomes(&node, &id).await;
            assert_ne!(is_at, [("cache".to_owned(), "delivered".to_owned())], "{status}");
        }
    }
}
