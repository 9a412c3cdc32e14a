//! One path in many spellings: whichever a caller, an entry or a mirror uses, it is the same path
//! (RFC 3986 section 6.2.2, RFC 3987 section 3.1).

use reqwest::Method;
use serde_json::json;

use crate::support::{Node, Scene, Spec, eventually};

const SPELLINGS: [&str; 5] =
    ["/menu/café", "/menu/caf%C3%A9", "/menu/caf%c3%a9", "/%6denu/x/../caf%C3%a9", "/menu/./café"];

/// An entry for each spelling of the path, by `path=` and by its key, and two of other paths.
async fn fill(node: &Node) {
    for (at, path) in SPELLINGS.into_iter().enumerate() {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.append_pair("path", path);
        assert!(node.put_entry(&format!("p{at}"), &query.finish(), "old").await, "{path}");
        assert!(node.put_entry(&key(path), "", "old").await, "{path}");
    }
    for (key, path) in [("q0", "/menu/cafe"), ("q1", "/menu%2Fcaf%C3%A9")] {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.append_pair("path", path);
        assert!(node.put_entry(key, &query.finish(), "old").await, "{path}");
    }
}

/// A key in a URL: opaque, so every byte of it is encoded once.
fn key(path: &str) -> String {
    path.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

/// How many of the path's entries are held, and whether both others are.
async fn held(node: &Node) -> (usize, bool) {
    let mut count = 0;
    for (at, path) in SPELLINGS.into_iter().enumerate() {
        count += usize::from(node.get_entry(&format!("p{at}")).await.is_some());
        count += usize::from(node.get_entry(&key(path)).await.is_some());
    }
    let others = [node.get_entry("q0").await, node.get_entry("q1").await];
    (count, others.iter().all(Option::is_some))
}

#[tokio::test]
async fn a_path_clears_every_spelling_of_it_here_and_at_the_mirror() {
    let scene = Scene::mesh(2).await;
    let [a, b] = &scene.nodes[..] else { unreachable!("two were asked for") };
    let prefixes = ["/menu/caf%c3*", "/menu/café*", "/m%65nu/caf%C3%A*"];
    for path in SPELLINGS.into_iter().chain(prefixes) {
        fill(a).await;
        fill(b).await;
        assert_eq!(held(b).await, (10, true), "{path}");
        let answer = a.invalidate(json!({ "path": path })).await;
        assert_eq!(answer["invalidated_entries"], 10, "{path}: {answer}");
        assert_eq!(held(a).await, (0, true), "{path}");
        eventually("the mirror", async || held(b).await == (0, true)).await;
    }
    // Whoever asks why finds the events by any spelling as well.
    let why = a.get("/api/cache/why?path=/menu/caf%25c3%25a9").await.json();
    assert_eq!(why["events"].as_array().map(Vec::len), Some(5), "{why}");
}

/// The same by other doors: the compatible route, a webhook. A key is its bytes.
#[tokio::test]
async fn every_route_accepts_every_spelling_of_a_path() {
    let file = "[[ingest.hooks]]\nname = \"cms\"\npreset = \"supabase\"\nsecret = \"hook-secret\"\n\
        mapping.paths = [\"/menu/{record.slug}\"]\n";
    let node = Spec::new("a").env("REVALIDATE_SECRET", "site-secret").file(file).start().await;
    let body = json!({ "secret": "site-secret", "paths": ["/menu/caf%c3%a9"] });
    let hook = json!({ "type": "UPDATE", "table": "dishes", "schema": "public",
        "record": { "id": 1, "slug": "café" }, "old_record": { "id": 1 } });
    for (token, path, body) in
        [("site-secret", "/api/revalidate", body), ("hook-secret", "/api/hooks/cms", hook)]
    {
        fill(&node).await;
        let call = node.request_as(token, Method::POST, path).json(&body);
        let answer = call.send().await.expect("an answer");
        assert!(answer.status().is_success(), "{path}: {:?}", answer.text().await);
        assert_eq!(held(&node).await, (0, true), "{path}");
    }
    // A key is its bytes: one spelling of it is one entry.
    fill(&node).await;
    let gone = node.request(Method::DELETE, &format!("/api/cache/entries/{}", key(SPELLINGS[0])));
    assert!(gone.send().await.expect("an answer").status().is_success());
    assert_eq!(held(&node).await, (9, true));
}

/// A framework's route is the pages that it shows.
#[tokio::test]
async fn framework_routes_clear_their_pages() {
    let node = Spec::new("a").start().await;
    let pages = ["/docs", "/docs/a", "/docs/a/b", "/docs-old", "/cart"];
    for (route, cleared) in [
        ("/docs/[[...slug]]", vec!["/docs", "/docs/a", "/docs/a/b"]),
        ("/docs/[...slug]", vec!["/docs/a", "/docs/a/b"]),
        ("/docs/[id]", vec!["/docs/a", "/docs/a/b"]),
        ("/(shop)/cart", vec!["/cart"]),
        ("/docs/(..)cart", vec!["/cart"]),
    ] {
        for page in pages {
            assert!(node.put_entry(&key(page), "", "old").await, "{page}");
        }
        node.invalidate(json!({ "path": route })).await;
        for page in pages {
            let is_held = node.get_entry(&key(page)).await.is_some();
            assert_eq!(is_held, !cleared.contains(&page), "{page} after {route}");
        }
    }
}
