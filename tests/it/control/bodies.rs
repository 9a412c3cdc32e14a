//! Misleading and invalid bodies.

use serde_json::json;

use super::raw::{ask, invalidation, usual};
use crate::support::{Node, SERVICE_EMAIL, Spec, mint};

async fn judge(node: &Node, body: &str) -> (u16, String, String) {
    let (reply, _) = ask(node, &invalidation(node, body)).await;
    if reply.status == 200 {
        return (200, String::new(), reply.body);
    }
    (reply.status, reply.code(), reply.json()["detail"].as_str().unwrap_or_default().to_owned())
}

/// The shape. A field with almost the name `mirror` must never count as "mirror not given".
#[tokio::test]
async fn a_wrong_shape_is_a_400_that_names_the_error() {
    let node = Spec::new("a").start().await;
    let deep = format!("{}{}", "[".repeat(1000), "]".repeat(1000));
    for (body, code, needle) in [
        (deep.as_str(), "too_deep", "64"),
        (r#"{"type":"posts","Mirror":false}"#, "bad_json", "did you mean \"mirror\"?"),
        (r#"{"type":"posts","mirrors":false}"#, "bad_json", "did you mean \"mirror\"?"),
        (r#"{"type":"posts","mirror ":false}"#, "bad_json", "did you mean \"mirror\"?"),
        (r#"{"type":"posts","mirror":"false"}"#, "bad_json", "boolean"),
        (r#"{"type":"posts","mirror":0}"#, "bad_json", "boolean"),
        (r#"{"type":"posts","mirror":null}"#, "bad_json", "null"),
        (r#"{"type":"posts","mirror":false,"mirror":true}"#, "bad_json", "duplicate"),
        (r#"{"type":"posts","\u006dirror":false,"mirror":true}"#, "bad_json", "duplicate"),
        ("\u{feff}{\"type\":\"posts\"}", "bad_json", "expected value"),
        (r#"{"type":"posts"}{"type":"pages"}"#, "bad_json", "trailing"),
        (r#"{"type":"posts"}x"#, "bad_json", "trailing"),
        (r#"{"type":"posts","id":"\ud800"}"#, "bad_json", "surrogate"),
        (r#"{"type":["posts"]}"#, "bad_json", "string"),
        (r#"{"type":"posts","id":1.5}"#, "bad_json", "whole number"),
        (r#"{"type":"posts",}"#, "bad_json", "trailing comma"),
        (r#"["posts"]"#, "bad_json", "expected an object"),
        (r#"{"items":[["posts"]]}"#, "bad_json", "expected an object"),
        ("null", "bad_json", ""),
        ("posts", "bad_json", ""),
        ("{", "bad_json", "EOF"),
    ] {
        let (status, found, detail) = judge(&node, body).await;
        let start: String = body.chars().take(60).collect();
        assert_eq!((status, found.as_str()), (400, code), "{start}: {detail}");
        let is_told = detail.contains(needle) || needle == "surrogate";
        assert!(is_told, "{start}: {detail}");
    }
    assert!(node.journal().await.is_empty(), "none of it had an effect");
}

/// The right shape with an impossible value.
#[tokio::test]
async fn an_impossible_value_is_a_422() {
    let node = Spec::new("a").start().await;
    let odd = [
        "",
        " ",
        "a b",
        "a\0",
        "a\r\nb",
        "\u{1b}[31m",
        "a\u{202e}b",
        "a\u{200b}",
        "ﬁ",
        "\u{212a}",
        "é",
        "ſ",
        "a/b",
        "*",
        "a*",
    ];
    let mut bodies: Vec<String> =
        odd.iter().map(|name| json!({ "type": name }).to_string()).collect();
    let ids: Vec<String> = (0..10_001).map(|n| n.to_string()).collect();
    bodies.extend([
        json!({ "type": "x".repeat(129) }).to_string(),
        json!({ "type": "posts", "ids": ids }).to_string(),
        json!({ "items": vec![json!({ "tag": "x" }); 10_001] }).to_string(),
        json!({ "type": "posts", "id": "" }).to_string(),
        json!({ "tag": "x\r\nDEL y" }).to_string(),
        json!({ "tag": "x".repeat(1025) }).to_string(),
        json!({ "path": "relative" }).to_string(),
        json!({ "id": "42" }).to_string(),
        json!({ "type": "posts", "reason": "x".repeat(1025) }).to_string(),
        "{}".into(),
        " ".into(),
        json!({ "all": false }).to_string(),
        json!({ "ids": [] }).to_string(),
        json!({ "items": [] }).to_string(),
        json!({ "items": [{ "type": "posts" }, {}] }).to_string(),
        json!({ "mirror": false }).to_string(),
    ]);
    for body in bodies {
        let (status, code, detail) = judge(&node, &body).await;
        let start: String = body.chars().take(60).collect();
        assert_eq!((status, code.as_str()), (422, "bad_value"), "{start}: {detail}");
    }
    assert!(node.journal().await.is_empty(), "none of it had an effect");
}

/// A label that looks like a command to other programs is plain text here.
#[tokio::test]
async fn labels_are_opaque() {
    let node = Spec::new("a").start().await;
    for label in ["*", "[a-", "{slot}", "'; DROP TABLE x; --", "<script>", "é", "e\u{301}", "../.."]
    {
        assert!(node.put_entry("other", "tags=other", "v").await);
        let answer = node.invalidate(json!({ "tag": label })).await;
        assert_eq!(answer["invalidated_entries"], 0, "{label}");
        assert!(node.get_entry("other").await.is_some(), "{label}");
    }
}

/// A misspelt type must not look like a success.
#[tokio::test]
async fn an_unknown_type_gets_a_warning() {
    let strict = Spec::new("a").set("graph.strict_types", true).start().await;
    let (status, code, detail) = judge(&strict, r#"{"type":"postz"}"#).await;
    assert_eq!((status, code.as_str()), (422, "unknown_type"));
    assert!(detail.contains("did you mean posts?"), "{detail}");
    assert!(strict.journal().await.is_empty());
    let lenient = Spec::new("a").start().await;
    let answer = lenient.invalidate(json!({ "type": "postz" })).await;
    let warning = answer["warnings"][0].as_str().unwrap_or_default();
    assert!(warning.contains("did you mean posts?"), "{answer}");
}

/// Nothing is decompressed, so no small body can become large.
#[tokio::test]
async fn encoded_bodies_are_refused() {
    let node = Spec::new("a").start().await;
    for encoding in ["gzip", "deflate", "br", "GZIP", "identity, gzip"] {
        let request = format!(
            "POST /api/cache/invalidate HTTP/1.1\r\n{}Content-Encoding: {encoding}\r\n\
             Content-Length: 16\r\n\r\n{{\"type\":\"posts\"}}",
            usual(&node)
        );
        let (reply, is_over) = ask(&node, &request).await;
        assert_eq!((reply.status, reply.code().as_str()), (415, "encoded_body"), "{encoding}");
        assert!(is_over, "{encoding}");
    }
    assert!(node.journal().await.is_empty());
}

/// Unknown values from a newer peer are widened, never ignored; from a person they are refused.
#[tokio::test]
async fn unknown_values_from_a_peer_widen() {
    let node = Spec::new("a").start().await;
    let service = crate::support::mint("a", crate::support::SERVICE_EMAIL, "ADMIN");
    let batch = |selectors| {
        let id = "01980000-0000-7000-8000-00000000000";
        json!({ "mirror": false, "batch": {
            "protocol": 2, "origin": "b", "epoch": 1, "graph": "g", "watermark": 1, "new": true,
            "events": [{ "id": format!("{id}{}", 1), "seq": 1, "selectors": selectors }],
        }})
    };
    for body in
        [json!({ "type": "posts", "host": "x", "mirror": false }), batch(json!({ "hosts": ["x"] }))]
    {
        assert!(node.put_entry("k", "type=users", "v").await);
        node.invalidate_as(&service, body.clone()).await.expect(200);
        assert_eq!(node.get_entry("k").await, None, "{body}");
    }
}

/// No peer sends it again, so an unreadable body from a peer clears everything.
#[tokio::test]
async fn an_unreadable_body_from_a_peer_clears_everything() {
    let node = Spec::new("a").start().await;
    let service = mint("a", SERVICE_EMAIL, "service");
    for body in [r#"{"mirror":false,"batch":{"events":[{"id":"#, "<html>", "[7]", "{"] {
        assert!(node.put_entry("k", "type=users", "v").await);
        let call = node.request_as(&service, reqwest::Method::POST, "/api/cache/invalidate");
        let answer = call.body(body).send().await.expect("an answer");
        assert_eq!(answer.status(), 200, "{body}");
        let answer: serde_json::Value = answer.json().await.expect("JSON");
        assert!(answer["warnings"].to_string().contains("could not be read"), "{answer}");
        assert_eq!(node.get_entry("k").await, None, "{body}");
    }
    node.logged("what could not be read", |line| line["status"] == "partly_read").await;
    for body in ["", "null", "{}"] {
        let call = node.request_as(&service, reqwest::Method::POST, "/api/cache/invalidate");
        let status = call.body(body).send().await.expect("an answer").status().as_u16();
        assert!(matches!(status, 400 | 422), "{body}: {status}");
    }
    assert_eq!(node.journal().await.len(), 4);
}

/// Unknown members from a newer peer change nothing. From other callers they get a warning, because
/// they may be misspelt.
#[tokio::test]
async fn unknown_members_of_a_batch_are_accepted_with_a_warning() {
    let node = Spec::new("a").start().await;
    let service = mint("a", SERVICE_EMAIL, "service");
    let batch = json!({ "mirror": false, "batch": { "protocol": 2, "origin": "b", "epoch": 1,
        "graph": "g", "watermark": 1, "sites": ["x"], "events": [{ "seq": 1, "colour": 7,
        "id": "01980000-0000-7000-8000-000000000001", "selectors": { "types": ["posts"] } }] } });
    assert!(node.put_entry("post", "type=posts", "v").await);
    assert!(node.put_entry("user", "type=users", "v").await);
    let answer = node.invalidate_as(&service, batch).await.expect(200);
    assert_eq!(node.get_entry("post").await, None);
    assert!(node.get_entry("user").await.is_some());
    let warnings = answer["warnings"].to_string();
    assert!(warnings.contains("sites") && warnings.contains("colour"), "{answer}");
    node.logged("the members", |line| line["status"] == "partly_read").await;
    let hollow = json!({ "mirror": false, "batch": { "protocol": 2, "origin": "b", "epoch": 1,
        "graph": "g", "watermark": 1, "changes": [{ "types": ["users"] }] } });
    node.invalidate_as(&service, hollow).await.expect(200);
    assert_eq!(node.get_entry("user").await, None, "it may be in the member that is not known");
}

/// An id with a wildcard or with margins must not pass for one that nothing was stored under.
#[tokio::test]
async fn an_invalid_id_widens_with_a_warning() {
    let node = Spec::new("a").start().await;
    for (body, expected) in [
        (json!({ "type": "posts", "id": "*" }), "no wildcards"),
        (json!({ "items": [{ "type": "posts", "ids": ["4*"] }] }), "no wildcards"),
        (json!({ "type": "posts", "id": "42 " }), "read as"),
    ] {
        assert!(node.put_entry("k", "type=posts&id=42", "v").await);
        let answer = node.invalidate(body.clone()).await;
        assert_eq!(node.get_entry("k").await, None, "{body}");
        assert!(answer["warnings"].to_string().contains(expected), "{answer}");
    }
    let service = mint("a", SERVICE_EMAIL, "service");
    for id in ["42 ", "*"] {
        assert!(node.put_entry("k", "type=posts&id=42", "v").await);
        let batch = json!({ "mirror": false, "batch": { "protocol": 1, "origin": "b", "epoch": 1,
            "graph": "g", "watermark": 1, "merged": { "hard": { "ids": { "posts": [id] } } } } });
        node.invalidate_as(&service, batch).await.expect(200);
        assert_eq!(node.get_entry("k").await, None, "{id:?} of an older peer");
    }
    assert!(node.put_entry("k", "type=posts&id=42%20", "v").await);
    node.invalidate(json!({ "type": "posts", "id": 42 })).await;
    assert_eq!(node.get_entry("k").await, None);
}

/// A parameter that is misspelt must not pass for one that was not given; a peer may know more.
#[tokio::test]
async fn an_unknown_query_parameter_is_a_400_with_the_nearest_name() {
    let node = Spec::new("a").start().await;
    let posts = json!({ "type": "posts" });
    for (method, path, expected) in [
        ("POST", "/api/cache/invalidate?wiat=all", "did you mean \"wait\"?"),
        ("POST", "/api/cache/invalidate?wait=all&wait=local", "\"wait\" was given twice"),
        ("POST", "/api/cache/clear?Timeout=1s", "did you mean \"timeout\"?"),
        ("GET", "/api/cache/journal?aftr=3", "did you mean \"after\"?"),
        ("GET", "/api/cache/versions?type=posts", "did you mean \"types\"?"),
        ("GET", "/api/cache/why?kay=k", "did you mean \"key\"?"),
        ("GET", "/api/cache/entries?tag=a&tag=b", "\"tag\" was given twice"),
        ("GET", "/api/cache/entries?zzzzzzzz=1", "known are type, tag, prefix, limit"),
        ("GET", "/api/cache/entries/k?wait=1", "known are wait_ms"),
        ("GET", "/api/cache/stats?type=posts", "unknown \"type\""),
        ("GET", "/api/mirrors?name=b", "unknown \"name\""),
        ("GET", "/api/schedules?id=x", "unknown \"id\""),
        ("GET", "/api/cache/events/x?wait=all", "unknown \"wait\""),
        ("GET", "/api/stream?last_event_ids=1-1", "did you mean \"last_event_id\"?"),
        ("POST", "/api/cache/explain?dry_run=1", "unknown \"dry_run\""),
        ("POST", "/api/cache/invalidate?dry_run=1", "unknown \"dry_run\""),
    ] {
        let answer = match method {
            "POST" => node.post(path, posts.clone()).await,
            _ => node.get(path).await,
        };
        let detail = answer.expect(400)["detail"].as_str().unwrap_or_default().to_owned();
        assert!(detail.contains(expected), "{path}: {detail}");
    }
    assert!(node.journal().await.is_empty(), "none of it had an effect");
    node.get("/api/cache/stats?_=1764").await.expect(200);
    let peer = mint("a", SERVICE_EMAIL, "service");
    let call = node.request_as(&peer, reqwest::Method::POST, "/api/cache/invalidate?hops=1");
    assert_eq!(call.json(&posts).send().await.expect("an answer").status(), 200);
}

/// Of a field that is given twice readers differ in which of them counts.
#[tokio::test]
async fn a_duplicate_field_is_a_400_even_with_all() {
    let node = Spec::new("a").start().await;
    let call = node.request(reqwest::Method::POST, "/api/cache/clear");
    let call = call.header("content-type", "application/json");
    let answer = call.body(r#"{"mirror":false,"mirror":true}"#).send().await.expect("an answer");
    assert_eq!(answer.status(), 400);
    assert!(answer.text().await.expect("a body").contains("duplicate field `mirror`"));
    assert!(node.journal().await.is_empty());
}
