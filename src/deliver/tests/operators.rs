//! Commands of an operator: pause, resume, retry, another rate.

use std::sync::mpsc;

use super::stub::good_mirror;
use super::*;
use crate::domain::Status;
use crate::net::FailureKind;

#[tokio::test(start_paused = true)]
async fn a_pause_holds_and_a_resume_sends() {
    let scene = Scene::with(good_mirror);
    assert!(scene.delivery.pause("b"));
    let event = scene.log(whole("posts")).await;
    tokio::time::sleep(Duration::from_secs(200)).await;
    let outcome = scene.delivery.outcomes(&event).remove(0);
    assert_eq!((outcome.status, outcome.reason.as_deref()), (Status::Paused, Some("operator")));
    assert!(scene.sends().is_empty());
    let resumed_at = tokio::time::Instant::now();
    assert!(scene.delivery.resume("b"));
    scene.delivered().await;
    assert!(resumed_at.elapsed() < Duration::from_secs(1));
    for known in [scene.delivery.pause("x"), scene.delivery.resume("x"), scene.delivery.retry("x")]
    {
        assert!(!known, "no destination has this name");
    }
}

/// A paused worker must sleep. On the paused clock, a worker that does not sleep stops the clock,
/// so the scene runs on a thread that can be abandoned.
#[test]
fn a_peer_that_is_paused_for_hours_costs_nothing() {
    let (told, heard) = mpsc::channel();
    let mut nobody = peer("b");
    nobody.login.credentials = None;
    for held in [peer("b"), nobody] {
        let told = told.clone();
        std::thread::spawn(move || {
            let builder = &mut tokio::runtime::Builder::new_current_thread();
            let runtime = builder.enable_all().start_paused(true).build().expect("runtime");
            runtime.block_on(async {
                let is_operators = held.login.credentials.is_some();
                let scene = Scene::of(config(vec![held]), good_mirror);
                if is_operators {
                    assert!(scene.delivery.pause("b"));
                }
                scene.log(whole("posts")).await;
                tokio::time::sleep(Duration::from_secs(4 * 3600)).await;
                let _ = told.send(scene.sends().len());
            });
        });
    }
    for _ in 0..2 {
        assert_eq!(heard.recv_timeout(Duration::from_secs(20)), Ok(0), "the clock goes on");
    }
}

/// An operator who knows that the peer works again need not wait for the back-off.
#[tokio::test(start_paused = true)]
async fn a_retry_does_not_wait_for_the_back_off() {
    let scene = Scene::with(|asked| match (asked.what, asked.count) {
        (What::Invalidate, 1) => {
            let wait = Some(Duration::from_secs(1800));
            Reaction::Answer(crate::net::HttpAnswer { retry_after: wait, ..answer(503, "", "") })
        }
        _ => good_mirror(asked),
    });
    scene.log(whole("posts")).await;
    scene.until("the failure", |scene| scene.view().failures == 1).await;
    assert!(scene.view().next_attempt_ms.is_some_and(|ms| ms > 1_000_000));
    let retried_at = tokio::time::Instant::now();
    assert!(scene.delivery.retry("b"));
    scene.delivered().await;
    assert!(retried_at.elapsed() < Duration::from_secs(1));
}

/// A pause that comes while a send waits for the rate limit holds that send too. The limiter uses
/// the real clock; its wait here is longer than any test.
#[tokio::test]
async fn a_pause_holds_a_send_that_waits_for_the_rate_limit() {
    let slow = PeerConfig { rate_per_second: 0.001, burst: 1, ..peer("b") };
    let scene = Scene::of(config(vec![slow]), good_mirror);
    scene.log(whole("posts")).await;
    scene.delivered().await;
    scene.log(whole("pages")).await;
    // The pause has an effect only once the worker has taken the event, which is not visible.
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(scene.delivery.pause("b"));
    assert_eq!(scene.delivery.limit("b", Some(1e6), Some(1000)), Some((1e6, 1000)));
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(scene.sends().len(), 1, "paused is paused");
    assert!(scene.delivery.resume("b"));
    scene.delivered().await;
    assert_eq!(scene.sends().len(), 2);
}

/// Events that are merged under a rate limit need few requests, and all arrive.
#[tokio::test]
async fn a_rate_limit_merges_and_drops_nothing() {
    let slow = PeerConfig { rate_per_second: 20.0, burst: 1, ..peer("b") };
    let scene = Scene::of(config(vec![slow]), good_mirror);
    let mut told = vec![];
    for _ in 0..200 {
        told.push(scene.log(whole("posts")).await.id.to_string());
    }
    scene.delivered().await;
    let sends = scene.sends();
    let arrived: Vec<String> = sends.iter().flat_map(Asked::ids).collect();
    assert_eq!(arrived, told, "each once, in order");
    assert!(sends.len() < 100, "{} requests", sends.len());
}

/// Invariant I2: there is no last attempt.
#[tokio::test(start_paused = true)]
async fn nothing_is_ever_given_up() {
    let scene = Scene::with(|asked| match (asked.what, asked.count) {
        (What::Invalidate, 1..=40) => Reaction::Fail(FailureKind::Connect),
        _ => good_mirror(asked),
    });
    let event = scene.append(mirrored(whole("posts"))).await;
    scene.delivered().await;
    assert_eq!(scene.sends().len(), 41);
    assert_eq!(scene.status(&event), Status::Delivered);
}
