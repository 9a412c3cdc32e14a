//! Recognisable secrets, failures of every kind, and a search of everything that was written or
//! answered.

use std::process::Stdio;

use serde_json::{Value, json};

use super::raw::{ask, invalidation};
use crate::support::{INVALIDATE, LOGIN, Node, Reply, Spec, StubPeer, eventually, mint};

const SERVICE: &str = "canary-service-password-7f3a";
const SIGNING: &str = "canary-signing-secret-0123456789-7f3a";
const BEFORE: &str = "canary-previous-secret-0123456789-7f3a";
const ADMIN_BEFORE: &str = "canary-previous-admin-token-7f3a";
const GUESS: &str = "canary-guessed-password-7f3a";
const PEERS: &str = "canary-token-of-a-peer-7f3a";

fn spec(peers: &[&StubPeer]) -> Spec {
    Spec::new("a")
        .env("SERVICE_PASSWORD", SERVICE)
        .set("auth.jwt_secret", SIGNING)
        .set("auth.jwt_secret_previous", BEFORE)
        .set("auth.admin_token_previous", ADMIN_BEFORE)
        .set("log.level", "trace")
        .set("mirrors.timeout_ms", 200)
        .mirrors(peers.iter().map(|peer| peer.name()))
}

/// Peers that repeat the request in their answers, as careless servers do.
async fn careless_peers() -> [StubPeer; 4] {
    let peers = [
        StubPeer::start().await,
        StubPeer::start().await,
        StubPeer::start().await,
        StubPeer::start().await,
    ];
    let echo = json!({ "error": format!("no {SERVICE}"), "success": false, "token": PEERS });
    peers[0].always(LOGIN, Reply::Json(403, echo.clone()));
    peers[1].always(LOGIN, Reply::Json(500, echo.clone()));
    let token = json!({ "access_token": PEERS, "expires_in": 3600 });
    peers[2].always(LOGIN, Reply::Json(200, token.clone()));
    peers[2].always(INVALIDATE, Reply::Json(400, echo.clone()));
    peers[3].always(LOGIN, Reply::Json(200, token));
    peers[3].always(INVALIDATE, Reply::Json(401, echo));
    peers
}

/// Requests that fail, each with a secret in it; gives what was answered.
async fn failures(node: &Node) -> String {
    let mut answers = String::new();
    let token = mint("elsewhere", "ann@x.example", "ADMIN");
    for path in ["/api/cache/stats", "/api/stream", "/api/mirrors"] {
        for bearer in [token.as_str(), GUESS, &format!("{}x", node.token)] {
            let request = node.request_as(bearer, reqwest::Method::GET, path).send().await;
            answers += &request.expect("an answer").text().await.expect("text");
        }
        let target = format!("GET {path}?token={} HTTP/1.1\r\nHost: a\r\n\r\n", node.token);
        answers += &ask(node, &target).await.0.body;
    }
    for login in [
        json!({ "email": "mirror@example.test", "password": GUESS }),
        json!({ "email": "mirror@example.test", "password": [GUESS] }),
        json!({ "email": "mirror@example.test", "password": GUESS, "otp": GUESS }),
        json!({ "email": "nobody@example.test", "password": GUESS.repeat(100) }),
        json!({ "password": GUESS }),
        json!([GUESS, { "a": GUESS }]),
    ] {
        answers += &String::from_utf8_lossy(&node.post("/api/auth/login", login).await.body);
    }
    let broken = format!("{{\"email\":\"x\",\"password\":\"{GUESS}");
    let length = broken.len();
    let head =
        format!("POST /api/auth/login HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n");
    answers += &ask(node, &format!("{head}{broken}")).await.0.body;
    answers += &ask(node, &invalidation(node, "{\"type\":")).await.0.body;
    answers
}

/// The output of `config show` and of a configuration error.
async fn command_output(node: &Node, args: &[&str]) -> String {
    let output = tokio::process::Command::new(env!("CARGO_BIN_EXE_cache-mirror"))
        .args(args)
        .env_clear()
        .env("SERVICE_EMAIL", "mirror@example.test")
        .env("SERVICE_PASSWORD", SERVICE)
        .env("CACHE_MIRROR_TOKEN", &node.token)
        .env("CACHE_MIRROR__AUTH__JWT_SECRET", SIGNING)
        .current_dir(&node.dir)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .expect("it runs");
    let (out, err) = (output.stdout, output.stderr);
    format!("{}{}", String::from_utf8_lossy(&out), String::from_utf8_lossy(&err))
}

fn search(where_: &str, text: &str, node: &Node) {
    let own_tokens = [node.token.as_str(), SERVICE, SIGNING, BEFORE, ADMIN_BEFORE, GUESS, PEERS];
    for secret in own_tokens {
        assert!(!text.contains(secret), "{secret} in {where_}: {text}");
    }
}

#[tokio::test]
async fn no_secret_is_ever_shown() {
    let peers = careless_peers().await;
    let mut node = spec(&[&peers[0], &peers[1], &peers[2], &peers[3]]).start().await;
    let login = json!({ "email": "mirror@example.test", "password": SERVICE });
    let issued = node.post("/api/auth/login", login).await.expect(200);
    let issued = issued["access_token"].as_str().expect("a token").to_owned();
    node.invalidate(json!({ "type": "posts" })).await;
    let names: Vec<String> = peers.iter().map(StubPeer::name).collect();
    for name in &names {
        eventually("every mirror fails", async || {
            let mirror = node.mirror(name).await;
            mirror["last_error"] != Value::Null || mirror["parked_count"] != 0
        })
        .await;
    }
    search("problem answers", &failures(&node).await, &node);
    for path in ["/api/mirrors", "/api/cache/stats", "/api/cache/journal", "/api/cache/entries"] {
        let body = node.get(path).await.body;
        search(path, &String::from_utf8_lossy(&body), &node);
    }
    let shown = command_output(&node, &["config", "show"]).await;
    search("config show", &shown, &node);
    let short =
        ["serve", "--isolated", "--set", "control.listen=nonsense", "--set", "mirrors.urls=:"];
    search("a configuration error", &command_output(&node, &short).await, &node);
    assert_eq!(node.stop().await.code(), Some(0));
    let log = node.log_text();
    assert!(log.contains("login refused"), "there was something to find: {log}");
    search("the log", &log, &node);
    assert!(!log.contains(&issued), "a token in the log");
    let (out, err) = node.output();
    search("stdout", &out, &node);
    search("stderr", &err, &node);
}

/// Whatever a name contains, it neither starts a new log line nor controls a terminal.
#[tokio::test]
async fn no_line_of_the_log_can_be_forged() {
    let mut node = Spec::new("a").set("log.level", "trace").start().await;
    let forged = "x\n{\"level\":60,\"msg\":\"forged\"}\u{1b}[2J\u{2028}\u{85}\0";
    let login = json!({ "email": forged, "password": "x" });
    assert_eq!(node.post("/api/auth/login", login).await.status, 401);
    node.invalidate(json!({ "type": "posts", "reason": forged, "changed": [forged] })).await;
    node.invalidate(json!({ "tag": "\u{2028}\u{202e}x" })).await;
    node.invalidate(json!({ "type": "posts", "reason": "y".repeat(1024) })).await;
    assert_eq!(node.stop().await.code(), Some(0));
    let log = node.log_text();
    let lines: Vec<&str> = log.split_terminator('\n').collect();
    for line in &lines {
        let json: Value = serde_json::from_str(line).expect("every line is JSON");
        assert_ne!(json["msg"], "forged", "{line}");
        assert!(!line.chars().any(char::is_control), "{line:?}");
        assert!(line.len() < 16 * 1024, "{}", line.len());
    }
    assert!(lines.iter().any(|line| line.contains("forged")), "it was written, harmlessly");
}
