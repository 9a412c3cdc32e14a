//! Who may do what.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;

use super::raw::{ask, usual};
use crate::support::{SERVICE_EMAIL, SERVICE_PASSWORD, Spec, mint};

/// Every route, and the least role that may use it.
const ROUTES: &[(&str, &str, &str)] = &[
    ("POST", "/api/cache/invalidate", "service"),
    ("POST", "/api/cache/clear", "TRAINER"),
    ("GET", "/api/cache/events/01980000-0000-7000-8000-000000000001", "TRAINER"),
    ("GET", "/api/cache/journal", "TRAINER"),
    ("POST", "/api/cache/explain", "TRAINER"),
    ("GET", "/api/cache/why?key=k", "TRAINER"),
    ("GET", "/api/cache/entries", "TRAINER"),
    ("GET", "/api/cache/entries/k", "TRAINER"),
    ("HEAD", "/api/cache/entries/k", "TRAINER"),
    ("DELETE", "/api/cache/entries/k", "TRAINER"),
    ("PUT", "/api/cache/entries/k", "ADMIN"),
    ("GET", "/api/cache/stats", "TRAINER"),
    ("GET", "/api/cache/versions", "TRAINER"),
    ("POST", "/api/cache/versions/reset", "ADMIN"),
    ("POST", "/api/cache/hooks/onBulkDataImport", "service"),
    ("GET", "/api/admin/cache/stats", "TRAINER"),
    ("POST", "/api/admin/cache/clear", "TRAINER"),
    ("GET", "/api/mirrors", "TRAINER"),
    ("PATCH", "/api/mirrors/x", "ADMIN"),
    ("POST", "/api/mirrors/x/pause", "ADMIN"),
    ("POST", "/api/mirrors/x/resume", "ADMIN"),
    ("POST", "/api/mirrors/x/retry", "ADMIN"),
    ("POST", "/api/mirrors/x/ping", "ADMIN"),
    ("POST", "/api/reload", "ADMIN"),
    ("GET", "/api/schedules", "TRAINER"),
    ("POST", "/api/schedules/x/run", "ADMIN"),
    ("POST", "/api/schedules/x/pause", "ADMIN"),
    ("POST", "/api/schedules/x/resume", "ADMIN"),
    ("POST", "/api/stream/ticket", "TRAINER"),
];

/// The table of routes, from outside: 401 without, 403 with too little, anything else with enough.
#[tokio::test]
async fn each_route_requires_its_role() {
    let node = Spec::new("a").start().await;
    let ranks = ["service", "TRAINER", "ADMIN", "token"];
    let rank = |role: &str| ranks.iter().position(|known| *known == role).expect("a rank");
    let tokens = [
        mint("a", SERVICE_EMAIL, "ADMIN"),
        mint("a", "tom@x.example", "TRAINER"),
        mint("a", "ann@x.example", "ADMIN"),
        node.token.clone(),
    ];
    for (method, path, needed) in ROUTES {
        let method = Method::from_bytes(method.as_bytes()).expect("method");
        for (role, token) in ranks.iter().zip(&tokens) {
            let asking = node.request_as(token, method.clone(), path);
            let asking = if method == Method::POST { asking.json(&json!({})) } else { asking };
            let answer = asking.send().await;
            let answer = answer.unwrap_or_else(|error| panic!("{role} {method} {path}: {error:?}"));
            let status = answer.status().as_u16();
            let may = rank(role) >= rank(needed);
            assert_eq!(status != 403, may, "{role} {method} {path}: {status}");
            assert_ne!(status, 401, "{role} {method} {path}");
        }
        let (reply, _) = ask(&node, &format!("{method} {path} HTTP/1.1\r\nHost: a\r\n\r\n")).await;
        assert_eq!(reply.status, 401, "{method} {path}");
        assert!(reply.header("www-authenticate").is_some_and(|c| c.starts_with("Bearer")));
    }
}

/// A token counts only as a bearer token in one `Authorization` header.
#[tokio::test]
async fn a_token_is_taken_from_one_authorization_header_only() {
    let node = Spec::new("a").start().await;
    let token = &node.token;
    let basic = "Authorization: Basic YWRtaW46YWRtaW4=\r\n".to_owned();
    let bearer = format!("Authorization: Bearer {token}\r\n");
    for (target, headers) in [
        ("/api/cache/stats".to_owned(), String::new()),
        ("/api/cache/stats".to_owned(), basic.clone()),
        ("/api/cache/stats".to_owned(), format!("{bearer}{bearer}")),
        ("/api/cache/stats".to_owned(), format!("{basic}{bearer}")),
        ("/api/cache/stats".to_owned(), format!("Cookie: token={token}\r\n")),
        ("/api/cache/stats".to_owned(), format!("X-Api-Key: {token}\r\n")),
        ("/api/cache/stats".to_owned(), format!("Proxy-Authorization: Bearer {token}\r\n")),
        ("/api/cache/stats".to_owned(), "Authorization: Bearer \u{e9}\r\n".to_owned()),
    ] {
        let request = format!("GET {target} HTTP/1.1\r\nHost: a\r\n{headers}\r\n");
        let (reply, _) = ask(&node, &request).await;
        assert_eq!(reply.status, 401, "{target} {headers}");
        assert!(!reply.body.contains(token.as_str()), "{}", reply.body);
    }
    for name in ["token", "access_token"] {
        let target = format!("/api/cache/stats?{name}={token}");
        let (reply, _) = ask(&node, &format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n")).await;
        assert_eq!(reply.status, 400, "{target}");
        assert!(reply.body.contains("token_in_query") && !reply.body.contains(token.as_str()));
    }
    let good = format!("GET /api/cache/stats HTTP/1.1\r\n{}\r\n", usual(&node));
    assert_eq!(ask(&node, &good).await.0.status, 200);
    assert!(!node.log_text().contains(token.as_str()));
}

/// Open routes stay open, to a caller with a bad token too.
#[tokio::test]
async fn public_routes_need_no_token() {
    let node = Spec::new("a").start().await;
    for target in ["/healthz", "/readyz", "/_cache-mirror/identity?nonce=n"] {
        for header in ["", "Authorization: Bearer nonsense\r\n"] {
            let request = format!("GET {target} HTTP/1.1\r\nHost: a\r\n{header}\r\n");
            assert_eq!(ask(&node, &request).await.0.status, 200, "{target} {header}");
        }
    }
    for target in
        ["/_cache-mirror/identity", &format!("/_cache-mirror/identity?nonce={}", "n".repeat(129))]
    {
        let request = format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(ask(&node, &request).await.0.status, 400, "{target}");
    }
}

/// S1 1.18: the hash for comparing secrets allows guessing. So unknown callers and editors do not
/// get it, and it is never given for a short secret.
#[tokio::test]
async fn secrets_are_compared_with_peers_and_administrators_only() {
    let secret = "a-secret-of-sixty-four-characters-as-the-guide-of-its-site-asks!";
    let node = Spec::new("a")
        .set("compat.revalidate_secret", secret)
        .set("compat.revalidate_token", "short")
        .start()
        .await;
    let path = "/_cache-mirror/identity?nonce=n&check=revalidate";
    for header in ["", "Authorization: Bearer nonsense\r\n"] {
        let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\n{header}\r\n");
        let (reply, _) = ask(&node, &request).await;
        assert_eq!(reply.status, 401, "{header}");
        assert!(!reply.body.contains("proofs"), "{}", reply.body);
    }
    let ask_as = async |token: &str, path: &str| {
        let answer = node.request_as(token, Method::GET, path).send().await.expect("an answer");
        let status = answer.status().as_u16();
        (status, answer.json::<serde_json::Value>().await.expect("JSON"))
    };
    let editor = mint("a", "tom@x.example", "TRAINER");
    assert_eq!(ask_as(&editor, path).await.0, 403);
    let bad = "/_cache-mirror/identity?nonce=n&check=auth.admin_token";
    assert_eq!(ask_as(&node.token, bad).await.0, 400);
    let mut proofs = vec![];
    for token in [mint("a", SERVICE_EMAIL, "service"), node.token.clone()] {
        let (status, identity) = ask_as(&token, path).await;
        assert_eq!((status, &identity["check"]["known"]), (200, &json!(true)), "{identity}");
        assert_eq!(identity["check"]["proofs"].as_array().map(Vec::len), Some(1), "{identity}");
        assert!(!identity.to_string().contains("a-secret"), "{identity}");
        proofs.push(identity["check"]["proofs"][0].clone());
    }
    assert_eq!(proofs[0], proofs[1]);
    let (_, later) = ask_as(&node.token, "/_cache-mirror/identity?nonce=m&check=revalidate").await;
    assert_ne!(later["check"]["proofs"][0], proofs[0], "each nonce has a hash of its own");
    let (_, plain) = ask_as(&node.token, "/_cache-mirror/identity?nonce=n").await;
    assert!(plain.get("check").is_none(), "{plain}");
}

/// S3 3.7: a login gives a token, and that token only sends local invalidations.
#[tokio::test]
async fn a_service_account_logs_in_and_stays_local() {
    let node = Spec::new("a").start().await;
    let login = json!({ "email": SERVICE_EMAIL, "password": SERVICE_PASSWORD, "remember": true });
    let answer = node.post("/api/auth/login", login).await.expect(200);
    assert_eq!((&answer["token_type"], &answer["expires_in"]), (&json!("bearer"), &json!(3600)));
    let token = answer["access_token"].as_str().expect("a token");
    let body = json!({ "type": "posts", "mirror": true });
    let answer = node.invalidate_as(token, body).await.expect(200);
    assert!(
        answer["warnings"][0].as_str().is_some_and(|text| text.contains("ignored")),
        "{answer}"
    );
    let event = node.event(answer["id"].as_str().expect("id")).await;
    assert_eq!((&event["scope"], &event["principal"]), (&json!("local"), &json!(SERVICE_EMAIL)));
}

/// Five failures, then 429; the correct password is still accepted.
#[tokio::test]
async fn a_brute_force_is_limited_and_the_account_is_not_locked() {
    let node = Spec::new("a").start().await;
    let mut bodies = vec![];
    for email in [SERVICE_EMAIL, "nobody@x.example", SERVICE_EMAIL, "nobody@x.example", "x"] {
        let login = json!({ "email": email, "password": "guess" });
        let answer = node.post("/api/auth/login", login).await;
        assert_eq!(answer.status, 401);
        bodies.push(answer.body);
    }
    bodies.dedup();
    assert_eq!(bodies.len(), 1, "whether an account exists shows nowhere");
    let limited = node.post("/api/auth/login", json!({ "email": "y", "password": "guess" })).await;
    assert_eq!(limited.status, 429);
    assert!(limited.header("retry-after").and_then(|text| text.parse::<u64>().ok()).is_some());
    let login = json!({ "email": SERVICE_EMAIL, "password": SERVICE_PASSWORD });
    assert_eq!(node.post("/api/auth/login", login).await.status, 200);
}

/// A forwarded address counts only if a trusted proxy sent the header.
#[tokio::test]
async fn a_spoofed_address_matches_no_list() {
    let forwarded = |node: &crate::support::Node, to: &str| {
        let usual = usual(node);
        format!("GET /healthz HTTP/1.1\r\n{usual}X-Forwarded-For: {to}\r\nX-Real-IP: {to}\r\n\r\n")
    };
    let closed = Spec::new("a").set("auth.allow", "[\"10.0.0.0/8\"]").start().await;
    let (reply, _) = ask(&closed, &forwarded(&closed, "10.0.0.1")).await;
    assert_eq!((reply.status, reply.code().as_str()), (403, "address_not_allowed"));
    let behind = Spec::new("a")
        .set("auth.allow", "[\"10.0.0.0/8\"]")
        .set("control.trusted_proxies", "[\"127.0.0.1/32\"]")
        .start()
        .await;
    assert_eq!(ask(&behind, &forwarded(&behind, "10.0.0.1")).await.0.status, 200);
    assert_eq!(ask(&behind, &forwarded(&behind, "10.0.0.1, 192.0.2.1")).await.0.status, 403);
}

/// A trusted proxy in an allowed network forwards a caller from anywhere.
#[tokio::test]
async fn a_caller_whose_forwarded_address_is_unreadable_matches_no_list() {
    let node = Spec::new("a")
        .set("auth.allow", "[\"10.0.0.0/8\", \"127.0.0.0/8\"]")
        .set("control.trusted_proxies", "[\"127.0.0.1/32\"]")
        .start()
        .await;
    let usual = usual(&node);
    for (lines, expected) in [
        ("X-Forwarded-For: 10.0.0.1:51234\r\n", 200),
        ("X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-For: 10.0.0.1\r\n", 200),
        ("X-Forwarded-For: \"[::ffff:10.0.0.1]:443\"\r\n", 200),
        ("Forwarded: for=\"10.0.0.1:80\";proto=https\r\n", 200),
        ("X-Real-IP: 10.0.0.1\r\n", 200),
        ("X-Forwarded-For: 192.0.2.1:51234\r\n", 403),
        ("X-Forwarded-For: [2001:db8::7]:443\r\n", 403),
        ("X-Forwarded-For: 10.0.0.1\r\nX-Forwarded-For: 192.0.2.1\r\n", 403),
        ("X-Forwarded-For: 10.0.0.1\r\nX-Forwarded-For:\r\n", 403),
        ("X-Forwarded-For: 10.0.0.1, unknown\r\n", 403),
        ("X-Forwarded-For: _hidden\r\n", 403),
        ("X-Forwarded-For: 10.0.0.1\u{e9}\r\n", 403),
        ("X-Forwarded-For: \r\n", 403),
        ("Forwarded: for=_hidden\r\n", 403),
        ("X-Real-IP: unknown\r\n", 403),
        ("Via: 1.1 front\r\n", 403),
        ("", 200),
    ] {
        let (reply, _) = ask(&node, &format!("GET /healthz HTTP/1.1\r\n{usual}{lines}\r\n")).await;
        assert_eq!(reply.status, expected, "{lines}");
    }
}

/// Checking a password is expensive by design; who guesses pays with its own time. A valid login
/// from the same address waits for its turn and is not refused; one that was right before passes.
#[tokio::test]
async fn a_flood_of_wrong_logins_delays_no_other_address_and_refuses_no_valid_login() {
    let hash = cache_mirror::gate::hash_password("right").expect("hashes");
    let account = |email: &str| format!("{{ email = \"{email}\", password_hash = \"{hash}\" }}");
    let node = Spec::new("a")
        .set("auth.service_accounts", format!("[{}, {}]", account("m@x"), account("n@x")))
        .set("control.trusted_proxies", "[\"127.0.0.1/32\"]")
        .start()
        .await;
    let log_in = |from: &'static str, email: &str, password: &str| {
        let login = json!({ "email": email, "password": password });
        let asking = node.request(Method::POST, "/api/auth/login").json(&login);
        async move { asking.header("x-forwarded-for", from).send().await.expect("an answer") }
    };
    assert_eq!(log_in("203.0.113.7:4711", "n@x", "right").await.status(), 200);
    let mut flood = tokio::task::JoinSet::new();
    for at in 0..300 {
        flood.spawn(log_in("203.0.113.7:4711", "m@x", &format!("guess {at}")));
    }
    let first = flood.join_next().await.expect("one").expect("ends");
    assert_eq!(first.status(), 401);
    for (from, email) in
        [("203.0.113.8:4711", "m@x"), ("203.0.113.7:4711", "n@x"), ("203.0.113.7:4711", "m@x")]
    {
        let begun = std::time::Instant::now();
        let answer = log_in(from, email, "right").await;
        assert_eq!(answer.status(), 200, "{from} {email}");
        assert!(begun.elapsed() < Duration::from_secs(10), "{from} {email}: {:?}", begun.elapsed());
    }
    let mut limited = 0;
    for _ in 0..20 {
        let answer = flood.join_next().await.expect("one").expect("ends");
        match answer.status().as_u16() {
            401 => {}
            429 => {
                assert!(answer.headers().contains_key("retry-after"));
                limited += 1;
            }
            other => panic!("{other}"),
        }
    }
    assert!(limited >= 10, "{limited}");
    assert!(flood.len() > 100, "the flood was still being checked: {}", flood.len());
    let lines = node.log_text().matches("login refused").count();
    assert!(lines <= 8, "{lines} lines: what is past the limit is counted");
    flood.shutdown().await;
    assert_eq!(log_in("203.0.113.7:4711", "m@x", "right").await.status(), 200, "not refused");
}

/// Peers share an account; one that floods takes nothing from another.
#[tokio::test]
async fn a_flood_under_a_shared_account_starves_no_other_peer() {
    let node = Spec::new("a")
        .set("limits.requests_per_second", 1)
        .set("limits.burst", 5)
        .set("control.trusted_proxies", "[\"127.0.0.1/32\"]")
        .start()
        .await;
    let token = mint("a", SERVICE_EMAIL, "service");
    let clear = async |from: &str| {
        let asking = node.request_as(&token, Method::POST, "/api/cache/invalidate");
        let asking = asking.json(&json!({ "type": "posts" })).header("x-forwarded-for", from);
        asking.send().await.expect("an answer").status().as_u16()
    };
    let mut flood = vec![];
    for _ in 0..12 {
        flood.push(clear("203.0.113.7").await);
    }
    assert!(flood.contains(&429), "{flood:?}");
    assert_eq!(clear("203.0.113.8").await, 200);
}

/// S1 1.24: HTTPS only, as reported by the proxy in front.
#[tokio::test]
async fn plain_http_is_refused_if_https_is_required() {
    let node = Spec::new("a")
        .set("control.require_https", true)
        .set("control.trusted_proxies", "[\"127.0.0.1/32\"]")
        .start()
        .await;
    let says = |path: &str, proto: &str| {
        let usual = usual(&node);
        format!("GET {path} HTTP/1.1\r\n{usual}X-Forwarded-Proto: {proto}\r\n\r\n")
    };
    let (reply, _) = ask(&node, &says("/api/cache/versions", "http")).await;
    assert_eq!((reply.status, reply.code().as_str()), (403, "https_required"));
    assert_eq!(ask(&node, &says("/api/cache/versions", "https")).await.0.status, 200);
    assert_eq!(ask(&node, &says("/healthz", "http")).await.0.status, 200);
    node.get("/api/cache/versions").await.expect(200);
}

/// Refused calls appear in the log, the metric and the statistics, without one line for each.
#[tokio::test]
async fn refused_callers_are_logged() {
    let node = Spec::new("a").set("auth.token_failures_per_minute", 1000).start().await;
    for _ in 0..20 {
        let asking = node.request_as("wrong", Method::POST, "/api/cache/invalidate");
        let answer = asking.json(&json!({ "type": "posts" })).send().await.expect("an answer");
        assert_eq!(answer.status(), 401);
    }
    let tom = mint("a", "tom@x.example", "TRAINER");
    let answer = node.request_as(&tom, Method::PUT, "/api/cache/entries/k").send().await;
    assert_eq!(answer.expect("an answer").status(), 403);
    let is_it = |line: &serde_json::Value| line["event"] == "refused";
    let line = node.logged("the refusal", is_it).await;
    assert_eq!((&line["principal"], &line["reason"]), (&json!("anonymous"), &json!("invalid")));
    assert_eq!(line["source"], json!("POST /api/cache/invalidate"));
    let is_toms = |line: &serde_json::Value| is_it(line) && line["principal"] == "tom@x.example";
    assert_eq!(node.logged("the other", is_toms).await["reason"], json!("forbidden"));
    let lines = node.log_text().matches("\"refused\"").count();
    assert!(lines <= 4, "{lines} lines for 21 calls");
    let stats = node.get("/api/cache/stats").await.expect(200);
    assert_eq!(stats["refused"]["last_hour"], json!(21), "{stats}");
    assert_eq!(stats["refused"]["by"][0]["count"], json!(20), "{stats}");
    let asking = node.request_as(&tom, Method::GET, "/api/cache/stats");
    let stats = asking.send().await.expect("an answer").text().await.expect("text");
    assert!(!stats.contains("\"refused\""), "for administrators only: {stats}");
    let metrics = node.request(Method::GET, "/metrics").send().await.expect("an answer");
    let metrics = metrics.text().await.expect("text");
    assert!(metrics.contains("cache_mirror_refused_total{reason=\"invalid\"} 20\n"), "{metrics}");
}

/// A token that a command revokes is refused by the running instance at the next call.
#[tokio::test]
async fn an_application_token_ends_with_its_revocation() {
    use cache_mirror::gate::{AppToken, AppTokens};
    let node = Spec::new("a").start().await;
    let list = AppTokens::new(&node.data_dir());
    let entry = AppToken {
        app: "shop".into(),
        jti: "7".into(),
        role: "TRAINER".into(),
        created_ms: 1,
        revoked_ms: None,
    };
    let claims = json!({
        "iss": "a", "aud": "cache-mirror", "sub": "app:shop", "role": "TRAINER", "iat": 1,
        "jti": "7", "cache_mirror_app": "shop",
    });
    let token = crate::support::sign(&claims);
    let ask = async || {
        let asking = node.request_as(&token, Method::GET, "/api/cache/versions");
        asking.send().await.expect("an answer").status().as_u16()
    };
    assert_eq!(ask().await, 401, "not listed");
    list.change(|tokens| {
        tokens.push(entry);
        Ok(())
    })
    .expect("listed");
    assert_eq!(ask().await, 200);
    list.change(|tokens| {
        tokens[0].revoked_ms = Some(2);
        Ok(())
    })
    .expect("revoked");
    assert_eq!(ask().await, 401);
    let mut expiring = claims.clone();
    expiring.as_object_mut().expect("an object").remove("cache_mirror_app");
    let endless = crate::support::sign(&expiring);
    let asking = node.request_as(&endless, Method::GET, "/api/cache/versions");
    assert_eq!(asking.send().await.expect("an answer").status(), 401, "no end and no list");
}

/// Calls that need no credential to be refused write no line each, whatever the route.
#[tokio::test]
async fn a_flood_of_unknown_callers_does_not_fill_the_log() {
    let node = Spec::new("a").set("control.dev", true).start().await;
    let calls = [
        (Method::POST, "/api/cache/invalidate", "{\"type\":\"posts\"}"),
        (Method::POST, "/api/revalidate", "{\"path\":\"/p\"}"),
        (Method::POST, "/api/revalidate", "{"),
        (Method::POST, "/api/revalidate/pages", "{}"),
        (Method::GET, "/api/revalidate/pages", ""),
        (Method::POST, "/api/admin/cache/clear", "{}"),
        (Method::POST, "/api/hooks/none", "{}"),
        (Method::POST, "/api/auth/login", "{\"email\":\"a@x\",\"password\":\"b\"}"),
        (Method::POST, "/_cache-mirror/hello", "{}"),
        (Method::GET, "/nothing", ""),
    ];
    let client = crate::support::client();
    let before = node.log_lines().len();
    for _ in 0..60 {
        for (method, path, body) in &calls {
            let asking = client.request(method.clone(), format!("http://{}{path}", node.address()));
            let asking = asking.header("content-type", "application/json").body(*body);
            let status = asking.send().await.expect("an answer").status();
            assert!(status.is_client_error() || status.is_server_error(), "{path}: {status}");
        }
    }
    node.logged("the first", |line| line["event"] == "refused").await;
    let lines = node.log_lines().len() - before;
    // The failures up to the limits (20 tokens, 5 logins), and one line for each kind of refusal.
    assert!(lines <= 60, "{lines} lines for 600 calls");
}
