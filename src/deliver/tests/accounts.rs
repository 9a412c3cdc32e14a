//! Logins at a peer, and refused logins (reliability F14).

use super::stub::good_mirror;
use super::*;
use crate::domain::Status;

const MINUTE: Duration = Duration::from_secs(60);

/// S3 3.5: after a 401, one more login and the same batch again.
#[tokio::test(start_paused = true)]
async fn a_401_costs_one_login() {
    let scene = Scene::with(|asked| match (asked.what, asked.bearer.as_deref()) {
        (What::Login, _) => token(&format!("t{}", asked.count), 3600),
        (What::Invalidate, Some("Bearer t1")) => Reaction::Answer(answer(401, "", "")),
        _ => good_mirror(asked),
    });
    let event = scene.log(whole("posts")).await;
    scene.delivered().await;
    let [refused, taken] = &scene.sends()[..] else { panic!("two sends") };
    assert_eq!(refused.text, taken.text);
    assert_eq!(taken.bearer.as_deref(), Some("Bearer t2"));
    assert_eq!(scene.logins(), 2, "one at the start and one for the 401");
    assert_eq!(scene.status(&event), Status::Delivered);
    assert_eq!(scene.view().failures, 0);
}

/// A peer that refuses every token is paused, tried once a minute, and loses nothing.
#[tokio::test(start_paused = true)]
async fn a_peer_that_refuses_fresh_tokens_is_paused() {
    let scene = Scene::with(|asked| match (asked.what, asked.count) {
        (What::Invalidate, 1..=4) => Reaction::Answer(answer(401, "", "")),
        _ => good_mirror(asked),
    });
    let event = scene.log(whole("posts")).await;
    scene.until("the pause", |scene| scene.view().paused.as_deref() == Some("auth")).await;
    assert_eq!((scene.sends().len(), scene.status(&event)), (2, Status::Paused));
    tokio::time::sleep(MINUTE - Duration::from_secs(1)).await;
    assert_eq!(scene.sends().len(), 2, "not before a minute is over");
    scene.delivered().await;
    let sends = scene.sends();
    assert_eq!(sends.len(), 5, "two, two a minute later, and one that was taken");
    assert!(sends[2].at - sends[1].at >= MINUTE && sends[4].at - sends[3].at >= MINUTE);
    assert_eq!((scene.view().paused, scene.view().failures), (None, 0));
}

#[tokio::test(start_paused = true)]
async fn a_refused_login_is_tried_once_a_minute() {
    for status in [400, 401, 403, 404, 422] {
        let scene = Scene::with(move |asked| match (asked.what, asked.count) {
            (What::Login, 1..=3) => Reaction::Answer(answer(status, "text/html", "no")),
            _ => good_mirror(asked),
        });
        // The first refusal was at the start of the worker, before the first event.
        scene.until("the introduction", |scene| scene.logins() == 1).await;
        let event = scene.log(whole("posts")).await;
        scene.until("the pause", |scene| scene.status(&event) == Status::Paused).await;
        let outcome = scene.delivery.outcomes(&event).remove(0);
        assert_eq!(outcome.reason.as_deref(), Some("auth"));
        assert_eq!(outcome.last_error, Some(format!("login refused with http {status}")));
        scene.delivered().await;
        let logins = scene.peers.asked("b", What::Login);
        assert_eq!(logins.len(), 4, "{status}");
        assert!(logins[3].at - logins[1].at >= 2 * MINUTE, "{status}");
        assert_eq!(scene.sends().len(), 1, "{status}");
    }
}

/// Without an account nothing is sent and nothing is lost. It is logged once, not at every event.
#[tokio::test(start_paused = true)]
async fn without_credentials_a_peer_is_paused() {
    let mut nobody = peer("b");
    nobody.login.credentials = None;
    let scene = Scene::of(config(vec![nobody]), good_mirror);
    let event = scene.log(whole("posts")).await;
    scene.until("the pause", |scene| scene.view().paused.as_deref() == Some("auth")).await;
    for _ in 0..5 {
        scene.log(whole("posts")).await;
    }
    tokio::time::sleep(Duration::from_secs(100)).await;
    let outcome = scene.delivery.outcomes(&event).remove(0);
    assert_eq!(outcome.status, Status::Paused);
    let error = outcome.last_error.expect("an error");
    assert!(error.contains("SERVICE_EMAIL"), "it names the variables: {error}");
    assert_eq!((scene.logins(), scene.sends().len()), (0, 0));
    assert_eq!(scene.view().backlog_events, 6);
    let paused_again = scene.delivery.peers.get()[0].refused_credentials(
        crate::deliver::peer::PauseReason::NoCredentials,
        "again",
        None,
    );
    assert!(!paused_again, "the second time is no news");
}

/// Invariant I13: a token is renewed at 80 % of its life, before a peer refuses it.
#[tokio::test(start_paused = true)]
async fn a_token_is_kept_to_most_of_its_life() {
    let scene = Scene::with(|asked| match asked.what {
        What::Login => token(&format!("t{}", asked.count), 1000),
        _ => good_mirror(asked),
    });
    for (at_s, expected) in [(0, "Bearer t1"), (790, "Bearer t1"), (20, "Bearer t2")] {
        tokio::time::sleep(Duration::from_secs(at_s)).await;
        scene.log(whole("posts")).await;
        scene.delivered().await;
        let last = scene.sends().pop().expect("a send");
        assert_eq!(last.bearer.as_deref(), Some(expected));
    }
    assert_eq!(scene.logins(), 2);
}

/// A login server that is down is retried; it has not refused us.
#[tokio::test(start_paused = true)]
async fn a_login_that_fails_is_tried_again() {
    for status in [500, 503, 302, 200] {
        let scene = Scene::with(move |asked| match (asked.what, asked.count) {
            (What::Login, 1..=3) => Reaction::Answer(answer(status, "text/html", "<h1>hm</h1>")),
            _ => good_mirror(asked),
        });
        scene.log(whole("posts")).await;
        let told_at = tokio::time::Instant::now();
        scene.delivered().await;
        assert!(told_at.elapsed() < MINUTE, "{status}: not paused");
        assert_eq!((scene.logins(), scene.sends().len()), (4, 1), "{status}");
    }
}

/// A login server that asks us to wait causes a wait, and no failure is counted.
#[tokio::test(start_paused = true)]
async fn a_throttled_login_waits() {
    let scene = Scene::with(|asked| match (asked.what, asked.count) {
        (What::Login, 1..=2) => {
            let wait = Some(Duration::from_secs(30));
            Reaction::Answer(crate::net::HttpAnswer { retry_after: wait, ..answer(429, "", "") })
        }
        _ => good_mirror(asked),
    });
    scene.until("the introduction", |scene| scene.logins() == 1).await;
    scene.log(whole("posts")).await;
    scene.until("the second login", |scene| scene.logins() == 2).await;
    assert_eq!((scene.view().failures, scene.view().paused), (0, None));
    scene.delivered().await;
    let logins = scene.peers.asked("b", What::Login);
    assert!(logins[2].at - logins[1].at >= Duration::from_secs(30));
    assert_eq!(scene.sends().len(), 1);
}

/// A login server that fails and names a wait is not tried sooner. That counts as a failure.
#[tokio::test(start_paused = true)]
async fn a_failing_login_server_gets_the_wait_it_asks_for() {
    let scene = Scene::with(|asked| match (asked.what, asked.count) {
        (What::Login, 1..=2) => super::stub::unwell(),
        _ => good_mirror(asked),
    });
    scene.until("the introduction", |scene| scene.logins() == 1).await;
    scene.log(whole("posts")).await;
    scene.until("the second login", |scene| scene.logins() == 2).await;
    scene.until("a failure", |scene| scene.view().failures == 1).await;
    scene.delivered().await;
    let logins = scene.peers.asked("b", What::Login);
    assert!(logins[2].at - logins[1].at >= Duration::from_secs(30));
}

/// A refusal whose answer has a different time names the clock, for each login method.
#[tokio::test(start_paused = true)]
async fn a_refusal_by_a_host_with_another_clock_names_the_clock() {
    let late = crate::support::clock::wall_ms() + 602_000;
    let dated = move |status| {
        let refusal = answer(status, "", "");
        Reaction::Answer(crate::net::HttpAnswer { date_ms: Some(late), ..refusal })
    };
    let bearer = Login { credentials: None, means: LoginMethod::Bearer(Secret::new("given")) };
    let ways =
        [(peer("b"), What::Login), (PeerConfig { login: bearer, ..peer("b") }, What::Invalidate)];
    for (peer, refusing) in ways {
        let scene = Scene::of(config(vec![peer]), move |asked| match asked.what == refusing {
            true => dated(401),
            false => good_mirror(asked),
        });
        let event = scene.log(whole("posts")).await;
        scene.until("the pause", |scene| scene.status(&event) == Status::Paused).await;
        let error = scene.view().last_error.expect("one");
        assert!(error.contains("the clock of this host and of the peer differ by 60"), "{error}");
    }
}
