//! `GET /api/revalidate/{name}` behind `control.dev` (S0 0.11): a person at the address bar may, a
//! page may not, and without the key there is nothing.

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::json;

use crate::support::{Answer, Node, SERVICE_EMAIL, Spec, client, mint};

const SECRET: &str = "a-secret-of-the-sites-0123456789";
const PATH: &str = "/api/revalidate/posts";

fn spec() -> Spec {
    Spec::new("a").env("REVALIDATE_SECRET_TOKEN", SECRET)
}

async fn dev() -> Node {
    let node = spec().set("control.dev", true).start().await;
    assert!(node.put_entry("k", "type=posts", "old").await);
    node
}

/// The answer to a browser: with a typed password, and with its headers about the origin of the
/// request.
async fn browse(node: &Node, password: Option<&str>, marks: &[(&'static str, &str)]) -> Answer {
    let mut headers = HeaderMap::new();
    for (name, value) in marks {
        let value = HeaderValue::from_str(value).expect("a header");
        headers.insert(HeaderName::from_static(name), value);
    }
    let mut request = client().get(format!("{}{PATH}", node.base)).headers(headers);
    if let Some(password) = password {
        request = request.basic_auth("anybody", Some(password));
    }
    let response = request.send().await.expect("an answer");
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    Answer { status, headers, body: response.bytes().await.expect("a body") }
}

/// S0 0.11: off, a GET is what it always was.
#[tokio::test]
async fn without_the_password_a_get_is_refused_and_reveals_nothing() {
    let node = spec().start().await;
    assert!(node.put_entry("k", "type=posts", "stays").await);
    let answer = browse(&node, Some(SECRET), &[("sec-fetch-site", "none")]).await;
    assert_eq!(answer.expect(405)["code"], json!("method_not_allowed"));
    assert_eq!(answer.header("allow"), Some("POST"));
    assert_eq!(answer.header("www-authenticate"), None);
    assert_eq!(node.get_entry("k").await.as_deref(), Some("stays"));
    let described = node.get("/openapi.json").await.expect(200);
    assert!(described["paths"]["/api/revalidate/{name}"]["get"].is_null());
    assert!(!node.log_text().contains("control.dev"), "{}", node.log_text());
}

/// S0 0.11: the browser asks for a password, takes the secret or a token, and the posts are gone.
#[tokio::test]
async fn with_the_password_a_get_from_the_address_bar_clears() {
    let node = dev().await;
    let warned = node.logged("a warning", |line| {
        line["msg"].as_str().is_some_and(|msg| msg.starts_with("control.dev is on"))
    });
    assert_eq!(warned.await["level"], 40);
    let typed = [("sec-fetch-site", "none"), ("sec-fetch-mode", "navigate")];
    let asked = browse(&node, None, &typed).await;
    assert_eq!(asked.expect(401)["success"], json!(false));
    assert_eq!(asked.header("www-authenticate"), Some(r#"Basic realm="cache-mirror (dev)""#));
    let answer = browse(&node, Some(SECRET), &typed).await;
    assert_eq!(answer.expect(200)["revalidated"]["name"], json!("posts"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(node.get_entry("k").await, None);
    let event = node.journal().await.pop().expect("an event");
    assert_eq!((&event["source"], &event["principal"]), (&json!("compat"), &json!("revalidate")));
    let admin = node.token.clone();
    browse(&node, Some(&admin), &typed).await.expect(200);
    browse(&node, Some(&mint("a", "ann@x.example", "ADMIN")), &[]).await.expect(200);
    node.get(PATH).await.expect(200);
    let service = mint("a", SERVICE_EMAIL, "service");
    browse(&node, Some(&service), &typed).await.expect(403);
    assert_eq!(node.journal().await.len(), 4);
    let (stdout, stderr) = node.output();
    for text in [node.log_text(), stdout, stderr] {
        assert!(!text.contains(SECRET) && !text.contains(&admin), "{text}");
    }
}

/// A correct password that the browser added by itself does not help another page.
#[tokio::test]
async fn a_request_from_another_page_clears_nothing() {
    let node = dev().await;
    for site in ["cross-site", "same-site", ""] {
        let answer = browse(&node, Some(SECRET), &[("sec-fetch-site", site)]).await;
        assert_eq!(answer.expect(403)["message"], json!("Forbidden"), "{site}");
        assert_eq!(answer.header("www-authenticate"), None, "no page makes the browser ask");
        browse(&node, None, &[("sec-fetch-site", site)]).await.expect(403);
    }
    for (name, value) in [
        ("sec-purpose", "prefetch;prerender"),
        ("sec-purpose", "prefetch"),
        ("purpose", "prefetch"),
        ("x-purpose", "preview"),
        ("x-moz", "prefetch"),
    ] {
        let ahead = [("sec-fetch-site", "none"), (name, value)];
        browse(&node, Some(SECRET), &ahead).await.expect(403);
        browse(&node, Some(SECRET), &[(name, value)]).await.expect(403);
    }
    // Browsers send no mark over plain HTTP to another host.
    browse(&node, Some(SECRET), &[("host", "cache.example:4400")]).await.expect(421);
    assert_eq!(node.get_entry("k").await.as_deref(), Some("old"));
    assert_eq!(node.journal().await.len(), 0);
    let is_it = |line: &serde_json::Value| line["msg"] == "Revalidation forbidden";
    assert_eq!(node.logged("the refusal", is_it).await["status"], json!("refused"));
    assert!(!node.log_text().contains(SECRET));
}

/// As for POST, wrong ones are limited by address, and the right one never.
#[tokio::test]
async fn a_wrong_password_is_requested_again_and_then_limited() {
    let node =
        spec().set("control.dev", true).set("auth.token_failures_per_minute", 2).start().await;
    for _ in 0..2 {
        let answer = browse(&node, Some("a-guess-that-fails"), &[]).await;
        assert!(answer.expect(401).is_object() && answer.header("www-authenticate").is_some());
    }
    let slowed = browse(&node, Some("a-guess-that-fails"), &[]).await;
    assert_eq!(slowed.expect(429)["message"], json!("Too many requests"));
    assert!(slowed.header("retry-after").is_some());
    browse(&node, Some(SECRET), &[]).await.expect(200);
    assert!(!node.log_text().contains("a-guess-that-fails"));
}
