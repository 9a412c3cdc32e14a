//! What moves a cursor, and what happens if nothing does (reliability I2, F13-F18).

use super::scene::entity;
use super::stub::{good_legacy, good_mirror, unwell};
use super::*;
use crate::domain::Status;
use crate::net::FailureKind;

/// S3 3.5: every call has `mirror: false`, a bearer token and our mark. After its acknowledgement
/// nothing is left to do.
#[tokio::test(start_paused = true)]
async fn an_acknowledgement_moves_the_cursor() {
    let scene = Scene::with(good_mirror);
    let event = scene.log(whole("posts")).await;
    scene.delivered().await;
    assert_eq!(scene.status(&event), Status::Delivered);
    let [send] = &scene.sends()[..] else { panic!("one send") };
    assert_eq!(send.json()["mirror"], false);
    assert_eq!(send.ids(), [event.id.to_string()]);
    assert_eq!(send.bearer.as_deref(), Some("Bearer t"));
    assert_eq!(send.via.as_deref(), Some("here"));
    assert_eq!(scene.logins(), 1);
}

/// The same events are sent again, together with those that gathered meanwhile.
#[tokio::test(start_paused = true)]
async fn a_failed_send_is_repeated_with_what_gathered() {
    let scene = Scene::with(|asked| match (asked.what, asked.count) {
        (What::Invalidate, 1) => unwell(),
        _ => good_mirror(asked),
    });
    let first = scene.log(whole("posts")).await;
    scene.until("the failure", |scene| scene.view().failures == 1).await;
    assert_eq!(scene.status(&first), Status::Failed);
    assert_eq!(scene.view().last_error.as_deref(), Some("http 503"));
    let second = scene.log(whole("pages")).await;
    scene.delivered().await;
    let [one, two] = &scene.sends()[..] else { panic!("two sends") };
    assert_eq!(one.ids(), [first.id.to_string()]);
    assert_eq!(two.ids(), [first.id.to_string(), second.id.to_string()]);
    assert!(two.at - one.at >= Duration::from_secs(30), "Retry-After is honoured");
    let view = scene.view();
    assert_eq!((view.failures, view.last_error, view.delivered), (0, None, 2));
}

/// Invariant I6: a request in flight does not change. Later events are another send.
#[tokio::test(start_paused = true)]
async fn nothing_is_merged_into_what_is_in_flight() {
    let scene = Scene::with(|asked| match (asked.what, asked.count) {
        (What::Invalidate, 1) => Reaction::Hang,
        _ => good_mirror(asked),
    });
    let first = scene.log(whole("posts")).await;
    scene.until("the first send", |scene| scene.sends().len() == 1).await;
    let second = scene.log(whole("pages")).await;
    scene.delivered().await;
    let sends = scene.sends();
    assert_eq!(sends[0].ids(), [first.id.to_string()]);
    assert_eq!(sends[1].ids(), [first.id.to_string(), second.id.to_string()]);
}

/// F17: an unclear answer is no acknowledgement. Each of these is the first answer; the next is an
/// acknowledgement.
#[tokio::test(start_paused = true)]
async fn an_unclear_answer_is_tried_again() {
    let doubtful: Vec<fn() -> Reaction> = vec![
        || Reaction::Answer(answer(200, "text/html", "<h1>Welcome</h1>")),
        || Reaction::Answer(answer(200, "application/json", r#"{"success":false}"#)),
        || Reaction::Answer(answer(200, "application/json", r#"{"success":tr"#)),
        || Reaction::Answer(answer(302, "", "")),
        || Reaction::Answer(answer(500, "application/json", "{}")),
        || Reaction::Answer(answer(404, "", "")),
        || Reaction::Answer(answer(410, "", "")),
        || Reaction::Fail(FailureKind::Connect),
        || Reaction::Fail(FailureKind::Truncated),
        || Reaction::Fail(FailureKind::TooLarge),
        || Reaction::Hang,
    ];
    for (at, doubt) in doubtful.into_iter().enumerate() {
        let scene = Scene::with(move |asked| match (asked.what, asked.count) {
            (What::Invalidate, 1) => doubt(),
            _ => good_mirror(asked),
        });
        scene.log(whole("posts")).await;
        scene.delivered().await;
        assert_eq!(scene.sends().len(), 2, "case {at}");
    }
}

/// F15: a peer that asks us to wait has not failed.
#[tokio::test(start_paused = true)]
async fn a_429_is_a_wait_and_no_failure() {
    for (said, least) in [(Some(Duration::from_secs(70)), 70), (None, 1)] {
        let scene = Scene::with(move |asked| match (asked.what, asked.count) {
            (What::Invalidate, 1..=9) => {
                let throttled = crate::net::HttpAnswer { retry_after: said, ..answer(429, "", "") };
                Reaction::Answer(throttled)
            }
            _ => good_mirror(asked),
        });
        let event = scene.log(whole("posts")).await;
        scene.until("the ninth pause", |scene| scene.sends().len() == 9).await;
        let view = scene.view();
        assert_eq!((view.failures, &*view.state, &*view.breaker), (0, "throttled", "closed"));
        assert!(view.throttled_until.is_some());
        assert_eq!(scene.status(&event), Status::Queued);
        scene.delivered().await;
        let sends = scene.sends();
        for pair in sends.windows(2) {
            assert!(pair[1].at - pair[0].at >= Duration::from_secs(least), "{said:?}");
        }
    }
}

/// F15: a batch that a peer refuses is sent in a simpler form the next time, and never dropped.
#[tokio::test(start_paused = true)]
async fn a_refused_batch_is_sent_in_a_simpler_form() {
    let scene = Scene::with(|asked| match (asked.what, asked.count) {
        (What::Invalidate, 1) => Reaction::Answer(answer(422, "application/json", "{}")),
        _ => good_mirror(asked),
    });
    scene.log(entity("posts", "42")).await;
    scene.delivered().await;
    let [one, two] = &scene.sends()[..] else { panic!("two sends") };
    assert_eq!(one.json()["batch"]["events"].as_array().map(Vec::len), Some(1));
    let wide = two.json();
    assert_eq!(wide["batch"]["events"], serde_json::json!([]));
    assert_eq!(wide["batch"]["merged"]["hard"]["types"], serde_json::json!(["posts"]));
    scene.log(entity("posts", "43")).await;
    scene.delivered().await;
    assert_eq!(scene.sends()[2].ids().len(), 1, "the next batch is an ordinary one");
}

/// The same if only `all` is accepted: it arrives in the end, as hard as it was asked.
#[tokio::test(start_paused = true)]
async fn a_batch_that_is_refused_for_long_is_sent_as_all() {
    let scene = Scene::with(|asked| {
        let is_all = |asked: &Asked| asked.json()["batch"]["merged"]["hard"]["all"] == true;
        match asked.what {
            What::Invalidate if !is_all(asked) => {
                Reaction::Answer(answer(400, "application/json", "{}"))
            }
            _ => good_mirror(asked),
        }
    });
    scene.log(entity("posts", "42")).await;
    scene.delivered().await;
    let sends = scene.sends();
    let last = sends.last().expect("a send").json();
    assert_eq!((&last["batch"]["events"], sends.len()), (&serde_json::json!([]), 7));
    scene.log(entity("posts", "43")).await;
    scene.until("the next batch", |scene| scene.sends().len() == 8).await;
    assert_eq!(scene.sends()[7].ids().len(), 1, "an ordinary one");
}

/// A mirror that refuses even `all` is shown as parked and tried once an hour. A new event brings
/// that forward, but not to less than a minute after the last attempt.
#[tokio::test(start_paused = true)]
async fn a_new_event_retries_a_mirror_that_refuses_everything_once_a_minute() {
    let scene = Scene::with(|asked| match asked.what {
        What::Invalidate => Reaction::Answer(answer(400, "application/json", "{}")),
        _ => good_mirror(asked),
    });
    let event = scene.log(entity("posts", "42")).await;
    scene.until("it is parked", |scene| scene.view().state == "parked").await;
    let refused = scene.sends().len();
    let at = |nth: usize| scene.sends()[nth].at;
    scene.until("the hourly attempt", |scene| scene.sends().len() == refused + 1).await;
    assert!(at(refused) - at(refused - 1) >= Duration::from_secs(3600), "alone it waits");
    for id in ["43", "44"] {
        scene.log(entity("posts", id)).await;
    }
    scene.until("the news", |scene| scene.sends().len() == refused + 2).await;
    let waited = at(refused + 1) - at(refused);
    assert!((60..90).contains(&waited.as_secs()), "{waited:?}");
    assert_eq!(scene.view().state, "parked");
    assert_eq!(scene.status(&event), crate::domain::Status::Failed, "never as delivered");
    assert_eq!(scene.view().delivered, 0);
}

/// The breaker opens after five failures and closes with the first success.
#[tokio::test(start_paused = true)]
async fn the_breaker_opens_for_a_dead_peer() {
    let scene = Scene::with(|asked| match (asked.what, asked.count) {
        (What::Invalidate, 1..=6) => unwell(),
        _ => good_mirror(asked),
    });
    scene.log(whole("posts")).await;
    for (failures, breaker) in [(4, "closed"), (5, "open"), (6, "open")] {
        scene.until("a failure", |scene| scene.view().failures == failures).await;
        assert_eq!(scene.view().breaker, breaker);
    }
    scene.delivered().await;
    assert_eq!(scene.view().breaker, "closed");
}

/// A peer that hangs delays its own worker only.
#[tokio::test(start_paused = true)]
async fn a_peer_that_hangs_delays_no_other() {
    let mut peers = ["b", "c", "d"].map(peer).to_vec();
    peers[2].kind = Some(ConfiguredKind::Legacy);
    let scene = Scene::of(config(peers), |asked| match asked.host.as_str() {
        "c" => Reaction::Hang,
        "d" => good_legacy(asked),
        _ => good_mirror(asked),
    });
    let started = tokio::time::Instant::now();
    for _ in 0..10 {
        scene.log(whole("posts")).await;
        scene.until("b and d", |s| s.is_delivered("b") && s.is_delivered("d")).await;
    }
    assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
    assert!(!scene.is_delivered("c"));
}

/// A mirror that asks for a wait of zero and refuses is not called in a loop: by deliveries,
/// logins, or after a failure without a wait.
#[tokio::test(start_paused = true)]
async fn a_wait_of_zero_causes_no_storm() {
    for (refusing, status) in [(What::Invalidate, 429), (What::Invalidate, 503), (What::Login, 429)]
    {
        let scene = Scene::with(move |asked| match asked.what == refusing {
            true => {
                let now = Some(Duration::ZERO);
                Reaction::Answer(crate::net::HttpAnswer {
                    retry_after: now,
                    ..answer(status, "", "")
                })
            }
            false => good_mirror(asked),
        });
        scene.log(whole("posts")).await;
        let count = |scene: &Scene| scene.peers.asked("b", refusing).len();
        scene.until("it begins", |scene| count(scene) > 0).await;
        // What is measured is a rate, not an event.
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert!((4..=8).contains(&count(&scene)), "{} calls in a minute", count(&scene));
        let view = scene.view();
        let state = if status == 429 { "throttled" } else { "failing" };
        assert_eq!(view.state, state);
        assert!(view.throttled_until.is_some());
    }
}

/// An event shows its own attempts, not those of a destination that failed before it.
#[tokio::test(start_paused = true)]
async fn an_event_counts_its_own_attempts() {
    let scene = Scene::with(|asked| match asked.what {
        What::Invalidate => Reaction::Answer(answer(500, "", "")),
        _ => good_mirror(asked),
    });
    let attempts = |scene: &Scene, event: &Event| scene.delivery.outcomes(event)[0].attempts;
    let first = scene.log(whole("posts")).await;
    scene.until("five failures", |scene| scene.view().failures == 5).await;
    let second = scene.log(whole("feed")).await;
    assert_eq!((attempts(&scene, &first), attempts(&scene, &second)), (Some(5), Some(0)));
    scene.until("two more", |scene| scene.view().failures == 7).await;
    assert_eq!((attempts(&scene, &first), attempts(&scene, &second)), (Some(7), Some(2)));
}
