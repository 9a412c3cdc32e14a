//! One event in several calls, each of which names a part of it: every part has its effect.

use serde_json::{Value, json};

use crate::support::{Node, Spec, eventually, free_port, id_of};

const SECRET: &str = "a-secret-of-the-site-0123456789";

/// A gateway that is called by routes of older systems.
async fn gateway() -> Node {
    let gateway_node = Spec::new("b").set("names.people", r#"["users"]"#);
    gateway_node.env("REVALIDATE_SECRET_TOKEN", SECRET).start().await
}

fn sender_to(gateway_node: &Node) -> Spec {
    let site = gateway_node.base.clone();
    Spec::new("a")
        .env("NEXT_PUBLIC_SITE_URL", &site)
        .env("NEXT_REVALIDATE_URL", &format!("{site}/api/revalidate"))
        .env("NEXT_REVALIDATE_SECRET", SECRET)
        .env("REVALIDATE_SECRET_TOKEN", SECRET)
}

async fn gone(node: &Node, keys: &[&str]) {
    for key in keys {
        eventually(key, async || node.get_entry(key).await.is_none()).await;
    }
}

/// Two names of one event, then its path by another route: all under one id.
#[tokio::test]
async fn names_and_paths_of_one_event_are_all_cleared() {
    let gateway_node = gateway().await;
    let file = "[revalidate.names]\nposts = 'posts'\nusers = 'people'\n\
                [revalidate.paths]\nposts = ['/posts']\n";
    let node = sender_to(&gateway_node).file(file).start().await;
    assert!(gateway_node.put_entry("posts", "type=posts", "old").await);
    assert!(gateway_node.put_entry("users", "type=users", "old").await);
    assert!(gateway_node.put_entry("page", "path=/posts", "old").await);
    let id = id_of(
        &node.invalidate(json!({ "items": [{ "type": "posts" }, { "type": "users" }] })).await,
    );
    gone(&gateway_node, &["posts", "users", "page"]).await;
    eventually("nothing is owed", async || {
        node.mirrors().await.values().all(|it| it["backlog_events"] == 0)
    })
    .await;
    // Each part once, however often its call is repeated.
    let journal = gateway_node.journal().await;
    assert!(journal.iter().all(|event| event["scope"] == "local"), "{journal:?}");
    let before = journal.len();
    let again = gateway_node
        .request(reqwest::Method::POST, "/api/revalidate/people")
        .header("cache-mirror-via", "a")
        .header("cache-mirror-event", id);
    assert!(again.send().await.expect("an answer").status().is_success());
    assert_eq!(gateway_node.journal().await.len(), before);
}

/// A mirror that is also a site receives an event twice: in its batch, and as paths.
#[tokio::test]
async fn a_mirror_that_is_also_a_site_gets_both_parts() {
    let gateway_node = gateway().await;
    let node = sender_to(&gateway_node).file("[revalidate.paths]\nposts = ['/posts']\n");
    let node = node.mirrors([gateway_node.address()]).start().await;
    for round in 0..10 {
        assert!(gateway_node.put_entry("posts", "type=posts", "old").await);
        assert!(gateway_node.put_entry("page", "path=/posts", "old").await);
        node.invalidate(json!({ "type": "posts" })).await;
        gone(&gateway_node, &["posts", "page"]).await;
        assert!(gateway_node.journal().await.len() <= 2 * (round + 1), "nothing comes round");
    }
}

/// Two gateways that call each other with templates of their own come to rest.
#[tokio::test]
async fn circulating_parts_come_to_rest() {
    let ports = [free_port(), free_port()];
    let gateway = |name: &str, at: usize, templates: &str| {
        Spec::new(name)
            .port(ports[at])
            .file(&format!("[revalidate.paths]\n{templates}\n"))
            .env(
                "NEXT_REVALIDATE_URL",
                &format!("http://127.0.0.1:{}/api/revalidate", ports[1 - at]),
            )
            .env("REVALIDATE_SECRET", SECRET)
    };
    let (a, b) = tokio::join!(
        gateway("a", 0, "posts = ['/posts', '/posts/{id}']\nfeed = ['/feed']").start(),
        gateway("b", 1, "posts = ['/news']").start(),
    );
    for id in 0..20 {
        a.invalidate(json!({ "type": "posts", "id": id })).await;
        b.invalidate(json!({ "type": "posts", "id": id })).await;
    }
    let owed = async |node: &Node| node.mirror("nextjs").await["backlog_events"] != 0;
    eventually("nothing is owed", async || !owed(&a).await && !owed(&b).await).await;
    let lengths = async || (a.journal().await.len(), b.journal().await.len());
    let before = lengths().await;
    // That nothing comes can only be shown by waiting for it.
    tokio::time::sleep(std::time::Duration::from_millis(600)).await;
    assert_eq!(lengths().await, before);
    let of = |journal: Vec<Value>| journal.iter().filter(|it| it["source"] == "compat").count();
    assert!(of(a.journal().await) <= 40 && of(b.journal().await) <= 40);
}
