//! Readers far behind: what each costs, what they share, and what is too far.

use super::frame::{app_updates, count, some_updates};
use super::subscription::PAGE_BYTES;
use super::*;

/// Many distinct events, written together.
async fn fill(scene: &Scene, events: usize) {
    let appends = (0..events).map(|n| scene.journal.append(event(whole(&format!("kind{n}")))));
    let written = futures_util::future::join_all(appends).await;
    assert!(written.iter().all(Result::is_ok));
}

/// One event with one frame of about this many bytes.
fn large(name: &str, bytes: usize) -> Selectors {
    let ids = bytes / 100;
    (0..ids).map(|n| entity(name, &format!("{n:097}"))).collect()
}

fn start(scene: &Scene) -> String {
    format!("{}-0", scene.journal.epoch())
}

/// What some readers hold that took their hello and one piece each, counted in bytes.
async fn held(readers: usize, behind: usize) -> usize {
    let scene = Scene::new();
    fill(&scene, behind).await;
    let mut open = vec![];
    for _ in 0..readers {
        let mut reader: Subscription<Sse> =
            scene.hub.subscribe(Some(&start(&scene))).expect("room");
        let hello = hear(&reader.next_some(1).await);
        assert_eq!(hello[0].data["replayed"], behind);
        let page = reader.next_some(8).await;
        open.push((reader, page));
    }
    open.iter().flat_map(|(_, page)| page).map(Form::bytes).sum()
}

/// A reader costs one page, however far behind it is.
#[tokio::test]
async fn readers_far_behind_cost_a_page_each() {
    for (readers, behind) in [(20, 500), (20, 5_000), (80, 5_000)] {
        let held = held(readers, behind).await;
        assert!(held <= readers * (PAGE_BYTES + 1_024), "{readers} of {behind}: {held}");
    }
}

/// A page ends within an event of many types, and the next one goes on there.
#[tokio::test]
async fn an_event_of_many_types_is_replayed_in_pages() {
    let scene = Scene::new();
    let mut many = Selectors::default();
    (0..2_000).for_each(|n| many.join(&whole(&format!("kind{n:04}"))));
    scene.send(many).await;
    scene.send(whole("after")).await;
    let mut reader: Subscription<Sse> = scene.hub.subscribe(Some(&start(&scene))).expect("room");
    let mut heard = vec![];
    while heard.len() < 2_002 {
        let pieces = reader.next_some(8).await;
        assert!(pieces.iter().all(|piece| piece.bytes() <= PAGE_BYTES + 200_000 / 2));
        heard.extend(hear(&pieces));
    }
    assert_eq!(heard[0].data["replayed"], 2_001);
    for (n, one) in heard[1..2_001].iter().enumerate() {
        assert_eq!(one.data["type"], format!("kind{n:04}"));
    }
    assert_eq!(heard[2_001].data["type"], "after");
}

/// One frame may be larger than a page: readers hold one copy of it together.
#[tokio::test]
async fn a_large_frame_is_held_once() {
    let scene = Scene::new();
    scene.send(whole("before")).await;
    scene.send(large("posts", 20 * PAGE_BYTES)).await;
    scene.send(whole("after")).await;
    let mut pages = vec![];
    for _ in 0..10 {
        let mut reader: Subscription<Sse> =
            scene.hub.subscribe(Some(&start(&scene))).expect("room");
        reader.next_some(1).await;
        let before = reader.next_some(1).await;
        assert_eq!(hear(&before)[0].data["type"], "before");
        let page = reader.next_some(1).await.remove(0);
        assert!(page.bytes() > 20 * PAGE_BYTES);
        assert_eq!(hear(&reader.next_some(1).await)[0].data["type"], "after");
        pages.push(bytes::Bytes::from(page));
    }
    let first = pages[0].as_ptr();
    assert!(pages.iter().all(|page| page.as_ptr() == first));
}

/// Work and memory of a page follow the page; all pages together are the event.
#[test]
fn frames_of_an_event_come_in_parts() {
    let mut selectors = whole("posts");
    selectors.insert(entity("pages", "1"));
    selectors.insert(Selector::Tag(Label::parse("x").expect("tag")));
    let example = Event { cascade: Selectors::all(), ..event(selectors) };
    let all = app_updates(&example);
    assert_eq!((all.len(), count(&example)), (4, 4));
    let (mut parts, mut is_whole) = (vec![], false);
    while !is_whole {
        let (mut some, ended) = some_updates(&example, parts.len(), 1);
        assert_eq!(some.len(), 1);
        parts.append(&mut some);
        is_whole = ended;
    }
    assert_eq!(parts, all);
    assert_eq!(some_updates(&example, 9, 1), (vec![], true));
}

/// Both bounds of a queue hold, and one event of any size passes an empty queue.
#[tokio::test]
async fn a_queue_is_bounded_in_bytes() {
    let scene = Scene::with(Config { queue_bytes_max: 100_000, ..config() });
    let slow = scene.open(None);
    let mut brisk = scene.open(None);
    brisk.expect("hello").await;
    scene.send(large("posts", 500_000)).await;
    brisk.expect("app-update").await;
    assert!(!slow.cut.is_cancelled(), "one event is not too much");
    scene.send(whole("a")).await;
    brisk.expect("app-update").await;
    assert!(slow.cut.is_cancelled());
    for n in 0..1_000 {
        scene.send(whole(&format!("kind{n}"))).await;
        brisk.expect("app-update").await;
    }
    assert!(!brisk.cut.is_cancelled(), "what was read is not counted any more");
}

/// Up to the bound a reader gets all it missed; past it a `resync`.
#[tokio::test]
async fn a_reader_too_far_behind_gets_a_resync() {
    let scene = Scene::with(Config { replay_events_max: 10, ..config() });
    fill(&scene, 12).await;
    let epoch = scene.journal.epoch();
    let mut near = scene.open(Some(&format!("{epoch}-2")));
    assert_eq!(near.expect("hello").await.data["replayed"], 10);
    let mut far = scene.open(Some(&format!("{epoch}-1")));
    let hello = far.expect("hello").await;
    assert_eq!((&hello.data["replayed"], &hello.data["gap"]), (&0.into(), &true.into()));
    let resync = far.expect("resync").await;
    assert_eq!(resync.id, Some(format!("{epoch}-12")));
    scene.send(whole("next")).await;
    assert_eq!(far.expect("app-update").await.data["type"], "next");
}

/// What leaves the journal while a reader is being replayed is made up for by a resync, and what
/// comes after it is told once.
#[tokio::test]
async fn a_replay_that_is_overtaken_ends_with_a_resync() {
    let scene = Scene::on(&SimDisk::new(), config(), 400);
    fill(&scene, 300).await;
    let mut reader = scene.open(Some(&start(&scene)));
    assert_eq!(reader.expect("hello").await.data["gap"], false);
    assert_eq!(reader.expect("app-update").await.data["type"], "kind0");
    fill(&scene, 600).await;
    let mut next = reader.next().await.expect("it goes on");
    while next.event == "app-update" {
        next = reader.next().await.expect("it goes on");
    }
    assert_eq!(next.event, "resync");
    assert_eq!(next.data["reason"], "too far behind");
    let mut probe = scene.open(next.id.as_deref());
    assert_eq!(probe.expect("hello").await.data["gap"], false);
    scene.send(whole("next")).await;
    let mut update = reader.expect("app-update").await;
    while update.data["type"] != "next" {
        update = reader.expect("app-update").await;
    }
    assert!(reader.is_quiet(), "once");
}

/// A replay ends with the instance, and with a reset of the versions.
#[tokio::test]
async fn a_replay_is_told_of_the_end_and_of_a_reset() {
    let scene = Scene::new();
    fill(&scene, 300).await;
    let mut reset = scene.open(Some(&start(&scene)));
    reset.expect("hello").await;
    scene.hub.resync("version reset");
    assert_eq!(reset.expect("resync").await.data["reason"], "version reset");
    let mut ended = scene.open(Some(&start(&scene)));
    ended.expect("hello").await;
    scene.stop.cancel();
    scene.task.await.expect("the hub ends");
    ended.expect("goodbye").await;
    assert_eq!(ended.next().await, None);
}

/// A reader that takes nothing of its replay does not keep its place for ever.
#[tokio::test(start_paused = true)]
async fn a_replay_that_nobody_takes_is_cut_off() {
    let scene = Scene::with(Config { ping_every: Duration::from_secs(5), ..config() });
    fill(&scene, 300).await;
    let stuck = scene.open(Some(&start(&scene)));
    tokio::time::timeout(Duration::from_secs(60), stuck.cut.cancelled()).await.expect("cut off");
    assert_eq!(scene.hub.readers(), 0);
}
