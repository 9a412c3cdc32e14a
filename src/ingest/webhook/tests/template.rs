//! What a template finds.

use serde_json::json;

use super::super::*;

fn place<'a>(event: &'a serde_json::Value, headers: &'a HeaderMap) -> TemplateContext<'a> {
    static RULES: std::sync::LazyLock<Rules> = std::sync::LazyLock::new(super::mapping::rules);
    TemplateContext { event, headers, texts_max: 4, rules: &RULES }
}

#[test]
fn the_first_that_is_there_in_every_combination() {
    let event = json!({
        "record": { "id": 42, "slug": "a-b", "empty": "", "none": null, "half": 0.5,
            "tags": ["x", 7, null, {}], "rows": [{ "id": "r1" }, { "id": 2 }, {}] },
        "old_record": { "id": 41 },
        "topic": "Products/Update/Now", "is_live": true,
        "whole": 1.0, "thousand": 1e3, "minus_zero": -0.0,
        "huge": 123_456_789_012_345_678_901_234_567_890.0,
    });
    let mut headers = HeaderMap::new();
    headers.insert("x-topic", "orders/create".parse().expect("a value"));
    for (template, expected) in [
        ("{record.id|old_record.id}", "42"),
        ("{record.nothing|old_record.id}", "41"),
        ("{record.none|old_record.id}", "41"),
        ("{record.empty|old_record.id}", "41"),
        ("{record|old_record.id}", "41"),
        ("{record.half}", ""),
        ("{huge}", ""),
        ("{nothing}", ""),
        ("{is_live}", "true"),
        ("posts", "posts"),
        ("/posts/{record.slug}", "/posts/a-b"),
        ("/posts/{record.nothing}", ""),
        ("{record.tags}", "x,7"),
        ("{record.tags.1}", "7"),
        ("{record.tags.9}", ""),
        ("{record.rows.*.id}", "r1,2"),
        ("{record.id.deeper}", ""),
        ("{record.tags}:{record.rows.*.id}", "x:r1,x:2,7:r1,7:2"),
        ("{header:X-Topic before /}", "orders"),
        ("{header:x-topic after-last /}", "create"),
        ("{header:x-nothing|topic lower}", "products/update/now"),
        ("{topic before-last /}", "Products/Update"),
        ("{topic after /}", "Update/Now"),
        ("{topic before-last / after-last /}", "Update"),
        ("{topic before .}", "Products/Update/Now"),
        ("{whole}:{record.none|thousand}", "1:1000"),
        ("{minus_zero}", "0"),
    ] {
        let read = WebhookTemplate::parse(template).expect(template);
        let found = read.texts(&place(&event, &headers));
        assert_eq!((found.texts.join(","), found.is_cut), (expected.into(), false), "{template}");
    }
}

/// An id that stands there and cannot be read must not pass for one that is not there.
#[test]
fn a_value_that_is_not_text_is_reported() {
    let event = json!({
        "none": null, "empty": "", "list": [1, 2], "gap": [1, null], "nested": [1, [2]], "no": {},
        "half": 0.5, "rows": [{ "id": 1 }, { "id": 2 }], "short": [{ "id": 1 }, {}], "nothing": [],
    });
    let headers = HeaderMap::new();
    for (template, is_partial) in [
        ("{none}{empty}{absent}{list}{rows.*.id}{nothing}{nothing.*.id}", false),
        ("{none|list}", false),
        ("{gap}", true),
        ("{gap.*}", true),
        ("{nested}", true),
        ("{no}", true),
        ("{no|list}", true),
        ("{half|list}", true),
        ("{list|no}", false),
        ("{short.*.id}", true),
    ] {
        let found =
            WebhookTemplate::parse(template).expect(template).texts(&place(&event, &headers));
        assert_eq!(found.is_partial, is_partial, "{template}");
    }
}

#[test]
fn more_texts_than_are_taken_are_reported() {
    let event = json!({ "two": [1, 2], "three": [1, 2, 3], "five": [1, 2, 3, 4, 5] });
    let headers = HeaderMap::new();
    for (template, count, is_cut) in [
        ("{two}{two}", 4, false),
        ("{two}{three}", 4, true),
        ("{five}", 4, true),
        ("{five.*}", 4, true),
    ] {
        let found =
            WebhookTemplate::parse(template).expect(template).texts(&place(&event, &headers));
        assert_eq!((found.texts.len(), found.is_cut), (count, is_cut), "{template}");
    }
}

#[test]
fn what_is_no_template_is_named() {
    for (text, expected) in [
        ("", "an empty template"),
        ("{a", "a { without its }"),
        ("a}", "a } without its {"),
        ("{}", "names nothing"),
        ("{a..b}", "is no path"),
        ("{a|}", "is no path"),
        ("{a before}", "before needs what to look for"),
        ("{a shout}", "is no step"),
        ("{header:a b}", "is no step"),
        ("{header:ä}", "is not the name of a header"),
    ] {
        let problem = WebhookTemplate::parse(text).expect_err(text);
        assert!(problem.contains(expected), "{text}: {problem}");
    }
    let deep = vec!["a"; 17].join(".");
    assert!(WebhookTemplate::parse(&format!("{{{deep}}}")).is_err());
    assert!(WebhookTemplate::parse(&"x".repeat(1025)).is_err());
}
