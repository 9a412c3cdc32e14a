//! Blocks for Next.js: a real site, built and served by the real thing.

use std::process::Stdio;

use serde_json::{Value, json};
use tokio::process::{Child, Command};

use crate::blocks::{put, write};
use crate::node::{DATABASE, command, desk, run};
use crate::support::{Node, Spec, client, eventually, free_port};

const SECRET: &str = "a-revalidation-secret-of-the-tests";
const LAYOUT: &str = "export default ({ children }) => <html><body>{children}</body></html>";
const BY_PATH: &str = "export const revalidate = 3600
export default () => <p>{`made at ${Date.now()};`}</p>";
const BY_TAG: &str = "import { unstable_cache } from 'next/cache'
const made = unstable_cache(async () => Date.now(), ['made'], { tags: ['posts'] })
export default async () => <p>{`made at ${await made()};`}</p>";
const CONFIG: &str = "import path from 'node:path'
export default { turbopack: { root: path.resolve('..') }, poweredByHeader: false }";

/// A built site that is served.
struct Site {
    url: String,
    _server: Child,
}

fn next(dir: &std::path::Path, node: &Node) -> Command {
    let mut next = command("next", dir, node);
    next.env("NEXT_TELEMETRY_DISABLED", "1").env("REVALIDATE_SECRET", SECRET);
    next
}

impl Site {
    async fn built(dir: &std::path::Path, port: u16, node: &Node) -> Self {
        put(dir, "package.json", r#"{ "private": true, "type": "module" }"#);
        put(dir, "next.config.mjs", CONFIG);
        put(dir, "database.mjs", DATABASE);
        put(dir, "app/layout.js", LAYOUT);
        put(dir, "app/posts/page.js", BY_PATH);
        put(dir, "app/tagged/page.js", BY_TAG);
        write(dir, "invalidate.mjs");
        write(dir, "app/api/revalidate/route.js");
        write(dir, "app/api/posts/[id]/route.js");
        let mut build = next(dir, node);
        build.arg("build");
        run(build).await;
        let mut start = next(dir, node);
        start.args(["start", "--hostname", "127.0.0.1", "--port", &port.to_string()]);
        let said = std::fs::File::create(dir.join("said.txt")).expect("a file");
        start.stdout(Stdio::null()).stderr(said);
        let site =
            Self { url: format!("http://127.0.0.1:{port}"), _server: start.spawn().expect("next") };
        eventually("the site is served", async || {
            client().get(format!("{}/posts", site.url)).send().await.is_ok()
        })
        .await;
        site
    }

    /// When a page was made.
    async fn made(&self, page: &str) -> String {
        let answer = client().get(format!("{}{page}", self.url)).send().await.expect("a page");
        let text = answer.text().await.expect("text");
        let made = text.split("made at ").nth(1).unwrap_or_else(|| panic!("{page}: {text}"));
        made.split(';').next().expect("a time").to_owned()
    }

    async fn revalidate(&self, body: Value) -> (u16, Value) {
        let call = client().post(format!("{}/api/revalidate", self.url)).json(&body);
        let answer = call.send().await.expect("it answers");
        (answer.status().as_u16(), answer.json().await.expect("JSON"))
    }

    async fn is_made_anew(&self, page: &str, before: &str) {
        eventually("the page is made anew", async || self.made(page).await != before).await;
    }
}

/// S1 1.13, 1.14; S4 4.9, 4.10: paths and tags are taken with the secret, and a write of the site's
/// own is told to every other copy. One build for all: it takes a quarter of a minute.
#[tokio::test]
async fn a_next_site_is_revalidated_and_tells_of_its_own_writes() {
    let Some(desk) = desk() else { return };
    let port = free_port();
    let node = Spec::new("a")
        .env("NEXT_REVALIDATE_URL", &format!("http://127.0.0.1:{port}/api/revalidate"))
        .env("NEXT_REVALIDATE_SECRET", SECRET)
        .start()
        .await;
    let site = Site::built(desk.path(), port, &node).await;
    let before = site.made("/posts").await;
    assert_eq!(site.made("/posts").await, before, "it is cached");

    for secret in [json!("wrong"), json!(null), json!("")] {
        let refused = site.revalidate(json!({ "secret": secret, "paths": ["/posts"] })).await;
        assert_eq!(refused, (401, json!({ "success": false, "message": "Invalid secret" })));
    }
    assert_eq!(site.made("/posts").await, before, "and nothing was revalidated");

    let (status, body) = site.revalidate(json!({ "secret": SECRET, "paths": ["/posts"] })).await;
    assert_eq!((status, &body["success"]), (200, &json!(true)));
    assert_eq!(body["revalidated"]["paths"], json!(["/posts"]));
    site.is_made_anew("/posts", &before).await;

    let before = site.made("/tagged").await;
    assert_eq!(site.made("/tagged").await, before);
    assert_eq!(site.revalidate(json!({ "secret": SECRET, "tags": ["posts"] })).await.0, 200);
    site.is_made_anew("/tagged", &before).await;

    let before = site.made("/posts").await;
    let written = client().delete(format!("{}/api/posts/42", site.url)).send().await;
    assert_eq!(written.expect("it answers").status().as_u16(), 200);
    site.is_made_anew("/posts", &before).await;
    let events = node.journal().await;
    assert_eq!(events.len(), 1);
    assert_eq!(events[0]["selectors"], json!(["posts/42"]));
    assert_eq!(events[0]["action"], "archive");
    told_by_the_instance(&node, &site).await;
}

/// The instance itself makes the call: for a page, for what begins so, for everything.
async fn told_by_the_instance(node: &Node, site: &Site) {
    for what in [json!({ "path": "/posts" }), json!({ "path": "/po*" }), json!({ "all": true })] {
        let before = site.made("/posts").await;
        node.invalidate(what).await;
        site.is_made_anew("/posts", &before).await;
    }
}
