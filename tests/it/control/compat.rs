//! The revalidation routes of older systems, called as their callers do (S0, S1).

use std::time::SystemTime;

use serde_json::json;

use super::curl::{assert_golden, curl};
use crate::support::{SERVICE_EMAIL, Spec, StubPeer, eventually, mint};

const JSON: &str = "Content-Type: application/json";
/// Of the length that the guide asks for.
const SECRET: &str = "use-strong-random-64-char-string-here-and-never-that-of-a-document";
const TOKEN: &str = "q3V5b2xkLXNlY3JldC10b2tlbi1vZi10aGUtc2l0ZXM=";

fn spec() -> Spec {
    Spec::new("a")
        .env("REVALIDATE_SECRET", SECRET)
        .env("REVALIDATE_SECRET_TOKEN", TOKEN)
        .set("names.courses", "courses,path:/courses*")
        .set("dependencies.training_days", "courses")
}

fn body(secret: &str, rest: &str) -> String {
    format!(r#"{{"secret":"{secret}"{rest}}}"#)
}

/// S1 1.14, 1.21: the line of the guide gives success, and the page is fresh at once.
#[tokio::test]
async fn a_secret_and_paths_clear_those_paths() {
    let node = spec().start().await;
    assert!(node.put_entry("home", "path=/", "old").await);
    assert!(node.put_entry("about", "path=/about", "stays").await);
    let request = body(SECRET, r#","paths":["/"]"#);
    let (status, text) =
        curl(&node, "/api/revalidate", &["-X", "POST", "-H", JSON, "-d", &request]).await;
    assert_eq!(status, 200, "{text}");
    assert_golden("revalidate_200.json", &text);
    let timestamp = text.split("\"timestamp\":\"").nth(1).and_then(|rest| rest.split('"').next());
    let timestamp: jiff::Timestamp = timestamp.expect("it has one").parse().expect("ISO 8601");
    let now = jiff::Timestamp::try_from(SystemTime::now()).expect("a time");
    assert!((now - timestamp).get_seconds().abs() < 60, "{timestamp}");
    assert_eq!(node.get_entry("home").await, None);
    assert_eq!(node.get_entry("about").await.as_deref(), Some("stays"));
    node.logged("the path", |line| line["msg"] == "Revalidating path: /").await;
    let event = node.journal().await.pop().expect("an event");
    assert_eq!((&event["source"], &event["principal"]), (&json!("compat"), &json!("revalidate")));
    assert!(!node.log_text().contains(SECRET));
}

/// S1 1.14: what is missing, or no list, asks for nothing, and that succeeds. S4 4.10: tags.
#[tokio::test]
async fn missing_paths_are_accepted_and_so_are_tags() {
    let node = spec().start().await;
    for rest in ["", r#","paths":7"#, r#","paths":null"#, r#","paths":{}"#, r#","other":1"#] {
        let request = body(SECRET, rest);
        let (status, text) = curl(&node, "/api/revalidate", &["-d", &request]).await;
        assert_eq!(status, 200, "{rest}: {text}");
        assert_golden("revalidate_200_no_paths.json", &text);
    }
    assert_eq!(node.journal().await.len(), 0, "nothing was asked for, nothing happened");
    assert!(node.put_entry("k", "tags=menu", "old").await);
    let request = body(SECRET, r#","path":"/a","tags":["home"],"tag":"menu""#);
    let (_, text) = curl(&node, "/api/revalidate", &["-d", &request]).await;
    assert_golden("revalidate_200_tags.json", &text);
    assert_eq!(node.get_entry("k").await, None);
}

/// S1 1.14: a `paths` that is no list is no error. What can be read of it is cleared all the same.
#[tokio::test]
async fn paths_that_are_not_a_list_are_read_as_far_as_possible() {
    let node = spec().start().await;
    for (rest, is_left) in [
        (r#","paths":"/b""#, false),
        (r#","paths":"/a /b""#, false),
        (r#","paths":{"0":"/a","2":"/b"}"#, false),
        (r#","paths":"/b","tags":[]"#, false),
        (r#","paths":"b""#, true),
    ] {
        assert!(node.put_entry("k", "path=/b", "old").await);
        let (status, text) = curl(&node, "/api/revalidate", &["-d", &body(SECRET, rest)]).await;
        assert_eq!(status, 200, "{rest}: {text}");
        assert_golden("revalidate_200_no_paths.json", &text);
        assert_eq!(node.get_entry("k").await.is_some(), is_left, "{rest}");
    }
    assert!(node.put_entry("k", "path=/b", "old").await);
    let beside = body(SECRET, r#","path":"/a","paths":"/b""#);
    assert_eq!(curl(&node, "/api/revalidate", &["-d", &beside]).await.0, 200);
    assert_eq!(node.get_entry("k").await, None);
    let partly = body(SECRET, r#","path":"/a","paths":7"#);
    assert_eq!(curl(&node, "/api/revalidate", &["-d", &partly]).await.0, 200);
    node.logged("what could not be read", |line| line["status"] == "partly_read").await;
}

/// What a route of a framework or a pattern means is cleared, in a body and in a query.
#[tokio::test]
async fn patterns_of_paths_clear_what_they_match() {
    let node = spec().start().await;
    for (pattern, cleared, left) in [
        ("/docs/:path*", "/docs/a/b", "/doc"),
        ("/docs/:path*", "/docs", "/doc"),
        ("/do*cs", "/documents/cs", "/dr"),
        ("/products/:id/reviews", "/products/7/reviews", "/products"),
        ("/products/{slug}", "/products/red", "/products"),
        ("/blog/*/comments", "/blog/1/comments", "/blog"),
    ] {
        for form in ["body", "query"] {
            assert!(node.put_entry("k", &format!("path={cleared}"), "old").await);
            assert!(node.put_entry("other", &format!("path={left}"), "stays").await);
            let (status, text) = if form == "body" {
                let request = body(SECRET, &format!(r#","paths":["{pattern}"]"#));
                curl(&node, "/api/revalidate", &["-d", &request]).await
            } else {
                let query: String = url::form_urlencoded::Serializer::new(String::new())
                    .append_pair("secret", SECRET)
                    .append_pair("path", pattern)
                    .finish();
                curl(&node, &format!("/api/revalidate?{query}"), &[]).await
            };
            assert_eq!(status, 200, "{pattern}: {text}");
            assert_eq!(node.get_entry("k").await, None, "{pattern} in the {form}");
            assert!(node.get_entry("other").await.is_some(), "{pattern} in the {form}");
        }
    }
}

/// A dry run must never clear anything.
#[tokio::test]
async fn a_dry_run_is_refused_on_routes_without_it() {
    let node = spec().start().await;
    assert!(node.put_entry("k", "type=courses&path=/docs", "stays").await);
    let bearer = format!("Authorization: Bearer {TOKEN}");
    for member in [r#""dry_run":true"#, r#""dryRun":1"#, r#""dry-run":"yes""#] {
        let request = body(SECRET, &format!(r#","paths":["/docs"],{member}"#));
        let (status, text) = curl(&node, "/api/revalidate", &["-d", &request]).await;
        assert_eq!((status, text.contains("explain")), (400, true), "{member}: {text}");
        let request = format!("{{{member}}}");
        let arguments = ["-X", "POST", "-H", &bearer, "-d", &request];
        let (status, text) = curl(&node, "/api/revalidate/courses", &arguments).await;
        assert_eq!((status, text.contains("explain")), (400, true), "{member}: {text}");
    }
    let secret_only = body(SECRET, "");
    let by_query = "/api/revalidate?path=/docs&dry_run=1";
    assert_eq!(curl(&node, by_query, &["-d", &secret_only]).await.0, 400);
    for path in ["/api/revalidate/courses?dry_run=1", "/api/revalidate/courses"] {
        let arguments = ["-X", "POST", "-H", &bearer, "-d", "dry_run=1"];
        assert_eq!(curl(&node, path, &arguments).await.0, 400, "{path}");
    }
    assert!(node.journal().await.is_empty());
    assert!(node.get_entry("k").await.is_some());
    let request = body(SECRET, r#","paths":["/docs"],"dry_run":false"#);
    assert_eq!(curl(&node, "/api/revalidate", &["-d", &request]).await.0, 200);
    assert_eq!(node.get_entry("k").await, None);
}

/// Next.js taught the query; what stands there is done or refused, never passed over.
#[tokio::test]
async fn a_query_accepts_the_same_fields_as_a_body() {
    let node = spec().start().await;
    let secret_only = body(SECRET, "");
    let by_query = format!("secret={SECRET}&path=/docs");
    for (path, arguments) in [
        ("/api/revalidate?path=/docs".to_owned(), vec!["-d", secret_only.as_str()]),
        ("/api/revalidate?paths=/x,/docs".to_owned(), vec!["-d", &secret_only]),
        (format!("/api/revalidate?{by_query}"), vec![]),
        (format!("/api/revalidate?{by_query}&type=page"), vec![]),
        (format!("/api/revalidate?{by_query}"), vec!["-X", "POST"]),
        (format!("/api/revalidate?{by_query}"), vec!["-d", "{}"]),
        (format!("/api/revalidate?tag=docs&secret={SECRET}"), vec![]),
        (format!("/api/revalidate?secret={SECRET}&path=/&type=layout"), vec![]),
    ] {
        assert!(node.put_entry("k", "path=/docs&tags=docs", "old").await);
        let (status, text) = curl(&node, &path, &arguments).await;
        assert_eq!(status, 200, "{path}: {text}");
        assert!(text.contains("Revalidated successfully"), "{path}: {text}");
        assert_eq!(node.get_entry("k").await, None, "{path}");
    }
    let before = node.journal().await.len();
    let with_other = body(SECRET, r#","path":"/docs","type":"posts""#);
    let slip = body(SECRET, r#","Path":"/docs""#);
    for (path, arguments, expected) in [
        ("/api/revalidate?path=/docs".to_owned(), vec![], 401),
        ("/api/revalidate?secret=wrong&path=/docs".to_owned(), vec![], 401),
        (format!("/api/revalidate?secret={SECRET}&secret=x&path=/docs"), vec![], 401),
        (format!("/api/revalidate?secret={SECRET}"), vec![], 400),
        (format!("/api/revalidate?secret={SECRET}&slug=docs"), vec![], 400),
        (format!("/api/revalidate?{by_query}&type=posts"), vec![], 500),
        (format!("/api/revalidate?secret={SECRET}&path=docs"), vec![], 500),
        (format!("/api/revalidate?{by_query}"), vec!["--head"], 400),
        ("/api/revalidate?mirror=false".to_owned(), vec!["-d", &secret_only], 400),
        ("/api/revalidate".to_owned(), vec!["-d", &with_other], 500),
        ("/api/revalidate".to_owned(), vec!["-d", &slip], 500),
    ] {
        let (status, text) = curl(&node, &path, &arguments).await;
        assert_eq!(status, expected, "{path}: {text}");
    }
    assert_eq!(node.journal().await.len(), before);
    assert!(!node.log_text().contains(SECRET));
}

/// `"mirror": false` keeps an event here on this route too, and a slip of it is not passed over.
#[tokio::test]
async fn a_caller_that_sends_paths_decides_whether_mirrors_receive_them() {
    let node = spec().start().await;
    for (rest, scope) in [
        (r#","paths":["/a"],"mirror":false"#, "local"),
        (r#","paths":["/a"],"mirror":true"#, "mirrored"),
        (r#","paths":["/a"]"#, "mirrored"),
    ] {
        let request = body(SECRET, rest);
        assert_eq!(curl(&node, "/api/revalidate", &["-d", &request]).await.0, 200);
        let event = node.journal().await.pop().expect("an event");
        assert_eq!(event["scope"], json!(scope), "{rest}");
    }
    for rest in [r#","paths":["/a"],"Mirror":false"#, r#","paths":["/a"],"mirror":"no""#] {
        let request = body(SECRET, rest);
        assert_eq!(curl(&node, "/api/revalidate", &["-d", &request]).await.0, 500, "{rest}");
    }
    assert_eq!(node.journal().await.len(), 3);
}

/// An unreadable value that is not needed is ignored; one that is needed is named in the error.
#[tokio::test]
async fn a_body_is_read_as_far_as_possible() {
    let node = spec().start().await;
    assert!(node.put_entry("k", "path=/a", "old").await);
    let request = body(SECRET, r#","paths":["/a"],"title":"cut \ud83d","n":1e999"#);
    let (status, text) = curl(&node, "/api/revalidate", &["-d", &request]).await;
    assert_eq!((status, node.get_entry("k").await), (200, None), "{text}");
    let request = body(SECRET, r#","paths":["/a\ud83d"]"#);
    assert_eq!(curl(&node, "/api/revalidate", &["-d", &request]).await.0, 500);
    let request = body(SECRET, r#","url":"/a""#);
    assert_eq!(curl(&node, "/api/revalidate", &["-d", &request]).await.0, 200);
    node.logged("what asked for nothing", |line| line["status"] == "nothing_asked").await;
}

/// S1 1.13: an unset or a wrong secret, with the status, the body and the log line of the original.
#[tokio::test]
async fn a_wrong_secret_is_the_401_that_existing_callers_expect() {
    let node = spec().set("auth.token_failures_per_minute", 100).start().await;
    let bare = Spec::new("b").set("auth.token_failures_per_minute", 100).start().await;
    let wrong = [
        body("wincellar-secret", r#","paths":["/"]"#),
        body("", r#","paths":["/"]"#),
        r#"{"paths":["/"]}"#.to_owned(),
        r#"{"secret":null}"#.to_owned(),
        r#"{"secret":["x"]}"#.to_owned(),
        "[]".to_owned(),
        "7".to_owned(),
    ];
    for request in &wrong {
        let (status, text) = curl(&node, "/api/revalidate", &["-H", JSON, "-d", request]).await;
        assert_eq!(status, 401, "{request}: {text}");
        assert_golden("revalidate_401.json", &text);
    }
    node.logged("the refusal", |line| line["msg"] == "Invalid revalidation secret").await;
    for request in [&body("", ""), &body("undefined", ""), &wrong[2]] {
        let (status, text) = curl(&bare, "/api/revalidate", &["-d", request]).await;
        assert_eq!(status, 401, "{request}");
        assert_golden("revalidate_401.json", &text);
    }
    assert_eq!(node.journal().await.len() + bare.journal().await.len(), 0);
}

/// S1 1.15: broken JSON, and a path that is none.
#[tokio::test]
async fn a_failure_is_a_500_with_the_reason() {
    let node = spec().start().await;
    for request in
        ["{", "", &body(SECRET, r#","paths":["about"]"#), &body(SECRET, r#","paths":["/",7]"#)]
    {
        let (status, text) = curl(&node, "/api/revalidate", &["-H", JSON, "-d", request]).await;
        assert_eq!(status, 500, "{request}: {text}");
        assert_golden("revalidate_500.json", &text);
    }
    assert_eq!(node.journal().await.len(), 0, "all or nothing");
    node.logged("the failure", |line| line["msg"] == "Revalidation failed").await;
}

/// S1 1.16: public, and describes its use.
#[tokio::test]
async fn a_get_on_the_route_describes_its_use() {
    let node = spec().start().await;
    let (status, text) = curl(&node, "/api/revalidate", &[]).await;
    assert_eq!(status, 200);
    assert_golden("revalidate_usage.json", &text);
    // Checks of whether a site is up ask so.
    let asked = node.request(reqwest::Method::HEAD, "/api/revalidate").send().await;
    assert_eq!(asked.expect("an answer").status(), 200);
}

/// S1 1.24: wrong secrets are limited by address, the right one is not; requests are, by their
/// sender; and `auth.allow` is asked first.
#[tokio::test]
async fn failures_are_limited_and_good_callers_are_not() {
    let node = spec().set("auth.token_failures_per_minute", 3).start().await;
    let wrong = body("guess", "");
    let mut statuses = vec![];
    for _ in 0..5 {
        statuses.push(curl(&node, "/api/revalidate", &["-d", &wrong]).await.0);
    }
    assert_eq!(statuses, [401, 401, 401, 429, 429]);
    let (status, _) = curl(&node, "/api/revalidate", &["-d", &body(SECRET, "")]).await;
    assert_eq!(status, 200);
    let slow = spec().set("limits.requests_per_second", 1).set("limits.burst", 2).start().await;
    let mut statuses = vec![];
    for _ in 0..4 {
        statuses.push(curl(&slow, "/api/revalidate", &["-d", &body(SECRET, "")]).await.0);
    }
    assert!(statuses.starts_with(&[200, 200]) && statuses.contains(&429), "{statuses:?}");
    let closed = spec().set("auth.allow", "10.0.0.0/8").start().await;
    let (status, text) = curl(&closed, "/api/revalidate", &["-d", &body(SECRET, "")]).await;
    assert_eq!(status, 403, "{text}");
    let weak = spec().env("REVALIDATE_SECRET", "wincellar-secret-2025").start().await;
    weak.logged("a short secret", |line| {
        line["msg"].as_str().is_some_and(|msg| msg.starts_with("compat.revalidate_secret is short"))
    })
    .await;
}

/// S0 0.3, 0.4: either secret or role, an empty body, and 403 for all other callers.
#[tokio::test]
async fn a_name_is_revalidated_by_secret_or_role() {
    let node = spec().set("auth.token_failures_per_minute", 100).start().await;
    let bearer = |token: &str| format!("Authorization: Bearer {token}");
    let roles = ["ADMIN", "TRAINER"].map(|role| mint("a", "tom@x.example", role));
    for token in [TOKEN, SECRET, &node.token, &roles[0], &roles[1]] {
        assert!(node.put_entry("list", "type=courses", "old").await);
        assert!(node.put_entry("page", "path=/courses/7", "old").await);
        let arguments = ["-X", "POST", "-H", &bearer(token)];
        let (status, text) = curl(&node, "/api/revalidate/courses", &arguments).await;
        assert_eq!(status, 200, "{text}");
        assert_golden("revalidate_name_200.json", &text);
        assert_eq!((node.get_entry("list").await, node.get_entry("page").await), (None, None));
    }
    assert!(node.put_entry("days", "type=training_days", "old").await);
    let arguments = ["-X", "POST", "-H", JSON, "-d", "{}", "-H", &bearer(TOKEN)];
    assert_eq!(curl(&node, "/api/revalidate/training-days", &arguments).await.0, 200);
    assert_eq!(node.get_entry("days").await, None, "a type of the graph needs no entry in [names]");
    let before = node.journal().await.len();
    let service = mint("a", SERVICE_EMAIL, "ADMIN");
    let nobody = mint("a", "tom@x.example", "CUSTOMER");
    for header in [bearer("wrong"), bearer(&service), bearer(&nobody), "X-None: 1".into()] {
        let arguments = ["-X", "POST", "-H", &header];
        let (status, text) = curl(&node, "/api/revalidate/courses", &arguments).await;
        assert_eq!(status, 403, "{header}: {text}");
        assert_golden("revalidate_name_403.json", &text);
    }
    let arguments = ["-X", "POST", "-H", &bearer(TOKEN)];
    assert_eq!(curl(&node, "/api/revalidate/courses?id=7", &arguments).await.0, 400);
    let with_body = [&arguments[..], &["-d", r#"{"mirror":"no"}"#]].concat();
    assert_eq!(curl(&node, "/api/revalidate/courses", &with_body).await.0, 400);
    let (status, text) = curl(&node, "/api/revalidate/unheard-of", &arguments).await;
    assert_eq!(status, 404);
    assert_golden("revalidate_name_404.json", &text);
    assert_eq!(node.journal().await.len(), before);
}

/// S3 3.7, on the compatibility routes: a marked call ends here, and a known id has no second
/// effect; an unmarked one is mirrored like any other.
#[tokio::test]
async fn marked_calls_are_local_and_known_ids_have_no_second_effect() {
    let peer = StubPeer::start().await;
    let node = spec().mirrors([peer.name()]).start().await;
    let id = "01980000-0000-7000-8000-00000000abcd";
    let marked = ["-H", "Cache-Mirror-Via: b", "-H", &format!("Cache-Mirror-Event: {id}")];
    for _ in 0..2 {
        let request = body(SECRET, r#","paths":["/x"]"#);
        let mut arguments = vec!["-d", request.as_str()];
        arguments.extend(marked);
        assert_eq!(curl(&node, "/api/revalidate", &arguments).await.0, 200);
        let bearer = format!("Authorization: Bearer {TOKEN}");
        let anonymous = ["-X", "POST", "-H", &bearer, "-H", "Cache-Mirror-Via: b"];
        assert_eq!(curl(&node, "/api/revalidate/pages", &anonymous).await.0, 200);
    }
    let events = node.journal().await;
    assert_eq!(events.len(), 3, "{events:?}");
    assert!(events.iter().all(|event| event["scope"] == "local"), "{events:?}");
    let bearer = format!("Authorization: Bearer {TOKEN}");
    curl(&node, "/api/revalidate/posts", &["-X", "POST", "-H", &bearer]).await;
    eventually("the peer receives posts", async || {
        peer.bodies().iter().any(|request| request.contains("\"posts\""))
    })
    .await;
    assert!(!peer.bodies().iter().any(|request| request.contains("pages")), "{:?}", peer.bodies());
}
