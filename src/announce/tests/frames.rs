//! What an event looks like to a listener.

use serde_json::json;

use super::frame::{Position, app_updates, goodbye, hello, ping, resync};
use super::*;

fn rendered(event: &Event) -> Vec<Heard> {
    hear(&[Sse::of(&app_updates(event))])
}

/// S4: every sort of selector has one form, with `type` null where it names none.
#[test]
fn every_sort_of_selector_has_its_frame() {
    let label = |text: &str| Label::parse(text).expect("label");
    let path = |text: &str| Selector::path(text).expect("path");
    let pattern = crate::domain::Glob::parse("posts:*").expect("pattern");
    for (selector, part) in [
        (Selector::Tag(label("x")), json!({ "tags": ["x"], "paths": [], "keys": [] })),
        (path("/a"), json!({ "tags": [], "paths": ["/a"], "keys": [] })),
        (path("/a/*"), json!({ "tags": [], "paths": ["/a/*"], "keys": [] })),
        (Selector::Key(label("k")), json!({ "tags": [], "paths": [], "keys": ["k"] })),
        (Selector::Pattern(pattern), json!({ "tags": [], "paths": [], "keys": ["posts:*"] })),
        (Selector::All, json!({ "tags": [], "paths": [], "keys": [], "all": true })),
    ] {
        let [frame] = &rendered(&event(Selectors::one(selector.clone())))[..] else {
            panic!("one frame for {selector}");
        };
        assert_eq!((frame.event.as_str(), frame.id.as_deref()), ("app-update", Some("3-7")));
        assert_eq!(frame.data["type"], Value::Null, "{selector}");
        for (field, value) in part.as_object().expect("object") {
            assert_eq!(&frame.data[field], value, "{selector} {field}");
        }
    }
}

#[test]
fn types_and_ids_say_all_there_is_to_say() {
    let [frame] = &rendered(&event(whole("posts")))[..] else { panic!("one frame") };
    let expected = json!({
        "type": "posts", "id": null, "ids": [], "action": "delete", "tags": [], "paths": [],
        "cause": [], "version": 9, "origin": "here",
    });
    assert_eq!(frame.data, expected);
    let [frame] = &rendered(&event(Selectors::one(entity("posts", "4\"2\u{2028}"))))[..] else {
        panic!("one frame");
    };
    assert_eq!(
        (&frame.data["id"], &frame.data["ids"]),
        (&json!("4\"2\u{2028}"), &json!(["4\"2\u{2028}"]))
    );
    let two = [entity("posts", "1"), entity("posts", "2")].into_iter().collect();
    let [frame] = &rendered(&event(two))[..] else { panic!("one frame") };
    assert_eq!((&frame.data["id"], &frame.data["ids"]), (&Value::Null, &json!(["1", "2"])));
}

/// Parts of one event are numbered, and the last has the event's own id.
#[test]
fn a_frame_for_each_type_and_the_cascade_with_its_cause() {
    let mut selectors = whole("posts");
    selectors.insert(entity("pages", "1"));
    selectors.insert(Selector::Tag(Label::parse("x").expect("tag")));
    let cascade: Selectors =
        ["feed", "home"].map(whole).iter().flat_map(|one| one.iter().collect::<Vec<_>>()).collect();
    let heard = rendered(&Event { cascade, ..event(selectors) });
    let ids: Vec<_> = heard.iter().filter_map(|frame| frame.id.clone()).collect();
    assert_eq!(ids, ["3-7.1", "3-7.2", "3-7.3", "3-7.4", "3-7"]);
    let types: Vec<_> = heard.iter().map(|frame| frame.data["type"].clone()).collect();
    assert_eq!(json!(types), json!(["posts", "pages", null, "feed", "home"]));
    let causes: Vec<_> = heard.iter().map(|frame| frame.data["cause"].clone()).collect();
    let cause = &causes[3];
    assert_eq!(json!(causes[..3]), json!([[], [], []]));
    assert_eq!((cause, &causes[4]), (&causes[4], &json!(["posts", "pages"])));
}

#[test]
fn ids_are_read_back() {
    let at = |epoch, seq, frames| Some(Position { epoch, seq, frames });
    for (text, expected) in [
        ("3-7", at(3, 7, None)),
        ("3-7.2", at(3, 7, Some(2))),
        ("0-0", at(0, 0, None)),
        ("", None),
        ("7", None),
        ("3-", None),
        ("-7", None),
        ("3-7.", None),
        ("3-7.x", None),
        ("3--7", None),
        ("3-7-1", None),
        ("99999999999999999999-1", None),
        ("3-7\n", None),
    ] {
        assert_eq!(Position::parse(text), expected, "{text:?}");
    }
}

#[test]
fn the_other_frames() {
    let first = Sse::of(&[hello("here", 9, (2, true), &config())]);
    let [first] = &hear(&[first])[..] else { panic!("one frame") };
    let data = json!({ "instance": "here", "version": 9, "replayed": 2, "gap": true });
    assert_eq!((first.event.as_str(), &first.data, &first.id), ("hello", &data, &None));
    let aliases = [("article".to_owned(), "posts".to_owned())].into();
    let named = hello("here", 9, (0, false), &Config { aliases, ..config() });
    assert_eq!(hear(&[Sse::of(&[named])])[0].data["aliases"], json!({ "article": "posts" }));
    let frames = [resync(Some("3-7".into()), "gap"), ping(), goodbye(1500)];
    let frames = hear(&[Sse::of(&frames)]);
    let names: Vec<_> = frames.iter().map(|frame| frame.event.as_str()).collect();
    assert_eq!(names, ["resync", "ping", "goodbye"]);
    assert_eq!(frames[0].id.as_deref(), Some("3-7"));
}

/// An event of thousands of types that cascade to thousands does not make the product of both.
#[test]
fn the_cause_of_a_cascade_is_bounded() {
    let types = |prefix: &str, count: usize| -> Selectors {
        let name = |n| crate::domain::TypeName::parse(&format!("{prefix}{n}")).expect("a type");
        (0..count).map(|n| Selector::Type(name(n))).collect()
    };
    let bytes = |count| {
        let mut event = event(types("named", count));
        event.cascade = types("brought", count);
        app_updates(&event).iter().map(|frame| frame.data.len()).sum::<usize>()
    };
    let (small, large) = (bytes(600), bytes(6_000));
    assert!(large < 11 * small, "{small} bytes, then {large}");
    assert!(large < 8 << 20, "{large}");
}
