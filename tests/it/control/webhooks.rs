//! Webhooks of other systems: who may call, repeated deliveries, and accepted bodies.

use std::process::Stdio;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use futures_util::FutureExt;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use super::raw::Raw;
use crate::support::{INVALIDATE, Node, Spec, StubPeer, eventually, id_of};

const SECRET: &str = "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const HOOKS: &str = "[
    { name = 'database', preset = 'supabase', secret = 'db-secret',
      mapping.types = { job_readiness_expert_sessions = 'expert_sessions' } },
    { name = 'std', preset = 'standard-webhooks', secret = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw',
      secret_previous = 'whsec_b2xkb2xkb2xkb2xkb2xkb2xkb2xkb2xk' },
]";

fn spec() -> Spec {
    Spec::new("a").set("ingest.hooks", HOOKS)
}

/// What a sender got back: the status and the body.
type Got = (u16, Value);

async fn send(node: &Node, name: &str, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Got {
    let url = format!("{}/api/hooks/{name}", node.base);
    let mut request = crate::support::client().post(url).body(body.into());
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = request.send().await.expect("it answers");
    (answer.status().as_u16(), answer.json().await.unwrap_or_default())
}

async fn row(node: &Node, table: &str, id: u64) -> Got {
    let body = json!({ "type": "UPDATE", "table": table, "schema": "public",
        "record": { "id": id }, "old_record": { "id": id } });
    send(node, "database", &[("authorization", "Bearer db-secret")], body.to_string()).await
}

/// HMAC-SHA256 in base64 by openssl: not by what is tried here.
async fn openssl(key: &str, content: &str) -> String {
    let script = "key=$(printf %s \"$0\" | base64 -d | od -An -tx1 | tr -d ' \\n'); \
        printf %s \"$1\" | openssl dgst -sha256 -mac HMAC -macopt hexkey:$key -binary | base64";
    let mut command = tokio::process::Command::new("sh");
    let output = command.args(["-c", script, key, content]).stderr(Stdio::inherit()).output();
    let text = String::from_utf8(output.await.expect("sh runs").stdout).expect("base64");
    assert!(!text.trim().is_empty(), "openssl is needed");
    text.trim().to_owned()
}

/// A delivery of Standard Webhooks, signed so many seconds from now.
async fn signed(node: &Node, key: &str, id: &str, from_now_s: i64, body: &str) -> Got {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    let at = now.saturating_add_signed(from_now_s).to_string();
    let tag = format!("v1,{}", openssl(key, &format!("{id}.{at}.{body}")).await);
    let headers =
        [("webhook-id", id), ("webhook-timestamp", &at), ("webhook-signature", tag.as_str())];
    send(node, "std", &headers, body.to_owned()).await
}

/// S2 2.8: a row changed in the database's dashboard clears what depends on it, under the name that
/// the applications use.
#[tokio::test]
async fn a_row_that_changes_in_the_database_clears_its_entity() {
    let node = spec().start().await;
    assert!(node.put_entry("k1", "type=expert_sessions&id=7", "old").await);
    assert!(node.put_entry("k2", "type=expert_sessions&id=8", "other").await);
    let (status, answer) = row(&node, "job_readiness_expert_sessions", 7).await;
    assert_eq!((status, &answer["success"]), (202, &json!(true)), "{answer}");
    assert_eq!(node.get_entry("k1").await, None);
    assert_eq!(node.get_entry("k2").await.as_deref(), Some("other"));
    let event = node.event(&id_of(&answer)).await;
    assert_eq!(event["principal"], "hook:database");
    assert_eq!((&event["source"], &event["scope"]), (&json!("webhook"), &json!("mirrored")));
    assert_eq!(event["selectors"], json!(["expert_sessions/7"]));
}

/// Fields that do not matter excuse the one event that names them, not the others of its batch.
#[tokio::test]
async fn each_event_of_a_batch_is_filtered_by_its_own_fields() {
    let ignored = "{ products = ['admin_notes'] }";
    let node = spec().set("ignore_fields", ignored).start().await;
    for id in 1..=3 {
        assert!(node.put_entry(&format!("k{id}"), &format!("type=products&id={id}"), "x").await);
    }
    let update = |id: u64, field: &str| {
        json!({ "type": "UPDATE", "table": "products", "record": { "id": id, (field): "b" },
            "old_record": { "id": id, (field): "a" } })
    };
    let delete = json!({ "type": "DELETE", "table": "products", "record": null,
        "old_record": { "id": 1 } });
    let batch = json!([delete, update(2, "admin_notes"), update(3, "name")]).to_string();
    let (status, answer) =
        send(&node, "database", &[("authorization", "Bearer db-secret")], batch).await;
    assert_eq!((status, &answer["ignored"]), (202, &Value::Null), "{answer}");
    assert_eq!(node.get_entry("k1").await, None, "it was deleted");
    assert_eq!(node.get_entry("k2").await.as_deref(), Some("x"), "only a note changed");
    assert_eq!(node.get_entry("k3").await, None, "its name changed");
    let event = node.event(&id_of(&answer)).await;
    assert_eq!(event["selectors"], json!(["products/1", "products/3"]));
    let notes = json!([update(2, "admin_notes"), update(4, "admin_notes")]).to_string();
    let (status, answer) =
        send(&node, "database", &[("authorization", "Bearer db-secret")], notes).await;
    assert_eq!((status, &answer["ignored"]), (202, &json!(true)), "{answer}");
}

/// A type that the strict graph does not know takes nothing away from those that it knows.
#[tokio::test]
async fn unknown_types_do_not_affect_the_rest_of_a_batch() {
    let node = spec().set("graph.strict_types", "true").set("graph.preset", "polymech");
    let node = node.start().await;
    assert!(node.put_entry("k1", "type=posts&id=1", "x").await);
    let row = |table: &str| json!({ "type": "INSERT", "table": table, "record": { "id": 1 } });
    let bearer = [("authorization", "Bearer db-secret")];
    let batch = json!([row("psots"), row("posts")]).to_string();
    let (status, answer) = send(&node, "database", &bearer, batch).await;
    assert_eq!((status, &answer["ignored"]), (202, &Value::Null), "{answer}");
    assert_eq!(answer["warnings"], json!(["not in the graph: psots (did you mean posts?)"]));
    assert_eq!(node.get_entry("k1").await, None);
    assert_eq!(node.event(&id_of(&answer)).await["selectors"], json!(["posts/1"]));
    let line = node.logged("what was left out", |line| line["status"] == "unknown_type").await;
    assert_eq!(line["reason"], answer["warnings"][0]);
    let (status, answer) = send(&node, "database", &bearer, row("psots").to_string()).await;
    assert_eq!((status, &answer["ignored"]), (202, &json!(true)), "{answer}");
}

/// S2 2.8, 2.9: the same change by the database's webhook and by the route that made it comes to
/// one message, where the mirror is slower than both.
#[tokio::test]
async fn the_same_change_by_webhook_and_by_api_is_sent_once() {
    let stub = StubPeer::start().await;
    let gate = Arc::new(Semaphore::new(0));
    let held = Arc::clone(&gate);
    stub.on_request(move |seen| {
        let (held, is_told) = (Arc::clone(&held), seen.path == INVALIDATE);
        let passed = async move {
            if is_told {
                held.acquire().await.expect("open").forget();
            }
        };
        passed.boxed()
    });
    let node = spec().mirrors([stub.name()]).start().await;
    node.invalidate(json!({ "type": "pages" })).await;
    eventually("the mirror has the first in hand", async || stub.bodies().len() == 1).await;
    let by_api = node.invalidate(json!({ "type": "products", "id": 42 }));
    let ((status, by_hook), by_api) = tokio::join!(row(&node, "products", 42), by_api);
    assert_eq!(status, 202, "{by_hook}");
    gate.add_permits(100);
    eventually("it received everything", async || {
        node.mirror(&stub.name()).await["backlog_events"] == 0
    })
    .await;
    let expected =
        [r#"{"type":"pages","mirror":false}"#, r#"{"type":"products","id":"42","mirror":false}"#];
    assert_eq!(stub.bodies(), expected);
    for answer in [&by_hook, &by_api] {
        let event = node.event(&id_of(answer)).await;
        assert_eq!(event["mirrors"][0]["status"], "delivered", "{event}");
    }
}

#[tokio::test]
async fn a_repeated_delivery_has_no_second_effect() {
    let mut node = spec().start().await;
    let body = r#"{"type":"post.deleted","data":{"id":"7"}}"#;
    let (status, first) = signed(&node, SECRET, "msg_1", 0, body).await;
    assert_eq!((status, &first["duplicate"]), (202, &Value::Null), "{first}");
    // Retried a minute later, with a new signature.
    let (status, again) = signed(&node, SECRET, "msg_1", 60, body).await;
    assert_eq!((status, &again["duplicate"], &again["id"]), (202, &json!(true), &first["id"]));
    let at_once = (0..20).map(|_| signed(&node, SECRET, "msg_2", 0, body));
    let answers = futures_util::future::join_all(at_once).await;
    let is_fresh = |(status, answer): &&Got| {
        assert_eq!((*status, &answer["id"]), (202, &answers[0].1["id"]));
        answer["duplicate"].is_null()
    };
    assert_eq!(answers.iter().filter(is_fresh).count(), 1, "{answers:?}");
    let journal = node.journal().await;
    assert_eq!(journal.len(), 2);
    assert_eq!(journal[0]["action"], "delete");
    let reason = journal[0]["reason"].as_str().unwrap_or_default();
    assert!(reason.starts_with("delivery msg_1 sha256 "), "{reason}");
    // The same name with another body is another delivery: a name masks nothing.
    let (_, other) =
        signed(&node, SECRET, "msg_2", 0, r#"{"type":"page.updated","data":{}}"#).await;
    assert_eq!((&other["duplicate"], node.journal().await.len()), (&Value::Null, 3));
    let line = node.logged("it came again", |line| line["status"] == "duplicate").await;
    assert_eq!(line["event_id"], first["id"]);
    node.restart().await;
    let (status, again) = signed(&node, SECRET, "msg_1", 0, body).await;
    assert_eq!((status, &again["id"]), (202, &first["id"]), "known over a restart");
    assert_eq!(node.journal().await.len(), 3);
}

#[tokio::test]
async fn both_secrets_are_valid_during_a_rotation() {
    let node = spec().start().await;
    let old = "b2xkb2xkb2xkb2xkb2xkb2xkb2xkb2xk";
    for (at, key) in [SECRET, old].into_iter().enumerate() {
        let body = r#"{"type":"post.updated","data":{"id":1}}"#;
        assert_eq!(signed(&node, key, &format!("msg_{at}"), 0, body).await.0, 202);
    }
    let other = "bmV3bmV3bmV3bmV3bmV3bmV3bmV3bmV3";
    assert_eq!(signed(&node, other, "msg_9", 0, "{}").await.0, 401);
}

/// Forgeries and replays are refused without a reason.
#[tokio::test]
async fn forgeries_are_refused_and_counted_and_genuine_deliveries_are_accepted() {
    let node = spec().set("auth.token_failures_per_minute", 3).start().await;
    let body = r#"{"type":"post.updated","data":{"id":1}}"#;
    for from_now_s in [-360, 360] {
        let (status, problem) = signed(&node, SECRET, "msg_1", from_now_s, body).await;
        assert_eq!((status, &problem["code"]), (401, &json!("invalid_credentials")));
        assert!(!problem.to_string().contains("timestamp"), "{problem}");
    }
    let forged = [("authorization", "Bearer db-secre")];
    assert_eq!(send(&node, "database", &forged, "{}").await.0, 401);
    let (status, problem) = send(&node, "database", &forged, "{}").await;
    assert_eq!((status, &problem["code"]), (429, &json!("too_many_requests")));
    assert_eq!(row(&node, "products", 1).await.0, 202);
    assert_eq!(signed(&node, SECRET, "msg_2", 0, body).await.0, 202);
    assert_eq!(node.journal().await.len(), 2);
    let line = node.logged("a refusal", |line| line["status"] == "refused").await;
    assert_eq!(line["error"], "a timestamp too far from our clock");
    let log = node.log_text();
    assert!(!log.contains("db-secre") && !log.contains(SECRET), "{log}");
    // A credential of the API is none here.
    let admin = format!("Bearer {}", node.token);
    assert!(send(&node, "database", &[("authorization", &admin)], "{}").await.0 >= 401);
}

#[tokio::test]
async fn a_refused_delivery_is_explained() {
    let node = spec().set("control.body_bytes_max", 4096).start().await;
    let secret = [("authorization", "Bearer db-secret")];
    let deep = "[".repeat(65) + &"]".repeat(65);
    for (body, status, code) in [
        (String::new(), 400, "bad_json"),
        ("{".into(), 400, "bad_json"),
        ("payload=%7B%7D".into(), 400, "bad_json"),
        (deep, 400, "too_deep"),
        (format!("{{\"x\":\"{}\"}}", "x".repeat(5000)), 413, "body_too_large"),
    ] {
        let (got, problem) = send(&node, "database", &secret, body).await;
        assert_eq!((got, &problem["code"]), (status, &json!(code)), "{problem}");
    }
    let (status, problem) = send(&node, "databas", &secret, "{}").await;
    assert_eq!((status, &problem["code"]), (404, &json!("not_found")));
    for body in ["{}", "null", "[]", "7", r#"{"type":"INSERT","table":"a b","record":{"id":1}}"#] {
        let (status, answer) = send(&node, "database", &secret, body).await;
        assert_eq!((status, &answer["ignored"]), (202, &json!(true)), "{body}: {answer}");
        assert!(answer["reason"].is_string() && answer["id"].is_null(), "{answer}");
    }
    assert_eq!(node.journal().await.len(), 0);
    node.logged("why", |line| line["status"] == "ignored").await;
    let (_, answer) =
        send(&node, "database", &secret, r#"{"type":"DELETE","table":"posts"}"#).await;
    assert_eq!(answer["warnings"], json!(["no id, or too many: the whole type is cleared"]));
    assert_eq!(node.journal().await[0]["selectors"], json!(["posts"]));
}

/// An entity that a genuine delivery names is cleared, whatever else the delivery contains. If its
/// id cannot be read, its type is cleared.
#[tokio::test]
async fn an_unreadable_value_does_not_lose_the_change() {
    let node = spec().set("limits.json_depth_max", 8).start().await;
    let secret = [("authorization", "Bearer db-secret")];
    let digits = "7".repeat(400);
    let deep = "[".repeat(50) + &"]".repeat(50);
    let row = |record: &str| format!(r#"{{"type":"UPDATE","table":"posts","record":{record}}}"#);
    let narrow = [
        row(r#"{"id":1,"title":"cut \ud83d"}"#).into_bytes(),
        row(&format!(r#"{{"id":1,"n":{digits}}}"#)).into_bytes(),
        row(r#"{"id":1,"n":1e999,"m":NaN}"#).into_bytes(),
        row(&format!(r#"{{"id":1,"tree":{deep}}}"#)).into_bytes(),
        row(r#"{"id":1,"id":1}"#).into_bytes(),
        row(r#"{"id":1.0,}"#).into_bytes(),
        [b"\xef\xbb\xbf", row(r#"{"id":1}"#).as_bytes()].concat(),
        [&b"{\"t\":\"caf\xe9\","[..], &row(r#"{"id":1}"#).as_bytes()[1..]].concat(),
    ];
    for body in narrow {
        for id in [1, 2] {
            assert!(node.put_entry(&format!("k{id}"), &format!("type=posts&id={id}"), "x").await);
        }
        let shown = String::from_utf8_lossy(&body).into_owned();
        let (status, answer) = send(&node, "database", &secret, body).await;
        assert_eq!(status, 202, "{shown}: {answer}");
        assert_eq!(node.get_entry("k1").await, None, "{shown}: {answer}");
        assert!(node.get_entry("k2").await.is_some(), "{shown}: {answer}");
    }
    let wide = [
        row(r#"{"id":"1\ud83d"}"#),
        row(r#"{"id":[2,null]}"#),
        row(r#"{"id":{"$oid":"1"}}"#),
        row(r#"{"id":true}"#),
        row(r#"{"id":null}"#),
        row(r#"{"id":"*"}"#),
        row(r#"{"id":" "}"#),
        row(r#"{"id":"1 "}"#),
        row(&format!(r#"{{"id":"{}"}}"#, "x".repeat(1025))),
        row(&format!(r#"{{"id":{deep}}}"#)),
        row(r#"{"id":2}"#) + "garbage",
        row(r#"{"id":2}"#).trim_end_matches('}').to_owned(),
    ];
    for body in wide {
        assert!(node.put_entry("k1", "type=posts&id=1", "x").await);
        let (status, answer) = send(&node, "database", &secret, body.clone()).await;
        assert_eq!((status, node.get_entry("k1").await), (202, None), "{body}: {answer}");
    }
    let big = "123456789012345678901234567890";
    assert!(node.put_entry("big", &format!("type=posts&id={big}"), "x").await);
    assert!(node.put_entry("k1", "type=posts&id=1", "x").await);
    let (_, answer) = send(&node, "database", &secret, row(&format!(r#"{{"id":{big}}}"#))).await;
    assert_eq!(node.get_entry("big").await, None, "{answer}");
    assert!(node.get_entry("k1").await.is_some(), "{answer}");
}

/// Other systems spell type names in their own way and ignore the answers.
#[tokio::test]
async fn a_type_is_recognised_in_every_spelling_and_an_unknown_one_gets_a_warning() {
    let node = spec().set("dependencies.blog_posts", "authors").start().await;
    let secret = [("authorization", "Bearer db-secret")];
    let send_of = async |table: &str| {
        let body = json!({ "type": "UPDATE", "table": table, "record": { "id": 7 } });
        send(&node, "database", &secret, body.to_string()).await
    };
    let tables =
        ["blog-post", "blog_posts", "BlogPost", "blogPosts", "blog post", "public.blog_post"];
    for table in tables {
        assert!(node.put_entry("k7", "type=blog_posts&id=7", "x").await);
        assert!(node.put_entry("k8", "type=blog_posts&id=8", "x").await);
        let (status, answer) = send_of(table).await;
        assert_eq!((status, node.get_entry("k7").await), (202, None), "{table}: {answer}");
        assert!(node.get_entry("k8").await.is_some(), "{table}: {answer}");
    }
    let is_unknown = |line: &Value| line["status"] == "unknown_type";
    assert!(!node.log_text().contains("unknown_type"));
    for _ in 0..3 {
        send_of("blgo").await;
    }
    let line = node.logged("the unknown type", is_unknown).await;
    assert!(line["reason"].as_str().is_some_and(|text| text.contains("blgo")), "{line}");
    let (_, answer) = send_of("b l g o").await;
    assert_eq!(answer["ignored"], true, "{answer}");
    node.logged("what cleared nothing", |line| line["status"] == "cleared_nothing").await;
    assert_eq!(node.log_text().matches("unknown_type").count(), 1, "once in a while");
}

/// A retry of the sender could not help with a type that a strict graph does not know.
#[tokio::test]
async fn a_strict_graph_ignores_unknown_types() {
    let node = spec().set("graph.strict_types", true).start().await;
    let (status, answer) = row(&node, "postz", 1).await;
    assert_eq!((status, &answer["ignored"]), (202, &json!(true)));
    assert!(answer["reason"].as_str().is_some_and(|text| text.contains("posts")), "{answer}");
}

/// No loop 2, on this route too: a gateway's mark keeps it local, and a known event is sent once.
#[tokio::test]
async fn a_marked_delivery_is_local() {
    let stub = StubPeer::start().await;
    let node = spec().mirrors([stub.name()]).start().await;
    let known = node.invalidate(json!({ "type": "pages" })).await;
    let body = r#"{"type":"UPDATE","table":"posts","record":{"id":1}}"#;
    let secret = ("authorization", "Bearer db-secret");
    let marked = [secret, ("cache-mirror-via", "b")];
    let (status, answer) = send(&node, "database", &marked, body).await;
    assert_eq!(status, 202);
    assert_eq!(node.event(&id_of(&answer)).await["scope"], "local");
    let known = [
        secret,
        ("cache-mirror-via", "b"),
        ("cache-mirror-event", known["id"].as_str().expect("an id")),
    ];
    let (_, again) = send(&node, "database", &known, body).await;
    // The own event did something else, so this is news; it stays here all the same.
    assert_eq!(node.event(&id_of(&again)).await["scope"], "local");
    let (_, again) = send(&node, "database", &known, body).await;
    assert_eq!(again["duplicate"], true, "{again}");
    assert_eq!(node.journal().await.len(), 3);
    node.invalidate(json!({ "type": "feed" })).await;
    eventually("the unmarked ones are sent", async || stub.bodies().len() == 2).await;
    assert!(!stub.bodies().concat().contains("posts"), "{:?}", stub.bodies());
}

/// A header that no signature covers decides the meaning, and so do a query and a gateway's mark:
/// a delivery with another one is another delivery, and uses nothing up.
#[tokio::test]
async fn a_changed_unsigned_header_does_not_block_the_genuine_delivery() {
    let hooks = "[{ name = 'shop', preset = 'shopify', secret = 'shpss_hush' }]";
    let node = Spec::new("a").set("ingest.hooks", hooks).start().await;
    let body = r#"{"id":788032119674292922,"title":"Example T-Shirt"}"#;
    let mut answers = vec![];
    let plain = |topic| {
        vec![
            ("x-shopify-hmac-sha256", "WlhH8dfVFCRXEAyzrBvZ9fObDzEYT/5rIUVu3LToqLQ="),
            ("x-shopify-webhook-id", "w1"),
            ("x-shopify-event-id", "w1"),
            ("x-shopify-topic", topic),
        ]
    };
    let mut marked = plain("products/update");
    marked.push(("cache-mirror-via", "b"));
    for headers in [marked, plain("orders/create"), plain("products/update")] {
        let (status, answer) = send(&node, "shop", &headers, body).await;
        assert_eq!((status, &answer["duplicate"]), (202, &Value::Null), "{headers:?}: {answer}");
        answers.push(answer);
    }
    assert!(node.put_entry("shirt", "type=products&id=788032119674292922", "old").await);
    let (_, again) = send(&node, "shop", &plain("products/update"), body).await;
    assert_eq!((&again["duplicate"], &again["id"]), (&json!(true), &answers[2]["id"]));
    assert_eq!(node.get_entry("shirt").await, None, "cleared here again all the same");
    assert_eq!(node.journal().await.len(), 3);
}

/// A sender that gives up waiting and comes again is recognised: what was begun is finished.
#[tokio::test]
async fn a_sender_that_disconnects_is_recognised() {
    let hooks = "[{ name = 'gh', preset = 'github', secret = 's', mapping.type = 'posts' }]";
    let node = Spec::new("a").set("ingest.hooks", hooks).start().await;
    let body = "{}";
    // openssl dgst -sha256 -hmac s
    let tag = "sha256=143ca8d517ba1b181025d732b1cf275d90104fca57bb02a565542978aa18c4b6";
    let head = format!(
        "POST /api/hooks/gh HTTP/1.1\r\nHost: {}\r\nX-GitHub-Delivery: d1\r\n\
         X-Hub-Signature-256: {tag}\r\nContent-Length: 2\r\n\r\n{body}",
        node.address()
    );
    for _ in 0..5 {
        Raw::open(&node).await.send(&head).await;
    }
    let headers = [("x-github-delivery", "d1"), ("x-hub-signature-256", tag)];
    let (status, _) = send(&node, "gh", &headers, body).await;
    assert_eq!(status, 202);
    assert_eq!(node.journal().await.len(), 1);
}

/// Secrets and mappings change while it runs; what came before stays known.
#[tokio::test]
async fn webhooks_change_on_reload() {
    let file = |secret: &str, preset: &str| {
        format!("[[ingest.hooks]]\nname = 'h'\npreset = '{preset}'\nsecret = '{secret}'\n")
    };
    let node = Spec::new("a").file(&file("one", "supabase")).start().await;
    let body = r#"{"type":"INSERT","table":"posts","record":{"id":1}}"#;
    let got = async |secret: &str| {
        send(&node, "h", &[("authorization", &format!("Bearer {secret}"))], body).await.0
    };
    assert_eq!((got("one").await, got("two").await), (202, 401));
    node.write_file(&file("two", "supabase"));
    node.post("/api/reload", json!({})).await.expect(200);
    assert_eq!((got("one").await, got("two").await), (401, 202));
    node.write_file(&file("two", "supabse"));
    let refused = node.post("/api/reload", json!({})).await.expect(422);
    assert!(refused.to_string().contains("did you mean supabase"), "{refused}");
    assert_eq!(got("two").await, 202, "all is as it was");
}
