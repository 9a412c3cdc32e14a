//! A mirror behind a proxy that answers itself for a while: with errors, pages, redirects.
//!
//! The proxy decides by the first request of each connection. A probe has a separate connection, so
//! the proxy can answer probes itself and forward everything else.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::support::{
    IDENTITY, INVALIDATE, LOGIN, Node, Reply, Spec, StubPeer, eventually, eventually_within, id_of,
    outcomes,
};

/// What the proxy answers itself.
#[derive(Clone)]
enum Pages {
    Nothing,
    Probes(&'static str),
    Everything(&'static str),
}

struct Proxy {
    name: String,
    pages: Arc<Mutex<Pages>>,
    server: JoinHandle<()>,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Proxy {
    async fn to(node: &Node, pages: Pages) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        let name = format!("127.0.0.1:{}", listener.local_addr().expect("bound").port());
        let pages = Arc::new(Mutex::new(pages));
        let (shared, behind) = (Arc::clone(&pages), node.address().to_owned());
        let server = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (pages, behind) = (Arc::clone(&shared), behind.clone());
                tokio::spawn(async move { drop(pass(stream, &pages, &behind).await) });
            }
        });
        Self { name, pages, server }
    }

    fn answer(&self, pages: Pages) {
        *self.pages.lock() = pages;
    }
}

async fn pass(mut client: TcpStream, pages: &Mutex<Pages>, to: &str) -> std::io::Result<()> {
    let mut head = vec![0; 64 * 1024];
    let length = client.read(&mut head).await?;
    let is_probe = String::from_utf8_lossy(&head[..length]).contains(IDENTITY);
    let page = match &*pages.lock() {
        Pages::Probes(page) if is_probe => Some(*page),
        Pages::Everything(page) => Some(*page),
        _ => None,
    };
    if let Some(page) = page {
        client.write_all(page.as_bytes()).await?;
        return client.shutdown().await;
    }
    let mut mirror = TcpStream::connect(to).await?;
    mirror.write_all(&head[..length]).await?;
    copy_bidirectional(&mut client, &mut mirror).await.map(drop)
}

const PAGES: [&str; 5] = [
    "HTTP/1.1 502 Bad Gateway\r\ncontent-length: 3\r\nconnection: close\r\n\r\nbad",
    "HTTP/1.1 404 Not Found\r\ncontent-length: 2\r\nconnection: close\r\n\r\nno",
    "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 9\r\nconnection: close\r\n\r\n\
     <h1>x</h1",
    "HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:9/\r\ncontent-length: 0\r\n\
     connection: close\r\n\r\n",
    "HTTP/1.1 405 Method Not Allowed\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
];

/// Fills the mirror with an entry for each kind of selector.
async fn fill(mirror: &Node) {
    for (key, query) in [("tagged", "tags=sale"), ("one-key", "tags=a"), ("p:1", "tags=b")] {
        assert!(mirror.put_entry(key, query, "old").await);
    }
}

fn all_kinds() -> Vec<Value> {
    vec![
        json!({ "tag": "sale" }),
        json!({ "key": "one-key" }),
        json!({ "pattern": "p:*" }),
        json!({ "path": "/x" }),
    ]
}

/// Sends each kind; gives the ids of the events.
async fn invalidate_all_kinds(node: &Node) -> Vec<String> {
    let mut ids = vec![];
    for selector in all_kinds() {
        ids.push(id_of(&node.invalidate(selector).await));
    }
    ids
}

async fn all_arrive(node: &Node, mirror: &Node, ids: &[String]) {
    eventually_within(Duration::from_secs(30), "all of it arrives", async || {
        for id in ids {
            if outcomes(&node.event(id).await).values().any(|status| status != "delivered") {
                return false;
            }
        }
        true
    })
    .await;
    for key in ["tagged", "one-key", "p:1"] {
        assert_eq!(mirror.get_entry(key).await, None, "{key} is stale at the mirror");
    }
    let text = Value::Array(mirror.journal().await).to_string();
    for id in ids {
        assert!(text.contains(id.as_str()), "{id} is in the mirror's journal, under its own id");
    }
}

/// The first probe finds a proxy that answers itself: nothing is skipped, nothing counts as
/// delivered, types arrive meanwhile, and everything arrives afterwards.
#[tokio::test]
async fn a_mirror_behind_a_proxy_that_answers_the_first_probes_misses_nothing() {
    for page in PAGES {
        let mirror = Spec::new("b").start().await;
        let proxy = Proxy::to(&mirror, Pages::Probes(page)).await;
        let mut node = Spec::new("a").mirrors([&proxy.name]).start().await;
        fill(&mirror).await;
        assert!(mirror.put_entry("p42", "type=posts&id=42", "old").await);
        let ids = invalidate_all_kinds(&node).await;
        let post = id_of(&node.invalidate(json!({ "type": "posts", "id": "42" })).await);
        eventually("the type arrives at once", async || {
            outcomes(&node.event(&post).await)[&proxy.name] == "delivered"
        })
        .await;
        assert_eq!(mirror.get_entry("p42").await, None);
        for id in &ids {
            let outcome = node.event(id).await["mirrors"][0].clone();
            assert_eq!(outcome["status"], "queued", "{page}");
            assert_eq!(outcome["reason"], "unknown_kind", "{page}");
        }
        assert_eq!(node.mirror(&proxy.name).await["state"], "held", "{page}");
        // Over a restart, too.
        node.restart().await;
        proxy.answer(Pages::Nothing);
        all_arrive(&node, &mirror, &ids).await;
        assert!(mirror.put_entry("whole", "tags=c", "old").await);
        let all = id_of(&node.invalidate(json!({ "all": true })).await);
        eventually("all arrives", async || {
            outcomes(&node.event(&all).await)[&proxy.name] == "delivered"
        })
        .await;
        assert_eq!(mirror.get_entry("whole").await, None);
    }
}

/// `all` clears what the legacy form can express, and stays in the backlog until the rest can be
/// sent.
#[tokio::test]
async fn all_stays_all_until_the_kind_is_known() {
    let mirror = Spec::new("b").start().await;
    let proxy = Proxy::to(&mirror, Pages::Probes(PAGES[0])).await;
    let node = Spec::new("a").mirrors([&proxy.name]).start().await;
    assert!(mirror.put_entry("tagged", "tags=sale", "old").await);
    let all = id_of(&node.invalidate(json!({ "all": true })).await);
    eventually("it is held", async || node.mirror(&proxy.name).await["state"] == "held").await;
    assert_eq!(node.event(&all).await["mirrors"][0]["reason"], "unknown_kind");
    proxy.answer(Pages::Nothing);
    eventually("it is delivered", async || {
        outcomes(&node.event(&all).await)[&proxy.name] == "delivered"
    })
    .await;
    assert_eq!(mirror.get_entry("tagged").await, None);
}

/// A mirror that was known stays known, over many probes and over a restart of the sender.
#[tokio::test]
async fn a_known_mirror_keeps_its_kind_over_bad_probes_and_a_restart() {
    for (nth, page) in PAGES.into_iter().enumerate() {
        let mirror = Spec::new("b").start().await;
        let proxy = Proxy::to(&mirror, Pages::Nothing).await;
        let spec = Spec::new("a").mirrors([&proxy.name]).set("mirrors.probe_s", 1);
        let mut node = spec.start().await;
        eventually("it is known", async || {
            node.mirror(&proxy.name).await["kind"] == "cache-mirror"
                && node.dir.join("data/kinds.json").exists()
        })
        .await;
        match nth % 2 {
            0 => proxy.answer(Pages::Everything(page)),
            _ => proxy.answer(Pages::Probes(page)),
        }
        // A probe that changes nothing causes no event, so this waits for several.
        tokio::time::sleep(Duration::from_secs(4)).await;
        assert_eq!(node.mirror(&proxy.name).await["kind"], "cache-mirror", "{page}");
        node.restart().await;
        assert_eq!(node.mirror(&proxy.name).await["kind"], "cache-mirror", "{page}");
        fill(&mirror).await;
        let ids = invalidate_all_kinds(&node).await;
        proxy.answer(Pages::Probes(page));
        node.post(&format!("/api/mirrors/{}/retry", proxy.name), json!({})).await.expect(200);
        all_arrive(&node, &mirror, &ids).await;
    }
}

/// A file of kinds that is damaged, or that cannot be written, costs a probe and nothing else.
#[tokio::test]
async fn a_damaged_kind_file_is_tolerated_and_logged() {
    let mirror = Spec::new("b").start().await;
    let mut node = Spec::new("a").mirrors([mirror.address()]).start().await;
    let file = node.dir.join("data/kinds.json");
    eventually("it is written", async || file.exists()).await;
    for damage in ["", "{\"cache_mirrors\":[", "[]", "\u{0}\u{1}"] {
        node.stop().await;
        std::fs::write(&file, damage).expect("written");
        node.restart().await;
        let id = id_of(&node.invalidate(json!({ "tag": "sale" })).await);
        eventually("it is delivered", async || {
            outcomes(&node.event(&id).await)[mirror.address()] == "delivered"
        })
        .await;
        node.logged("the damage", |line| line["status"] == "unread").await;
    }
}

/// Credentials are never sent to another address that a peer names.
#[tokio::test]
async fn no_credential_is_sent_to_the_url_that_an_identity_names() {
    let thief = StubPeer::start().await;
    let elsewhere = format!("http://{}", thief.name());
    for path in [
        format!("{elsewhere}/steal"),
        format!("//{}/steal", thief.name()),
        format!("\\\\{}\\steal", thief.name()),
        "/../../steal".to_owned(),
        "/%2e%2e/steal".to_owned(),
        "/x/..%2f..%2fsteal".to_owned(),
    ] {
        let hostile = StubPeer::start().await;
        let file = format!("[[mirrors.peers]]\nurl = \"http://{}/base/\"\n", hostile.name());
        hostile.answer_by({
            let identity = hostile_identity(&path);
            move |seen| match seen.path.split('?').next().unwrap_or_default() {
                "/base/_cache-mirror/identity" => Reply::Json(200, identity.clone()),
                "/base/api/auth/login" => Reply::Json(
                    200,
                    json!({ "access_token": "t", "token_type": "bearer", "expires_in": 3600 }),
                ),
                _ => Reply::ok(),
            }
        });
        let node = Spec::new("a").file(&file).start().await;
        let id = id_of(&node.invalidate(json!({ "tag": "sale" })).await);
        eventually("it is delivered below the base", async || {
            outcomes(&node.event(&id).await).values().all(|status| status == "delivered")
        })
        .await;
        let name = node.mirrors().await.keys().next().expect("a mirror").clone();
        node.post(&format!("/api/mirrors/{name}/ping"), json!({})).await.expect(200);
        assert!(thief.seen().is_empty(), "{path}: {:?}", thief.seen());
        let below: Vec<String> = hostile.seen().iter().map(|seen| seen.path.clone()).collect();
        assert!(below.iter().all(|path| path.starts_with("/base/")), "{path}: {below:?}");
        assert!(below.iter().any(|path| path == &format!("/base{LOGIN}")), "{below:?}");
        assert!(below.iter().any(|path| path == &format!("/base{INVALIDATE}")), "{below:?}");
        node.logged("the bad paths", |line| line["reason"] == "paths").await;
        assert!(!node.log_text().contains('\u{202e}'), "a name is logged without its tricks");
    }
}

fn hostile_identity(path: &str) -> Value {
    json!({
        "instance": "evil\u{1b}[2J\u{202e}", "version": "9", "protocol": 1, "graph": "",
        "features": [], "proof": "0".repeat(64), "paths": { "login": path, "invalidate": path },
    })
}
