//! Targets that refuse one call permanently: the others settle. The refused one is parked, shown
//! and retried, but never counts as delivered.

use std::collections::BTreeSet;

use url::Url;

use super::purges::fastly;
use super::stub::{good_legacy, ok};
use super::targets::site;
use super::*;
use crate::deliver::targets::Target;
use crate::deliver::targets::purge::{Dialect, Vercel};
use crate::domain::{Event, Selector, Selectors, Status};

fn path(text: &str) -> Selectors {
    Selectors::one(Selector::path(text).expect("path"))
}

fn paths(texts: impl IntoIterator<Item = String>) -> Selectors {
    let mut all = Selectors::default();
    texts.into_iter().for_each(|text| all.join(&path(&text)));
    all
}

/// A site that answers with this status to each call that names one of these paths.
fn refusing(bad: &'static [&'static str], status: u16) -> impl Fn(&Asked) -> Reaction {
    move |asked| match asked.what {
        What::Invalidate if bad.iter().any(|bad| asked.text.contains(&format!("\"{bad}\""))) => {
            Reaction::Answer(answer(status, "application/json", "{}"))
        }
        What::Invalidate => ok(),
        _ => good_legacy(asked),
    }
}

fn outcome(scene: &Scene, event: &Event) -> DeliveryOutcome {
    scene.delivery.target_outcomes(event).remove(0)
}

async fn arrives(scene: &Scene, event: &Event) {
    scene.until("it arrives", |scene| outcome(scene, event).status == Status::Delivered).await;
}

fn calls_of(scene: &Scene, name: &str) -> Vec<Asked> {
    let name = format!("\"{name}\"");
    scene.sends().into_iter().filter(|asked| asked.text.contains(&name)).collect()
}

/// A call that is refused as malformed is parked at once and retried hourly. Other calls continue.
#[tokio::test(start_paused = true)]
async fn a_refused_path_is_parked_and_later_ones_arrive_at_once() {
    for status in [400, 413, 415, 422] {
        let scene = Scene::of(site(), refusing(&["/bad"], status));
        let bad = scene.log(path("/bad")).await;
        scene.until("it is parked", |scene| scene.view().state == "parked").await;
        for at in 0..5 {
            let begun = Instant::now();
            let good = scene.log(path(&format!("/good/{at}"))).await;
            arrives(&scene, &good).await;
            assert!(begun.elapsed() < Duration::from_secs(1), "{status}");
        }
        let view = scene.view();
        assert_eq!((view.parked_count, &view.parked[0].what[..]), (1, "/bad"));
        assert_eq!((view.delivered, view.backlog_events), (5, 1), "{status}");
        let found = outcome(&scene, &bad);
        assert_eq!((found.status, found.reason.as_deref()), (Status::Failed, Some("refused")));
        assert!(!scene.journal.is_acknowledged("beside:b", bad.seq));
        if status != 400 {
            continue;
        }
        let tried = calls_of(&scene, "/bad").len();
        scene.until("the next try", |scene| calls_of(scene, "/bad").len() == tried + 1).await;
        let all = calls_of(&scene, "/bad");
        assert!(all[tried].at - all[tried - 1].at >= Duration::from_secs(3590), "hourly");
    }
}

/// A new event brings the next retry forward to a minute after the last, an operator to now. Once
/// it is accepted, nothing is pending.
#[tokio::test(start_paused = true)]
async fn a_parked_path_is_retried_for_a_new_event_and_for_an_operator() {
    let is_repaired = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let (flag, refuse) = (Arc::clone(&is_repaired), refusing(&["/bad"], 400));
    let scene =
        Scene::of(site(), move |asked| match flag.load(std::sync::atomic::Ordering::SeqCst) {
            true => good_legacy(asked),
            false => refuse(asked),
        });
    let bad = scene.log(path("/bad")).await;
    scene.until("it is parked", |scene| scene.view().state == "parked").await;
    for _ in 0..10 {
        scene.log(path("/bad")).await;
    }
    scene.until("the news", |scene| scene.sends().len() == 2).await;
    let sends = scene.sends();
    let waited = (sends[1].at - sends[0].at).as_secs();
    assert!((59..70).contains(&waited), "{waited}");
    is_repaired.store(true, std::sync::atomic::Ordering::SeqCst);
    assert!(scene.delivery.retry("b"));
    arrives(&scene, &bad).await;
    assert_eq!(scene.sends().len(), 3);
    let view = scene.view();
    assert_eq!((&*view.state, view.backlog_events, view.parked_count), ("ok", 0, 0));
    assert!(scene.journal.is_acknowledged("beside:b", *scene.journal.head().borrow()));
}

/// A parked path is not sent together with others again: they would be refused with it.
#[tokio::test(start_paused = true)]
async fn a_parked_path_is_not_sent_with_others() {
    let scene = Scene::of(site(), refusing(&["/bad"], 400));
    scene.log(path("/bad")).await;
    scene.until("it is parked", |scene| scene.view().state == "parked").await;
    for at in 0..20 {
        let both = scene.log(paths(["/bad".to_owned(), format!("/good/{at}")])).await;
        scene
            .until("the good one", |scene| !calls_of(scene, &format!("/good/{at}")).is_empty())
            .await;
        assert_eq!(outcome(&scene, &both).reason.as_deref(), Some("refused"), "not all of it");
    }
    assert!(calls_of(&scene, "/bad").len() <= 2, "at most once a minute");
    assert_eq!(scene.view().delivered, 0);
}

/// Any other failed call waits separately as soon as the site accepts others, however many there
/// are.
#[tokio::test(start_paused = true)]
async fn bad_paths_delay_no_others() {
    const BAD: &[&str] = &["/p/000", "/p/001", "/p/002", "/p/003", "/p/004", "/p/150", "/p/199"];
    for status in [400, 403, 404, 405, 409, 422, 500, 503] {
        let scene = Scene::of(site(), refusing(BAD, status));
        assert!(scene.delivery.pause("b"));
        let mut events = vec![];
        for at in 0..200 {
            events.push(scene.log(path(&format!("/p/{at:03}"))).await);
        }
        assert!(scene.delivery.resume("b"));
        let is_bad = |at: usize| BAD.contains(&&format!("/p/{at:03}")[..]);
        for at in (0..200).filter(|at| !is_bad(*at)) {
            arrives(&scene, &events[at]).await;
        }
        for at in (0..200).filter(|at| is_bad(*at)) {
            assert_eq!(outcome(&scene, &events[at]).status, Status::Failed, "{at} {status}");
        }
        let delivered = scene.view().delivered;
        // The events of a call that was split over several attempts are an estimate.
        let is_right = if status == 503 { delivered <= 193 } else { delivered == 193 };
        assert!(is_right, "{status}: {delivered}");
    }
}

/// The same for separate calls: whatever the answer, the next event arrives.
#[tokio::test(start_paused = true)]
async fn the_next_event_arrives_whatever_the_answer_to_one_path() {
    for status in [302, 400, 401, 403, 404, 405, 413, 500, 502, 503, 504] {
        let scene = Scene::of(site(), refusing(&["/a"], status));
        let bad = scene.log(path("/a")).await;
        scene.until("the first try", |scene| !scene.sends().is_empty()).await;
        let good = scene.log(path("/b")).await;
        scene.until("the next", |scene| !calls_of(scene, "/b").is_empty()).await;
        arrives(&scene, &good).await;
        assert_ne!(outcome(&scene, &bad).status, Status::Delivered, "{status}");
        let next = scene.log(path("/c")).await;
        let begun = Instant::now();
        arrives(&scene, &next).await;
        assert!(begun.elapsed() < Duration::from_secs(1), "{status}");
    }
}

/// A site that refuses everything is not called once for each path.
#[tokio::test(start_paused = true)]
async fn a_site_that_refuses_everything_is_not_flooded() {
    let scene = Scene::of(site(), |asked| match asked.what {
        What::Invalidate => Reaction::Answer(answer(500, "application/json", "{}")),
        _ => good_legacy(asked),
    });
    scene.log(paths((0..300).map(|at| format!("/p/{at}")))).await;
    scene.until("five attempts", |scene| scene.view().failures == 5).await;
    assert!(scene.sends().len() <= 5 * 70, "{}", scene.sends().len());
    assert_eq!(scene.view().delivered, 0);
    assert_eq!(scene.view().state, "failing");
}

fn vercel() -> PeerConfig {
    let DestinationClass::Target(Target::Purge(purge)) = fastly().class else { panic!("a cache") };
    let mut purge = (*purge).clone();
    purge.base = Url::parse("http://b/").expect("url");
    purge.dialect = Dialect::Vercel(Vercel { project: "p".into(), team: String::new() });
    PeerConfig { class: DestinationClass::Target(Target::Purge(Arc::new(purge))), ..fastly() }
}

/// A cache without a wider form gets each tag except the one that it refuses.
#[tokio::test(start_paused = true)]
async fn a_tag_without_a_wider_form_is_parked_alone() {
    let scene = Scene::of(config(vec![vercel()]), |asked| match asked.text.contains("odd") {
        true => Reaction::Answer(answer(400, "application/json", "{}")),
        false => Reaction::Answer(answer(200, "application/json", "{}")),
    });
    assert!(scene.delivery.pause("b"));
    let odd = scene.log(tag("odd")).await;
    let mut good = vec![];
    for at in 0..40 {
        good.push(scene.log(tag(&format!("t{at}"))).await);
    }
    assert!(scene.delivery.resume("b"));
    for event in &good {
        arrives(&scene, event).await;
    }
    assert_eq!(outcome(&scene, &odd).reason.as_deref(), Some("refused"));
    assert_eq!(scene.view().parked[0].what, "odd");
    assert_eq!((scene.view().parked_count, scene.view().delivered), (1, 40));
    let told: BTreeSet<usize> =
        (0..40).filter(|at| !calls_of(&scene, &format!("t{at}")).is_empty()).collect();
    assert_eq!(told.len(), 40);
}

/// A cache that refuses one purge and even the purge of everything accepts the next one.
#[tokio::test(start_paused = true)]
async fn a_purge_that_is_refused_even_as_everything_delays_nothing() {
    let scene = Scene::of(config(vec![fastly()]), |asked| {
        match asked.text.contains("odd") || asked.url.path().ends_with("purge_all") {
            true => Reaction::Answer(answer(400, "application/json", "{}")),
            false => Reaction::Answer(answer(200, "application/json", "{}")),
        }
    });
    let odd = scene.log(tag("odd")).await;
    scene.until("it is parked", |scene| scene.view().state == "parked").await;
    let begun = Instant::now();
    let even = scene.log(tag("even")).await;
    arrives(&scene, &even).await;
    assert!(begun.elapsed() < Duration::from_secs(1));
    assert_eq!(outcome(&scene, &odd).reason.as_deref(), Some("refused"));
    assert_eq!(scene.view().delivered, 1);
}

/// A site that refuses every path, one event at a time, waits as a whole.
#[tokio::test(start_paused = true)]
async fn a_site_that_refuses_every_path_waits_as_a_whole() {
    let is_repaired = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let flag = Arc::clone(&is_repaired);
    let scene = Scene::of(site(), move |asked| match asked.what {
        What::Invalidate if !flag.load(std::sync::atomic::Ordering::SeqCst) => {
            Reaction::Answer(answer(400, "application/json", "{}"))
        }
        What::Invalidate => ok(),
        _ => good_legacy(asked),
    });
    let mut events = vec![];
    for at in 0..200 {
        events.push(scene.log(path(&format!("/p/{at}"))).await);
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    scene.until("the breaker", |scene| scene.view().breaker == "open").await;
    assert_eq!((&*scene.view().state, scene.view().delivered), ("failing", 0));
    assert!(scene.view().parked_count <= 12, "{}", scene.view().parked_count);
    is_repaired.store(true, std::sync::atomic::Ordering::SeqCst);
    assert!(scene.delivery.retry("b"));
    for event in &events {
        arrives(&scene, event).await;
    }
    let view = scene.view();
    assert_eq!((view.parked_count, view.backlog_events, &*view.breaker), (0, 0, "closed"));
    assert_eq!(view.delivered, 200);
}

/// A wider call settles a parked call. A call that is not wider does not.
#[tokio::test(start_paused = true)]
async fn a_parked_call_is_settled_by_a_call_for_everything() {
    let scene = Scene::of(site(), refusing(&["/bad"], 400));
    let bad = scene.log(path("/bad")).await;
    scene.until("it is parked", |scene| scene.view().state == "parked").await;
    let good = scene.log(path("/good")).await;
    arrives(&scene, &good).await;
    assert_eq!(outcome(&scene, &bad).status, Status::Failed);
    let all = scene.log(Selectors::all()).await;
    arrives(&scene, &all).await;
    arrives(&scene, &bad).await;
    let view = scene.view();
    assert_eq!((&*view.state, view.parked_count, view.backlog_events), ("ok", 0, 0));
    assert_eq!((view.delivered, calls_of(&scene, "/bad").len()), (3, 1));
    assert!(scene.journal.is_acknowledged("beside:b", all.seq));
}

/// If a cache refuses one tag of a call and has no wider form, the other tags are sent.
#[tokio::test(start_paused = true)]
async fn the_other_tags_of_a_refused_purge_arrive() {
    let everything: Vec<fn() -> Reaction> = vec![
        || Reaction::Answer(answer(400, "application/json", "{}")),
        || Reaction::Answer(answer(403, "application/json", "{}")),
        || Reaction::Answer(answer(500, "application/json", "{}")),
        || Reaction::Hang,
    ];
    for (case, everything) in everything.into_iter().enumerate() {
        let scene = Scene::of(config(vec![fastly()]), move |asked| {
            match asked.url.path().ends_with("purge_all") {
                true => everything(),
                false if asked.text.contains("\"odd\"") => {
                    Reaction::Answer(answer(422, "application/json", "{}"))
                }
                false => Reaction::Answer(answer(200, "application/json", "{}")),
            }
        });
        assert!(scene.delivery.pause("b"));
        let odd = scene.log(tag("odd")).await;
        let mut good = vec![];
        for at in 0..40 {
            good.push(scene.log(tag(&format!("t{at}"))).await);
        }
        assert!(scene.delivery.resume("b"));
        let begun = Instant::now();
        for event in &good {
            arrives(&scene, event).await;
        }
        assert!(begun.elapsed() < Duration::from_secs(90), "case {case}: {:?}", begun.elapsed());
        scene.until("it is parked", |scene| scene.view().state == "parked").await;
        assert_eq!((scene.view().parked_count, &scene.view().parked[0].what[..]), (1, "odd"));
        assert_eq!(outcome(&scene, &odd).reason.as_deref(), Some("refused"));
        // With others again: it is sent separately, and the others at once.
        let begun = Instant::now();
        let both = scene
            .log([tag("odd"), tag("even")].into_iter().fold(
                Selectors::default(),
                |mut all, one| {
                    all.join(&one);
                    all
                },
            ))
            .await;
        let next = scene.log(tag("next")).await;
        arrives(&scene, &next).await;
        assert!(begun.elapsed() < Duration::from_secs(1), "case {case}");
        assert_eq!(outcome(&scene, &both).status, Status::Failed);
        assert!(!calls_of(&scene, "even").is_empty(), "case {case}");
        assert_eq!(scene.view().delivered, 41, "case {case}");
    }
}

/// A pending call names the events that it covers, and is the same message.
#[tokio::test(start_paused = true)]
async fn a_pending_call_names_its_own_events() {
    let scene = Scene::of(site(), refusing(&["/bad"], 400));
    let bad = scene.log(path("/bad")).await;
    scene.until("it is parked", |scene| scene.view().state == "parked").await;
    let good = scene.log(path("/good")).await;
    arrives(&scene, &good).await;
    assert!(scene.delivery.retry("b"));
    let next = scene.log(path("/next")).await;
    arrives(&scene, &next).await;
    scene.until("the next try", |scene| calls_of(scene, "/bad").len() == 2).await;
    for call in calls_of(&scene, "/bad") {
        assert_eq!(call.event_ids, Some(bad.id.to_string()));
    }
    assert_eq!(calls_of(&scene, "/next")[0].event_ids, Some(next.id.to_string()));
}

/// However many paths a site refuses, the memory for them is bounded, and good paths arrive.
#[tokio::test(start_paused = true)]
async fn the_memory_for_refused_paths_is_bounded() {
    let scene = Scene::of(site(), |asked| match asked.what {
        What::Invalidate if asked.text.contains("/bad/") => {
            Reaction::Answer(answer(400, "application/json", "{}"))
        }
        What::Invalidate => ok(),
        _ => good_legacy(asked),
    });
    let mut good = vec![];
    for chunk in 0..50 {
        scene.log(paths((0..100).map(|at| format!("/bad/{chunk}/{at}")))).await;
        good.push(scene.log(path(&format!("/good/{chunk}"))).await);
    }
    for event in &good[..30] {
        arrives(&scene, event).await;
    }
    scene.until("many are parked", |scene| scene.view().parked_count > 3000).await;
    let view = scene.view();
    assert!(view.parked_count <= crate::deliver::partial::PENDING_MAX, "{}", view.parked_count);
    assert!(view.delivered <= 50, "{}", view.delivered);
}

/// A path at which the site hangs does not delay each later one by its timeout, and is tried with
/// the full timeout from time to time.
#[tokio::test(start_paused = true)]
async fn a_path_at_which_a_site_hangs_does_not_delay_later_ones() {
    let scene = Scene::of(site(), |asked| match asked.what {
        What::Invalidate if asked.text.contains("\"/bad\"") => Reaction::Hang,
        What::Invalidate => ok(),
        _ => good_legacy(asked),
    });
    let bad = scene.log(path("/bad")).await;
    scene.until("the failure", |scene| scene.view().failures > 0).await;
    let first = scene.log(path("/first")).await;
    arrives(&scene, &first).await;
    let mut waits = vec![];
    for at in 0..16 {
        let tries = calls_of(&scene, "/bad").len();
        scene.until("the next try", |scene| calls_of(scene, "/bad").len() > tries).await;
        let begun = Instant::now();
        let good = scene.log(path(&format!("/good/{at}"))).await;
        arrives(&scene, &good).await;
        waits.push(begun.elapsed());
    }
    let soon = waits.iter().filter(|wait| **wait < Duration::from_millis(1500)).count();
    assert!((12..16).contains(&soon), "{waits:?}");
    assert!(waits.iter().all(|wait| *wait < Duration::from_secs(6)), "{waits:?}");
    assert_eq!((outcome(&scene, &bad).status, scene.view().delivered), (Status::Failed, 17));
}

/// A path at which the site hung arrives once the site answers, however much else there is to send.
#[tokio::test(start_paused = true)]
async fn a_path_that_hung_arrives_among_others() {
    let is_well = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let flag = Arc::clone(&is_well);
    let scene = Scene::of(site(), move |asked| match asked.what {
        What::Invalidate if asked.text.contains("\"/bad\"") => {
            match flag.load(std::sync::atomic::Ordering::SeqCst) {
                true => ok(),
                false => Reaction::Hang,
            }
        }
        What::Invalidate => ok(),
        _ => good_legacy(asked),
    });
    let bad = scene.log(path("/bad")).await;
    for at in 0..200 {
        scene.log(path(&format!("/good/{at}"))).await;
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    is_well.store(true, std::sync::atomic::Ordering::SeqCst);
    arrives(&scene, &bad).await;
    scene.until("all", |scene| scene.view().backlog_events == 0).await;
    assert_eq!(scene.view().delivered, 201);
}

/// While only such a path is pending, for however long, a new event is sent at once.
#[tokio::test(start_paused = true)]
async fn a_path_that_fails_for_long_does_not_delay_the_next_event() {
    for status in [403, 404, 409, 500, 503] {
        let scene = Scene::of(site(), refusing(&["/bad", "/worse"], status));
        scene.log(path("/bad")).await;
        scene.log(path("/worse")).await;
        let first = scene.log(path("/first")).await;
        arrives(&scene, &first).await;
        let (requests, hour) = (scene.sends().len(), Duration::from_secs(3600));
        tokio::time::sleep(hour).await;
        let tries = scene.sends().len() - requests;
        assert!((60..600).contains(&tries), "{status}: {tries} in an hour");
        let begun = Instant::now();
        let next = scene.log(path("/next")).await;
        arrives(&scene, &next).await;
        assert!(begun.elapsed() < Duration::from_secs(1), "{status}: {:?}", begun.elapsed());
        let view = scene.view();
        assert_eq!(
            (&*view.state, &*view.breaker, view.delivered),
            ("failing", "closed", 2),
            "{status}"
        );
    }
}

/// A pending call that is answered 429 is repeated after the wait.
#[tokio::test(start_paused = true)]
async fn a_pending_call_waits_after_a_429() {
    let scene = Scene::of(site(), |asked| match (asked.what, asked.count) {
        (What::Invalidate, 1) => Reaction::Answer(answer(400, "application/json", "{}")),
        (What::Invalidate, 2 | 3) => Reaction::Answer(answer(429, "application/json", "{}")),
        (What::Invalidate, _) => ok(),
        _ => good_legacy(asked),
    });
    let bad = scene.log(path("/bad")).await;
    scene.until("it is parked", |scene| scene.view().state == "parked").await;
    assert!(scene.delivery.retry("b"));
    arrives(&scene, &bad).await;
    assert_eq!((scene.sends().len(), scene.view().delivered), (4, 1));
}
