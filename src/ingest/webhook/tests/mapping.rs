//! What complete and incomplete events mean.

use serde_json::{Value, json};

use super::super::*;
use crate::domain::Action;

fn template(text: &str) -> WebhookTemplate {
    WebhookTemplate::parse(text).expect("a template")
}

/// A graph that knows one type.
pub(super) fn rules() -> Rules {
    let dependencies = [("blog_posts".to_owned(), vec![])].into();
    Rules::new(&crate::resolve::Config { dependencies, ..Default::default() }).expect("rules")
}

pub(super) fn mapping() -> Mapping {
    let types = [("audit", ""), ("people_rows", "people")]
        .map(|(theirs, ours)| (theirs.to_owned(), ours.to_owned()));
    Mapping {
        type_name: Some(template("{table}")),
        stems: Mapping::stems_of(&types.clone().into()),
        types: types.into(),
        is_unlisted_ignored: false,
        is_untyped_all: false,
        ids: vec![template("{id}")],
        is_unidentified_ignored: false,
        tags: vec![template("client:{client}")],
        paths: vec![template("/{table}/{slug}")],
        keys: vec![],
        parents: vec![],
        action: Some(template("{what}")),
        actions: [("gone".to_owned(), ActionRule::Ignore)].into(),
        fields: [("slug".to_owned(), template("{slug}"))].into(),
        changed: vec![template("{fields}")],
        compare: None,
    }
}

fn join(mapping: &Mapping, event: &Value) -> WebhookChange {
    let mut change = WebhookChange::default();
    let headers = HeaderMap::new();
    let place = TemplateContext { event, headers: &headers, texts_max: 3, rules: &rules() };
    mapping.join(&place, &mut change);
    change
}

#[test]
fn an_absent_value_widens_or_is_ignored_as_configured() {
    let plain = mapping();
    let strict = Mapping {
        is_unidentified_ignored: true,
        is_unlisted_ignored: true,
        is_untyped_all: true,
        ..mapping()
    };
    let long = "x".repeat(1025);
    for (event, by_plain, by_strict) in [
        (json!({ "table": "posts", "id": 1 }), "posts/1", ""),
        (json!({ "table": "people_rows", "id": 1 }), "people/1", "people/1"),
        (json!({ "table": "people_rows" }), "people", ""),
        (json!({ "table": "people_rows", "id": null }), "people", ""),
        (json!({ "table": "people_rows", "id": long }), "people", "people"),
        (json!({ "table": "people_rows", "id": "a\nb" }), "people", "people"),
        (json!({ "table": "people_rows", "id": "a\u{fffd}" }), "people", "people"),
        (json!({ "table": "people_rows", "id": { "$oid": "1" } }), "people", "people"),
        (json!({ "table": "people_rows", "id": 0.5 }), "people", "people"),
        (json!({ "table": "people_rows", "id": 1.0 }), "people/1", "people/1"),
        (json!({ "table": "people_rows", "id": [1, null] }), "people", "people"),
        (json!({ "table": "people_rows", "id": [1, {}] }), "people", "people"),
        (json!({ "table": "people_rows", "id": [1, ""] }), "people", "people"),
        (json!({ "table": "people_rows", "id": [1, long] }), "people", "people"),
        (json!({ "table": "people_rows", "id": [] }), "people", ""),
        (json!({ "table": "people-row", "id": 1 }), "people/1", "people/1"),
        (json!({ "table": "PeopleRows", "id": 1 }), "people/1", "people/1"),
        (json!({ "table": "Audit", "id": 1 }), "Audit/1", ""),
        (json!({ "table": "blog-post", "id": 1 }), "blog-post/1", ""),
        (json!({ "table": "blogPost", "id": 1 }), "blogPost/1,blog_posts/1", ""),
        (json!({ "table": "blog post", "id": 1 }), "blog_posts/1", ""),
        (
            json!({ "table": "api::blog-post.blog-post", "id": 1 }),
            "api::blog-post.blog-post/1,blog_posts/1",
            "",
        ),
        (
            json!({ "table": "posts", "id": 1, "slug": "caf\u{fffd}", "client": null }),
            "posts/1,path:/posts/caf*",
            "",
        ),
        (json!({ "table": "posts", "id": 1, "client": "\u{fffd}" }), "all", ""),
        (json!({ "table": "people_rows", "id": [1, 2] }), "people/1,people/2", "people/1,people/2"),
        (json!({ "table": "people_rows", "id": [1, 2, 3, 4] }), "people", "people"),
        (json!({ "table": "audit", "id": 1 }), "", ""),
        (json!({ "table": "people_rows", "id": 1, "what": "gone" }), "", ""),
        (json!({ "table": "a b", "id": 1 }), "", ""),
        (json!({ "id": 1 }), "", "all"),
        (json!({}), "", ""),
        (json!([]), "", ""),
        (json!(null), "", ""),
        (json!({ "id": 1, "client": 7 }), "tag:client:7", "tag:client:7"),
        (json!({ "id": 1, "client": [1, 2, 3, 4] }), "all", "all"),
        (json!({ "id": 1, "client": long }), "", "all"),
        (
            json!({ "table": "people_rows", "id": 1, "slug": "a" }),
            "people/1,path:/people_rows/a",
            "people/1,path:/people_rows/a",
        ),
    ] {
        let (one, other) = (join(&plain, &event), join(&strict, &event));
        let got = (one.selectors.to_string(), other.selectors.to_string());
        assert_eq!(got, (by_plain.to_owned(), by_strict.to_owned()), "{event}");
        let is_meant = |it: &WebhookChange| !it.selectors.is_empty() || it.ignored.is_some();
        assert!(is_meant(&one) && is_meant(&other), "{event}: {one:?} {other:?}");
    }
}

/// A framework gets the route itself, unless another path clears more.
#[test]
fn routes_among_the_paths_are_kept() {
    let routes = |paths: &[&str]| {
        let paths = paths.iter().map(|text| template(text)).collect();
        let change =
            join(&Mapping { paths, ..mapping() }, &json!({ "table": "posts", "slug": "s" }));
        change.routes().iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
    };
    assert_eq!(routes(&["/{table}/[slug]", "/{table}/{slug}"]), "/posts/[slug]");
    assert_eq!(routes(&["/posts/[slug]", "/{table}/*"]), "");
}

/// What stands where an id should be and is none clears the type; an id with margins is both.
#[test]
fn an_id_that_is_none_clears_its_type() {
    for (id, expected) in [
        (json!(true), "posts"),
        (json!(false), "posts"),
        (json!("true"), "posts"),
        (json!(null), "posts"),
        (json!({ "a": 1 }), "posts"),
        (json!([["1"]]), "posts"),
        (json!(["1", true]), "posts"),
        (json!(" "), "posts"),
        (json!("*"), "posts"),
        (json!("1\n"), "posts"),
        (json!("1 "), "posts/1,posts/1 "),
        (json!([" 1", "2"]), "posts/ 1,posts/1,posts/2"),
        (json!(1.0), "posts/1"),
    ] {
        let mapping =
            Mapping { paths: vec![], tags: vec![], keys: vec![], parents: vec![], ..mapping() };
        let change = join(&mapping, &json!({ "table": "posts", "id": id, "record": { "id": id } }));
        assert_eq!(change.selectors.to_string(), expected, "{id}");
    }
}

#[test]
fn actions_are_ours_or_translated_or_updates() {
    for (what, expected) in [
        (json!("delete"), Action::Delete),
        (json!("force_delete"), Action::ForceDelete),
        (json!("shouted"), Action::Update),
        (json!(7), Action::Update),
        (json!(null), Action::Update),
    ] {
        let change = join(&mapping(), &json!({ "table": "t", "id": 1, "what": what }));
        assert_eq!(change.action(), expected, "{what}");
    }
}

/// One that is not named may be the one that matters.
#[test]
fn changed_fields_are_sent_only_if_all_can_be_named() {
    let long = "x".repeat(1025);
    for (fields, expected) in [
        (json!(["a", "b", "a"]), &["a", "b"][..]),
        (json!(["a", long]), &[]),
        (json!(["a", "b", "c", "d"]), &[]),
    ] {
        let change = join(&mapping(), &json!({ "table": "t", "id": 1, "fields": fields }));
        assert_eq!(change.parts[0].changed, expected, "{fields}");
    }
    let many = json!({ "table": "t", "id": 1, "client": [1, 2, 3, 4], "fields": ["a"] });
    assert_eq!(join(&mapping(), &many).parts[0].changed, [""; 0], "everything is cleared");
}

#[test]
fn events_of_a_batch_are_one_union_and_different_actions_an_update() {
    let mut change = WebhookChange::default();
    let headers = HeaderMap::new();
    for (id, what) in [(1, "delete"), (2, "delete"), (3, "create"), (4, "delete")] {
        let event = json!({ "table": "t", "id": id, "what": what, "fields": ["a", "b"] });
        let place =
            TemplateContext { event: &event, headers: &headers, texts_max: 9, rules: &rules() };
        mapping().join(&place, &mut change);
        let expected = if id < 3 { Action::Delete } else { Action::Update };
        assert_eq!(change.action(), expected);
    }
    assert_eq!(change.selectors.to_string(), "t/1,t/2,t/3,t/4");
    assert!(change.parts.iter().all(|part| part.changed == ["a", "b"]), "{:?}", change.parts);
}

#[test]
fn a_place_that_cannot_be_read_widens_and_absence_does_not() {
    let with = |template_text: &str| Mapping {
        ids: vec![],
        paths: vec![template("/{table}/{slug}")],
        tags: vec![template(template_text)],
        ..mapping()
    };
    for (tag, event, is_all) in [
        ("c:{client_id}", json!({ "table": "posts", "client_id": { "name": "x" } }), true),
        ("c:{client_id}", json!({ "table": "posts", "client_id": false }), true),
        ("c:{client_id}", json!({ "table": "posts", "client_id": 7.5 }), true),
        ("c:{client_id}", json!({ "table": "posts", "client_id": [[7]] }), true),
        ("c:{client_id|other}", json!({ "table": "posts", "client_id": {}, "other": 7 }), true),
        ("c:{rows.*.id}", json!({ "table": "posts", "rows": [{ "id": 1 }, { "id": {} }] }), true),
        ("c:{a}", json!({ "table": "posts", "slug": { "current": "x" } }), true),
        ("c:{rows.*.id}", json!({ "table": "posts", "rows": [{ "id": 1 }, {}] }), false),
        ("c:{client_id}", json!({ "table": "posts", "client_id": null }), false),
        ("c:{client_id}", json!({ "table": "posts", "client_id": "" }), false),
        ("c:{client_id}", json!({ "table": "posts" }), false),
        ("f:{featured}", json!({ "table": "posts", "featured": true }), false),
    ] {
        let change = join(&with(tag), &event);
        assert_eq!(change.selectors.is_all(), is_all, "{event}");
        let is_noted = change.notes.iter().any(|note| note.contains("cannot be read"));
        assert_eq!(is_noted, is_all, "{event}: {:?}", change.notes);
    }
}
