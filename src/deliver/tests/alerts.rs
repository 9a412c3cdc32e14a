//! Alerts of real workers, on a clock that runs only while everybody waits: the webhook is one more
//! host of the stub.

use serde_json::Value;
use tokio::sync::watch;

use super::stub::{good_mirror, unwell};
use super::*;
use crate::deliver::alerts::{self, Webhook};
use crate::net::FailureKind;
use crate::support::clock;

/// Failures before a mirror is well again. The waits between them are drawn, and the watch looks
/// once a second: with so many it cannot be that it looks at none of the later ones.
const FAILURES: usize = 12;

fn thresholds() -> alerts::Config {
    let url = url::Url::parse("http://hook/a-secret-path").expect("url");
    alerts::Config {
        failures: 3,
        backlog_age_max: Duration::from_secs(3600),
        repeat_every: Duration::ZERO,
        webhook: Some(Webhook::new(url)),
        signer: None,
    }
}

/// Watches a scene; what its webhook is told with is in the scene's stub.
fn watch_over(scene: &mut Scene, config: alerts::Config) -> watch::Sender<alerts::Config> {
    let (settings, seen) = watch::channel(config);
    let transport: Arc<dyn Transport> = Arc::<stub::Stub>::clone(&scene.peers);
    scene.alert(&seen, transport);
    settings
}

fn told(scene: &Scene) -> Vec<Value> {
    scene.peers.asked("hook", What::Invalidate).iter().map(Asked::json).collect()
}

fn statuses(scene: &Scene) -> Vec<String> {
    let word = |told: &Value, name: &str| told[name].as_str().unwrap_or_default().to_owned();
    told(scene).iter().map(|it| word(it, "alert") + " " + &word(it, "status")).collect()
}

/// An event of now: its age is told by the wall clock, which no test pauses.
fn fresh() -> Event {
    Event { at_ms: clock::wall_ms(), ..mirrored(whole("posts")) }
}

/// S1 1.26: a mirror that fails is told of once, and once more when it takes what it was owed.
#[tokio::test(start_paused = true)]
async fn a_webhook_hears_once_of_a_dead_mirror_and_once_of_its_recovery() {
    let mut scene = Scene::with(|asked| match (asked.host.as_str(), asked.what) {
        ("hook", _) => stub::ok(),
        (_, What::Invalidate) if asked.count <= FAILURES => Reaction::Fail(FailureKind::Connect),
        _ => good_mirror(asked),
    });
    let _settings = watch_over(&mut scene, thresholds());
    scene.append(fresh()).await;
    scene.until("both messages", |scene| told(scene).len() == 2).await;
    tokio::time::sleep(Duration::from_secs(120)).await;
    assert_eq!(statuses(&scene), ["failures firing", "failures resolved"]);
    let [firing, resolved] = &told(&scene)[..] else { panic!("two") };
    assert_eq!((&firing["destination"], &firing["kind"]), (&"b".into(), &"mirror".into()));
    assert_eq!((&firing["threshold"], &firing["instance"]), (&3.into(), &"here".into()));
    assert!(firing["failures"].as_u64() >= Some(3), "{firing}");
    assert!(firing["last_error"].as_str().is_some_and(|e| e.contains("connect")), "{firing}");
    assert_eq!((&resolved["reason"], &resolved["since"]), (&"recovered".into(), &firing["since"]));
    let asked = scene.peers.asked("hook", What::Invalidate);
    assert_eq!(asked[0].via.as_deref(), Some("here"), "marked as ours");
}

/// A webhook that fails is tried again with the same message, and then given up; the one behind it
/// still comes.
#[tokio::test(start_paused = true)]
async fn a_message_is_tried_a_bounded_number_of_times() {
    let mut scene = Scene::with(|asked| match (asked.host.as_str(), asked.what) {
        ("hook", _) if asked.count <= 6 => unwell(),
        ("hook", _) => stub::ok(),
        (_, What::Invalidate) if asked.count <= FAILURES => Reaction::Fail(FailureKind::Connect),
        _ => good_mirror(asked),
    });
    let _settings = watch_over(&mut scene, thresholds());
    scene.append(fresh()).await;
    scene.until("the message behind", |scene| told(scene).len() == 7).await;
    let told = told(&scene);
    assert!(told[..6].iter().all(|it| it["id"] == told[0]["id"]), "one message, six tries");
    assert_eq!(told[6]["status"], "resolved");
    let at: Vec<_> = scene.peers.asked("hook", What::Invalidate).iter().map(|it| it.at).collect();
    assert!(at[1] - at[0] >= Duration::from_secs(30), "it waits as long as it is asked to");
}

/// A URL that says no is not asked again.
#[tokio::test(start_paused = true)]
async fn a_webhook_that_refuses_is_not_pressed() {
    let mut scene = Scene::with(|asked| match asked.host.as_str() {
        "hook" => Reaction::Answer(answer(404, "", "")),
        _ => match asked.what {
            What::Invalidate => Reaction::Fail(FailureKind::Timeout),
            _ => good_mirror(asked),
        },
    });
    let _settings = watch_over(&mut scene, thresholds());
    scene.append(fresh()).await;
    scene.until("the message", |scene| told(scene).len() == 1).await;
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!(statuses(&scene), ["failures firing"]);
}

/// Reload: other thresholds count from the next look on, and so does another webhook.
#[tokio::test(start_paused = true)]
async fn thresholds_and_webhook_change_while_it_runs() {
    let mut scene = Scene::with(|asked| match (asked.host.as_str(), asked.what) {
        ("hook" | "other", _) => stub::ok(),
        (_, What::Invalidate) => Reaction::Fail(FailureKind::Connect),
        _ => good_mirror(asked),
    });
    let off = alerts::Config { failures: 0, ..thresholds() };
    let settings = watch_over(&mut scene, off.clone());
    scene.append(Event { at_ms: clock::wall_ms() - 60_000, ..fresh() }).await;
    scene.until("failures", |scene| scene.view().failures >= 4).await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert!(told(&scene).is_empty(), "nothing is past what is off");
    settings
        .send_replace(alerts::Config { backlog_age_max: Duration::from_secs(30), ..off.clone() });
    scene.until("the backlog", |scene| told(scene).len() == 1).await;
    assert_eq!(statuses(&scene), ["backlog firing"]);
    let url = url::Url::parse("http://other/").expect("url");
    settings.send_replace(alerts::Config { webhook: Some(Webhook::new(url)), ..off });
    let elsewhere = |scene: &Scene| scene.peers.asked("other", What::Invalidate).len() == 1;
    scene.until("the end, elsewhere", elsewhere).await;
    assert_eq!(told(&scene).len(), 1);
    let end = scene.peers.asked("other", What::Invalidate).remove(0).json();
    assert_eq!((&end["status"], &end["reason"]), (&"resolved".into(), &"threshold".into()));
}

/// A word that the gauge does not know would never fire.
#[test]
fn the_words_are_those_of_the_gauge() {
    let words = alerts::Alert::ALL.map(alerts::Alert::as_str);
    assert_eq!(words, crate::activity::counters::ALERTS);
}

#[test]
fn the_path_of_a_webhook_is_not_shown() {
    let shown = format!("{:?}", thresholds());
    assert!(shown.contains("hook") && !shown.contains("a-secret-path"), "{shown}");
}
