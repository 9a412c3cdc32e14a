//! Batches: what one batch contains, where a restart continues, and how widening changes it.

use serde_json::{Value, json};

use super::scene::journal_config;
use super::stub::{Stub, good_mirror};
use super::*;
use crate::domain::{Demand, Status, TypeName};

/// Events that gathered are sent as one batch, up to the limit of a batch.
#[tokio::test(start_paused = true)]
async fn events_that_gathered_are_one_batch() {
    for (batch_events_max, expected) in [(1000, &[50][..]), (20, &[20, 20, 10])] {
        let config = Config { batch_events_max, ..config(vec![peer("b")]) };
        let scene = Scene::of(config, good_mirror);
        assert!(scene.delivery.pause("b"));
        for _ in 0..50 {
            scene.log(whole("posts")).await;
        }
        assert!(scene.delivery.resume("b"));
        scene.delivered().await;
        let sizes: Vec<usize> = scene.sends().iter().map(|send| send.ids().len()).collect();
        assert_eq!(sizes, expected);
    }
}

/// Invariant I2: a restart continues at the cursor, whatever the worker was doing.
#[tokio::test(start_paused = true)]
async fn a_restart_continues_at_the_cursor() {
    let scene = Scene::with(|asked| match (asked.what, asked.count) {
        (What::Invalidate, 2..) => Reaction::Hang,
        _ => good_mirror(asked),
    });
    let first = scene.log(whole("posts")).await;
    scene.delivered().await;
    // Acknowledgements become durable later. A lost one only causes a repetition.
    let journal = scene.journal.clone();
    let runtime = tokio::runtime::Handle::current();
    tokio::task::spawn_blocking(move || runtime.block_on(journal.flush())).await.expect("flushed");
    let second = scene.log(whole("pages")).await;
    scene.until("the send in flight", |scene| scene.sends().len() == 2).await;
    let scene = scene.restart(Stub::new(good_mirror)).await;
    scene.delivered().await;
    let [send] = &scene.sends()[..] else { panic!("one send") };
    assert_eq!(send.ids(), [second.id.to_string()]);
    assert_eq!(scene.status(&first), Status::Delivered);
}

/// A new peer starts at the head: it holds nothing stale from us.
#[tokio::test(start_paused = true)]
async fn a_new_peer_starts_at_the_head() {
    let scene = Scene::with(good_mirror);
    scene.log(whole("posts")).await;
    scene.delivered().await;
    let disk = scene.disk.kill();
    let peers = Arc::new(Stub::new(good_mirror));
    let both = config(vec![peer("b"), peer("c")]);
    let scene = Scene::new(both, journal_config(), &disk, peers);
    let event = scene.log(whole("pages")).await;
    scene.until("both", |scene| scene.is_delivered("b") && scene.is_delivered("c")).await;
    let at_c = scene.peers.asked("c", What::Invalidate);
    assert_eq!(at_c.len(), 1);
    assert_eq!(at_c[0].ids(), [event.id.to_string()]);
}

/// The merged part of a widened backlog, of events in these modes by turns.
async fn widened(config: Config, modes: &[Mode]) -> Value {
    let scene = Scene::with_small_journal(config, 3);
    assert!(scene.delivery.pause("b"));
    for (n, mode) in (0..20).zip(modes.iter().cycle()) {
        let demand = Demand::new(*mode, whole(&format!("kind{n}")));
        scene.append(Event::of(demand)).await;
    }
    assert!(scene.delivery.view()[0].backlog_widened);
    assert!(scene.delivery.resume("b"));
    scene.delivered().await;
    let [send] = &scene.sends()[..] else { panic!("one send") };
    send.json()["batch"]["merged"].clone()
}

/// Invariant I5: beyond its limit a backlog is one `all`. It is as hard as the hardest event in it,
/// unless the settings state otherwise.
#[tokio::test(start_paused = true)]
async fn an_all_from_widening_is_as_hard_as_its_hardest_event() {
    use Mode::{Hard, Soft};
    for (widened_all, modes, expected) in [
        (WidenedAll::AsMerged, &[Hard][..], "hard"),
        (WidenedAll::AsMerged, &[Soft], "soft"),
        (WidenedAll::AsMerged, &[Soft, Hard], "hard"),
        (WidenedAll::Soft, &[Hard], "soft"),
        (WidenedAll::Hard, &[Soft], "hard"),
    ] {
        let merged = widened(Config { widened_all, ..config(vec![peer("b")]) }, modes).await;
        assert_eq!(merged, json!({ expected: { "all": true } }), "{widened_all:?} {modes:?}");
    }
}

/// A hard event that is still named stays hard next to widened soft ones.
#[tokio::test(start_paused = true)]
async fn a_hard_event_among_widened_soft_ones_stays_hard() {
    let modes = [&[Mode::Hard][..], &[Mode::Soft; 19]].concat();
    let merged = widened(config(vec![peer("b")]), &modes).await;
    assert_eq!(merged["hard"], json!({ "types": ["kind0"] }));
    assert_eq!(merged["soft"], json!({ "all": true }));
}

/// An `all` that a caller asked for is not softened, although it was merged.
#[tokio::test(start_paused = true)]
async fn an_all_that_was_asked_for_stays_hard() {
    let scene = Scene::with_small_journal(config(vec![peer("b")]), 100);
    assert!(scene.delivery.pause("b"));
    for _ in 0..10 {
        scene.log(Selectors::all()).await;
    }
    assert!(scene.delivery.resume("b"));
    scene.delivered().await;
    let merged = scene.sends()[0].json()["batch"]["merged"].clone();
    assert_eq!(merged, json!({ "hard": { "all": true } }));
}

/// A merged backlog still covers every event.
#[tokio::test(start_paused = true)]
async fn a_merged_backlog_covers_every_event() {
    let scene = Scene::with_small_journal(config(vec![peer("b")]), 100);
    assert!(scene.delivery.pause("b"));
    let names: Vec<String> = (0..10).map(|n| format!("kind{n}")).collect();
    for name in &names {
        scene.log(whole(name)).await;
    }
    assert!(scene.delivery.resume("b"));
    scene.delivered().await;
    let body = scene.sends()[0].json();
    let batch: mirror::Batch = serde_json::from_value(body["batch"].clone()).expect("batch");
    let mut covered = batch.merged.selectors();
    batch.events.iter().for_each(|event| covered.join(&event.selectors));
    for name in &names {
        let name = TypeName::parse(name).expect("type");
        assert!(covered.covers(&whole(name.as_str())), "{name}");
    }
    assert!(!covered.is_all());
}
