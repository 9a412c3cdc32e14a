//! Coming back: what was missed, no more and no less (invariant I10).

use super::*;

/// Readers that come back again and again while events keep coming hear each one once, in order.
#[tokio::test]
async fn no_gap_and_no_double_while_events_keep_coming() {
    const EVENTS: usize = 300;
    let scene = Arc::new(Scene::new());
    let encoded = tokio::spawn({
        let scene = Arc::clone(&scene);
        async move {
            for n in 0..EVENTS {
                scene.send(whole(&format!("kind{n}"))).await;
            }
        }
    });
    let mut last_id = Some(format!("{}-0", scene.journal.epoch()));
    let mut heard = vec![];
    let mut visits = 0;
    while heard.len() < EVENTS {
        let mut reader = scene.open(last_id.as_deref());
        visits += 1;
        reader.expect("hello").await;
        // A few frames a visit, never the same number twice in a row.
        for _ in 0..=visits % 7 {
            if heard.len() < EVENTS {
                let frame = reader.expect("app-update").await;
                heard.push(frame.data["type"].as_str().expect("type").to_owned());
                last_id = frame.id;
            }
        }
    }
    encoded.await.expect("all sent");
    let expected: Vec<String> = (0..EVENTS).map(|n| format!("kind{n}")).collect();
    assert_eq!(heard, expected);
}

/// Cut off between two parts of one event, a reader gets just the rest.
#[tokio::test]
async fn the_rest_of_an_event_is_replayed() {
    let scene = Scene::new();
    let mut reader = scene.open(None);
    reader.expect("hello").await;
    let mut three = whole("a");
    ["b", "c"].iter().for_each(|name| three.join(&whole(name)));
    scene.send(three).await;
    let first = reader.expect("app-update").await;
    assert!(first.id.as_deref().is_some_and(|id| id.ends_with(".1")));
    let mut again = scene.open(first.id.as_deref());
    assert_eq!(again.expect("hello").await.data["replayed"], 2);
    for name in ["b", "c"] {
        assert_eq!(again.expect("app-update").await.data["type"], name);
    }
}

/// Over a restart too: the journal is what is replayed, not a memory.
#[tokio::test]
async fn a_restart_replays_from_the_journal() {
    let scene = Scene::new();
    let mut reader = scene.open(None);
    reader.expect("hello").await;
    scene.send(whole("a")).await;
    let seen = reader.expect("app-update").await.id.expect("id");
    scene.send(whole("b")).await;
    let disk = scene.disk.kill();
    let scene = Scene::on(&disk, config(), 10_000);
    scene.send(whole("c")).await;
    let mut again = scene.open(Some(&seen));
    let hello = again.expect("hello").await;
    assert_eq!((&hello.data["gap"], &hello.data["instance"]), (&false.into(), &"here".into()));
    for name in ["b", "c"] {
        assert_eq!(again.expect("app-update").await.data["type"], name);
    }
}

/// What cannot be replayed becomes a `resync`, with an id that works from then on.
#[tokio::test]
async fn an_unknown_id_is_told_to_fetch_everything() {
    let disk = SimDisk::new();
    let scene = Scene::on(&disk, config(), 3);
    let mut first = scene.open(None);
    first.expect("hello").await;
    for n in 0..10 {
        scene.send(whole(&format!("kind{n}"))).await;
        first.expect("app-update").await;
    }
    let epoch = scene.journal.epoch();
    let unknown = [
        format!("{epoch}-2"),
        format!("{epoch}-999"),
        format!("{}-9", epoch + 1),
        format!("{}-999", epoch + 1),
        "nonsense".into(),
        "0-9".into(),
    ];
    for id in unknown {
        let mut reader = scene.open(Some(&id));
        let hello = reader.expect("hello").await;
        assert_eq!(
            (&hello.data["gap"], &hello.data["replayed"]),
            (&true.into(), &0.into()),
            "{id}"
        );
        let resync = reader.expect("resync").await;
        let mut again = scene.open(resync.id.as_deref());
        assert_eq!(again.expect("hello").await.data["gap"], false, "after {id}");
    }
}

/// A reader that is up to date misses nothing, and a new one asks for nothing.
#[tokio::test]
async fn nothing_missed_is_nothing_replayed() {
    let scene = Scene::new();
    let mut reader = scene.open(None);
    assert_eq!(reader.expect("hello").await.data["replayed"], 0);
    scene.send(whole("a")).await;
    let id = reader.expect("app-update").await.id;
    let mut again = scene.open(id.as_deref());
    let hello = again.expect("hello").await;
    assert_eq!((&hello.data["replayed"], &hello.data["gap"]), (&0.into(), &false.into()));
    assert!(again.is_quiet());
}

/// What an older quench mirrored again was sent when it arrived.
#[tokio::test]
async fn a_held_back_event_is_told_once() {
    let scene = Scene::new();
    let mut reader = scene.open(None);
    reader.expect("hello").await;
    let held = Event { quenched_for: Some("b".into()), ..event(whole("a")) };
    scene.journal.append(held.clone()).await.expect("durable");
    let released = Event { id: EventId::fresh(), source: Source::Quench, ..held };
    scene.journal.append(released).await.expect("durable");
    scene.send(whole("b")).await;
    assert_eq!(reader.expect("app-update").await.data["type"], "a");
    let next = reader.expect("app-update").await;
    assert_eq!(next.data["type"], "b");
    let mut again = scene.open(Some(&format!("{}-0", scene.journal.epoch())));
    assert_eq!(again.expect("hello").await.data["replayed"], 2);
    assert_eq!(again.expect("app-update").await.data["type"], "a");
    assert_eq!(again.expect("app-update").await.id, next.id);
}

/// Who compares versions would wait for one that does not come: everybody is told to fetch anew,
/// and may come back with the id of it.
#[tokio::test]
async fn a_reset_of_the_versions_is_a_resync() {
    let scene = Scene::new();
    let mut reader = scene.open(None);
    reader.expect("hello").await;
    scene.send(whole("a")).await;
    reader.expect("app-update").await;
    scene.journal.reset_versions(1).await.expect("durable");
    scene.hub.resync("version reset");
    let resync = reader.expect("resync").await;
    assert_eq!(resync.data["reason"], "version reset");
    scene.send(whole("b")).await;
    assert_eq!(reader.expect("app-update").await.data["version"], 1);
    let mut again = scene.open(resync.id.as_deref());
    let hello = again.expect("hello").await;
    assert_eq!((&hello.data["replayed"], &hello.data["gap"]), (&1.into(), &false.into()));
}
