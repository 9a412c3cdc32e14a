//! What an operator does with it.

use serde_json::json;

use crate::browser::Browser;
use crate::support::{Node, Spec, eventually, mint};

/// An instance and its mirror.
async fn pair(settle: impl Fn(Spec) -> Spec) -> (Node, Node) {
    let mirror = Spec::new("b").start().await;
    let node = settle(Spec::new("a").mirrors([mirror.address()])).start().await;
    (node, mirror)
}

fn row(name: &str) -> String {
    format!("#queue li[data-key=\"{name}\"]")
}

fn button(word: &str, name: &str) -> String {
    format!("button[aria-label=\"{word} {name}\"]")
}

/// The token stays in the tab; nothing is shown without one, and nothing is left behind.
#[tokio::test]
async fn the_admin_token_opens_the_page_and_a_wrong_one_shows_an_error() {
    let node = Spec::new("a").start().await;
    let browser = Browser::open(&node).await;
    browser.shows("#door", "admin.token").await;
    browser.picture("door").await;
    browser.fill("#token", "no-token-of-ours-0123").await;
    browser.click("#sign-in button").await;
    browser.shows("#sign-in-result", "This token is not valid here.").await;
    browser.sign_in(&node.token).await;
    browser.shows("#instance", "a").await;
    browser.shows("#version", env!("CARGO_PKG_VERSION")).await;
    browser.shows("#queue-empty", "nothing leaves this instance").await;
    assert_eq!(browser.run("return document.querySelector('#token').value").await, "");
    assert_eq!(browser.run("return document.cookie + localStorage.length").await, "0");
    browser.run("location.reload()").await;
    browser.shows("#live", "connected").await;
    // The instance drops the token: the page asks for one again.
    let other = "another-admin-token-0123456789";
    let mut node = node;
    node.restart_with(|spec| spec.set("auth.admin_token", other)).await;
    browser.shows("#sign-in-result", "not valid any more").await;
    browser.sign_in(other).await;
    browser.click("#sign-out").await;
    browser.shows("#sign-in-result", "Signed out.").await;
    assert_eq!(browser.run("return sessionStorage.length").await, 0);
    assert!(!browser.text("body").await.contains("nothing leaves"), "nothing is left to read");
    assert_eq!(browser.complaints().await, [""; 0]);
}

/// S0 0.11: a call by hand is a button. It shows before what it would do, and after how far it got.
#[tokio::test]
async fn the_button_clears_posts_and_the_mirror_receives_the_event() {
    let (node, mirror) = pair(|spec| spec).await;
    for one in [&node, &mirror] {
        assert!(one.put_entry("k", "type=posts&id=42", "old").await);
    }
    let browser = Browser::open(&node).await;
    browser.sign_in(&node.token).await;
    browser.fill("#value", "posts").await;
    browser.click("#preview").await;
    browser.shows("#invalidate-result", "Would clear 1 entry (posts 1). With it").await;
    browser.shows("#fate", mirror.address()).await;
    assert_eq!(node.get_entry("k").await.as_deref(), Some("old"), "a preview changes nothing");
    browser.click("#go").await;
    browser.shows("#invalidate-result", "Cleared 1 entry (posts 1). With it by the graph").await;
    let fate = format!("#fate li[data-key=\"{}\"]", mirror.address());
    browser.shows(&fate, "delivered").await;
    assert_eq!((node.get_entry("k").await, mirror.get_entry("k").await), (None, None));
    // The stream informed the page of a new event.
    browser.shows("#jobs li", "posts").await;
    browser.shows("#jobs-result", "The newest 1").await;
    let event = node.journal().await.pop().expect("an event");
    assert_eq!(event["reason"], json!("by hand, from the dashboard"));
    assert_eq!(browser.complaints().await, [""; 0]);
}

/// `all` needs a second click, and each form of the selector creates its kind of selector.
#[tokio::test]
async fn all_needs_a_second_click() {
    let node = Spec::new("a").start().await;
    assert!(node.put_entry("k", "tags=home", "old").await);
    let browser = Browser::open(&node).await;
    browser.sign_in(&node.token).await;
    browser.click("#kind option[value=all]").await;
    browser.click("#go").await;
    browser.shows("#sure", "Yes, clear all").await;
    assert_eq!(browser.run("return document.activeElement.id").await, "sure-no");
    browser.click("#sure-no").await;
    browser.until("it is asked no more", "document.querySelector('#sure').hidden").await;
    assert_eq!(node.journal().await.len(), 0);
    browser.click("#go").await;
    browser.click("#sure-yes").await;
    browser.shows("#invalidate-result", "Cleared 1 entry").await;
    browser.click("#soft").await;
    browser.click("#mirror").await;
    for (kind, value, expected) in [
        ("tag", "home", "tag:home"),
        ("path", "/posts/*", "path:/posts/*"),
        ("key", "k", "key:k"),
        ("pattern", "k:*", "pattern:k:*"),
    ] {
        browser.click(&format!("#kind option[value={kind}]")).await;
        browser.fill("#value", value).await;
        browser.click("#go").await;
        browser.shows("#jobs li", expected).await;
    }
    browser.click("#kind option[value=entity]").await;
    browser.fill("#value", "posts").await;
    browser.click("#go").await;
    browser.shows("#invalidate-result", "Say which id.").await;
    browser.fill("#id", "42").await;
    browser.click("#go").await;
    browser.shows("#jobs li", "posts/42").await;
    let event = node.journal().await.pop().expect("an event");
    assert_eq!(event["scope"], json!("local"), "it was not to be mirrored");
    browser.fill("#filter", "pattern").await;
    browser.shows("#jobs-result", "1 of the newest 6").await;
    assert_eq!(browser.run("return document.querySelectorAll('#jobs > li').length").await, 1);
}

/// S4 4.2: what waits for a mirror is seen; pause, resume, and retry, which promotes what waits.
#[tokio::test]
async fn an_operator_pauses_resumes_and_retries_a_mirror_that_is_away() {
    // Nothing is tried again by itself within this scene.
    let (node, mut mirror) = pair(|spec| {
        spec.set("mirrors.backoff_ms_min", 3_000_000).set("mirrors.backoff_ms_max", 3_000_000)
    })
    .await;
    let name = mirror.address().to_owned();
    mirror.stop().await;
    let id = crate::support::id_of(&node.invalidate(json!({ "type": "posts" })).await);
    let browser = Browser::open(&node).await;
    browser.sign_in(&node.token).await;
    browser.shows(&row(&name), "failing").await;
    browser.shows(&format!("{} dl", row(&name)), "Waiting\n1").await;
    browser.shows(&format!("{} .error", row(&name)), "refused").await;
    browser.picture("failing").await;
    // The details of the job show the same for this event.
    browser.click(&format!("#jobs li[data-key=\"{id}\"] button")).await;
    browser.shows("#jobs .story .rows", "failed").await;
    browser.shows("#jobs .story", "1 failed attempt").await;
    browser.picture("story").await;

    browser.click(&button("Pause", &name)).await;
    browser.shows(&row(&name), "paused (operator)").await;
    let focused = browser.run("return document.activeElement.ariaLabel").await;
    assert_eq!(focused, format!("Resume {name}"), "a keyboard goes on where it was");
    assert_eq!(node.mirror(&name).await["paused"], json!("operator"));
    mirror.restart().await;
    browser.click(&button("Resume", &name)).await;
    browser.shows(&row(&name), "Resumed.").await;
    browser.click(&button("Retry now", &name)).await;
    browser.shows(&format!("{} .head", row(&name)), "ok").await;
    browser.shows(&format!("{} dl", row(&name)), "Waiting\n0").await;
    browser.shows("#jobs .story .rows", "delivered").await;
    let delivered = mirror.journal().await;
    assert_eq!((delivered.len(), &delivered[0]["id"]), (1, &json!(id)));

    mirror.stop().await;
    node.invalidate(json!({ "type": "feed" })).await;
    browser.shows(&row(&name), "failing").await;
    mirror.restart().await;
    browser.click("#retry-all").await;
    browser.shows("#queue-result", "Tried 1 at once.").await;
    eventually("it got there", async || mirror.journal().await.len() == 2).await;
    assert_eq!(browser.complaints().await, [""; 0]);
}

/// A role that may read sees everything. A forbidden action shows an error next to its button.
#[tokio::test]
async fn a_role_without_permission_sees_an_error_next_to_the_button() {
    let (node, mirror) = pair(|spec| spec).await;
    let browser = Browser::open(&node).await;
    browser.fill("#token", &mint("a", "mirror@example.test", "service")).await;
    browser.click("#sign-in button").await;
    browser.shows("#sign-in-result", "Not allowed: this needs a role that may read").await;
    browser.sign_in(&mint("a", "ann@x.example", "TRAINER")).await;
    browser.click(&button("Pause", mirror.address())).await;
    browser.shows(&row(mirror.address()), "Not allowed: this needs an administrator's").await;
    assert_eq!(node.mirror(mirror.address()).await["paused"], json!(null));
}

/// A banner reports the lost connection, the last known state turns grey, and no event is missed.
#[tokio::test]
async fn the_page_shows_that_the_instance_is_unreachable_and_recovers() {
    let mut node = Spec::new("a").start().await;
    let browser = Browser::open(&node).await;
    browser.sign_in(&node.token).await;
    node.invalidate(json!({ "type": "posts" })).await;
    browser.shows("#jobs-result", "The newest 1").await;
    node.stop().await;
    browser.shows("#live", "reconnecting").await;
    browser.until("greyed", "document.querySelector('#house.stale')").await;
    browser.picture("reconnecting").await;
    node.restart().await;
    node.invalidate(json!({ "type": "feed" })).await;
    browser.shows("#live", "connected").await;
    browser.until("not grey", "!document.querySelector('#house.stale')").await;
    browser.shows("#jobs li", "feed").await;
    browser.shows("#jobs-result", "The newest 2").await;
}

/// S4 4.3: there is a panel only where there are schedules; each is run, held and let go by hand.
#[tokio::test]
async fn schedules_are_shown_if_any_exist() {
    let schedules = "[{ id = 'yearly', cron = '0 2 1 1 *', tz = 'Europe/Zurich', \
                     invalidate = { type = 'feed' } }]";
    let mut node = Spec::new("a").start().await;
    let browser = Browser::open(&node).await;
    browser.sign_in(&node.token).await;
    browser.shows("#jobs-result", "Nothing was cleared yet.").await;
    browser.until("no panel", "document.querySelector('#schedules-panel').hidden").await;
    node.restart_with(|spec| spec.set("schedules", schedules)).await;
    browser.shows("#schedules li", "0 2 1 1 * Europe/Zurich").await;
    browser.shows("#schedules li .badge", "active").await;
    assert!(node.put_entry("k", "type=feed", "old").await);
    browser.click(&button("Run now", "yearly")).await;
    browser.shows("#schedules li", "applied").await;
    assert_eq!(node.get_entry("k").await, None);
    browser.click(&button("Pause", "yearly")).await;
    browser.shows("#schedules li .badge", "paused").await;
    browser.click(&button("Resume", "yearly")).await;
    browser.shows("#schedules li .badge", "active").await;
    browser.shows("#jobs li", "feed").await;
    browser.picture("schedules").await;
    assert_eq!(browser.complaints().await, [""; 0]);
}
