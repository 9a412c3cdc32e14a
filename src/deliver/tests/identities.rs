//! The kind of a peer: unknown, a cache-mirror, this instance, or several by turns (invariant I3b).

use super::scene::journal_config;
use super::stub::{Stub, good_legacy, good_mirror, identity_at, identity_with};
use super::*;
use crate::domain::{Glob, Label, Selector, Status};
use crate::journal::sim::SimDisk;
use crate::net::FailureKind;

/// Answers that a proxy in front of a mirror may give for any time.
fn pages() -> Vec<fn() -> Reaction> {
    vec![
        || Reaction::Answer(answer(404, "text/html", "<h1>no</h1>")),
        || Reaction::Answer(answer(405, "", "")),
        || Reaction::Answer(answer(502, "text/html", "<h1>Bad gateway</h1>")),
        || Reaction::Answer(answer(200, "text/html", "<h1>Welcome</h1>")),
        || Reaction::Answer(answer(200, "application/json", r#"{"success":true}"#)),
        || Reaction::Answer(answer(302, "", "")),
        || Reaction::Answer(answer(401, "application/json", "{}")),
        || Reaction::Fail(FailureKind::Timeout),
        || Reaction::Fail(FailureKind::TooLarge),
        || Reaction::Fail(FailureKind::Truncated),
    ]
}

fn selectors_of_all_kinds() -> Vec<Selectors> {
    vec![
        tag("x"),
        Selectors::one(Selector::path("/a").expect("path")),
        Selectors::one(Selector::path("/a*").expect("path")),
        Selectors::one(Selector::Key(Label::parse("k").expect("key"))),
        Selectors::one(Selector::Pattern(Glob::parse("k:*").expect("glob"))),
        Selectors::all(),
    ]
}

fn reason(scene: &Scene, event: &Event) -> (Status, Option<String>) {
    let outcome = scene.delivery.outcomes(event).remove(0);
    (outcome.status, outcome.reason)
}

/// While its kind is unknown, a peer gets types and ids at once. The rest is held, does not count
/// as delivered, and is sent as a batch once it identifies as a cache-mirror.
#[tokio::test(start_paused = true)]
async fn events_that_an_unknown_peer_may_not_understand_are_held_and_delay_nothing() {
    for (case, page) in pages().into_iter().enumerate() {
        let known = Arc::new(std::sync::atomic::AtomicBool::new(false));
        let is_known = Arc::clone(&known);
        let scene = Scene::with(move |asked| match asked.what {
            What::Probe if !is_known.load(std::sync::atomic::Ordering::SeqCst) => page(),
            _ => good_mirror(asked),
        });
        let first = scene.log(whole("posts")).await;
        scene.until("posts", |scene| scene.status(&first) == Status::Delivered).await;
        assert_eq!(scene.sends()[0].text, r#"{"type":"posts","mirror":false}"#, "case {case}");
        let mut held = vec![];
        for selectors in selectors_of_all_kinds() {
            held.push(scene.log(selectors).await);
        }
        scene.until("they are held", |scene| scene.view().held_events == 6).await;
        let later = scene.log(whole("pages")).await;
        scene.until("pages", |scene| scene.status(&later) == Status::Delivered).await;
        for event in &held {
            let expected = (Status::Queued, Some("unknown_kind".to_owned()));
            assert_eq!(reason(&scene, event), expected, "case {case}");
        }
        let view = scene.view();
        assert_eq!((&*view.kind, &*view.state, view.backlog_events), ("unknown", "held", 6));
        assert_eq!(view.delivered, 2, "case {case}");
        let sends = scene.sends().len();
        tokio::time::sleep(Duration::from_secs(15)).await;
        assert_eq!(scene.sends().len(), sends, "nothing is repeated: case {case}");
        known.store(true, std::sync::atomic::Ordering::SeqCst);
        let since = tokio::time::Instant::now();
        scene.delivered().await;
        assert!(since.elapsed() < Duration::from_secs(9), "it is asked often: case {case}");
        let batched: Vec<String> = scene.sends()[sends..].iter().flat_map(Asked::ids).collect();
        for event in held.iter().chain([&first, &later]) {
            assert!(batched.contains(&event.id.to_string()), "case {case}");
            assert_eq!(scene.status(event), Status::Delivered, "case {case}");
        }
    }
}

/// Held events are still sent after a restart.
#[tokio::test(start_paused = true)]
async fn held_events_are_sent_after_a_restart() {
    let scene = Scene::with(|asked| match asked.what {
        What::Probe => Reaction::Answer(answer(502, "", "")),
        _ => good_mirror(asked),
    });
    let event = scene.log(tag("x")).await;
    scene.until("it is held", |scene| scene.view().held_events == 1).await;
    assert!(scene.sends().is_empty());
    let scene = scene.restart(Stub::new(good_mirror)).await;
    scene.delivered().await;
    assert_eq!(scene.sends()[0].ids(), [event.id.to_string()]);
}

/// A cache-mirror stays one whatever the later answers, and gets batches only.
#[tokio::test(start_paused = true)]
async fn a_known_cache_mirror_gets_batches_whatever_a_proxy_answers() {
    for (case, page) in pages().into_iter().enumerate() {
        let scene = Scene::with(move |asked| match (asked.what, asked.count) {
            (What::Probe, 2..) => page(),
            _ => good_mirror(asked),
        });
        scene.until("the identity", |scene| scene.view().kind == "cache-mirror").await;
        tokio::time::sleep(Duration::from_secs(3600)).await;
        assert!(scene.peers.asked("b", What::Probe).len() > 5, "case {case}");
        for selectors in selectors_of_all_kinds() {
            let event = scene.log(selectors).await;
            scene.delivered().await;
            assert_eq!(scene.status(&event), Status::Delivered, "case {case}");
        }
        assert!(scene.sends().iter().all(|send| send.ids().len() == 1), "case {case}");
    }
}

/// A legacy server is known by its acknowledgements and its missing identity path. Only then are
/// held events skipped.
#[tokio::test(start_paused = true)]
async fn a_legacy_server_is_known_after_half_a_minute_of_evidence() {
    let scene = Scene::with(good_legacy);
    let held = scene.log(tag("x")).await;
    scene.until("it is held", |scene| scene.view().held_events == 1).await;
    tokio::time::sleep(Duration::from_secs(300)).await;
    assert_eq!(scene.view().kind, "unknown", "it acknowledged nothing yet");
    let event = scene.log(whole("posts")).await;
    scene.until("posts", |scene| scene.status(&event) == Status::Delivered).await;
    scene.until("the verdict", |scene| scene.view().kind == "legacy").await;
    scene.delivered().await;
    assert_eq!(reason(&scene, &held), (Status::Skipped, Some("unsupported".into())));
    assert_eq!(scene.status(&event), Status::Delivered);
    assert_eq!(scene.sends().len(), 1);
}

/// The settings may name the kind.
#[tokio::test(start_paused = true)]
async fn a_configured_kind_needs_no_probe() {
    let stated = |kind| config(vec![PeerConfig { kind: Some(kind), ..peer("b") }]);
    let silent = |asked: &Asked| match asked.what {
        What::Probe => Reaction::Answer(answer(502, "", "")),
        _ => good_mirror(asked),
    };
    let scene = Scene::of(stated(ConfiguredKind::CacheMirror), silent);
    let event = scene.log(tag("x")).await;
    scene.delivered().await;
    assert_eq!(scene.sends()[0].ids(), [event.id.to_string()]);
    let scene = Scene::of(stated(ConfiguredKind::Legacy), silent);
    let event = scene.log(tag("x")).await;
    scene.delivered().await;
    assert_eq!(reason(&scene, &event), (Status::Skipped, Some("unsupported".into())));
}

/// An announcement of its start causes a probe at once.
#[tokio::test(start_paused = true)]
async fn an_announcement_causes_a_probe() {
    let scene = Scene::with(|asked| match (asked.what, asked.count) {
        (What::Probe, 1) => Reaction::Answer(answer(502, "", "")),
        _ => good_mirror(asked),
    });
    scene.until("the first probe", |scene| !scene.peers.asked("b", What::Probe).is_empty()).await;
    let since = tokio::time::Instant::now();
    assert!(scene.delivery.probe_now("b") && !scene.delivery.probe_now("c"));
    scene.until("the identity", |scene| scene.view().kind == "cache-mirror").await;
    assert!(since.elapsed() < Duration::from_secs(1));
}

/// The paths that a peer names never lead our credentials elsewhere.
#[tokio::test(start_paused = true)]
async fn bad_paths_of_an_identity_are_not_used() {
    for bad in ["http://other/x", "//other/x", "/../x", "/%2e%2e/x", "\\\\other\\x"] {
        let scene = Scene::with(move |asked| match asked.what {
            What::Probe => identity_at(bad),
            _ => good_mirror(asked),
        });
        let event = scene.log(tag("x")).await;
        scene.delivered().await;
        assert_eq!(scene.sends()[0].ids(), [event.id.to_string()], "it is a cache-mirror");
        assert!(scene.peers.asked("other", What::Login).is_empty(), "{bad}");
        assert!(scene.peers.asked("other", What::Invalidate).is_empty(), "{bad}");
        assert_eq!(scene.sends()[0].url.as_str(), "http://b/api/cache/invalidate", "{bad}");
        assert_eq!(scene.peers.asked("b", What::Login)[0].url.path(), LOGIN_PATH, "{bad}");
    }
}

/// If nothing listens, nothing is sent: the attempt failed.
#[tokio::test(start_paused = true)]
async fn a_peer_that_cannot_be_reached_is_a_failed_attempt() {
    let scene = Scene::with(|asked| match (asked.what, asked.count) {
        (What::Probe, 1..=3) => Reaction::Fail(FailureKind::Connect),
        _ => good_mirror(asked),
    });
    scene.log(whole("posts")).await;
    scene.delivered().await;
    let (sends, probes) = (scene.sends(), scene.peers.asked("b", What::Probe));
    assert_eq!((sends.len(), scene.logins()), (1, 1));
    assert!(sends[0].at >= probes[3].at, "not before it could be reached");
}

/// A peer that proves to be this instance, by turns with the process of the script.
fn with_ourselves(is_ourselves: impl Fn(usize) -> bool + Send + Sync + 'static) -> Scene {
    let own = Arc::new(BootNonce::draw());
    let proof = Arc::clone(&own);
    let peers = Stub::new(move |asked| match asked.what {
        What::Probe if is_ourselves(asked.count) => identity_with(&proof.proof(&asked.nonce())),
        _ => good_mirror(asked),
    });
    let one = config(vec![peer("b")]);
    Scene::owned(one, journal_config(), &SimDisk::new(), Arc::new(peers), own)
}

/// S3 3.7: this instance in the list is found by proof and skipped, without a login.
#[tokio::test(start_paused = true)]
async fn this_instance_is_skipped() {
    let scene = with_ourselves(|_| true);
    let event = scene.log(whole("posts")).await;
    scene.delivered().await;
    assert_eq!(scene.status(&event), Status::Oneself);
    assert_eq!((scene.logins(), scene.sends().len()), (0, 0));
    assert_eq!(scene.view().state, "self");
}

/// A load-balanced name behind which another process answered once is never skipped.
#[tokio::test(start_paused = true)]
async fn a_name_that_is_also_another_is_never_skipped() {
    for another_at in [1, 2, 3] {
        let scene = with_ourselves(move |count| count != another_at);
        for _ in 0..3 {
            let event = scene.log(whole("posts")).await;
            scene.delivered().await;
            assert_eq!(scene.status(&event), Status::Delivered, "another at {another_at}");
            // After the next probes, which all find this instance.
            tokio::time::sleep(Duration::from_secs(700)).await;
        }
        assert_eq!(scene.sends().len(), 3, "another at {another_at}");
    }
}

/// A name that moves from this instance to another host gets events again.
#[tokio::test(start_paused = true)]
async fn a_name_that_moves_away_gets_events_again() {
    let scene = with_ourselves(|count| count <= 3);
    scene.log(whole("posts")).await;
    scene.delivered().await;
    assert_eq!(scene.view().state, "self");
    scene.until("the next probe", |scene| scene.view().kind == "cache-mirror").await;
    let event = scene.log(whole("pages")).await;
    scene.delivered().await;
    assert_eq!(scene.sends().last().expect("a send").ids(), [event.id.to_string()]);
}

/// A process that repeats another answer cannot pass for us: the nonce is new each time.
#[tokio::test(start_paused = true)]
async fn a_replayed_proof_is_not_ours() {
    let own = Arc::new(BootNonce::draw());
    let replayed = own.proof("an older nonce");
    let peers = Stub::new(move |asked| match asked.what {
        What::Probe => identity_with(&replayed),
        _ => good_mirror(asked),
    });
    let one = config(vec![peer("b")]);
    let scene = Scene::owned(one, journal_config(), &SimDisk::new(), Arc::new(peers), own);
    let event = scene.log(whole("posts")).await;
    scene.delivered().await;
    assert_eq!(scene.status(&event), Status::Delivered);
    assert_eq!(scene.view().kind, "cache-mirror");
}
