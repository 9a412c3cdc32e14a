//! Sites as targets: when a site is called, what is logged, and that nothing is lost or circulates.

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::support::{
    Node, Reply, Seen, Spec, StubPeer, eventually, free_port, id_of, webhook_signature,
};

const ROUTE: &str = "/api/revalidate";
const SECRET: &str = "a-secret-of-the-site-0123456789";

const PATHS: &str = r#"
[revalidate.groups]
all = ["/", "/products", "/filter"]
product = ["/", "/products", "/products/{slug}"]
[revalidate.paths]
home = ["/"]
catalog = ["@all"]
products = [
    "/products",
    { path = "@product", when_fields = ["slug", "name"] },
    { path = "/category/{category}", actions = ["create", "update", "archive"] },
]
posts = ["/posts", "/posts/{id}"]
"#;

/// A site that does its work.
async fn site() -> StubPeer {
    let stub = StubPeer::start().await;
    stub.always(ROUTE, Reply::Json(200, json!({ "success": true, "echo": SECRET })));
    stub
}

/// An instance with the plain names of the site's own systems.
fn with_site(stub: &StubPeer) -> Spec {
    Spec::new("a")
        .file(PATHS)
        .env("NEXT_REVALIDATE_URL", &format!("http://{}{ROUTE}", stub.name()))
        .env("NEXT_REVALIDATE_SECRET", SECRET)
}

async fn settled(node: &Node, name: &str) {
    eventually("nothing is owed", async || node.mirror(name).await["backlog_events"] == 0).await;
}

fn calls_of(stub: &StubPeer) -> Vec<Value> {
    let bodies = stub.seen_at(ROUTE).into_iter();
    bodies.map(|seen| serde_json::from_slice(&seen.body).expect("JSON")).collect()
}

async fn logged_line(node: &Node, msg: &str) -> Value {
    node.logged(msg, |line| line["msg"] == msg).await
}

/// S1 1.4, 1.5, 1.6, 1.29, 1.32: the old call, to the byte; the answer does not wait for it.
#[tokio::test]
async fn a_site_is_called_with_the_paths_of_what_changed() {
    let stub = site().await;
    let node = with_site(&stub).start().await;
    let fields = json!({ "slug": "red shoe", "category": "a/b" });
    let body = json!({ "type": "product", "id": 7, "changed": ["name"], "fields": fields });
    let id = id_of(&node.invalidate(body).await);
    eventually("the call", async || calls_of(&stub).len() == 1).await;
    // Next.js 16 knows a page by its decoded path, Next.js 15 by the path that was asked for.
    let red_shoe = ["/products/red shoe", "/products/red%20shoe"];
    let paths = ["/", "/category/a%2Fb", "/products", red_shoe[0], red_shoe[1]];
    let seen = &stub.seen_at(ROUTE)[0];
    assert_eq!(seen.text(), json!({ "secret": SECRET, "paths": paths }).to_string());
    assert_eq!((seen.method.as_str(), seen.header("content-type")), ("POST", "application/json"));
    assert_eq!((seen.header("cache-mirror-via"), seen.header("cache-mirror-event")), ("a", &*id));
    let line = logged_line(&node, "Next.js revalidation triggered").await;
    assert_eq!((&line["level"], &line["paths"]), (&json!(30), &json!(paths.join(","))));
    assert_eq!(line["response"], r#"{"success":true,"echo":"***"}"#);
    settled(&node, "nextjs").await;
    assert_eq!(node.event(&id).await["beside"][0]["status"], "delivered");
    assert!(!node.log_text().contains(SECRET));
    let metrics = node.get("/metrics").await.body;
    let expected = r#"cache_mirror_delivery_seconds_count{peer="nextjs"} 1"#;
    assert!(String::from_utf8_lossy(&metrics).contains(expected), "S1 1.25: response times");
}

/// A gateway's call without an event id could be an echo, so the site is not called. A call with
/// `wait` waits for mirrors, never for a site.
#[tokio::test]
async fn a_call_of_a_gateway_without_an_event_id_is_not_forwarded() {
    let stub = site().await;
    stub.always(ROUTE, Reply::Json(500, json!({})));
    let node = with_site(&stub).start().await;
    let request = node.request(reqwest::Method::POST, "/api/cache/invalidate");
    let request = request.header("cache-mirror-via", "b").json(&json!({ "type": "posts" }));
    let answer: Value = request.send().await.expect("answers").json().await.expect("JSON");
    let outcome = node.event(&id_of(&answer)).await["beside"][0].clone();
    assert_eq!((&outcome["status"], &outcome["reason"]), (&json!("skipped"), &json!("ends_here")));
    let waiting = json!({ "type": "posts", "id": 2 });
    let answer = node.post("/api/cache/invalidate?wait=all&timeout=20s", waiting).await;
    let id = id_of(&answer.expect(200));
    logged_line(&node, "Next.js revalidation failed").await;
    let seen = stub.seen_at(ROUTE);
    assert!(seen[0].text().contains("/posts/2"));
    assert!(seen.iter().all(|seen| seen.header("cache-mirror-event") == id));
}

/// Templates change on reload, and the backlog is sent with the new ones.
#[tokio::test]
async fn changed_templates_apply_after_a_reload() {
    let stub = site().await;
    let node = with_site(&stub).start().await;
    node.post("/api/mirrors/nextjs/pause", json!({})).await.expect(200);
    let id = id_of(&node.invalidate(json!({ "type": "posts" })).await);
    node.write_file("[revalidate.paths]\nposts = ['/blog']");
    node.post("/api/reload", json!({})).await.expect(200);
    assert_eq!(node.event(&id).await["beside"][0]["status"], "paused", "the operator's word stays");
    node.post("/api/mirrors/nextjs/resume", json!({})).await.expect(200);
    eventually("the call", async || calls_of(&stub).len() == 1).await;
    assert_eq!(calls_of(&stub)[0]["paths"], json!(["/blog"]));
}

/// S1 1.9, 1.31, S4 4.9: only where the fields or the action are of interest.
#[tokio::test]
async fn filters_prevent_needless_calls() {
    let stub = site().await;
    let node = with_site(&stub).start().await;
    for (body, expected) in [
        (json!({ "type": "products", "changed": ["admin_notes"] }), &["/products"][..]),
        (
            json!({ "type": "products", "action": "archive", "changed": ["x"],
                    "fields": { "category": "old" } }),
            &["/category/old", "/products"],
        ),
        (
            json!({ "type": "products", "action": "delete", "changed": ["slug"],
                    "fields": { "slug": "s", "category": "old" } }),
            &["/", "/products", "/products/s"],
        ),
        (json!({ "type": "home" }), &["/"]),
        (json!({ "type": "catalog" }), &["/", "/filter", "/products"]),
        (json!({ "type": "orders", "path": "/orders/1" }), &["/orders/1"]),
    ] {
        let before = calls_of(&stub).len();
        node.invalidate(body.clone()).await;
        eventually("the call", async || calls_of(&stub).len() > before).await;
        assert_eq!(calls_of(&stub)[before]["paths"], json!(expected), "{body}");
    }
}

/// A pattern needs a `type`, a path in full must have none, and all pages are the root layout.
#[tokio::test]
async fn each_framework_receives_its_own_request_form() {
    let stub = site().await;
    let node = with_site(&stub).env("REVALIDATE_SECRET", SECRET).start().await;
    let (page, layout) = (json!("page"), json!("layout"));
    for (body, paths, kind) in [
        (json!({ "path": "/posts/1" }), json!(["/posts/1"]), &Value::Null),
        (json!({ "path": "/posts/[id]" }), json!(["/posts/[id]"]), &page),
        (json!({ "path": "/d/[[...s]]" }), json!(["/d/[[...s]]"]), &page),
        // A prefix may hold pages of other routes.
        (json!({ "paths": ["/x/[id]", "/x/*"] }), json!(["/"]), &layout),
        (json!({ "path": "/posts/:id" }), json!(["/"]), &layout),
        (json!({ "path": "/(shop)/cart" }), json!(["/(shop)/cart"]), &page),
        (json!({ "path": "/po*" }), json!(["/"]), &layout),
        (json!({ "path": "/*" }), json!(["/"]), &layout),
        (json!({ "all": true }), json!(["/"]), &layout),
    ] {
        let before = calls_of(&stub).len();
        node.invalidate(body.clone()).await;
        let call = json!({ "secret": SECRET, "paths": paths, "type": kind });
        eventually(&format!("the call for {body}"), async || {
            calls_of(&stub)[before..].iter().any(|sent| {
                let kind = sent.get("type").cloned().unwrap_or_default();
                json!({ "secret": sent["secret"], "paths": sent["paths"], "type": kind }) == call
            })
        })
        .await;
    }
    let has_wildcard = |call: &Value| call["paths"].to_string().contains('*');
    assert!(!calls_of(&stub).iter().any(has_wildcard));
    let asked = json!({ "secret": SECRET, "path": "/n/[slug]", "type": "page" });
    node.post(ROUTE, asked).await.expect(200);
    let is_route = |call: &Value| call["paths"] == json!(["/n/[slug]"]);
    eventually("the call", async || calls_of(&stub).iter().any(is_route)).await;
}

/// S1 1.5: a failure is logged, and retried until it succeeds.
#[tokio::test]
async fn failures_are_logged_and_retried() {
    let stub = site().await;
    let page = format!("{} {SECRET} {}", "x".repeat(200), "y".repeat(200));
    stub.script(
        ROUTE,
        [
            Reply::Raw(500, vec![("content-type", "text/html".into())], page.into()),
            Reply::Json(200, json!({ "revalidated": false })),
            Reply::Json(200, json!({ "ok": false })),
        ],
    );
    let node = with_site(&stub).start().await;
    let id = id_of(&node.invalidate(json!({ "type": "posts" })).await);
    let line = logged_line(&node, "Next.js revalidation failed").await;
    assert_eq!((&line["level"], &line["http_status"]), (&json!(40), &json!(500)));
    assert_eq!((&line["attempt"], &line["event_id"]), (&json!(1), &json!(id)));
    let body = line["body"].as_str().expect("the beginning of the answer");
    assert!(body.contains(" *** yy") && body.len() <= 256, "{body}");
    settled(&node, "nextjs").await;
    assert_eq!(calls_of(&stub).len(), 4);
    logged_line(&node, "Next.js revalidation triggered").await;
    assert!(!node.log_text().contains(SECRET));
}

/// S1 1.5, 1.25, 1.32: an unreachable site fails no request, and it is called when it is reachable
/// again, also after a restart of this instance.
#[tokio::test]
async fn a_site_is_called_once_it_is_reachable_again() {
    let port = free_port();
    let mut node = Spec::new("a")
        .file(PATHS)
        .env("NEXT_REVALIDATE_URL", &format!("http://127.0.0.1:{port}{ROUTE}"))
        .env("NEXT_REVALIDATE_SECRET", SECRET)
        .start()
        .await;
    let id = id_of(&node.invalidate(json!({ "type": "posts", "id": 1 })).await);
    let line = logged_line(&node, "Next.js revalidation error").await;
    assert_eq!((&line["level"], &line["paths"]), (&json!(40), &json!("/posts,/posts/1")));
    assert!(line["error"].as_str().is_some_and(|error| error.starts_with("connect")), "{line}");
    let outcome = node.event(&id).await["beside"][0].clone();
    assert_eq!((&outcome["peer"], &outcome["status"]), (&json!("nextjs"), &json!("failed")));
    node.stop().await;
    let stub = StubPeer::start_at(port).await;
    stub.always(ROUTE, Reply::ok());
    node.restart().await;
    eventually("the call", async || calls_of(&stub).len() == 1).await;
    assert_eq!(calls_of(&stub)[0]["paths"], json!(["/posts", "/posts/1"]));
}

/// S1 1.30: a thousand events while the site is away are one call when it is back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_events_are_one_call() {
    let stub = site().await;
    let away = [("retry-after", "60".to_owned())].to_vec();
    stub.script(ROUTE, [Reply::Raw(503, away, "".into())]);
    let node = with_site(&stub).start().await;
    node.invalidate(json!({ "type": "posts", "id": 0 })).await;
    logged_line(&node, "Next.js revalidation failed").await;
    for batch in 0..10 {
        let ids = (1..=100).map(|at| batch * 100 + at).filter(|id| *id < 1000);
        join_all(ids.map(|id| node.invalidate(json!({ "type": "posts", "id": id })))).await;
    }
    node.post("/api/mirrors/nextjs/retry", json!({})).await.expect(200);
    settled(&node, "nextjs").await;
    let calls = calls_of(&stub);
    assert_eq!(calls.len(), 2, "the one that failed, and one for all");
    assert_eq!(calls[1]["paths"].as_array().map(Vec::len), Some(1001));
}

/// S1 1.3: logged once, and everything else works.
#[tokio::test]
async fn a_half_configured_site_is_reported_once() {
    let spec = Spec::new("a").env("NEXT_REVALIDATE_URL", "http://localhost:3000/api/revalidate");
    let node = spec.start().await;
    node.invalidate(json!({ "type": "posts" })).await;
    let msg = "Next.js revalidation not configured";
    let line = logged_line(&node, msg).await;
    assert_eq!((&line["level"], &line["has_secret"]), (&json!(40), &json!(false)));
    assert_eq!(line["url"], "http://localhost:3000/api/revalidate");
    assert_eq!(node.log_lines().iter().filter(|line| line["msg"] == msg).count(), 1);
    assert!(node.mirrors().await.is_empty());
}

/// A site without any path gets a warning at the start. Selectors without a path cause no call, are
/// never counted as delivered, and have their own log line.
#[tokio::test]
async fn selectors_without_a_path_are_skipped_and_logged() {
    let stub = site().await;
    let node = Spec::new("a")
        .env("NEXT_REVALIDATE_URL", &format!("http://{}{ROUTE}", stub.name()))
        .env("NEXT_REVALIDATE_SECRET", SECRET)
        .start()
        .await;
    let is_warned =
        |line: &Value| line["msg"].as_str().is_some_and(|msg| msg.contains("no revalidate.paths"));
    node.logged("the warning", is_warned).await;
    let id = id_of(&node.invalidate(json!({ "type": "posts" })).await);
    let line =
        node.logged("it is logged", |line| line["event_id"] == id && line["peer"] == "nextjs");
    let line = line.await;
    let found = (&line["event"], &line["status"], &line["reason"]);
    assert_eq!(found, (&json!("revalidate"), &json!("skipped"), &json!("no_path")));
    let outcome = node.event(&id).await["beside"][0].clone();
    assert_eq!((&outcome["status"], &outcome["reason"]), (&json!("skipped"), &json!("no_path")));
    node.invalidate(json!({ "path": "/about" })).await;
    eventually("it counts", async || node.mirror("nextjs").await["delivered"] == 1).await;
    assert_eq!(node.mirror("nextjs").await["skipped"], 1);
    assert_eq!(calls_of(&stub), [json!({ "secret": SECRET, "paths": ["/about"] })]);
    let metrics = node.get("/metrics").await;
    let metrics = String::from_utf8(metrics.body.to_vec()).expect("text");
    let sends = "cache_mirror_deliveries_total{peer=\"nextjs\",outcome=";
    for outcome in ["delivered", "skipped"] {
        let line = format!("{sends}\"{outcome}\"}} 1\n");
        assert!(metrics.contains(&line), "{line}");
    }
}

/// S0 0.5, 0.8, 0.9: one call for each name, and the log messages that its operators search for.
#[tokio::test]
async fn a_site_is_called_with_names() {
    let stub = StubPeer::start().await;
    let (courses, days) = ("/api/revalidate/courses", "/api/revalidate/training-days");
    stub.always(courses, Reply::Json(200, json!({ "success": true })));
    stub.script(days, [Reply::Json(403, json!({ "error": "Forbidden" })), Reply::Broken]);
    stub.always(days, Reply::Json(200, json!({ "success": true })));
    let names = "[revalidate.names]\ncourses = 'courses'\ntraining_days = 'training-days'";
    let node = Spec::new("a")
        .file(names)
        .env("NEXT_PUBLIC_SITE_URL", &format!("http://{}", stub.name()))
        .env("REVALIDATE_SECRET_TOKEN", SECRET)
        .start()
        .await;
    node.invalidate(json!({ "type": "course", "id": 1 })).await;
    let line = logged_line(&node, "[Cache] Web courses cache invalidated successfully").await;
    assert_eq!(line["peer"], "web");
    let seen: Seen = stub.seen_at(courses).remove(0);
    assert_eq!(seen.header("authorization"), format!("Bearer {SECRET}"));
    assert!(seen.body.is_empty() && stub.seen_at(days).is_empty());
    assert_eq!(seen.header("content-length"), "0", "strict front ends want it");
    node.invalidate(json!({ "type": "training_days" })).await;
    let line = logged_line(&node, "Failed to invalidate web training-days cache").await;
    assert_eq!(line["http_status"], 403);
    logged_line(&node, "Error invalidating web training-days cache (non-critical)").await;
    logged_line(&node, "[Cache] Web training-days cache invalidated successfully").await;
    assert!(!node.log_text().contains(SECRET));
}

/// A name that the site does not have keeps no other from being called, and those that were called
/// are not called again for it.
#[tokio::test]
async fn a_refused_name_does_not_block_other_names() {
    let stub = StubPeer::start().await;
    let (courses, days) = ("/api/revalidate/courses", "/api/revalidate/training-days");
    stub.always(courses, Reply::Json(404, json!({ "error": "Not Found" })));
    stub.always(days, Reply::Json(200, json!({ "success": true })));
    let names = "[revalidate.names]\ncourses = 'courses'\ntraining_days = 'training-days'";
    let spec = Spec::new("a").file(names).env("REVALIDATE_SECRET_TOKEN", SECRET);
    let node = spec.env("NEXT_PUBLIC_SITE_URL", &format!("http://{}", stub.name())).start().await;
    let both = json!({ "items": [{ "type": "courses" }, { "type": "training_days" }] });
    node.invalidate(both).await;
    eventually("several attempts", async || stub.seen_at(courses).len() > 4).await;
    assert_eq!(stub.seen_at(days).len(), 1);
    node.invalidate(json!({ "type": "training_days" })).await;
    eventually("what is new", async || stub.seen_at(days).len() == 2).await;
    assert_eq!(node.mirror("web").await["state"], "failing");
    stub.always(courses, Reply::Json(200, json!({ "success": true })));
    settled(&node, "web").await;
    assert_eq!(stub.seen_at(days).len(), 2);
}

/// The same of one path among many: a site that answers 500 to it gets all the others.
#[tokio::test]
async fn a_refused_path_does_not_block_other_paths() {
    let stub = StubPeer::start().await;
    stub.answer_by(|seen| match seen.path == ROUTE && seen.text().contains("/p/bad") {
        true => Reply::Json(500, json!({ "success": false, "message": "Revalidation failed" })),
        false => Reply::ok(),
    });
    let node = with_site(&stub).start().await;
    let many: Vec<Value> = (0..40).map(|at| json!({ "path": format!("/p/{at}") })).collect();
    node.invalidate(json!({ "items": many, })).await;
    node.invalidate(json!({ "path": "/p/bad" })).await;
    node.invalidate(json!({ "path": "/p/urgent" })).await;
    let taken = |path: &str| {
        let named = |seen: &Seen| seen.text().contains(&format!("\"{path}\""));
        stub.seen_at(ROUTE).iter().any(|seen| named(seen) && !seen.text().contains("/p/bad"))
    };
    eventually("the others", async || {
        taken("/p/urgent") && (0..40).all(|at| taken(&format!("/p/{at}")))
    })
    .await;
    assert!(node.mirror("nextjs").await["backlog_events"].as_u64() > Some(0), "one is owed");
}

/// S0 0.9: without the token it is skipped, with a log line.
#[tokio::test]
async fn a_site_without_a_token_is_skipped() {
    let node = Spec::new("a")
        .file("[revalidate.names]\ncourses = 'courses'")
        .env("NEXT_PUBLIC_SITE_URL", "http://127.0.0.1:9")
        .start()
        .await;
    node.invalidate(json!({ "type": "courses" })).await;
    let msg = "REVALIDATE_SECRET_TOKEN not set, skipping web cache invalidation";
    assert_eq!(logged_line(&node, msg).await["level"], 40);
}

/// S4 4.10, and Standard Webhooks: tags, and headers that a receiver verifies.
#[tokio::test]
async fn tags_are_sent_with_a_signature() {
    let stub = site().await;
    let target = format!(
        "[[revalidate.targets]]\nname = 'tags'\nform = 'nextjs-tags'\nsecret = '{SECRET}'\n\
         url = 'http://{}{ROUTE}'\nsigning_secret = 'whsec_{}'\n",
        stub.name(),
        "c2lnbmVkIHdpdGggdGhpcywgYW5kIG5vdGhpbmcgZWxzZQ==",
    );
    let node = Spec::new("a").file(&target).start().await;
    node.invalidate(json!({ "type": "posts", "id": "42" })).await;
    eventually("the call", async || calls_of(&stub).len() == 1).await;
    let seen = stub.seen_at(ROUTE).remove(0);
    let tags = ["feed", "posts", "posts:42"];
    assert_eq!(seen.text(), json!({ "secret": SECRET, "tags": tags }).to_string());
    let (id, at) = (seen.header("webhook-id"), seen.header("webhook-timestamp"));
    let expected = webhook_signature(b"signed with this, and nothing else", &seen);
    assert_eq!(seen.header("webhook-signature"), expected);
    assert!(!id.is_empty() && at.parse::<u64>().is_ok_and(|at| at > 1_700_000_000));
}

/// No loop 3: oneself as a site is found by the proof of identity and skipped.
#[tokio::test]
async fn an_instance_is_not_its_own_site() {
    let port = free_port();
    let node = Spec::new("a")
        .port(port)
        .file(PATHS)
        .env("NEXT_REVALIDATE_URL", &format!("http://127.0.0.1:{port}{ROUTE}"))
        .env("NEXT_REVALIDATE_SECRET", SECRET)
        .start()
        .await;
    node.logged("the skipping", |line| line["event"] == "loop" && line["reason"] == "self").await;
    let id = id_of(&node.invalidate(json!({ "type": "posts" })).await);
    settled(&node, "nextjs").await;
    assert_eq!(node.event(&id).await["beside"][0]["status"], "self");
    assert_eq!(node.mirror("nextjs").await["requests"], 0);
    assert_eq!(node.journal().await.len(), 1);
}

/// No loop 2: two gateways that are each other's site come to rest after one round, also where many
/// events gathered.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ring_of_gateways_comes_to_rest() {
    let ports = [free_port(), free_port()];
    let gateway = |name: &str, at: usize| {
        let other = format!("http://127.0.0.1:{}{ROUTE}", ports[1 - at]);
        Spec::new(name)
            .port(ports[at])
            .file(PATHS)
            .env("NEXT_REVALIDATE_URL", &other)
            .env("REVALIDATE_SECRET", SECRET)
    };
    let (a, b) = tokio::join!(gateway("a", 0).start(), gateway("b", 1).start());
    let id = id_of(&a.invalidate(json!({ "path": "/about" })).await);
    eventually("b has it", async || b.journal().await.len() == 1).await;
    assert_eq!(b.journal().await[0]["id"], json!(id), "under the name that a gave it");
    for round in 0..5 {
        let one = |at| a.invalidate(json!({ "path": format!("/{round}/{at}") }));
        join_all((0..30).map(one)).await;
    }
    eventually("nothing is owed", async || {
        let owed = async |node: &Node| node.mirror("nextjs").await["backlog_events"] == 0;
        b.journal().await.len() > 1 && owed(&a).await && owed(&b).await
    })
    .await;
    let calls = async || {
        let of = async |node: &Node| node.mirror("nextjs").await["requests"].as_u64();
        (of(&a).await, of(&b).await)
    };
    let before = calls().await;
    // That nothing comes can only be shown by waiting for it.
    tokio::time::sleep(std::time::Duration::from_millis(600)).await;
    assert_eq!(calls().await, before);
    assert_eq!(a.journal().await.len(), 151, "what came round had no second effect");
}

/// A site is an operator's destination like any other.
#[tokio::test]
async fn an_operator_pauses_a_site() {
    let stub = site().await;
    let node = with_site(&stub).start().await;
    node.post("/api/mirrors/nextjs/pause", json!({})).await.expect(200);
    let id = id_of(&node.invalidate(json!({ "type": "posts" })).await);
    assert_eq!(node.event(&id).await["beside"][0]["status"], "paused");
    let listed = node.mirror("nextjs").await;
    assert_eq!((&listed["kind"], &listed["state"]), (&json!("revalidate"), &json!("paused")));
    node.post("/api/mirrors/nextjs/resume", json!({})).await.expect(200);
    eventually("the call", async || calls_of(&stub).len() == 1).await;
}

/// An event from a mirror is sent to the local site too, with the fields of the entity.
#[tokio::test]
async fn the_site_of_the_receiving_mirror_is_called_too() {
    let stub = site().await;
    let there = with_site(&stub).start().await;
    let here = Spec::new("b").mirrors([there.address()]).start().await;
    let fields = json!({ "slug": "s" });
    here.invalidate(json!({ "type": "products", "id": 1, "changed": ["slug"], "fields": fields }))
        .await;
    eventually("the call", async || calls_of(&stub).len() == 1).await;
    assert_eq!(calls_of(&stub)[0]["paths"], json!(["/", "/products", "/products/s"]));
    here.invalidate(json!({ "path": "/products/[slug]" })).await;
    eventually("the call", async || calls_of(&stub).len() == 2).await;
    let route = json!({ "secret": SECRET, "paths": ["/products/[slug]"], "type": "page" });
    assert_eq!(calls_of(&stub)[1], route, "as it was named");
}
