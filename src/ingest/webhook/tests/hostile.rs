//! Whatever is sent: never a panic, never more work than allowed, never less cleared than named.

use proptest::prelude::*;
use serde_json::Value;

use super::super::*;
use super::mapping::{mapping, rules};
use crate::domain::{Label, Selector, TypeName};

const LIMITS: Limits = Limits { selectors_max: 8, depth_max: 16 };

fn hook(form: Form) -> Hook {
    Hook {
        name: "x".into(),
        scheme: Scheme::Secret(hyper::header::AUTHORIZATION),
        secrets: vec![Secret::new("s")],
        form,
        delivery: WebhookTemplate::parse("{id}").ok(),
        mapping: mapping(),
    }
}

fn hmac() -> Scheme {
    Scheme::Hmac(Box::new(Hmac {
        header: hyper::header::AUTHORIZATION,
        separator: Some(','),
        prefix: "v1=".into(),
        encoding: Encoding::Hex,
        key: KeyForm::Text,
        content: Content::parse("{timestamp}.{path}.{headers}.{body}").expect("a content"),
        timestamp: Some(Timestamp {
            at: TimestampAt::WithSignature("t=".into()),
            is_ms: true,
            tolerance: std::time::Duration::from_secs(u64::MAX / 2000),
        }),
        signed_headers: Some(hyper::header::VIA),
        path: None,
    }))
}

fn json() -> impl Strategy<Value = Value> {
    let name = prop::sample::select(vec!["table", "id", "client", "slug", "what", "fields", "x"]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
        prop::sample::select(vec!["posts", "audit", "gone", "people_rows"]).prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 32, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map(name.clone(), inner, 0..6).prop_map(|fields| {
                fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
            }),
        ]
    })
}

proptest! {
    #[test]
    fn any_json_is_read_within_bounds(body in json(), is_batch in any::<bool>()) {
        let path = is_batch.then(|| JsonPath::parse("x").expect("a path"));
        let text = body.to_string();
        let headers = HeaderMap::new();
        let delivery =
            WebhookRequest { target: "/", headers: &headers, body: text.as_bytes(), now_ms: 0 };
        let read = hook(Form::Json(path)).read(&delivery, LIMITS, &rules()).expect("it is JSON");
        prop_assert!(read.change.selectors.members() <= LIMITS.selectors_max);
        prop_assert!(!read.change.selectors.is_empty() || read.change.notes.len() <= 8);
    }

    #[test]
    fn any_bytes_are_read_or_refused(
        body in prop::collection::vec(any::<u8>(), 0..200),
        header in "[ -~]{0,40}",
        now_ms in any::<u64>(),
    ) {
        let mut headers = HeaderMap::new();
        for name in ["authorization", "via", "content-type", "ce-type", "ce-specversion"] {
            headers.insert(name, header.parse().expect("visible text"));
        }
        let delivery = WebhookRequest { target: "/?a", headers: &headers, body: &body, now_ms };
        for form in [Form::Json(None), Form::CloudEvents] {
            drop(hook(form).read(&delivery, LIMITS, &rules()));
        }
        prop_assert!(hook(Form::CloudEvents).check(&delivery).is_err());
        prop_assert!(hmac().check(&[Secret::new("s")], &delivery).is_err());
    }

    /// An event that names an entity clears at least that entity, whatever stands around it.
    #[test]
    fn what_is_named_is_cleared(id in "[a-z0-9]{1,8}", around in json(), before in json()) {
        let named = serde_json::json!({ "table": "posts", "id": id, "client": around });
        let text = serde_json::json!([before, named]).to_string();
        let headers = HeaderMap::new();
        let delivery =
            WebhookRequest { target: "/", headers: &headers, body: text.as_bytes(), now_ms: 0 };
        let read = hook(Form::Json(None)).read(&delivery, LIMITS, &rules()).expect("it is JSON");
        let posts = TypeName::parse("posts").expect("a type");
        let entity = Selector::Entity(posts, Label::parse(&id).expect("an id"));
        prop_assert!(read.change.selectors.covers_one(&entity), "{}", read.change.selectors);
    }

    /// Whatever happens to a genuine delivery on its way, it clears its entity or its type as long
    /// as the type can be read.
    #[test]
    fn a_damaged_delivery_clears_its_type_or_is_refused(
        at in any::<prop::sample::Index>(),
        length in 0_usize..12,
        junk in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..6),
            r#"[\[\]{}":,\\u0-9a-fe.+ -]{0,8}"#.prop_map(String::into_bytes),
            prop::sample::select(vec![
                &b"\\ud83d"[..], b"NaN", b"1e999", b"null", b"[null]", b"\xff", b"\x00", b"{}",
            ]).prop_map(<[u8]>::to_vec),
        ],
    ) {
        let whole =
            br#"{"table":"posts","id":41,"rest":{"client":7,"title":"a","list":[1,{"b":2}]}}"#;
        let end_of_type = br#"{"table":"posts","#.len();
        let at = end_of_type + at.index(whole.len() - end_of_type);
        let end = whole.len().min(at + length);
        let body = [&whole[..at], &junk, &whole[end..]].concat();
        let headers = HeaderMap::new();
        let delivery = WebhookRequest { target: "/", headers: &headers, body: &body, now_ms: 0 };
        let posts = Selector::Type(TypeName::parse("posts").expect("a type"));
        let entity = |id: &str| {
            let name = TypeName::parse("posts").expect("a type");
            Selector::Entity(name, Label::parse(id).expect("an id"))
        };
        let shown = String::from_utf8_lossy(&body).into_owned();
        match hook(Form::Json(None)).read(&delivery, LIMITS, &rules()) {
            Err(_) => prop_assert!(false, "refused, though its type can be read: {shown}"),
            Ok(ReadWebhook { change, .. }) => {
                let selectors = change.selectors;
                prop_assert!(!selectors.is_empty(), "accepted for nothing: {shown}");
                let is_intact = body.windows(9).any(|part| part == br#","id":41,"#);
                let is_entity =
                    !is_intact && selectors.ids().len() == 1 || selectors.covers_one(&entity("41"));
                prop_assert!(selectors.covers_one(&posts) || is_entity, "{selectors}: {shown}");
            }
        }
    }

    #[test]
    fn any_text_is_a_template_or_is_refused(text in ".{0,60}", braced in "[a-z.|*:/ {}-]{0,60}") {
        for text in [text, braced] {
            drop(WebhookTemplate::parse(&text));
            drop(Content::parse(&text));
        }
    }
}

#[test]
fn a_deep_body_is_refused_and_a_long_list_is_everything() {
    let headers = HeaderMap::new();
    let deep = "[".repeat(17) + &"]".repeat(17);
    let read = |body: &str| {
        let delivery =
            WebhookRequest { target: "/", headers: &headers, body: body.as_bytes(), now_ms: 0 };
        hook(Form::Json(None)).read(&delivery, LIMITS, &rules())
    };
    assert_eq!(read(&deep).expect_err("too deep"), BadDelivery::TooDeep(16));
    let events = [r#"{"table":"posts","id":1}"#; 9].join(",");
    let read = read(&format!("[{events}]")).expect("a batch");
    assert_eq!(read.change.selectors.to_string(), "all");
    assert_eq!(read.change.notes, ["more events than are taken at once: everything is cleared"]);
}

/// A type that is there and cannot be read may be any type.
#[test]
fn a_type_that_cannot_be_read_clears_everything() {
    let headers = HeaderMap::new();
    let read = |body: &str, is_unlisted_ignored: bool| {
        let mut hook = hook(Form::Json(None));
        hook.mapping.is_unlisted_ignored = is_unlisted_ignored;
        let body = body.as_bytes();
        let delivery = WebhookRequest { target: "/", headers: &headers, body, now_ms: 0 };
        hook.read(&delivery, LIMITS, &rules()).expect("it is read").change
    };
    for body in [
        r#"{"table":"po\ud83dsts","id":"7"}"#,
        r#"{"table":{"name":"posts"},"id":"7"}"#,
        r#"{"table":[{"name":"posts"}],"id":"7"}"#,
        r#"[{"table":"pages","id":"1"},{"table":"p\udc00","id":"7"}]"#,
    ] {
        for is_unlisted_ignored in [false, true] {
            let change = read(body, is_unlisted_ignored);
            assert!(change.selectors.is_all(), "{body}: {}", change.selectors);
            let notes = change.notes.join("; ");
            assert!(notes.contains("a type that cannot be read"), "{body}: {notes}");
            assert!(change.parts.iter().all(|part| part.changed.is_empty()), "{body}");
        }
    }
    // What is absent or merely no type of ours is as before.
    for body in [r#"{"id":"7"}"#, r#"{"table":null,"id":"7"}"#] {
        assert!(!read(body, false).selectors.is_all(), "{body}");
    }
}
