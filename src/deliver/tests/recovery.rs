//! After an outage a destination has everything within seconds, however long it was away, and few
//! requests are made meanwhile.

use super::scene::journal_config;
use super::stub::{Stub, good_legacy, good_mirror};
use super::*;
use crate::journal::sim::SimDisk;
use crate::net::FailureKind;
use crate::support::backoff::Backoff;

/// The longest time until a destination that is back has its backlog.
const SOON: Duration = Duration::from_secs(5);

/// How an outage appears to us.
#[derive(Clone, Copy)]
enum Down {
    Refused,
    BehindProxy(u16),
}

fn while_down(down: Down) -> Reaction {
    match down {
        Down::Refused => Reaction::Fail(FailureKind::Connect),
        Down::BehindProxy(status) => Reaction::Answer(answer(status, "text/html", "<h1>no</h1>")),
    }
}

/// Simulates one outage of many mirrors. Returns the wait of each after its end, and the requests
/// to all of them during the outage.
async fn outage(mirrors: usize, lasting: Duration, down: Down) -> (Vec<Duration>, usize) {
    let names: Vec<String> = (0..mirrors).map(|at| format!("m{at}")).collect();
    let (begins, ends) =
        (Instant::now() + Duration::from_secs(5), Duration::from_secs(5) + lasting);
    let ends = Instant::now() + ends;
    let script = move |asked: &Asked| match asked.at {
        at if at >= begins && at < ends => while_down(down),
        _ => good_mirror(asked),
    };
    let peers = names.iter().map(|name| peer(name)).collect();
    let scene = Scene::of(config(peers), script);
    scene.log(whole("feed")).await;
    scene.until("all are known", |scene| names.iter().all(|name| scene.is_delivered(name))).await;
    tokio::time::sleep_until(begins + Duration::from_millis(1)).await;
    scene.log(whole("posts")).await;
    scene.until("all have it", |scene| names.iter().all(|name| scene.is_delivered(name))).await;
    let all = |name: &String| {
        let asked =
            [What::Probe, What::Login, What::Invalidate].map(|w| scene.peers.asked(name, w));
        asked.concat()
    };
    let waits = names.iter().map(|name| {
        let sends = scene.peers.asked(name, What::Invalidate);
        let arrived = sends.iter().find(|asked| asked.at >= ends).expect("an arrival");
        arrived.at - ends
    });
    let asked = names.iter().flat_map(all).filter(|asked| asked.at >= begins && asked.at < ends);
    (waits.collect(), asked.count())
}

#[tokio::test(start_paused = true)]
async fn mirrors_that_are_back_are_reached_within_seconds() {
    for lasting in [20, 1800] {
        for down in [Down::Refused, Down::BehindProxy(502), Down::BehindProxy(503)] {
            let lasting = Duration::from_secs(lasting);
            let (waits, asked) = outage(20, lasting, down).await;
            let longest = waits.iter().max().expect("some");
            assert!(*longest < SOON, "{longest:?} after {lasting:?}");
            let bound = 20 * (lasting.as_secs() as usize + 10);
            assert!(asked < bound, "{asked} requests in {lasting:?}");
        }
    }
}

/// The checks of a thousand dead mirrors together are bounded.
#[tokio::test(start_paused = true)]
async fn many_dead_mirrors_cause_no_storm() {
    let names: Vec<String> = (0..1000).map(|at| format!("m{at}")).collect();
    let peers = names.iter().map(|name| peer(name)).collect();
    let scene = Scene::of(config(peers), |_| Reaction::Fail(FailureKind::Connect));
    scene.log(whole("posts")).await;
    // What is measured is a rate, not an event.
    tokio::time::sleep(Duration::from_secs(30)).await;
    let from = Instant::now();
    tokio::time::sleep(Duration::from_secs(60)).await;
    let asked = names.iter().flat_map(|name| scene.peers.asked(name, What::Probe));
    let count = asked.filter(|asked| asked.at >= from).count();
    assert!((3_000..=6_200).contains(&count), "{count} checks in a minute");
}

/// A mirror that answers checks and accepts nothing is tried less and less often.
#[tokio::test(start_paused = true)]
async fn a_mirror_that_only_answers_checks_is_tried_less_often() {
    let scene = Scene::with(|asked| match asked.what {
        What::Invalidate => Reaction::Answer(answer(503, "", "")),
        _ => good_mirror(asked),
    });
    scene.log(whole("posts")).await;
    // What is measured is a rate, not an event.
    tokio::time::sleep(Duration::from_secs(3600)).await;
    let sends = scene.sends().len();
    assert!((60..200).contains(&sends), "{sends} deliveries in an hour");
}

/// A legacy server without an identity path is reached as quickly.
#[tokio::test(start_paused = true)]
async fn a_legacy_server_that_is_back_is_reached_within_seconds() {
    let (begins, ends) = (Duration::from_secs(5), Duration::from_secs(605));
    let start = Instant::now();
    let legacy = PeerConfig { kind: Some(ConfiguredKind::Legacy), ..peer("b") };
    let scene = Scene::of(config(vec![legacy]), move |asked| match asked.at - start {
        at if at >= begins && at < ends => Reaction::Fail(FailureKind::Connect),
        _ => good_legacy(asked),
    });
    scene.log(whole("feed")).await;
    scene.delivered().await;
    tokio::time::sleep_until(start + begins).await;
    scene.log(whole("posts")).await;
    scene.delivered().await;
    let arrived = scene.sends().last().expect("one").at - start;
    assert!(arrived >= ends && arrived < ends + SOON, "{arrived:?}");
}

/// A hello brings the next attempt forward. Many hellos cause only one attempt.
#[tokio::test(start_paused = true)]
async fn many_hellos_cause_one_check() {
    let start = Instant::now();
    let ends = Duration::from_secs(600);
    let script = move |asked: &Asked| match asked.at - start {
        at if at > Duration::from_secs(5) && at < ends => Reaction::Fail(FailureKind::Connect),
        _ => good_mirror(asked),
    };
    let hour = Duration::from_secs(3600);
    let slow = Config { backoff: Backoff { min: hour, max: hour }, ..config(vec![peer("b")]) };
    let scene = Scene::new(slow, journal_config(), &SimDisk::new(), Arc::new(Stub::new(script)));
    scene.log(whole("feed")).await;
    scene.delivered().await;
    tokio::time::sleep_until(start + Duration::from_secs(6)).await;
    scene.log(whole("posts")).await;
    scene.until("it fails", |scene| scene.view().failures > 0).await;
    let before = scene.peers.asked("b", What::Probe).len();
    assert_eq!(scene.delivery.receive_hello("a stranger"), 0);
    assert_eq!((0..100).map(|_| scene.delivery.receive_hello("other")).sum::<u64>(), 2);
    scene.until("it fails again", |scene| scene.view().failures > 1).await;
    assert_eq!(scene.peers.asked("b", What::Probe).len(), before + 1);
    // The last hello may be of a start after that check, so one more check follows, and no third.
    scene.until("it is checked once more", |scene| scene.view().failures > 2).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(scene.peers.asked("b", What::Probe).len(), before + 2);
    tokio::time::sleep_until(start + ends).await;
    assert!(!scene.is_delivered("b"), "the back-off is an hour");
    assert_eq!(scene.delivery.receive_hello("other"), 1);
    scene.delivered().await;
    assert!(start.elapsed() < ends + Duration::from_secs(1));
}

/// Each start sends one hello to each mirror, however often that mirror was probed.
#[tokio::test(start_paused = true)]
async fn a_start_is_announced_once_to_each_mirror() {
    let scene = Scene::of(config(vec![peer("b"), peer("c")]), |asked| match &*asked.host {
        "b" => good_mirror(asked),
        _ => good_legacy(asked),
    });
    // Longer than any wait before it.
    tokio::time::sleep(Duration::from_secs(1800)).await;
    let hellos: Vec<_> = scene.peers.hellos.lock().iter().map(ToString::to_string).collect();
    assert_eq!(hellos, ["http://b/_cache-mirror/hello"], "an old server is not asked");
}

/// Targets are reached as quickly as mirrors, although a cache has no identity path.
#[tokio::test(start_paused = true)]
async fn sites_and_caches_that_are_back_are_reached_within_seconds() {
    let (begins, ends) = (Duration::from_secs(5), Duration::from_secs(605));
    for config in [super::targets::site(), config(vec![super::purges::fastly()])] {
        let start = Instant::now();
        let scene = Scene::of(config, move |asked| match (asked.at - start, asked.what) {
            (at, _) if at >= begins && at < ends => Reaction::Fail(FailureKind::Connect),
            (_, What::Probe) => Reaction::Answer(answer(404, "", "")),
            _ => Reaction::Answer(answer(200, "application/json", "{}")),
        });
        tokio::time::sleep_until(start + begins).await;
        scene.log(whole("posts")).await;
        let head = *scene.journal.head().borrow();
        let done = |scene: &Scene| scene.journal.is_acknowledged("beside:b", head);
        scene.until("it is settled", done).await;
        let sends = scene.sends();
        let arrived = sends.last().expect("one").at - start;
        assert!(arrived >= ends && arrived < ends + SOON, "{arrived:?}");
        assert!(sends.len() < 610, "{} calls", sends.len());
    }
}
