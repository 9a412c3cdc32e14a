//! The nginx snippet in a real nginx before a real instance.

use std::process::Stdio;
use std::time::Duration;

use serde_json::json;
use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::read;
use crate::support::{Node, PATIENCE, Spec, Sse, Ws, client, eventually, free_port};

const SNIPPET: &str = "deploy/nginx/cache-mirror.conf";

/// nginx in a temporary directory, in one process.
struct Proxy {
    url: String,
    _child: Child,
    _dir: TempDir,
}

impl Proxy {
    /// Ignores the header of the instance against buffering: the snippet alone must be enough.
    async fn start(node: &Node, snippet: &str) -> Self {
        let dir = TempDir::new().expect("a directory");
        let (path, port) = (dir.path().display(), free_port());
        let snippet = snippet.replace("127.0.0.1:4400", node.address());
        let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|kind| format!("{kind}_temp_path {path}/{kind};"))
            .concat();
        let config = format!(
            "daemon off; master_process off; pid {path}/pid; error_log {path}/error.log;
             events {{}}
             http {{ access_log off; {temporary}
               server {{ listen 127.0.0.1:{port}; proxy_ignore_headers X-Accel-Buffering;
                 {snippet} }} }}"
        );
        let file = dir.path().join("nginx.conf");
        std::fs::write(&file, config).expect("write");
        let mut nginx = Command::new("/usr/sbin/nginx");
        nginx.arg("-p").arg(dir.path()).arg("-c").arg(&file);
        nginx.stdin(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
        let child = nginx.spawn().expect("nginx runs; Debian package nginx");
        let url = format!("http://127.0.0.1:{port}");
        eventually("nginx listens", async || client().get(&url).send().await.is_ok()).await;
        Self { url, _child: child, _dir: dir }
    }

    /// The stream through it; `None` where its head does not come within this time.
    async fn stream(&self, node: &Node, time_max: Duration) -> Option<Sse> {
        let request = client().get(format!("{}/api/stream", self.url)).bearer_auth(&node.token);
        let response = tokio::time::timeout(time_max, request.send()).await.ok()?;
        Some(Sse::of(response.expect("an answer")))
    }
}

/// hello, and each event after it, arrive while the stream goes on.
#[tokio::test]
async fn events_pass_unbuffered() {
    let node = Spec::new("a").start().await;
    let proxy = Proxy::start(&node, &read(SNIPPET)).await;
    let mut stream = proxy.stream(&node, PATIENCE).await.expect("the stream opens");
    assert_eq!(stream.next().await.expect("an event").event, "hello");
    for id in ["1", "2"] {
        node.invalidate(json!({ "type": "auth", "id": id })).await;
        let update = stream.next_of("app-update").await.expect("an event");
        assert_eq!(update.data["id"], id);
    }
}

/// A WebSocket passes too, with the address of its client and to a good end.
#[tokio::test]
async fn a_websocket_passes() {
    let node = Spec::new("a").start().await;
    let proxy = Proxy::start(&node, &read(SNIPPET)).await;
    let address = proxy.url.trim_start_matches("http://");
    let token = format!("Authorization: Bearer {}\r\n", node.token);
    let mut ws = Ws::ask(address, "", &token).await.expect("the handshake passes");
    assert_eq!(ws.next().await.expect("it begins").event, "hello");
    node.invalidate(json!({ "type": "auth" })).await;
    assert_eq!(ws.next().await.expect("an event").data["type"], "auth");
    node.signal("TERM").await;
    assert_eq!(ws.next().await.expect("a last word").event, "goodbye");
    while ws.message().await.is_some() {}
    assert_eq!(ws.code, Some(1001));
}

/// The snippet is necessary: with the defaults of nginx not even the head arrives.
#[tokio::test]
async fn without_the_snippet_events_are_buffered() {
    let node = Spec::new("a").start().await;
    let defaults = read(SNIPPET).replace("proxy_buffering off;", "");
    let defaults = defaults.replace("proxy_http_version 1.1;", "");
    let proxy = Proxy::start(&node, &defaults).await;
    let window = Duration::from_millis(500);
    let hello = async {
        let mut stream = proxy.stream(&node, window).await?;
        tokio::time::timeout(window, stream.next()).await.ok()
    };
    assert!(hello.await.is_none(), "nginx holds it back");
}

/// The API works through it: bodies, encoded keys, and the client's real address.
#[tokio::test]
async fn the_proxy_does_not_change_the_api() {
    let node = Spec::new("a").set("control.trusted_proxies", "127.0.0.1/32").start().await;
    let proxy = Proxy::start(&node, &read(SNIPPET)).await;
    let entry = format!("{}/api/cache/entries/a%2Fb%20c?type=posts", proxy.url);
    let put = client().put(&entry).bearer_auth(&node.token).body("v").send().await;
    assert!(put.expect("an answer").status().is_success());
    assert_eq!(node.get_entry("a%2Fb%20c").await.as_deref(), Some("v"));
    let invalidate = format!("{}/api/cache/invalidate", proxy.url);
    let call = client().post(&invalidate).bearer_auth(&node.token);
    let answer = call.json(&json!({ "type": "posts" })).send().await.expect("an answer");
    let answer: serde_json::Value = answer.json().await.expect("JSON");
    assert_eq!(answer["invalidated_entries"], 1);

    let large = client().post(&invalidate).bearer_auth(&node.token).body(vec![b' '; 1_100_000]);
    assert_eq!(large.send().await.expect("an answer").status().as_u16(), 413);
    let login = client().post(format!("{}/api/auth/login", proxy.url));
    let login = login.header("x-forwarded-for", "203.0.113.9");
    let refused = login.json(&json!({ "email": "a@x.example", "password": "x" })).send().await;
    assert_eq!(refused.expect("an answer").status().as_u16(), 401);
    let line = node.logged("the refusal", |line| line["msg"] == "login refused").await;
    assert_eq!(line["address"], "127.0.0.1", "a client cannot choose its address");
}

/// If HTTPS is required, plain HTTP to nginx is refused, whatever headers the client sends, and so
/// is a call through a proxy that does not state the scheme.
#[tokio::test]
async fn plain_http_does_not_pass_where_https_is_required() {
    let node = Spec::new("a").set("control.require_https", true).start().await;
    let snippet = read(SNIPPET);
    let tls = snippet.replace("$scheme", "https");
    let skipped_count = snippet.replace("proxy_set_header X-Forwarded-Proto $scheme;", "");
    for (snippet, says, expected) in [
        (&snippet, None, 403),
        (&snippet, Some("https"), 403),
        (&skipped_count, None, 403),
        (&tls, None, 200),
        (&tls, Some("http"), 200),
    ] {
        let proxy = Proxy::start(&node, snippet).await;
        for path in ["/api/cache/versions", "/api/stream"] {
            let request = client().get(format!("{}{path}", proxy.url)).bearer_auth(&node.token);
            let request = match says {
                Some(says) => request.header("x-forwarded-proto", says),
                None => request,
            };
            let status = request.send().await.expect("an answer").status().as_u16();
            assert_eq!(status, expected, "{path} {says:?}");
        }
    }
}
