//! Bodies of users and of peers.

use super::*;

fn read(json: &str) -> Result<Selectors, BadBody> {
    InvalidateBody::read(json.as_bytes())?.selectors(1000)
}

#[test]
fn every_form_of_selector_is_read() {
    for (json, expected) in [
        (r#"{"type":"posts"}"#, "posts"),
        (r#"{"type":"posts","id":"42"}"#, "posts/42"),
        (r#"{"type":"posts","id":42,"ids":["a",-1]}"#, "posts/-1,posts/42,posts/a"),
        (r#"{"type":"posts","id":null}"#, "posts"),
        (r#"{"tag":"x","tags":["y"]}"#, "tag:x,tag:y"),
        (r#"{"path":"/a","paths":["/b/*"]}"#, "path:/a,path:/b/*"),
        (r#"{"key":"k","keys":["l"]}"#, "key:k,key:l"),
        (r#"{"pattern":"posts:*"}"#, "pattern:posts:*"),
        (r#"{"all":true}"#, "all"),
        (r#"{"type":"a","tag":"x","key":"k"}"#, "a,tag:x,key:k"),
        (r#"{"items":[{"type":"a"},{"tag":"x"}]}"#, "a,tag:x"),
        (r#"{"type":"posts","id":"*"}"#, "posts"),
        (r#"{"type":"posts","ids":["7","4*"]}"#, "posts"),
        (r#"{"type":"posts","id":"1 "}"#, "posts/1,posts/1 "),
        (r#"{"path":"/docs/:path*"}"#, "path:/docs,path:/docs/*"),
    ] {
        assert_eq!(read(json).map(|s| s.to_string()), Ok(expected.to_owned()), "{json}");
    }
}

#[test]
fn what_cannot_be_is_named() {
    for (json, needle) in [
        (r#"{"Mirror":false,"type":"a"}"#, "did you mean \"mirror\"?"),
        (r#"{"mirrors":false,"type":"a"}"#, "did you mean \"mirror\"?"),
        (r#"{"typ":"a"}"#, "did you mean \"type\"?"),
        (r#"{"zzzzzzzzzz":1}"#, "known are type"),
        (r#"{"items":[{"type":"a","mirror":true}]}"#, "belongs to the whole request"),
        (r#"{"items":[{"items":[{"type":"a"}]}]}"#, "belongs to the whole request"),
        (r#"{"items":[{"typ":"a"}]}"#, "did you mean \"type\"?"),
        (r#"{"type":"a","mirror":null}"#, "null"),
        (r#"{"type":"a","mirror":"false"}"#, "boolean"),
        (r#"{"type":"a","mirror":0}"#, "boolean"),
        (r#"{"type":"a","type":"b"}"#, "duplicate field"),
        (r#"{"type":"a","id":1.5}"#, "whole number"),
        (r#"{"type":"a"} x"#, "trailing"),
        ("\u{feff}{}", "expected value"),
        (r#"{"tag":"\ud800"}"#, "hex escape"),
        ("[]", "expected an object"),
        (r#"["posts"]"#, "expected an object"),
        (r#"{"items":[["posts"]]}"#, "expected an object"),
        ("{}", "\"all\": true"),
        (r#"{"all":false}"#, "\"all\": true"),
        (r#"{"items":[{}]}"#, "\"all\": true"),
        (r#"{"id":"1"}"#, "needs a \"type\""),
        (r#"{"type":"a b"}"#, "is not a type"),
        (r#"{"type":"a","id":" "}"#, "must not be empty"),
        (r#"{"tag":"x\r\ny"}"#, "control"),
        (r#"{"path":"a"}"#, "must begin with"),
        (r#"{"mode":"gentle","type":"a"}"#, "unknown variant"),
        (r#"{"type":"a","fields":{"slug":""}}"#, "must not be empty"),
        (r#"{"type":"a","fields":{"a b":"c"}}"#, "the name of a field"),
        (r#"{"type":"a","fields":{"slug":["x"]}}"#, "text or a whole number"),
        (r#"{"items":[{"type":"a","fields":{"x":"y"}}]}"#, "belongs to the whole request"),
    ] {
        let error = read(json).expect_err(json).to_string();
        assert!(error.contains(needle), "{json}: {error}");
    }
}

#[test]
fn too_many_selectors_are_refused_with_their_place() {
    let ids: Vec<String> = (0..1001).map(|n| n.to_string()).collect();
    let json = serde_json::json!({ "type": "a", "ids": ids }).to_string();
    assert!(matches!(read(&json), Err(BadBody::Value { .. })));
    let error = read(r#"{"items":[{"type":"a"},{"tag":""}]}"#).expect_err("empty tag");
    assert_eq!(
        error,
        BadBody::Value { message: "must not be empty".into(), pointer: "/items/1/tag".into() }
    );
}

/// Invariant I14: from a peer an unknown kind of selector widens, it is never ignored.
#[test]
fn a_peers_unknown_field_widens() {
    let read = |json: &str| InvalidateBody::read_from_peer(json.as_bytes());
    let body = read(r#"{"type":"posts","host":"x","mirror":false}"#).expect("read");
    assert!(body.selectors(1000).expect("selectors").is_all());
    let body = read(r#"{"type":"posts","mirror":false}"#).expect("read");
    assert_eq!(body.selectors(1000).expect("selectors").to_string(), "posts");
    assert!(read("{").expect("widened").selectors(1000).expect("selectors").is_all());
    for (json, expected) in [
        (r#"{"items":[{"host":"x"}]}"#, "all"),
        (r#"{"items":[{"type":"a"},{"type":"b","host":"x"}]}"#, "all"),
        (r#"{"items":[{"type":"a","mode":"soft"}]}"#, "all"),
        (r#"{"type":"a","host":null}"#, "all"),
        (r#"{"type":"a","type":"b"}"#, "all"),
        (r#"{"type":"a","items":[{"tag":"x","tag":"y"}]}"#, "all"),
        (r#"{"host":"x"}"#, "all"),
        (r#"{"type":"a","ids":null,"tag":null,"mirror":null,"all":null}"#, "a"),
        (r#"{"items":[{"type":"a","id":"1","ids":null}]}"#, "a/1"),
        (r#"{"type":"a","mode":"purge"}"#, "a"),
        (r#"{"type":"a","id":"1","action":"merge","changed":["x"]}"#, "a/1"),
    ] {
        let body = read(json).expect(json);
        assert_eq!(body.selectors(1000).expect(json).to_string(), expected, "{json}");
        assert_eq!((body.mode(), body.action()), (Mode::Hard, Action::Update), "{json}");
        assert!(body.changed.is_empty(), "an unknown action excuses nothing: {json}");
    }
    let batch = r#""batch":{"protocol":1,"origin":"b","epoch":1,"graph":"g","watermark":1}"#;
    for (extra, expected) in [(r#""hosts":["h"]"#, "all"), (r#""tag":"x""#, "tag:x")] {
        let body = read(&format!("{{\"mirror\":false,{extra},{batch}}}")).expect(extra);
        assert!(body.batch.is_some(), "{extra}");
        assert_eq!(body.selectors(1000).expect(extra).to_string(), expected, "{extra}");
    }
    for json in [r#"{"items":[{}]}"#, "{}", r#"{"type":null}"#] {
        assert!(read(json).expect(json).selectors(1000).is_err(), "it names nothing: {json}");
    }
}

/// A value of another type than ours is read where it can be, and widens where it cannot.
#[test]
fn a_peers_value_of_another_type_widens_and_is_never_refused() {
    for (json, expected) in [
        (r#"{"type":"posts","id":1.0}"#, "posts/1"),
        (r#"{"type":"posts","id":["1"]}"#, "posts/1"),
        (r#"{"type":"posts","id":[1,"2"],"ids":3}"#, "posts/1,posts/2,posts/3"),
        (r#"{"type":"posts","id":"1","mirror":"false"}"#, "posts/1"),
        (r#"{"type":"posts","id":"1","mirror":0,"dry_run":"no","reason":7}"#, "posts/1"),
        (r#"{"type":"posts","id":12345678901234567890123}"#, "posts/12345678901234567890123"),
        (r#"{"type":"posts","id":1.5}"#, "posts"),
        (r#"{"type":"posts","id":true}"#, "posts"),
        (r#"{"type":"posts","ids":["1",{"a":1}]}"#, "posts"),
        (r#"{"type":"posts","ids":["1",""]}"#, "posts"),
        (r#"{"type":["posts"]}"#, "all"),
        (r#"{"type":7,"id":"1"}"#, "all"),
        (r#"{"tag":["x","y"]}"#, "tag:x,tag:y"),
        (r#"{"tags":"x","keys":7}"#, "tag:x,key:7"),
        (r#"{"paths":[{}]}"#, "all"),
        (r#"{"path":"no slash"}"#, "all"),
        (r#"{"all":"true"}"#, "all"),
        (r#"{"all":"false","type":"a"}"#, "a"),
        (r#"{"items":{"type":"a","id":1.0}}"#, "a/1"),
        (r#"{"items":[{"type":"a"},7]}"#, "all"),
        (r#"{"type":"a","id":"cut \ud83d"}"#, "a"),
        (r#"{"type":"a","id":"1","reason":"cut \ud83d"}"#, "a/1"),
        (r#"{"type":"a","id":"\ud83d\ude00"}"#, "a/\u{1f600}"),
        (r#"{"tag":"\udc00"}"#, "all"),
        (r#"{"type":"a","changed":"title"}"#, "a"),
        (r#"{"type":"a",,}"#, "all"),
        (r#"{"batch":7}"#, "all"),
        (r#"{"type":"a","mode":7,"action":{},"changed":["x"]}"#, "a"),
        (r#"{"type":"posts","id":"1 "}"#, "posts/1,posts/1 "),
        (r#"{"type":"posts","id":["\u00a01"]}"#, "posts/1,posts/\u{a0}1"),
        (r#"{"type":"posts","id":" "}"#, "posts"),
        (r#"{"type":"posts","id":"*"}"#, "posts"),
        (r#"{"type":"posts","ids":["1",null]}"#, "posts"),
        (r#"{"type":"posts","id":null}"#, "posts"),
    ] {
        let body = InvalidateBody::read_from_peer(json.as_bytes()).expect(json);
        let selectors = body.selectors_of_peer(1000).expect(json);
        assert_eq!(selectors.to_string(), expected, "{json}");
        assert_ne!(body.mirror, Some(true));
        assert_eq!((body.mode(), body.dry_run), (Mode::Hard, false), "{json}");
    }
    // A number is its decimal text, as far as a label may be long; a longer one is unreadable.
    let exact = format!("a/{}", "1".repeat(400));
    for (digits, expected) in [(400, &*exact), (2_000, "a"), (40_000, "a")] {
        let json = format!(r#"{{"type":"a","id":{}}}"#, "1".repeat(digits));
        let body = InvalidateBody::read_from_peer(json.as_bytes()).expect("read");
        assert_eq!(body.selectors_of_peer(1000).expect("selectors").to_string(), expected);
    }
    let many: Vec<String> = (0..1001).map(|n| n.to_string()).collect();
    let json = serde_json::json!({ "type": "a", "ids": many, "reason": "x".repeat(5000) });
    let body = InvalidateBody::read_from_peer(json.to_string().as_bytes()).expect("read");
    assert_eq!(body.selectors_of_peer(1000).expect("selectors").to_string(), "a");
    assert_eq!(body.reason.map(|reason| reason.len()), Some(1024));
    for json in ["", " ", "null", "[]", r#""""#] {
        assert!(InvalidateBody::read_from_peer(json.as_bytes()).is_err(), "{json:?}");
    }
}

/// A peer that does not send it again would have lost the change.
#[test]
fn a_peers_body_that_cannot_be_read_at_all_is_everything() {
    for json in [r#"{"type":"a""#, "{", "<html>", "7", r#"[{"type":"a"}]"#, r#""posts""#, "\u{0}"] {
        let body = InvalidateBody::read_from_peer(json.as_bytes()).expect(json);
        assert!(body.selectors_of_peer(1000).expect(json).is_all(), "{json}");
        assert_eq!((body.mode(), body.mirror, body.dry_run), (Mode::Hard, None, false), "{json}");
    }
}

/// What cannot be read of a batch's event widens that event alone.
#[test]
fn an_unreadable_part_of_a_batch_widens_that_part() {
    let id = "01980000-0000-7000-8000-000000000001";
    let batch = |event: &str, rest: &str| {
        let json = format!(
            r#"{{"mirror":"false","batch":{{"protocol":1,"origin":"b","epoch":"1","graph":"g",
            "watermark":1.5,"events":[{{"id":"{id}","seq":1,"selectors":{{"types":["a"]}}}},{event}]
            {rest}}}}}"#
        );
        let body = InvalidateBody::read_from_peer(json.as_bytes()).expect("read");
        assert!(body.selectors_of_peer(1000).expect(event).is_empty(), "{event}");
        crate::domain::submission::PeerBatch::from(body.batch.expect("a batch"))
    };
    for (event, expected) in [
        (r#"{"id":7,"seq":"2","selectors":{"types":["b"]}}"#, "b"),
        (r#"{"selectors":{"types":"b"}}"#, "all"),
        (r#"{"selectors":{"ids":{"b":["\ud83d"]}}}"#, "all"),
        (r#"{"selectors":{"tags":["t"]},"mode":1,"action":[],"changed":[1],"fields":[]}"#, "tag:t"),
    ] {
        let read = batch(event, "");
        assert_eq!(read.events[0].selectors.to_string(), "a");
        assert_eq!(read.events[1].selectors.to_string(), expected, "{event}");
    }
    let merged = batch(r#"{"selectors":{}}"#, r#","merged":{"hard":7},"cascade":"x""#);
    assert!(merged.merged.hard.is_all() && merged.cascade.is_all());
}

#[test]
fn a_peers_body_costs_what_it_is_long() {
    // Nothing here may be quadratic: each of these is a megabyte of what has to be repaired.
    for piece in ["\\ud83d", "\\", "1e999,", "[\"", "\u{7}"] {
        let json =
            format!(r#"{{"type":"a","reason":"{}"}}"#, piece.repeat((1 << 20) / piece.len()));
        let repaired = coerce::repair(json.as_bytes());
        assert!(repaired.len() <= 3 * json.len(), "{piece}");
    }
}
