//! The page whatever it shows: text stays text, it fits a narrow screen, and a keyboard is enough.

use serde_json::json;

use crate::browser::{Browser, ENTER, TAB};
use crate::support::{Node, Spec};

const EVIL: &str = "<img src=x onerror=\"document.title='hacked'\">";
const FITS: &str = "return document.documentElement.scrollWidth <= window.innerWidth";

/// A stored tag that contains markup is shown as text and never runs.
#[tokio::test]
async fn a_tag_that_is_markup_is_text() {
    let node = Spec::new("a").start().await;
    node.invalidate(json!({ "tag": EVIL, "reason": EVIL, "fields": { "slug": EVIL } })).await;
    let browser = Browser::open(&node).await;
    browser.sign_in(&node.token).await;
    browser.shows("#jobs li strong", EVIL).await;
    browser.click("#jobs button").await;
    browser.shows("#jobs .story", &format!("Reason\n{EVIL}")).await;
    browser.click("#kind option[value=tag]").await;
    browser.fill("#value", EVIL).await;
    browser.click("#go").await;
    browser.shows("#jobs-result", "The newest 2").await;
    browser.fill("#filter", "<img").await;
    browser.shows("#jobs-result", "2 of the newest 2").await;
    assert_eq!(browser.run("return document.querySelectorAll('img, main script').length").await, 0);
    assert_eq!(browser.run("return document.title").await, "a · cache-mirror");
    // And were markup put in, its script would not run: the policy is in force.
    let script = format!("document.querySelector('#advice').innerHTML = {}", json!(EVIL));
    browser.run(&script).await;
    browser.run("return new Promise((done) => setTimeout(done, 200))").await;
    assert_eq!(browser.run("return document.title").await, "a · cache-mirror");
    let complaints = browser.complaints().await;
    let is_policy = |line: &String| line.contains("Content Security Policy");
    assert!(!complaints.is_empty() && complaints.iter().all(is_policy), "{complaints:?}");
}

/// Something of everything, with names as long as they may be.
async fn busy() -> Node {
    let long = "x".repeat(60);
    let node = Spec::new("a")
        .mirrors(["127.0.0.1:1", "127.0.0.1:2"])
        .set("instance.name", &long)
        .start()
        .await;
    assert!(node.put_entry("k", "type=posts&id=42", "old").await);
    for json in [
        json!({ "tag": "t".repeat(1000), "reason": "r".repeat(300) }),
        json!({ "type": "posts", "ids": ["1", "2", "3"] }),
        json!({ "type": "categories" }),
        json!({ "path": "/posts/*", "mirror": false }),
    ] {
        node.invalidate(json).await;
    }
    node.post("/api/mirrors/127.0.0.1:2/pause", json!({})).await.expect(200);
    node
}

#[tokio::test]
async fn the_page_fits_a_screen_of_360_pixels_in_light_and_dark() {
    let node = busy().await;
    let browser = Browser::open(&node).await;
    browser.resize(360, 740).await;
    browser.shows("#door", "Sign in").await;
    assert_eq!(browser.run(FITS).await, true);
    browser.picture("door-360").await;
    browser.sign_in(&node.token).await;
    browser.shows("#queue li", "failing").await;
    browser.shows("#queue li", "paused (operator)").await;
    browser.click("#jobs li:last-child button").await;
    browser.shows("#jobs .story", "Reason").await;
    browser.click("#preview").await;
    browser.shows("#invalidate-result", "Say what").await;
    assert_eq!(browser.run(FITS).await, true, "{}", widest(&browser).await);
    let grounds = "return getComputedStyle(document.body).backgroundColor";
    let mut seen = vec![];
    for scheme in ["light", "dark"] {
        browser.prefer(scheme).await;
        for (width, height) in [(360, 2600), (1280, 1300)] {
            browser.resize(width, height).await;
            browser.picture(&format!("{scheme}-{width}")).await;
            assert_eq!(browser.run(FITS).await, true, "{scheme} {width}");
        }
        seen.push(browser.run(grounds).await);
    }
    assert_ne!(seen[0], seen[1], "dark is another ground");
    assert_eq!(browser.complaints().await, [""; 0]);
}

/// The elements that are too wide, for the failure message.
async fn widest(browser: &Browser) -> String {
    let script = "return [...document.querySelectorAll('*')]\
        .filter((it) => it.getBoundingClientRect().right > innerWidth)\
        .map((it) => `${it.tagName}#${it.id}.${it.className}`).join(' ')";
    browser.run(script).await.to_string()
}

/// Every control has a name, can be reached, and does with Enter what a click does.
#[tokio::test]
async fn the_page_works_with_the_keyboard_alone() {
    let node = Spec::new("a").mirrors(["127.0.0.1:1"]).start().await;
    let browser = Browser::open(&node).await;
    browser.shows("#door", "Sign in").await;
    browser.press(TAB).await;
    assert_eq!(browser.run("return document.activeElement.id").await, "token");
    browser.press(&format!("{}{ENTER}", node.token)).await;
    browser.shows("#live", "connected").await;
    browser.shows("#queue li", "127.0.0.1:1").await;
    let nameless = "return [...document.querySelectorAll('input, select, button')]\
        .filter((it) => !it.labels?.length && !it.ariaLabel && !it.textContent.trim())\
        .map((it) => it.outerHTML)";
    assert_eq!(browser.run(nameless).await, json!([]));
    browser.run("document.querySelector('#kind').focus()").await;
    browser.press(&format!("{TAB}posts{ENTER}")).await;
    browser.shows("#invalidate-result", "Cleared").await;
    browser.shows("#jobs li", "posts").await;
    browser.run("document.querySelector('#filter').focus()").await;
    browser.press(&format!("{TAB}{ENTER}")).await;
    browser.shows("#jobs .story", "Version").await;
    assert_eq!(browser.run("return document.activeElement.ariaExpanded").await, "true");
}
