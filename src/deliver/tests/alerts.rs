//! Alerts of real workers on a paused clock. The webhook is another host of the stub.

use serde_json::Value;
use tokio::sync::watch;

use super::stub::{good_mirror, unwell};
use super::*;
use crate::deliver::alerts::{self, AlertWebhook};
use crate::net::FailureKind;
use crate::support::clock;

/// Failures before a mirror recovers. The waits between them are random and the check runs once a
/// second: with this many failures at least one check sees a count above the threshold.
const FAILURES: usize = 12;

fn thresholds() -> alerts::Config {
    let url = url::Url::parse("http://hook/a-secret-path").expect("url");
    alerts::Config {
        failures: 3,
        backlog_age_max: Duration::from_secs(3600),
        repeat_every: Duration::ZERO,
        webhook: Some(AlertWebhook::new(url)),
        signer: None,
    }
}

/// Starts the alerts of a scene; the stub of the scene records what the webhook gets.
fn watch_over(scene: &mut Scene, config: alerts::Config) -> watch::Sender<alerts::Config> {
    let (settings, seen) = watch::channel(config);
    let transport: Arc<dyn Transport> = Arc::<stub::Stub>::clone(&scene.peers);
    scene.alert(&seen, transport);
    settings
}

fn messages(scene: &Scene) -> Vec<Value> {
    scene.peers.asked("hook", What::Invalidate).iter().map(Asked::json).collect()
}

fn statuses(scene: &Scene) -> Vec<String> {
    let field = |it: &Value, name: &str| it[name].as_str().unwrap_or_default().to_owned();
    messages(scene).iter().map(|it| field(it, "alert") + " " + &field(it, "status")).collect()
}

/// An event accepted now. Its age is measured on the wall clock, which is not paused.
fn fresh() -> Event {
    Event { at_ms: clock::wall_ms(), ..mirrored(whole("posts")) }
}

/// S1 1.26: a failing mirror is reported once, and once more when it acknowledges its backlog.
#[tokio::test(start_paused = true)]
async fn a_dead_mirror_is_reported_to_the_webhook_once_and_its_recovery_once() {
    let mut scene = Scene::with(|asked| match (asked.host.as_str(), asked.what) {
        ("hook", _) => stub::ok(),
        (_, What::Invalidate) if asked.count <= FAILURES => Reaction::Fail(FailureKind::Connect),
        _ => good_mirror(asked),
    });
    let _settings = watch_over(&mut scene, thresholds());
    scene.append(fresh()).await;
    scene.until("both messages", |scene| messages(scene).len() == 2).await;
    tokio::time::sleep(Duration::from_secs(120)).await;
    assert_eq!(statuses(&scene), ["failures firing", "failures resolved"]);
    let [firing, resolved] = &messages(&scene)[..] else { panic!("two") };
    assert_eq!((&firing["destination"], &firing["kind"]), (&"b".into(), &"mirror".into()));
    assert_eq!((&firing["threshold"], &firing["instance"]), (&3.into(), &"here".into()));
    assert!(firing["failures"].as_u64() >= Some(3), "{firing}");
    assert!(firing["last_error"].as_str().is_some_and(|e| e.contains("connect")), "{firing}");
    assert_eq!((&resolved["reason"], &resolved["since"]), (&"recovered".into(), &firing["since"]));
    let asked = scene.peers.asked("hook", What::Invalidate);
    assert_eq!(asked[0].via.as_deref(), Some("here"), "marked as ours");
}

/// A message that fails is sent again unchanged, and then given up; the next message still arrives.
#[tokio::test(start_paused = true)]
async fn a_message_is_sent_a_limited_number_of_times() {
    let mut scene = Scene::with(|asked| match (asked.host.as_str(), asked.what) {
        ("hook", _) if asked.count <= 6 => unwell(),
        ("hook", _) => stub::ok(),
        (_, What::Invalidate) if asked.count <= FAILURES => Reaction::Fail(FailureKind::Connect),
        _ => good_mirror(asked),
    });
    let _settings = watch_over(&mut scene, thresholds());
    scene.append(fresh()).await;
    scene.until("the message behind", |scene| messages(scene).len() == 7).await;
    let messages = messages(&scene);
    assert!(
        messages[..6].iter().all(|it| it["id"] == messages[0]["id"]),
        "one message, six attempts"
    );
    assert_eq!(messages[6]["status"], "resolved");
    let at: Vec<_> = scene.peers.asked("hook", What::Invalidate).iter().map(|it| it.at).collect();
    assert!(at[1] - at[0] >= Duration::from_secs(30), "it waits for Retry-After");
}

/// After a final refusal the message is not sent again.
#[tokio::test(start_paused = true)]
async fn a_refused_message_is_not_repeated() {
    let mut scene = Scene::with(|asked| match asked.host.as_str() {
        "hook" => Reaction::Answer(answer(404, "", "")),
        _ => match asked.what {
            What::Invalidate => Reaction::Fail(FailureKind::Timeout),
            _ => good_mirror(asked),
        },
    });
    let _settings = watch_over(&mut scene, thresholds());
    scene.append(fresh()).await;
    scene.until("the message", |scene| messages(scene).len() == 1).await;
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!(statuses(&scene), ["failures firing"]);
}

/// Reload: new thresholds and a new webhook take effect at the next check.
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
    assert!(messages(&scene).is_empty(), "an alert that is off never fires");
    settings
        .send_replace(alerts::Config { backlog_age_max: Duration::from_secs(30), ..off.clone() });
    scene.until("the backlog", |scene| messages(scene).len() == 1).await;
    assert_eq!(statuses(&scene), ["backlog firing"]);
    let url = url::Url::parse("http://other/").expect("url");
    settings.send_replace(alerts::Config { webhook: Some(AlertWebhook::new(url)), ..off });
    let elsewhere = |scene: &Scene| scene.peers.asked("other", What::Invalidate).len() == 1;
    scene.until("the end, elsewhere", elsewhere).await;
    assert_eq!(messages(&scene).len(), 1);
    let end = scene.peers.asked("other", What::Invalidate).remove(0).json();
    assert_eq!((&end["status"], &end["reason"]), (&"resolved".into(), &"threshold".into()));
}

/// An alert that the gauge does not know would never be counted.
#[test]
fn the_kinds_are_those_of_the_gauge() {
    let kinds = alerts::AlertKind::ALL.map(alerts::AlertKind::as_str);
    assert_eq!(kinds, crate::activity::counters::ALERTS);
}

#[test]
fn the_path_of_a_webhook_is_not_shown() {
    let shown = format!("{:?}", thresholds());
    assert!(shown.contains("hook") && !shown.contains("a-secret-path"), "{shown}");
}
