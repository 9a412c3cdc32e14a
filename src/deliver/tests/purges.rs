//! A target that refuses a purge gets it in a wider form, and then continues as before.

use url::Url;

use super::*;
use crate::deliver::targets::purge::{Dialect, Fastly, TagNames};
use crate::deliver::targets::{Purge, Target};
use crate::support::Secret;

pub(super) fn fastly() -> PeerConfig {
    let tag_names = TagNames {
        type_tag: "{type}".into(),
        entity_tag: "{type}:{id}".into(),
        list_tag: "{type}:list".into(),
        custom_tag: "{tag}".into(),
        path_tag: String::new(),
        all_tag: String::new(),
    };
    let purge = Purge {
        name: "b".into(),
        base: Url::parse("http://b/").expect("url"),
        sites: vec![],
        tag_names,
        token: Secret::new("secret"),
        timeout: Duration::from_secs(5),
        calls_max: 50,
        dialect: Dialect::Fastly(Fastly { service: "s".into() }),
    };
    PeerConfig { class: DestinationClass::Target(Target::Purge(Arc::new(purge))), ..peer("b") }
}

#[tokio::test(start_paused = true)]
async fn one_malformed_tag_delays_nothing() {
    let scene = Scene::of(config(vec![fastly()]), |asked| match asked.text.contains("odd") {
        true => Reaction::Answer(answer(400, "", "")),
        false => Reaction::Answer(answer(200, "application/json", "{}")),
    });
    let done = |scene: &Scene| {
        let head = *scene.journal.head().borrow();
        scene.journal.is_acknowledged("beside:b", head)
    };
    scene.log(tag("odd")).await;
    scene.until("the wider purge", done).await;
    scene.log(tag("even")).await;
    scene.until("the purge", done).await;
    let paths: Vec<_> = scene.sends().iter().map(|asked| asked.url.path().to_owned()).collect();
    assert_eq!(paths, ["/service/s/purge", "/service/s/purge_all", "/service/s/purge"]);
    assert_eq!(scene.view().kind, "purge");
}
