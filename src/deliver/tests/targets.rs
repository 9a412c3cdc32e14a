//! Targets: for what they are called, and how often.

use std::collections::BTreeMap;

use serde_json::json;

use super::scene::{entity, journal_config};
use super::stub::{Stub, good_legacy, good_mirror, ok, unwell};
use super::*;
use crate::deliver::targets::template::{NameTemplate, NameTemplates};
use crate::deliver::targets::{CallReader, Revalidate, RevalidateForm, Target};
use crate::domain::{Demand, Event, Selector, Selectors, TypeName};
use crate::journal::{Backlog, sim::SimDisk};
use crate::net::FailureKind;
use crate::support::Secret;

fn templates(of: &[(&str, &[&str])]) -> NameTemplates {
    let template = |text: &&str| NameTemplate::parse(text).expect("a template");
    let list = |(name, texts): &(&str, &[&str])| {
        (TypeName::parse(name).expect("a type"), texts.iter().map(template).collect())
    };
    NameTemplates { of: of.iter().map(list).collect(), ..NameTemplates::default() }
}

fn posts() -> RevalidateForm {
    RevalidateForm::Paths(templates(&[("posts", &["/posts", "/posts/{id}"]), ("feed", &["/feed"])]))
}

fn revalidate(form: RevalidateForm) -> Revalidate {
    Revalidate {
        url: "http://b/api/revalidate".parse().expect("url"),
        secret: Secret::new("swordfish"),
        form,
        timeout: Duration::from_secs(5),
        is_for_all_addresses: false,
        signer: None,
    }
}

pub(super) fn site() -> Config {
    with_target(revalidate(posts()))
}

fn with_target(it: Revalidate) -> Config {
    let login = Login { credentials: None, means: LoginMethod::Bearer(Secret::default()) };
    let class = DestinationClass::Target(Target::Revalidate(Arc::new(it)));
    config(vec![PeerConfig { login, class, ..peer("b") }])
}

async fn settled(scene: &Scene) {
    let head = *scene.journal.head().borrow();
    scene.until("it", |scene| scene.journal.is_acknowledged("beside:b", head)).await;
}

fn backlog(events: Vec<Event>) -> Backlog {
    Backlog { events: events.into_iter().map(Arc::new).collect(), ..Backlog::default() }
}

fn bodies(it: &Revalidate, backlog: &Backlog) -> Vec<String> {
    let calls = it.calls(backlog).into_iter();
    calls.map(|call| String::from_utf8(call.body.to_vec()).expect("text")).collect()
}

/// S1 1.4, 1.30: everything that gathered is in one call, each path once.
#[test]
fn a_backlog_is_one_call_with_all_its_paths() {
    let path = Selectors::one(Selector::path("/about").expect("path"));
    let events = [entity("posts", "1"), entity("posts", "2"), entity("post", "1"), path];
    let body = json!({
        "secret": "swordfish", "paths": ["/about", "/posts", "/posts/1", "/posts/2"],
    });
    let backlog = backlog(events.into_iter().map(mirrored).collect());
    assert_eq!(bodies(&revalidate(posts()), &backlog), [body.to_string()]);
}

/// A path has no fragment, whether it comes from a template or from a caller. A tag is sent as it
/// is.
#[test]
fn a_hash_in_a_path_is_a_character() {
    let of = templates(&[("posts", &["/c#/{id}"])]);
    let one = |text| Selectors::one(Selector::path(text).expect("path"));
    let events = [entity("posts", "#1"), one("/tag/c#"), one("/tag/c#*")];
    let backlog = backlog(events.into_iter().map(mirrored).collect());
    let paths = ["/c%23/%231", "/tag/c%23"];
    assert_eq!(revalidate(RevalidateForm::Paths(of.clone())).calls(&backlog)[0].paths, paths);
    let of_tags = RevalidateForm::Tags { tags: of, paths: NameTemplates::default() };
    let calls = revalidate(of_tags).calls(&backlog);
    assert_eq!(calls[0].tags, ["/c#/#1"]);
    assert_eq!(calls[0].paths, &paths[1..]);
}

/// The cascade of the graph is called for as well, and the merged part.
#[test]
fn cascades_and_merged_parts_are_called_for() {
    let event = Event { cascade: whole("feed"), ..mirrored(entity("posts", "1")) };
    let merged = Demand::new(Mode::Hard, entity("posts", "9"));
    let backlog = Backlog { merged, ..backlog(vec![event]) };
    let calls = revalidate(posts()).calls(&backlog);
    assert_eq!(calls[0].paths, ["/feed", "/posts", "/posts/1", "/posts/9"]);
    let everything =
        Backlog { events: vec![], merged: Demand::new(Mode::Hard, Selectors::all()), ..backlog };
    let bodies = bodies(&revalidate(posts()), &everything);
    let named = json!({ "secret": "swordfish", "paths": ["/feed", "/posts"] });
    let all = json!({ "secret": "swordfish", "paths": ["/"], "type": "layout" });
    assert_eq!(bodies, [named.to_string(), all.to_string()]);
}

/// A gateway understands prefixes, and which spellings are one path. A framework gets its own
/// forms.
#[test]
fn a_gateway_gets_prefixes_and_a_site_what_it_supports() {
    let mut docs = NameTemplate::parse("/docs").expect("a template");
    docs.is_layout = true;
    let of = BTreeMap::from([(TypeName::parse("docs").expect("a type"), vec![docs])]);
    let it = revalidate(RevalidateForm::Paths(NameTemplates { of, ..NameTemplates::default() }));
    let paths = ["/posts*", "/red%20shoe", "/a/[b]"];
    let paths = paths.map(|text| Selectors::one(Selector::path(text).expect("path")));
    let asked = paths.into_iter().chain([whole("docs"), Selectors::all()]);
    let backlog = backlog(asked.map(mirrored).collect());
    let told = |reader| -> Vec<String> {
        let calls = it.calls_for(&backlog, reader).into_iter();
        calls.map(|call| String::from_utf8(call.body.to_vec()).expect("text")).collect()
    };
    let body = |paths: &[&str], kind: Option<&str>| {
        let mut body = json!({ "secret": "swordfish", "paths": paths });
        if let Some(kind) = kind {
            body["type"] = json!(kind);
        }
        body.to_string()
    };
    let whole = body(&["/*", "/a/%5Bb%5D", "/docs", "/docs/*", "/posts*", "/red%20shoe"], None);
    assert_eq!(told(CallReader::Gateway), [whole]);
    // Brackets that are characters of the path are a page of that name.
    let paths = body(&["/a/%5Bb%5D", "/a/[b]", "/red shoe", "/red%20shoe"], None);
    let layouts = body(&["/", "/docs"], Some("layout"));
    assert_eq!(told(CallReader::Site), [paths, layouts]);
}

/// A refused call is split into smaller and smaller calls, each of one kind.
#[test]
fn refused_calls_are_split() {
    let tags = templates(&[("posts", &["a", "b"])]);
    let it = revalidate(RevalidateForm::Tags {
        tags,
        paths: templates(&[("posts", &["/a", "/b/[c]"])]),
    });
    let mut calls = it.calls(&backlog(vec![mirrored(entity("posts", "1"))]));
    assert_eq!(calls.len(), 2);
    let mut items: Vec<Vec<String>> = vec![];
    while let Some(call) = calls.pop() {
        let halves = it.halves(&call);
        if halves.is_empty() {
            items.push(call.items.clone());
        }
        calls.extend(halves);
    }
    items.sort();
    assert_eq!(items, [["paths  /a"], ["paths page /b/[c]"], ["tags  a"], ["tags  b"]]);
}

#[test]
fn a_large_backlog_is_several_calls_and_an_inexpressible_one_is_none() {
    let ids = (0..2500).map(|id| mirrored(entity("posts", &id.to_string()))).collect();
    let calls = revalidate(posts()).calls(&backlog(ids));
    assert_eq!(calls.iter().map(|call| call.paths.len()).collect::<Vec<_>>(), [2000, 501]);
    let other = backlog(vec![mirrored(whole("pages"))]);
    assert!(revalidate(posts()).calls(&other).is_empty());
}

/// S4 4.10: tags by template, or the type if it has none, with the paths.
#[test]
fn tags_are_named_as_templates_say() {
    let own = [("feed", &["front"][..])];
    let of_others =
        ["{type}", "{type}:{id}"].map(|it| NameTemplate::parse(it).expect("one")).into();
    let tags = NameTemplates { of_others, ..templates(&own) };
    let form =
        RevalidateForm::Tags { tags, paths: templates(&[("posts", &["/blog/[slug]", "/blog"])]) };
    let path = Selectors::one(Selector::path("/about").expect("path"));
    let events = vec![
        Event { cascade: whole("feed"), ..mirrored(entity("posts", "4 2")) },
        mirrored(tag("sale")),
        mirrored(path),
    ];
    let words = json!({
        "secret": "swordfish", "tags": ["front", "posts", "posts:4 2", "sale"],
        "paths": ["/about", "/blog"],
    });
    let pattern = json!({ "secret": "swordfish", "paths": ["/blog/[slug]"], "type": "page" });
    let told = bodies(&revalidate(form), &backlog(events));
    assert_eq!(told, [words.to_string(), pattern.to_string()]);
}

/// S0 0.5: one call with an empty body for each name that is touched.
#[test]
fn names_are_called_one_by_one() {
    let names = [("posts", "posts"), ("feed", "front-page"), ("pages", "pages")];
    let of = |(name, called): (&str, &str)| (TypeName::parse(name).expect("type"), called.into());
    let form = RevalidateForm::Names(names.map(of).into());
    let event = Event { cascade: whole("feed"), ..mirrored(entity("posts", "1")) };
    let calls = revalidate(form).calls(&backlog(vec![event]));
    let urls: Vec<&str> = calls.iter().map(|call| call.url.as_str()).collect();
    assert_eq!(urls, ["http://b/api/revalidate/front-page", "http://b/api/revalidate/posts"]);
    assert!(calls.iter().all(|call| call.body.is_empty()));
    assert_eq!(calls[0].headers[0].1, "Bearer swordfish");
}

/// The details of a merged event apply to none of its entities.
#[test]
fn a_merged_event_has_no_details() {
    let mut archive = NameTemplate::parse("/a").expect("one");
    archive.actions = vec![crate::domain::Action::Archive];
    let slug = NameTemplate::parse("/posts/{slug}").expect("one");
    let name = TypeName::parse("posts").expect("type");
    let of = BTreeMap::from([(name, vec![archive, slug])]);
    let it = revalidate(RevalidateForm::Paths(NameTemplates { of, ..NameTemplates::default() }));
    let fields = BTreeMap::from([("slug".to_owned(), "x".to_owned())]);
    let one = Event { fields, ..mirrored(entity("posts", "1")) };
    assert_eq!(it.calls(&backlog(vec![one.clone()]))[0].paths, ["/posts/x"]);
    let covers = vec![crate::domain::EventId::fresh(), crate::domain::EventId::fresh()];
    let several = Event { covers, fields: BTreeMap::new(), ..one };
    assert_eq!(it.calls(&backlog(vec![several]))[0].paths, ["/a"], "the action is unknown");
}

/// Each address is called at once. The outcome lists them separately, and all must have
/// acknowledged.
#[tokio::test(start_paused = true)]
async fn each_address_behind_the_name_is_called() {
    let it = Revalidate { is_for_all_addresses: true, ..revalidate(posts()) };
    let stub = Stub::new(|asked| match asked.to.map(|to| to.to_string()).as_deref() {
        Some("127.0.0.2:80") if asked.count <= 2 => unwell(),
        Some(_) => ok(),
        None => good_legacy(asked),
    });
    let stub = Arc::new(stub.at(&["127.0.0.1:80", "127.0.0.2:80"]));
    let scene = Scene::new(with_target(it), journal_config(), &SimDisk::new(), stub);
    let event = scene.log(entity("posts", "1")).await;
    scene.until("the failure", |scene| scene.view().failures == 1).await;
    let outcome = |scene: &Scene| scene.delivery.target_outcomes(&event).remove(0);
    let failed = outcome(&scene);
    assert_eq!(failed.status, crate::domain::Status::Failed);
    let told: Vec<_> =
        failed.addresses.iter().map(|it| (it.address.to_string(), it.status)).collect();
    let (good, bad) = (crate::domain::Status::Delivered, crate::domain::Status::Failed);
    assert_eq!(told, [("127.0.0.1".into(), good), ("127.0.0.2".into(), bad)]);
    assert_eq!(failed.last_error.as_deref(), Some("127.0.0.2: http 503"));
    settled(&scene).await;
    let done = outcome(&scene);
    assert!(done.addresses.len() == 2 && done.addresses.iter().all(|it| it.status == good));
    assert_eq!(scene.sends().len(), 4, "two rounds of two");
}

/// An event without a call delays nothing at a target that is down.
#[tokio::test(start_paused = true)]
async fn an_event_without_a_call_is_settled() {
    let down = |_: &Asked| Reaction::Fail(FailureKind::Connect);
    let scene = Scene::of(with_target(revalidate(posts())), down);
    let event = scene.log(whole("pages")).await;
    settled(&scene).await;
    assert!(scene.sends().is_empty());
    let outcome = scene.delivery.target_outcomes(&event).remove(0);
    assert_eq!(outcome.status, crate::domain::Status::Skipped, "nothing was sent");
    assert_eq!(outcome.reason.as_deref(), Some("no_path"));
    assert_eq!((scene.view().delivered, scene.view().skipped), (0, 1));
}

/// Sent and skipped events are counted separately, although they are settled together.
#[tokio::test(start_paused = true)]
async fn only_sent_events_count_as_delivered() {
    let scene = Scene::of(with_target(revalidate(posts())), good_legacy);
    assert!(scene.delivery.pause("b"));
    for selectors in [whole("posts"), whole("pages"), tag("x"), entity("posts", "1")] {
        scene.log(selectors).await;
    }
    assert!(scene.delivery.resume("b"));
    settled(&scene).await;
    scene.until("the count", |scene| scene.view().delivered == 2).await;
    assert_eq!((scene.sends().len(), scene.view().skipped), (1, 2));
}

/// Each form names the reason exactly if it makes no call for an event.
#[test]
fn a_form_names_a_reason_exactly_if_it_makes_no_call() {
    let type_name = |name: &str| TypeName::parse(name).expect("a type");
    let names = RevalidateForm::Names(BTreeMap::from([(type_name("posts"), "posts".to_owned())]));
    let path = Selectors::one(Selector::path("/a").expect("path"));
    let tags = templates(&[("posts", &["posts"])]);
    let tags = RevalidateForm::Tags { tags, paths: NameTemplates::default() };
    for (form, missing) in [
        (posts(), "no_path"),
        (RevalidateForm::Paths(NameTemplates::default()), "no_path"),
        (tags, "no_tag"),
        (names, "no_name"),
    ] {
        let it = revalidate(form);
        let all = [whole("posts"), whole("pages"), tag("x"), path.clone(), Selectors::all()];
        for event in all.map(mirrored) {
            let is_called = !it.calls(&backlog(vec![event.clone()])).is_empty();
            assert_eq!(it.reason_skipped(&event), (!is_called).then_some(missing), "{event:?}");
        }
    }
}

/// A gateway recognises events by their ids, so each call to one names all of them.
#[tokio::test(start_paused = true)]
async fn a_gateway_gets_the_ids_of_all_events() {
    let scene = Scene::of(with_target(revalidate(posts())), good_mirror);
    scene.until("the probe", |scene| scene.view().instance.is_some()).await;
    assert!(scene.delivery.pause("b"));
    for id in 0..150 {
        scene.log(entity("posts", &id.to_string())).await;
    }
    assert!(scene.delivery.resume("b"));
    settled(&scene).await;
    let named_of = |ids: usize| Event {
        covers: (0..ids).map(|_| crate::domain::EventId::fresh()).collect(),
        ..mirrored(whole("posts"))
    };
    assert!(scene.delivery.pause("b"));
    for ids in [60, 30, 20] {
        scene.append(named_of(ids)).await;
    }
    assert!(scene.delivery.resume("b"));
    settled(&scene).await;
    let named = |send: &Asked| send.event_ids.as_deref().map(|ids| ids.split(',').count());
    assert_eq!(
        scene.sends().iter().map(named).collect::<Vec<_>>(),
        [Some(100), Some(50), Some(90), Some(20)]
    );
}
