//! Slow readers, many readers, and the end.

use super::*;

/// A reader that does not read is cut off; one that does hears everything.
#[tokio::test]
async fn a_slow_reader_is_cut_off_and_never_waited_for() {
    let scene = Scene::with(Config { queue_events_max: 4, ..config() });
    let slow = scene.open(None);
    let mut brisk = scene.open(None);
    brisk.expect("hello").await;
    for n in 0..20 {
        scene.send(whole(&format!("kind{n}"))).await;
        assert_eq!(brisk.expect("app-update").await.data["type"], format!("kind{n}"));
    }
    assert!(slow.cut.is_cancelled(), "its connection is ended");
    assert!(!brisk.cut.is_cancelled());
    assert_eq!(scene.hub.readers(), 1);
}

/// One event of many types waits as one event: it must not cut everybody off.
#[tokio::test]
async fn an_event_of_many_types_is_one_in_the_queue() {
    let scene = Scene::with(Config { queue_events_max: 4, ..config() });
    let mut reader = scene.open(None);
    reader.expect("hello").await;
    let mut many = Selectors::default();
    (0..500).for_each(|n| many.join(&whole(&format!("kind{n:03}"))));
    scene.send(many).await;
    for n in 0..500 {
        assert_eq!(reader.expect("app-update").await.data["type"], format!("kind{n:03}"));
    }
}

/// One commit of the journal may bring more events than a reader's queue holds; a reader that reads
/// hears them all.
#[tokio::test]
async fn a_burst_cuts_off_nobody_who_reads() {
    let scene = Scene::with(Config { queue_events_max: 64, ..config() });
    let mut reader = scene.open(None);
    reader.expect("hello").await;
    let journal = scene.journal.clone();
    let encoded = tokio::spawn(async move {
        let appends = (0..400).map(|n| journal.append(event(whole(&format!("kind{n:03}")))));
        futures_util::future::join_all(appends).await
    });
    for _ in 0..400 {
        reader.expect("app-update").await;
    }
    assert!(encoded.await.expect("sent").iter().all(Result::is_ok));
    assert!(!reader.cut.is_cancelled());
}

#[tokio::test]
async fn readers_are_bounded_and_leave_their_place() {
    let scene = Scene::with(Config { clients_max: 2, ..config() });
    let (one, _two) = (scene.open(None), scene.open(None));
    assert_eq!(scene.hub.subscribe::<Sse>(None).err(), Some(StreamRefusal::Full));
    drop(one);
    assert!(scene.hub.subscribe::<Sse>(None).is_ok(), "whoever went left a place");
}

/// A stop is announced with a time to reconnect, and no reader is admitted any more.
#[tokio::test]
async fn a_stop_says_goodbye() {
    let scene = Scene::new();
    let mut reader = scene.open(None);
    reader.expect("hello").await;
    scene.send(whole("a")).await;
    reader.expect("app-update").await;
    scene.stop.cancel();
    reader.expect("goodbye").await;
    assert_eq!(reader.next().await, None);
    assert!(!reader.cut.is_cancelled(), "it may read to the end");
    scene.task.await.expect("the hub ends");
    assert_eq!(scene.hub.subscribe::<Sse>(None).err(), Some(StreamRefusal::Closed));
}

/// The line is kept open by something scripts can see.
#[tokio::test(start_paused = true)]
async fn a_quiet_stream_pings() {
    let scene = Scene::with(Config { ping_every: Duration::from_secs(5), ..config() });
    let mut reader = scene.open(None);
    reader.expect("hello").await;
    reader.expect("ping").await;
    reader.expect("ping").await;
}

/// New settings apply to new readers and to the next ping.
#[tokio::test(start_paused = true)]
async fn other_settings_take_over_while_readers_stay() {
    let scene = Scene::with(Config { ping_every: Duration::from_secs(1_000), ..config() });
    let mut reader = scene.open(None);
    reader.expect("hello").await;
    let before = tokio::time::Instant::now();
    scene.hub.adopt(Config { ping_every: Duration::from_secs(5), clients_max: 1, ..config() });
    reader.expect("ping").await;
    assert!(before.elapsed() < Duration::from_secs(10));
    assert_eq!(scene.hub.subscribe::<Sse>(None).err(), Some(StreamRefusal::Full));
}

/// Tickets are random, good once, and bounded: the oldest of a principal go first.
#[tokio::test(start_paused = true)]
async fn tickets_are_bounded() {
    let tickets = Tickets::default();
    let (oldest, life) = tickets.issue("ann");
    assert_eq!(life, 60);
    let issued: std::collections::HashSet<String> =
        (0..1_000).map(|_| tickets.issue("ann").0).collect();
    assert_eq!(issued.len(), 1_000);
    assert!(!tickets.redeem(&oldest));
    assert!(issued.iter().all(|ticket| tickets.redeem(ticket)));
    for guess in ["", "x", oldest.as_str()] {
        assert!(!tickets.redeem(guess));
    }
}
