//! Blocks for Next.js: a real site, built and served by the real framework, in both versions in
//! use. `deliver::targets::route` relies on what a call refreshes there.

use std::process::Stdio;

use serde_json::{Value, json};
use tokio::process::{Child, Command};

use crate::blocks::{put, text, write};
use crate::node::{DATABASE, command, desk, desk_15, run};
use crate::support::{Node, Spec, client, eventually, free_port};

const SECRET: &str = "a-revalidation-secret-of-the-tests";
const LAYOUT: &str = "export default ({ children }) => <html><body>{children}</body></html>";
const BY_PATH: &str = "export const revalidate = 3600
export default () => <p>{`made at ${Date.now()};`}</p>";
const OF_PARAMETERS: &str = "export const revalidate = 3600
export const generateStaticParams = () => []
export default async ({ params }) => { await params; return <p>{`made at ${Date.now()};`}</p> }";
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
        for route in ["posts/[slug]", "docs/[[...slug]]", "(shop)/shop/[slug]"] {
            put(dir, &format!("app/{route}/page.js"), OF_PARAMETERS);
        }
        write(dir, "invalidate.mjs");
        write(dir, "app/api/revalidate/route.js");
        write(dir, "app/api/posts/[id]/route.js");
        let mut build = next(dir, node);
        build.arg("build");
        run(build).await;
        let mut start = next(dir, node);
        start.args(["start", "--hostname", "127.0.0.1", "--port", &port.to_string()]);
        let stderr = std::fs::File::create(dir.join("stderr.txt")).expect("a file");
        start.stdout(Stdio::null()).stderr(stderr);
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

    /// The same, once the page is kept.
    async fn kept(&self, page: &str) -> String {
        let mut made = self.made(page).await;
        eventually("the page is kept", async || {
            let again = self.made(page).await;
            std::mem::replace(&mut made, again.clone()) == again
        })
        .await;
        made
    }

    async fn revalidate(&self, body: Value) -> (u16, Value) {
        let call = client().post(format!("{}/api/revalidate", self.url)).json(&body);
        let answer = call.send().await.expect("it answers");
        (answer.status().as_u16(), answer.json().await.expect("JSON"))
    }

    async fn is_rebuilt(&self, page: &str, before: &str) {
        eventually("the page is made anew", async || self.made(page).await != before).await;
    }
}

/// An instance with the settings of the page, for a site at a port.
async fn instance(port: u16) -> Node {
    let settings = text("next.toml")
        .replace("https://www.example.org", &format!("http://127.0.0.1:{port}"))
        .replace("replace-this-by-a-secret", SECRET);
    Spec::new("a").file(&settings).start().await
}

/// S1 1.13, 1.14; S4 4.9, 4.10: paths and tags are accepted with the secret, and a write of the
/// site itself reaches every other copy. One build serves all, because it takes 15 seconds.
#[tokio::test]
async fn a_next_site_is_revalidated_and_reports_its_own_writes() {
    let Some(desk) = desk() else { return };
    let port = free_port();
    let node = instance(port).await;
    let site = Site::built(desk.path(), port, &node).await;
    let before = site.kept("/posts").await;

    for secret in [json!("wrong"), json!(null), json!("")] {
        let refused = site.revalidate(json!({ "secret": secret, "paths": ["/posts"] })).await;
        assert_eq!(refused, (401, json!({ "success": false, "message": "Invalid secret" })));
    }
    assert_eq!(site.made("/posts").await, before, "and nothing was revalidated");

    let (status, body) = site.revalidate(json!({ "secret": SECRET, "paths": ["/posts"] })).await;
    assert_eq!((status, &body["success"]), (200, &json!(true)));
    assert_eq!(body["revalidated"]["paths"], json!(["/posts"]));
    site.is_rebuilt("/posts", &before).await;

    let before = site.kept("/posts").await;
    let written = client().delete(format!("{}/api/posts/42", site.url)).send().await;
    assert_eq!(written.expect("it answers").status().as_u16(), 200);
    site.is_rebuilt("/posts", &before).await;
    let events = node.journal().await;
    assert_eq!(events.len(), 1);
    assert_eq!(events[0]["selectors"], json!(["posts/42"]));
    assert_eq!(events[0]["action"], "archive");
    is_refreshed(&node, &site).await;
}

#[tokio::test]
async fn a_site_of_the_previous_version_is_refreshed_too() {
    let Some(desk) = desk_15() else { return };
    let port = free_port();
    let node = instance(port).await;
    let site = Site::built(desk.path(), port, &node).await;
    is_refreshed(&node, &site).await;
}

/// The invalidation, and the page of the site that is rebuilt for it.
async fn is_refreshed(node: &Node, site: &Site) {
    let post = |slug: &str| json!({ "type": "posts", "id": 1, "fields": { "slug": slug } });
    for (what, page) in [
        (post("red"), "/posts"),
        (post("red"), "/tagged"),
        (post("red"), "/posts/red"),
        (post("red shoe"), "/posts/red%20shoe"),
        (post("it's"), "/posts/it's"),
        (post("café"), "/posts/caf%C3%A9"),
        (post("a,b"), "/posts/a,b"),
        (json!({ "type": "posts", "id": 1 }), "/posts/red"),
        (json!({ "type": "docs" }), "/docs/a/b"),
        (json!({ "path": "/posts/red" }), "/posts/red"),
        (json!({ "path": "/posts/[slug]" }), "/posts/red"),
        (json!({ "path": "/docs/[[...slug]]" }), "/docs"),
        (json!({ "path": "/docs/[[...slug]]" }), "/docs/a/b"),
        (json!({ "path": "/(shop)/shop/[slug]" }), "/shop/x"),
        (json!({ "path": "/po*" }), "/posts"),
        (json!({ "path": "/posts/*" }), "/posts/red"),
        (json!({ "all": true }), "/posts"),
        (json!({ "all": true }), "/posts/red"),
        (json!({ "all": true }), "/shop/x"),
    ] {
        let before = site.kept(page).await;
        node.invalidate(what.clone()).await;
        eventually(&format!("{page} is made anew by {what}"), async || {
            site.made(page).await != before
        })
        .await;
    }
    let other = site.kept("/posts/blue").await;
    let before = site.kept("/posts/red").await;
    node.invalidate(post("red")).await;
    site.is_rebuilt("/posts/red", &before).await;
    assert_eq!(site.made("/posts/blue").await, other, "no other page is");
}
