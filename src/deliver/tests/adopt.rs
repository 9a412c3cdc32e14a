//! Destinations that are added, removed and changed while others receive events.

use super::stub::good_mirror;
use super::*;
use crate::domain::Status;
use crate::support::Secret;

fn with_password(name: &str, password: &str) -> PeerConfig {
    let mut peer = peer(name);
    let credentials =
        Credentials { email: format!("{password}@x"), password: Secret::new(password) };
    peer.login.credentials = Some(credentials);
    peer
}

/// A mirror that stays is not started again, and gets nothing twice.
#[tokio::test(start_paused = true)]
async fn a_mirror_that_stays_continues_and_a_new_one_gets_later_events() {
    let mut scene = Scene::with(good_mirror);
    let first = scene.log(whole("posts")).await;
    scene.delivered().await;
    let logins = scene.logins();
    let mut other = peer("b");
    other.rate_per_second = 5.0;
    scene.adopt(config(vec![other, peer("c")])).await;
    assert_eq!(scene.delivery.names(), ["b", "c"]);
    let second = scene.log(whole("pages")).await;
    scene.until("both have it", |scene| scene.is_delivered("b") && scene.is_delivered("c")).await;
    assert_eq!((scene.logins(), scene.view().rate_per_second), (logins, 5.0));
    let sent_to = |name: &str| scene.peers.asked(name, What::Invalidate);
    assert_eq!((sent_to("b").len(), sent_to("c").len()), (2, 1));
    assert!(sent_to("c")[0].text.contains(&second.id.to_string()));
    assert!(!sent_to("c")[0].text.contains(&first.id.to_string()));
}

/// A mirror under another URL keeps its backlog, and its old URL gets no new password.
#[tokio::test(start_paused = true)]
async fn a_mirror_that_moves_gets_events_at_its_new_url_only() {
    let named = |host: &str, password: &str| {
        let base = url::Url::parse(&format!("http://{host}/")).expect("url");
        PeerConfig { name: "eu".into(), base, ..with_password("eu", password) }
    };
    let mut scene =
        Scene::of(config(vec![named("old", "one")]), |asked| match asked.host.as_str() {
            "old" => Reaction::Answer(answer(503, "", "")),
            _ => good_mirror(asked),
        });
    let event = scene.log(whole("posts")).await;
    scene.until("the old place fails", |scene| scene.status(&event) == Status::Failed).await;
    let old = Arc::clone(&scene.delivery.peers.get()[0]);
    scene.adopt(config(vec![named("new", "two")])).await;
    assert_eq!(old.account.email().as_deref(), Some("one@x"), "its send in flight may log in yet");
    scene.until("the new one has it", |scene| scene.is_delivered("eu")).await;
    let at = |host: &str| scene.peers.asked(host, What::Login);
    assert!(at("old").iter().all(|asked| !asked.text.contains("two")));
    assert!(at("new").iter().all(|asked| asked.text.contains("two")));
}

/// After a pause for credentials, new ones are tried at once.
#[tokio::test(start_paused = true)]
async fn new_credentials_end_a_pause_for_credentials() {
    let mut scene = Scene::of(config(vec![with_password("b", "wrong")]), |asked| {
        match asked.what == What::Login && asked.text.contains("wrong") {
            true => Reaction::Answer(answer(401, "", "")),
            false => good_mirror(asked),
        }
    });
    let event = scene.log(whole("posts")).await;
    scene.until("it is paused", |scene| scene.status(&event) == Status::Paused).await;
    scene.adopt(config(vec![with_password("b", "right")])).await;
    scene.delivered().await;
    assert_eq!(scene.view().state, "ok");
}

/// Its worker ends after its send in flight. It is no longer listed and has no backlog.
#[tokio::test(start_paused = true)]
async fn a_removed_mirror_gets_nothing_more() {
    let mut scene = Scene::of(config(vec![peer("b"), peer("c")]), good_mirror);
    scene.log(whole("posts")).await;
    scene.until("both have it", |scene| scene.is_delivered("b") && scene.is_delivered("c")).await;
    scene.adopt(config(vec![peer("c")])).await;
    let event = scene.log(whole("pages")).await;
    scene.until("c has it", |scene| scene.is_delivered("c")).await;
    assert_eq!(scene.delivery.outcomes(&event).len(), 1);
    assert_eq!((scene.sends().len(), scene.journal.cursor("mirror:b")), (1, None));
}
