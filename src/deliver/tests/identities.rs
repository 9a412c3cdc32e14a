//! Who is at the other end: nobody yet, a cache-mirror, ourselves, or by turns (invariant I3b).

use super::scene::journal_config;
use super::stub::{Stub, good_legacy, good_mirror, identity_with};
use super::*;
use crate::domain::Status;
use crate::journal::sim::SimDisk;
use crate::net::FailureKind;

/// Until the probe is answered a peer gets the old form for what that can say; the rest waits.
#[tokio::test(start_paused = true)]
async fn an_unknown_peer_gets_the_old_form_and_tags_wait() {
    let scene = Scene::with(|asked| match (asked.what, asked.count) {
        (What::Probe, 1..=5) => Reaction::Fail(FailureKind::Timeout),
        _ => good_mirror(asked),
    });
    scene.tell(whole("posts")).await;
    scene.delivered().await;
    let [send] = &scene.sends()[..] else { panic!("one send") };
    assert_eq!(send.text, r#"{"type":"posts","mirror":false}"#);
    let event = scene.tell(tag("x")).await;
    scene.delivered().await;
    let (sends, probes) = (scene.sends(), scene.peers.asked("b", What::Probe));
    assert_eq!(sends.len(), 2);
    assert!(sends[1].at >= probes[5].at, "not before a probe was answered");
    assert_eq!(sends[1].ids(), [event.id.to_string()]);
    assert_eq!(scene.view().kind, "cache-mirror");
}

/// A legacy server whose identity path hangs for ever: what it has words for is not held for long,
/// and what it has none for is skipped once it has shown that it takes the rest.
#[tokio::test(start_paused = true)]
async fn a_peer_that_never_says_who_it_is_is_told_what_it_understands() {
    let scene = Scene::with(|asked| match asked.what {
        What::Probe => Reaction::Fail(FailureKind::Timeout),
        _ => good_legacy(asked),
    });
    let only = scene.tell(tag("x")).await;
    scene.until("it waits", |scene| scene.view().failures > 5).await;
    assert_eq!(scene.status(&only), Status::Failed, "it may be a cache-mirror yet");
    let event = scene.tell(whole("posts")).await;
    scene.delivered().await;
    let [send] = &scene.sends()[..] else { panic!("one send") };
    assert_eq!(send.text, r#"{"type":"posts","mirror":false}"#);
    assert_eq!(scene.status(&event), Status::Delivered);
}

/// Where nothing listens, nothing is sent blindly: the attempt failed.
#[tokio::test(start_paused = true)]
async fn a_peer_that_cannot_be_reached_is_a_failed_attempt() {
    let scene = Scene::with(|asked| match (asked.what, asked.count) {
        (What::Probe, 1..=3) => Reaction::Fail(FailureKind::Connect),
        _ => good_mirror(asked),
    });
    scene.tell(whole("posts")).await;
    scene.delivered().await;
    let (sends, probes) = (scene.sends(), scene.peers.asked("b", What::Probe));
    assert_eq!((sends.len(), scene.logins()), (1, 1));
    assert!(sends[0].at >= probes[3].at, "not before it could be reached");
}

/// A peer that is ourselves by proof, by turns with whoever the script names.
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

/// S3 3.7: oneself in the list is found by proof and skipped; not even a login is tried.
#[tokio::test(start_paused = true)]
async fn ourselves_is_skipped() {
    let scene = with_ourselves(|_| true);
    let event = scene.tell(whole("posts")).await;
    scene.delivered().await;
    assert_eq!(scene.status(&event), Status::Oneself);
    assert_eq!((scene.logins(), scene.sends().len()), (0, 0));
    assert_eq!(scene.view().state, "self");
}

/// A balanced name: somebody else behind it once, and it is never skipped.
#[tokio::test(start_paused = true)]
async fn a_name_that_is_also_another_is_never_skipped() {
    for another_at in [1, 2, 3] {
        let scene = with_ourselves(move |count| count != another_at);
        for _ in 0..3 {
            let event = scene.tell(whole("posts")).await;
            scene.delivered().await;
            assert_eq!(scene.status(&event), Status::Delivered, "another at {another_at}");
            // Past the next probes, which all find ourselves.
            tokio::time::sleep(Duration::from_secs(700)).await;
        }
        assert_eq!(scene.sends().len(), 3, "another at {another_at}");
    }
}

/// A name that moves to another host after it was ourselves is told again.
#[tokio::test(start_paused = true)]
async fn a_name_that_moves_away_is_told_again() {
    let scene = with_ourselves(|count| count <= 3);
    scene.tell(whole("posts")).await;
    scene.delivered().await;
    assert_eq!(scene.view().state, "self");
    scene.until("the next probe", |scene| scene.view().kind == "cache-mirror").await;
    let event = scene.tell(whole("pages")).await;
    scene.delivered().await;
    assert_eq!(scene.sends().last().expect("a send").ids(), [event.id.to_string()]);
}

/// Somebody who repeats another answer cannot pass for us: the nonce is fresh each time.
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
    let event = scene.tell(whole("posts")).await;
    scene.delivered().await;
    assert_eq!(scene.status(&event), Status::Delivered);
    assert_eq!(scene.view().kind, "cache-mirror");
}
