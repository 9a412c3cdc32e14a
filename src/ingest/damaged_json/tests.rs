//! Valid JSON is parsed as usual; damage affects only the damaged part.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn values(body: &[u8]) -> (Vec<Value>, Option<Damage>, bool) {
    let Reading { values, damage, is_broken } = read(body, 8);
    (values, damage, is_broken)
}

#[test]
fn a_value_that_cannot_be_read_costs_only_itself() {
    let lost = "\u{fffd}";
    let (text, value) = (Some(Damage::Text), Some(Damage::Value));
    let digits = "9".repeat(400);
    let big = format!("{{\"id\":{digits},\"n\":1}}");
    for (body, expected, damage) in [
        (&br#"{"t":"cut \ud83d","id":1}"#[..], json!({ "t": "cut \u{fffd}", "id": 1 }), text),
        (br#"{"t":"\udc00\ud83d\ude00x"}"#, json!({ "t": "\u{fffd}\u{1f600}x" }), text),
        (br#"{"t":"\ud83d\u0041"}"#, json!({ "t": "\u{fffd}A" }), text),
        (br#"{"t":"\ud83d\ud83d\ude00"}"#, json!({ "t": "\u{fffd}\u{1f600}" }), text),
        (br#"{"t":"\u12G4 \q"}"#, json!({ "t": "\u{fffd}12G4 \u{fffd}" }), text),
        (b"{\"t\":\"caf\xe9\",\"id\":2}", json!({ "t": "caf\u{fffd}", "id": 2 }), text),
        (b"{\"t\":\"a\nb\"}", json!({ "t": "a\nb" }), text),
        (big.as_bytes(), json!({ "id": digits, "n": 1 }), None),
        (
            br#"{"n":1e999,"m":NaN,"k":-Infinity}"#,
            json!({ "n": lost, "m": lost, "k": lost }),
            value,
        ),
        (br#"{"n":007,"m":+1,"k":.5}"#, json!({ "n": lost, "m": lost, "k": lost }), value),
        (
            br#"{"n":0.12345678901234567890}"#,
            json!({ "n": 0.123_456_789_012_345_68 }),
            Some(Damage::Inexact),
        ),
        (br#"{"n":0.00000012345678901234567}"#, json!({ "n": 1.234_567_890_123_456_7e-7 }), None),
        (br#"{"a":1,"a":2}"#, json!({ "a": [1, 2] }), Some(Damage::Repeated)),
        (br#"{"a":[1],"a":[2],"a":3}"#, json!({ "a": [1, 2, 3] }), Some(Damage::Repeated)),
        (b"[[[[[[[[[1]]]]]]]],2]", json!([[[[[[[[lost]]]]]]], 2]), Some(Damage::Deep)),
        (br#"{"a":1,}"#, json!({ "a": 1 }), Some(Damage::Structure)),
        (b"[1,,2]", json!([1, 2]), Some(Damage::Structure)),
        (b"\xef\xbb\xbf{\"a\":1}", json!({ "a": 1 }), None),
        (b"\xff\xfe{\0\"\0a\0\"\0:\x001\0}\0", json!({ "a": 1 }), text),
        (b"\xfe\xff\0{\0\"\0a\0\"\0:\x001\0}", json!({ "a": 1 }), text),
        (br#"{"a":18446744073709551616}"#, json!({ "a": "18446744073709551616" }), None),
        (b"{\"a\":-0}", json!({ "a": 0 }), None),
    ] {
        let shown = String::from_utf8_lossy(body);
        assert_eq!(values(body), (vec![expected], damage, false), "{shown}");
    }
}

#[test]
fn what_stood_before_a_break_is_kept() {
    for (body, expected) in [
        (r#"{"a":1"#, vec![json!({ "a": 1 })]),
        (r#"{"a":{"b":"c"#, vec![json!({ "a": { "b": "c\u{fffd}" } })]),
        (r#"{"a":1 "b":2}"#, vec![json!({ "a": 1 })]),
        (r#"{"a":1}x"#, vec![json!({ "a": 1 })]),
        (r#"{"a":1}]"#, vec![json!({ "a": 1 })]),
        ("[1", vec![json!([1])]),
        ("{", vec![json!({})]),
        ("[[[[[[[[[1", vec![json!([[[[[[[["\u{fffd}"]]]]]]]])]),
        ("payload=%7B%7D", vec![json!("\u{fffd}")]),
    ] {
        let (values, damage, is_broken) = values(body.as_bytes());
        assert_eq!((values, damage.is_some()), (expected, true), "{body}");
        assert!(is_broken || body.starts_with('p'), "{body}");
    }
    assert_eq!(values(b" \n"), (vec![], None, false));
    let two = vec![json!({ "a": 1 }), json!({ "a": 2 })];
    assert_eq!(values(b"{\"a\":1}\n{\"a\":2}\n"), (two, Some(Damage::Structure), false));
}

#[test]
fn big_whole_numbers_are_quoted_and_nothing_else() {
    for (json, expected) in [
        (r#"{"id":123456789012345678901}"#, r#"{"id":"123456789012345678901"}"#),
        (
            r#"{"ids":[-99999999999999999999,18446744073709551615,18446744073709551616]}"#,
            r#"{"ids":["-99999999999999999999",18446744073709551615,"18446744073709551616"]}"#,
        ),
        (r#"{"a":"123456789012345678901"}"#, r#"{"a":"123456789012345678901"}"#),
        (r#"{"a":"\"123456789012345678901"}"#, r#"{"a":"\"123456789012345678901"}"#),
        (r#"{"a":1234567890123456789012.5}"#, r#"{"a":1234567890123456789012.5}"#),
        (r#"{"a":00000000000000000000001}"#, r#"{"a":00000000000000000000001}"#),
        ("\\", "\\"),
        ("\"\\", "\"\\"),
    ] {
        assert_eq!(quote_big_integers(json.as_bytes()), expected.as_bytes(), "{json}");
    }
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_a_panic(body in prop::collection::vec(any::<u8>(), 0..300)) {
        let reading = read(&body, 5);
        let is_strict = serde_json::from_slice::<Value>(&body).is_ok();
        prop_assert!(is_strict || reading.damage.is_some() || reading.values.is_empty());
        drop(quote_big_integers(&body));
    }

    #[test]
    fn nearly_json_is_read_without_a_panic(body in r#"[\[\]{}":,\\u0d8c3ea -]{0,60}"#) {
        // Serde reads it as a floating-point number.
        prop_assume!(!body.contains("-0"));
        let reading = read(body.as_bytes(), 5);
        match serde_json::from_str::<Value>(&body) {
            Ok(value) if reading.damage.is_none() => prop_assert_eq!(reading.values, vec![value]),
            Ok(_) => {}
            Err(_) => prop_assert!(reading.damage.is_some() || reading.values.is_empty()),
        }
    }
}
