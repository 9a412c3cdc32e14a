//! Servers that speak only the old JSON (S3 3.5).

use super::scene::entity;
use super::stub::{good_legacy, unwell};
use super::*;
use crate::domain::{Selector, Status};

fn texts(scene: &Scene) -> Vec<String> {
    scene.sends().into_iter().map(|send| send.text).collect()
}

#[tokio::test(start_paused = true)]
async fn a_legacy_peer_gets_one_post_per_type() {
    let scene = Scene::with(good_legacy);
    scene.until("the probe", |scene| scene.view().kind == "legacy").await;
    assert!(scene.delivery.pause("b"));
    for selectors in [entity("posts", "1"), entity("posts", "2"), entity("pages", "7")] {
        scene.tell(selectors).await;
    }
    scene.tell(tag("x")).await;
    assert!(scene.delivery.resume("b"));
    scene.delivered().await;
    let expected =
        [r#"{"type":"pages","id":"7","mirror":false}"#, r#"{"type":"posts","mirror":false}"#];
    assert_eq!(texts(&scene), expected);
}

/// `all` has no word there: every type of the graph is said.
#[tokio::test(start_paused = true)]
async fn all_is_every_known_type() {
    let scene = Scene::with(good_legacy);
    scene.until("the probe", |scene| scene.view().kind == "legacy").await;
    scene.tell(Selectors::all()).await;
    scene.delivered().await;
    let named: Vec<String> = ["feed", "pictures", "posts"]
        .map(|name| format!(r#"{{"type":"{name}","mirror":false}}"#))
        .to_vec();
    assert_eq!(texts(&scene), named);
}

/// What it has no words for is skipped, said so, and holds nothing up.
#[tokio::test(start_paused = true)]
async fn what_cannot_be_said_is_skipped() {
    let scene = Scene::with(good_legacy);
    scene.until("the probe", |scene| scene.view().kind == "legacy").await;
    for selectors in [tag("x"), Selectors::one(Selector::path("/a*").expect("path"))] {
        let event = scene.tell(selectors).await;
        scene.delivered().await;
        let outcome = scene.delivery.outcomes(&event).remove(0);
        assert_eq!(outcome.status, Status::Skipped);
        assert_eq!(outcome.reason.as_deref(), Some("unsupported"));
    }
    assert!(texts(&scene).is_empty());
    let event = scene.tell(whole("posts")).await;
    scene.delivered().await;
    assert_eq!(scene.status(&event), Status::Delivered);
}

/// The second of two posts fails: both go again, and only then is anything acknowledged.
#[tokio::test(start_paused = true)]
async fn half_a_backlog_is_no_acknowledgement() {
    let scene = Scene::with(|asked| match (asked.what, asked.count) {
        (What::Invalidate, 2) => unwell(),
        _ => good_legacy(asked),
    });
    scene.until("the probe", |scene| scene.view().kind == "legacy").await;
    assert!(scene.delivery.pause("b"));
    scene.tell(whole("pages")).await;
    scene.tell(whole("posts")).await;
    assert!(scene.delivery.resume("b"));
    scene.until("the failure", |scene| scene.view().failures == 1).await;
    assert_eq!(scene.view().backlog_events, 2);
    scene.delivered().await;
    assert_eq!(scene.sends().len(), 4);
}
