//! `/dashboard` as it is served: open, strict, small, and all of it from here. What it does in a
//! browser is shown by tests/dashboard.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::support::{Answer, Node, Spec, client};

/// The whole of it, so that it stays something one can read.
const BYTES_MAX: usize = 40_000;
/// Lines of one script.
const LINES_MAX: usize = 300;
/// What would reach out, put data into markup, or leave something behind.
const FORBIDDEN: [&str; 15] = [
    "http://",
    "https://",
    "url(",
    "@import",
    "innerHTML",
    "outerHTML",
    "insertAdjacent",
    "document.write",
    "eval(",
    "Function(",
    "localStorage",
    "document.cookie",
    "javascript:",
    " style=",
    "<style",
];

async fn fetch(node: &Node, path: &str, known: Option<&str>) -> Answer {
    let mut request = client().get(format!("{}{path}", node.base));
    if let Some(tag) = known {
        request = request.header("if-none-match", tag);
    }
    let response = request.send().await.expect("an answer");
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    Answer { status, headers, body: response.bytes().await.expect("a body") }
}

/// Name and text of every file in the sources.
fn files() -> Vec<(String, String)> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/server/dashboard");
    let all = std::fs::read_dir(dir).expect("readable").map(|entry| entry.expect("entry").path());
    let is_served = |path: &PathBuf| path.extension().is_some_and(|it| it != "rs");
    let named = all.filter(is_served).map(|path| {
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        (name, std::fs::read_to_string(&path).expect("text"))
    });
    named.collect()
}

fn path_of(name: &str) -> String {
    if name == "index.html" { "/dashboard".into() } else { format!("/dashboard/{name}") }
}

fn assert_strict(name: &str, answer: &Answer) {
    for (header, value) in [
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("cache-control", "no-cache"),
    ] {
        assert_eq!(answer.header(header), Some(value), "{name}");
    }
    let policy = answer.header("content-security-policy").expect("a policy");
    let rules: BTreeSet<&str> = policy.split("; ").collect();
    for rule in [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    ] {
        assert!(rules.contains(rule), "{rule} in {policy}");
    }
    assert!(!policy.contains("unsafe") && !policy.contains("http"), "{policy}");
    assert_eq!(answer.header("set-cookie"), None);
    assert_eq!(answer.header("access-control-allow-origin"), None);
}

/// Every file of the sources is served, byte for byte, under a policy that lets nothing else in.
#[tokio::test]
async fn every_file_is_served_without_credentials_and_under_a_strict_policy() {
    let node = Spec::new("a").start().await;
    let files = files();
    assert!(files.len() > 5, "the sources were found");
    for (name, text) in &files {
        let answer = fetch(&node, &path_of(name), None).await;
        assert_eq!((answer.status, &answer.body[..]), (200, text.as_bytes()), "{name}");
        let media = match name.rsplit('.').next() {
            Some("html") => "text/html; charset=utf-8",
            Some("css") => "text/css; charset=utf-8",
            _ => "text/javascript; charset=utf-8",
        };
        assert_eq!(answer.header("content-type"), Some(media), "{name}");
        assert_strict(name, &answer);
    }
    for (path, location) in [("/", "dashboard"), ("/dashboard/", "../dashboard")] {
        let answer = fetch(&node, path, None).await;
        assert_eq!((answer.status, answer.header("location")), (302, Some(location)), "{path}");
        let from = url::Url::parse(&format!("{}{path}", node.base)).expect("a URL");
        assert_eq!(from.join(location).expect("a URL").path(), "/dashboard", "{path}");
    }
    for path in ["/dashboard/mod.rs", "/dashboard/index.html", "/dashboard/x/y"] {
        assert_eq!(fetch(&node, path, None).await.status, 404, "{path}");
    }
    let dots = fetch(&node, "/dashboard/%2e%2e%2fmod.rs", None).await;
    assert_eq!(dots.status, 404);
    let posted = node.post("/dashboard", json!({})).await;
    assert_eq!((posted.status, posted.header("allow")), (405, Some("GET, HEAD")));
}

/// A browser that has this version gets 304 without a body; another version is sent.
#[tokio::test]
async fn files_in_the_browser_cache_are_not_sent_again() {
    let node = Spec::new("a").start().await;
    let mut tags = BTreeSet::new();
    for (name, _) in files() {
        let path = path_of(&name);
        let first = fetch(&node, &path, None).await;
        let tag = first.header("etag").expect("a tag").to_owned();
        for known in [tag.clone(), format!("W/{tag}"), format!("\"other\", {tag}"), "*".into()] {
            let again = fetch(&node, &path, Some(&known)).await;
            assert_eq!((again.status, again.body.len()), (304, 0), "{name} {known}");
            assert_eq!(again.header("etag"), Some(tag.as_str()));
            assert_strict(&name, &again);
        }
        for other in ["\"other\"", "", tag.trim_matches('"')] {
            assert_eq!(fetch(&node, &path, Some(other)).await.status, 200, "{name} {other}");
        }
        assert!(tags.insert(tag), "{name} has a tag of its own");
    }
}

/// It calls no other host, puts no data into markup, runs nothing inline, and stays small.
#[test]
fn its_files_obey_the_content_security_policy() {
    let files = files();
    let whole: usize = files.iter().map(|(_, text)| text.len()).sum();
    assert!(whole <= BYTES_MAX, "{whole} bytes, {BYTES_MAX} is the limit");
    for (name, text) in &files {
        for word in FORBIDDEN {
            assert!(!text.contains(word), "{name}: {word}");
        }
        if name.ends_with(".js") {
            assert!(text.starts_with("// "), "{name} says what it is for");
            assert!(text.lines().count() <= LINES_MAX, "{name} is too long");
        }
    }
    let page = &files.iter().find(|(name, _)| name == "index.html").expect("the page").1;
    let handler = regex::Regex::new(r"\son[a-z]+\s*=").expect("a pattern");
    assert!(!handler.is_match(page), "a handler in the page");
    let scripts = page.matches("<script").count();
    assert_eq!((scripts, page.matches("<script type=\"module\" src=").count()), (1, 1));
    let fields = regex::Regex::new(r#"<(?:input|select) id="([a-z-]+)""#).expect("a pattern");
    assert!(fields.captures_iter(page).count() > 5, "the fields were found");
    for field in fields.captures_iter(page) {
        let is_within = page.contains(&format!("<label><input id=\"{}\"", &field[1]));
        let is_labelled = page.contains(&format!("<label for=\"{}\"", &field[1]));
        assert!(is_within || is_labelled, "{} has no label", &field[1]);
    }
}
