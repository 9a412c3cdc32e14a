//! Servers that understand only the old JSON (S3 3.5).

use super::scene::entity;
use super::stub::{self, good_legacy, unwell};
use super::*;
use crate::domain::{Selector, Status, TypeName};

/// One peer `b`, whose kind is in the settings.
fn legacy() -> Config {
    config(vec![PeerConfig { kind: Some(ConfiguredKind::Legacy), ..peer("b") }])
}

fn names_type(asked: &Asked, name: &str) -> bool {
    asked.what == What::Invalidate && asked.json()["type"] == name
}

fn sent(scene: &Scene, name: &str) -> usize {
    scene.sends().iter().filter(|send| names_type(send, name)).count()
}

fn outcome(scene: &Scene, event: &Event) -> (Status, Option<String>) {
    let outcome = scene.delivery.outcomes(event).remove(0);
    (outcome.status, outcome.reason)
}

fn texts(scene: &Scene) -> Vec<String> {
    scene.sends().into_iter().map(|send| send.text).collect()
}

#[tokio::test(start_paused = true)]
async fn a_legacy_peer_gets_one_post_per_type() {
    let scene = Scene::of(legacy(), good_legacy);
    assert!(scene.delivery.pause("b"));
    for selectors in [entity("posts", "1"), entity("posts", "2"), entity("pages", "7")] {
        scene.log(selectors).await;
    }
    scene.log(tag("x")).await;
    assert!(scene.delivery.resume("b"));
    scene.delivered().await;
    let expected =
        [r#"{"type":"pages","id":"7","mirror":false}"#, r#"{"type":"posts","mirror":false}"#];
    assert_eq!(texts(&scene), expected);
}

/// `all` has no legacy form: every type of the graph is sent.
#[tokio::test(start_paused = true)]
async fn all_is_every_known_type() {
    let scene = Scene::of(legacy(), good_legacy);
    scene.log(Selectors::all()).await;
    scene.delivered().await;
    let named: Vec<String> = ["feed", "pictures", "posts"]
        .map(|name| format!(r#"{{"type":"{name}","mirror":false}}"#))
        .to_vec();
    assert_eq!(texts(&scene), named);
}

/// Selectors without a legacy form are skipped, reported as skipped, and delay nothing.
#[tokio::test(start_paused = true)]
async fn selectors_without_a_legacy_form_are_skipped() {
    let scene = Scene::of(legacy(), good_legacy);
    for selectors in [tag("x"), Selectors::one(Selector::path("/a*").expect("path"))] {
        let event = scene.log(selectors).await;
        scene.delivered().await;
        let outcome = scene.delivery.outcomes(&event).remove(0);
        assert_eq!(outcome.status, Status::Skipped);
        assert_eq!(outcome.reason.as_deref(), Some("unsupported"));
    }
    assert!(texts(&scene).is_empty());
    let event = scene.log(whole("posts")).await;
    scene.delivered().await;
    assert_eq!(scene.status(&event), Status::Delivered);
}

/// The second of two requests fails: it is sent again, and the acknowledged one is not.
#[tokio::test(start_paused = true)]
async fn only_the_failed_request_of_a_backlog_is_repeated() {
    let scene = Scene::of(legacy(), |asked| match (asked.what, asked.count) {
        (What::Invalidate, 2) => unwell(),
        _ => good_legacy(asked),
    });
    assert!(scene.delivery.pause("b"));
    let first = scene.log(whole("pages")).await;
    let second = scene.log(whole("posts")).await;
    assert!(scene.delivery.resume("b"));
    scene.until("the failure", |scene| scene.status(&second) == Status::Failed).await;
    assert_eq!((scene.view().backlog_events, scene.status(&first)), (1, Status::Delivered));
    scene.delivered().await;
    assert_eq!((scene.sends().len(), scene.view().delivered), (3, 2));
}

/// A type that the server refuses is parked, shown and retried hourly. No other type waits for it,
/// none is repeated, and it never counts as delivered.
#[tokio::test(start_paused = true)]
async fn a_refused_type_is_parked_and_delays_nothing() {
    for status in [400, 413, 414, 415, 422, 431] {
        let scene = Scene::of(legacy(), move |asked| match asked.what {
            What::Invalidate if names_type(asked, "banners") => {
                Reaction::Answer(answer(status, "application/json", "{}"))
            }
            _ => good_legacy(asked),
        });
        let bad = scene.log(whole("banners")).await;
        scene.until("the refusal", |scene| scene.view().parked_count == 1).await;
        for name in ["pages", "posts", "pages"] {
            let asked_at = tokio::time::Instant::now();
            let good = scene.log(whole(name)).await;
            scene.until(name, |scene| scene.status(&good) == Status::Delivered).await;
            assert!(asked_at.elapsed() < Duration::from_secs(1), "{status} {name}");
        }
        assert_eq!(outcome(&scene, &bad), (Status::Failed, Some("refused".into())));
        let view = scene.view();
        assert_eq!((&*view.state, view.delivered, view.backlog_events), ("parked", 3, 1));
        assert_eq!(view.parked[0].what, "banners");
        tokio::time::sleep(Duration::from_secs(3 * 3600 + 60)).await;
        assert_eq!((sent(&scene, "banners"), scene.sends().len()), (4, 7), "once an hour");
    }
}

/// Statuses that may concern the whole server park one type only if others are accepted.
#[tokio::test(start_paused = true)]
async fn a_type_that_is_forbidden_or_not_found_is_parked_if_others_are_accepted() {
    for status in [401, 403, 404, 405, 410] {
        let scene = Scene::of(legacy(), move |asked| match asked.what {
            What::Invalidate if names_type(asked, "banners") => {
                Reaction::Answer(answer(status, "", ""))
            }
            _ => good_legacy(asked),
        });
        assert!(scene.delivery.pause("b"));
        let bad = scene.log(whole("banners")).await;
        let good = scene.log(whole("posts")).await;
        assert!(scene.delivery.resume("b"));
        scene.until("posts", |scene| scene.status(&good) == Status::Delivered).await;
        scene.until("parked", |scene| scene.view().parked_count == 1).await;
        assert_eq!(outcome(&scene, &bad), (Status::Failed, Some("refused".into())), "{status}");
        let next = scene.log(whole("pages")).await;
        scene.until("pages", |scene| scene.status(&next) == Status::Delivered).await;
        assert_eq!((scene.view().paused, sent(&scene, "posts")), (None, 1), "{status}");
    }
}

/// A type on which the server fails or hangs waits separately.
#[tokio::test(start_paused = true)]
async fn a_type_that_fails_delays_no_other_for_long() {
    let bad: Vec<fn() -> Reaction> = vec![
        || Reaction::Answer(answer(500, "", "")),
        || Reaction::Answer(answer(200, "application/json", r#"{"success":false}"#)),
        || Reaction::Hang,
    ];
    for (case, bad) in bad.into_iter().enumerate() {
        let scene = Scene::of(legacy(), move |asked| match asked.what {
            What::Invalidate if names_type(asked, "banners") => bad(),
            _ => good_legacy(asked),
        });
        let first = scene.log(whole("banners")).await;
        scene.until("the failure", |scene| scene.view().failures > 0).await;
        for name in ["pages", "posts", "pages"] {
            let good = scene.log(whole(name)).await;
            scene.until(name, |scene| scene.status(&good) == Status::Delivered).await;
        }
        let asked_at = tokio::time::Instant::now();
        let good = scene.log(whole("posts")).await;
        scene.until("posts", |scene| scene.status(&good) == Status::Delivered).await;
        assert!(asked_at.elapsed() < Duration::from_secs(11), "case {case}");
        assert_eq!(scene.status(&first), Status::Failed, "case {case}");
    }
}

/// Once the server accepts it, it is delivered: within a minute of the next event, or at once if an
/// operator retries.
#[tokio::test(start_paused = true)]
async fn a_parked_type_is_retried_for_a_new_event_and_on_request() {
    let is_repaired = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let repaired = Arc::clone(&is_repaired);
    let scene = Scene::of(legacy(), move |asked| match asked.what {
        What::Invalidate
            if names_type(asked, "banners")
                && !repaired.load(std::sync::atomic::Ordering::SeqCst) =>
        {
            Reaction::Answer(answer(400, "", ""))
        }
        _ => good_legacy(asked),
    });
    let one = scene.log(entity("banners", "1")).await;
    scene.until("the refusal", |scene| scene.view().parked_count == 1).await;
    let two = scene.log(whole("banners")).await;
    scene.until("the second refusal", |scene| sent(scene, "banners") == 2).await;
    is_repaired.store(true, std::sync::atomic::Ordering::SeqCst);
    assert!(scene.delivery.retry("b"));
    scene.delivered().await;
    assert_eq!([scene.status(&one), scene.status(&two)], [Status::Delivered; 2]);
    let view = scene.view();
    assert_eq!((&*view.state, view.parked_count, view.delivered), ("ok", 0, 2));
}

/// A parked request is still sent after a restart, and is parked again.
#[tokio::test(start_paused = true)]
async fn a_parked_type_is_still_sent_after_a_restart() {
    let refusing = |asked: &Asked| match asked.what {
        What::Invalidate if names_type(asked, "banners") => Reaction::Answer(answer(400, "", "")),
        _ => good_legacy(asked),
    };
    let scene = Scene::of(legacy(), refusing);
    let before = scene.log(whole("pages")).await;
    // Separately: types that are sent together with a refused one are sent again after a restart.
    scene.until("pages", |scene| scene.status(&before) == Status::Delivered).await;
    let bad = scene.log(whole("banners")).await;
    scene.until("the refusal", |scene| scene.view().parked_count == 1).await;
    let good = scene.log(whole("posts")).await;
    scene.until("posts", |scene| scene.status(&good) == Status::Delivered).await;
    let journal = scene.journal.clone();
    let runtime = tokio::runtime::Handle::current();
    tokio::task::spawn_blocking(move || runtime.block_on(journal.flush())).await.expect("flushed");
    let scene = scene.restart(stub::Stub::new(refusing)).await;
    scene.until("the refusal again", |scene| scene.view().parked_count == 1).await;
    assert_eq!(scene.status(&before), Status::Delivered);
    assert_eq!((scene.status(&bad), sent(&scene, "pages")), (Status::Failed, 0));
    assert_eq!(scene.view().backlog_events, 1);
}

/// However many types a server refuses, the memory for them is bounded.
#[tokio::test(start_paused = true)]
async fn the_memory_for_refusals_is_bounded() {
    let scene = Scene::of(legacy(), |asked| match asked.what {
        What::Invalidate if !names_type(asked, "good") => Reaction::Answer(answer(400, "", "")),
        _ => good_legacy(asked),
    });
    assert!(scene.delivery.pause("b"));
    for chunk in 0..50 {
        let names = (0..100).map(|n| TypeName::parse(&format!("t{chunk}_{n}")).expect("type"));
        scene.log(names.map(Selector::Type).collect()).await;
    }
    assert!(scene.delivery.resume("b"));
    scene.until("a failed_attempt", |scene| scene.view().failures > 0).await;
    assert!(scene.view().parked_count <= super::super::partial::PENDING_MAX);
    assert_eq!(scene.view().delivered, 0);
}
