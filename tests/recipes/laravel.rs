//! Blocks for PHP: plain PHP, and the observer in a Laravel application with Eloquent on SQLite
//! (`tests/recipes/laravel/app.php`).

use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value, json};

use crate::blocks::{put, text, write};
use crate::support::{Node, Reply, Spec, StubPeer, eventually};

const ROUTE: &str = "/api/revalidate";

pub fn php(node: &Node, arguments: &[&str]) -> Output {
    let mut php = Command::new("php");
    php.args(arguments).env("CACHE_MIRROR_URL", &node.base).current_dir(&node.dir);
    php.env("CACHE_MIRROR_TOKEN", &node.token);
    php.output().expect("php runs; Debian packages php-cli and php-curl")
}

#[track_caller]
pub fn well(output: &Output) -> String {
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}\n{printed}\n{stderr}", output.status);
    printed
}

#[tokio::test]
async fn plain_php_invalidates_and_survives_an_instance_that_is_away() {
    let mut node = Spec::new("a").start().await;
    let file = write(&node.dir, "invalidate.php").display().to_string();
    assert_eq!(well(&php(&node, &[&file])), "");
    assert_eq!(node.journal().await[0]["selectors"], json!(["products/7"]));
    node.stop().await;
    let late = php(&node, &["-d", "error_log=/dev/stderr", &file]);
    well(&late);
    let stderr = String::from_utf8_lossy(&late.stderr).into_owned();
    assert!(stderr.contains("Cache invalidation failed: "), "{stderr}");
    assert!(!stderr.contains(&node.token), "{stderr}");
}

/// The application, and an instance with the preset that calls a site.
struct Shop {
    node: Node,
    site: StubPeer,
}

impl Shop {
    async fn open() -> Self {
        let site = StubPeer::start().await;
        site.always(ROUTE, Reply::ok());
        let node = Spec::new("a")
            .set("graph.preset", "laravel-next")
            .env("NEXT_REVALIDATE_URL", &format!("http://{}{ROUTE}", site.name()))
            .env("NEXT_REVALIDATE_SECRET", "a-secret-of-the-site-0123456789-0123456789-01")
            .start()
            .await;
        let services = format!("<?php\nreturn [\n{}];\n", text("services.php"));
        put(&node.dir, "services.php", &services);
        for (name, block) in [
            ("CacheMirror.php", text("CacheMirror.php")),
            ("CacheMirrorObserver.php", text("CacheMirrorObserver.php")),
        ] {
            put(&node.dir, name, &format!("<?php\n{block}"));
        }
        Self { node, site }
    }

    /// Runs steps in a separate process, `console` or `web`; returns its output.
    fn run(&self, kind: &str, steps: &[&str]) -> String {
        let app = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recipes/laravel/app.php");
        let app = app.display().to_string();
        well(&php(&self.node, &[&[&*app, kind], steps].concat()))
    }

    /// Stores the page of a product and a list, runs a step, and returns which of them are left.
    async fn left_after(&self, step: &str) -> Vec<&'static str> {
        for (key, of) in [("page", "type=products&id=1"), ("list", "type=products")] {
            assert!(self.node.put_entry(key, of, "v").await, "{key}");
        }
        let printed = self.run("console", &[step]);
        assert!(!printed.contains("reported"), "{printed}");
        let mut left = vec![];
        for key in ["page", "list"] {
            if self.node.get_entry(key).await.is_some() {
                left.push(key);
            }
        }
        left
    }

    /// Waits until the site has received all of these values in later calls.
    async fn receives(&self, from: usize, member: &str, values: &[&str]) {
        let sent = || -> Vec<Value> {
            let calls = self.site.seen_at(ROUTE).into_iter().skip(from);
            let bodies = calls.map(|it| serde_json::from_slice::<Value>(&it.body).expect("JSON"));
            bodies.flat_map(|it| it[member].as_array().cloned().unwrap_or_default()).collect()
        };
        let what = format!("{member} {values:?} are received");
        eventually(&what, async || values.iter().all(|value| sent().contains(&json!(value)))).await;
    }
}

/// S1 1.1, 1.8, 1.9, 1.22, 1.31: each event of Eloquent clears what shows the product; what no page
/// shows clears nothing.
#[tokio::test]
async fn eloquent_sends_the_action_and_the_model() {
    let shop = Shop::open().await;
    let nothing: Vec<&str> = vec![];
    for (step, action, paths) in [
        ("create", "create", &["/", "/products", "/filter", "/products/red"][..]),
        ("price", "update", &["/products", "/products/red"]),
        ("slug", "update", &["/products", "/products/blue", "/products/red"]),
        ("delete", "delete", &["/products", "/products/blue"]),
        ("restore", "restore", &["/products", "/products/blue"]),
        ("commit", "update", &["/products/green", "/products/blue"]),
        ("force", "force_delete", &["/products", "/products/green"]),
    ] {
        let calls = shop.site.seen_at(ROUTE).len();
        assert_eq!(shop.left_after(step).await, nothing, "{step}");
        let event = shop.node.journal().await.pop().expect("an event");
        assert_eq!(
            (&event["selectors"], &event["action"]),
            (&json!(["products/1"]), &json!(action))
        );
        shop.receives(calls, "paths", paths).await;
        shop.receives(calls, "tags", &["products", "products:1"]).await;
        if step == "slug" {
            for quiet in ["notes", "touch", "rollback"] {
                let events = shop.node.journal().await.len();
                assert_eq!(shop.left_after(quiet).await, ["page", "list"], "{quiet}");
                assert_eq!(shop.node.journal().await.len(), events, "{quiet}");
            }
        }
    }
}

/// S1 1.20: a model without rules about fields is cleared by a touch.
#[tokio::test]
async fn a_touch_is_an_update_for_a_model_without_rules() {
    let shop = Shop::open().await;
    shop.run("console", &["menu"]);
    assert!(shop.node.put_entry("menu", "type=menus&id=1", "v").await);
    shop.run("console", &["touch_menu"]);
    assert_eq!(shop.node.get_entry("menu").await, None);
}

/// A write is never reported as failed for the cache's sake, and a page waits for no call.
#[tokio::test]
async fn a_web_request_is_answered_first_and_never_fails() {
    let mut shop = Shop::open().await;
    let printed = shop.run("web", &["create", "price"]);
    assert_eq!(printed, "create\nprice\nthe answer is sent\n");
    assert_eq!(shop.node.journal().await.len(), 2);
    shop.node.stop().await;
    let printed = shop.run("web", &["price"]);
    assert!(printed.starts_with("price\nthe answer is sent\nreported: "), "{printed}");
    assert!(!printed.contains(&shop.node.token), "{printed}");
    let printed = shop.run("console", &["price"]);
    assert!(printed.ends_with("price\nthe answer is sent\n"), "{printed}");
}
