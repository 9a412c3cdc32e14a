//! One path, one form: RFC 3986 section 6.2.2 and RFC 3987 section 3.1.

use proptest::prelude::*;

use super::*;

fn path(text: &str) -> String {
    UrlPath::parse(text).expect("a path").to_string()
}

fn prefix(text: &str) -> String {
    UrlPath::prefix(text).expect("the beginning of a path").to_string()
}

#[test]
fn every_spelling_of_a_path_has_one_form() {
    for (text, expected) in [
        ("/", "/"),
        ("/café", "/caf%C3%A9"),
        ("/caf%c3%a9", "/caf%C3%A9"),
        ("/%63af%C3%a9", "/caf%C3%A9"),
        ("/%7euser/%2d%5F%2E%41", "/~user/-_.A"),
        ("/a b", "/a%20b"),
        ("/a%20b", "/a%20b"),
        ("/a+b", "/a+b"),
        ("/a%2fb", "/a%2Fb"),
        ("/a%2cb,c", "/a%2Cb,c"),
        ("/c#/d", "/c%23/d"),
        ("/a\\b|c^d`e{f}[g]\"<>", "/a%5Cb%7Cc%5Ed%60e%7Bf%7D%5Bg%5D%22%3C%3E"),
        ("/100%", "/100%25"),
        ("/100%25", "/100%25"),
        ("/%zz/%4", "/%25zz/%254"),
        ("/%%41", "/%25A"),
        ("/%2541", "/%2541"),
        ("/%FF%c0%af", "/%FF%C0%AF"),
        ("/%0a%00", "/%0A%00"),
        ("/a/./b/../c", "/a/c"),
        ("/a/%2e%2E/b", "/b"),
        ("/../../a", "/a"),
        ("/a/..", "/"),
        ("/a/b/..", "/a/"),
        ("/a/.", "/a/"),
        ("/.well-known/..a", "/.well-known/..a"),
        ("//a//../b", "//a/b"),
        ("/a/", "/a/"),
        ("/s?b=2&a=é/../%7e%2f", "/s?b=2&a=%C3%A9/../~%2F"),
        ("/a/../s?", "/s?"),
        ("/a%3Fb?c?d", "/a%3Fb?c?d"),
        ("/e\u{301}", "/e%CC%81"),
    ] {
        assert_eq!(path(text), expected, "{text}");
    }
}

#[test]
fn a_prefix_covers_what_its_cut_end_may_become() {
    for (text, expected) in [
        ("/caf%c3%a9/", "/caf%C3%A9/"),
        ("/café", "/caf%C3%A9"),
        ("/caf%c3", "/caf%C3"),
        ("/caf%c", "/caf"),
        ("/caf%", "/caf"),
        ("/caf%z", "/caf%25z"),
        ("/a/../b/..", "/b/.."),
        ("/a/.", "/a/."),
        ("/a/./", "/a/"),
        ("/s?q=%C", "/s?q="),
    ] {
        assert_eq!(prefix(text), expected, "{text}");
    }
}

#[test]
fn the_limit_counts_bytes_whatever_their_spelling() {
    let raw = "ж".repeat(511);
    let encoded = raw.bytes().map(|byte| format!("%{byte:02x}")).collect::<String>();
    for text in [format!("/{raw}"), format!("/{encoded}")] {
        let path = UrlPath::parse(&text).expect("1,023 bytes");
        assert!(path.as_str().len() <= URL_PATH_BYTES_MAX);
        assert!(UrlPath::parse(path.as_str()).is_ok());
    }
    for text in [format!("/{raw}x x"), format!("/{encoded}xxx"), format!("/{}", "x".repeat(1024))] {
        let refused = UrlPath::parse(&text);
        assert!(matches!(refused, Err(Malformed::TooLong { max: 1024, .. })), "{refused:?}");
    }
}

#[test]
fn what_is_no_path_is_refused() {
    for text in ["", "a", "*", "%2Fa", " /a"] {
        assert!(matches!(UrlPath::parse(text), Err(Malformed::PathStart(_))), "{text:?}");
    }
    assert_eq!(UrlPath::parse("/a\nb"), Err(Malformed::Control));
}

#[test]
fn a_key_is_a_path_where_it_begins_with_a_slash() {
    let of = |text: &str| {
        let key = Label::parse(text).expect("a label");
        UrlPath::of_key(&key).map(|path| path.to_string())
    };
    assert_eq!(of("page:/a"), None);
    assert_eq!(of("/a"), Some("/a".into()));
    assert_eq!(of("/café"), Some("/caf%C3%A9".into()));
    assert_eq!(of(&format!("/{}", "\"".repeat(1023))).map(|path| path.len()), Some(3070));
}

/// Texts full of what is encoded, decoded, removed and cut.
fn text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        prop::sample::select(vec![
            "a", "/", ".", "..", "/./", "/../", "%", "%4", "%41", "%2f", "%2E", "%25", "%c3%a9",
            "é", " ", "?", "#", "~", "%7e", "[", "*", "\\",
        ])
        .prop_map(str::to_owned),
        "\\PC",
    ];
    prop::collection::vec(piece, 0..12).prop_map(|pieces| format!("/{}", pieces.concat()))
}

/// Another spelling of a path: some bytes encoded, in either case of hex digits.
fn respelt(path: &str, dice: &[bool]) -> String {
    let mut dice = dice.iter().cycle();
    let mut throw = || *dice.next().unwrap_or(&false);
    let mut out = String::new();
    for (byte, was_encoded) in Bytes::of(path) {
        let must_stay = !was_encoded && !is_unreserved(byte);
        match (must_stay || (!was_encoded && throw()), throw()) {
            (true, _) => out.push(char::from(byte)),
            (false, true) => out.push_str(&format!("%{byte:02x}")),
            (false, false) => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn the_canonical_form_is_its_own(text in text()) {
        let once = path(&text);
        prop_assert_eq!(path(&once), once.clone());
        let once = prefix(&text);
        prop_assert_eq!(prefix(&once), once.clone());
    }

    #[test]
    fn the_canonical_form_is_a_path_of_a_uri(text in text()) {
        let once = path(&text);
        prop_assert!(once.starts_with('/'));
        prop_assert!(once.bytes().all(|byte| is_allowed(byte) || byte == b'%'));
        let (hierarchy, _) = once.split_once('?').unwrap_or((&once, ""));
        prop_assert!(!hierarchy.split('/').any(|segment| matches!(segment, "." | "..")));
        prop_assert!(once.parse::<hyper::Uri>().is_ok());
    }

    #[test]
    fn every_encoding_of_a_path_is_that_path(
        text in text(),
        dice in prop::collection::vec(any::<bool>(), 1..20),
    ) {
        let once = path(&text);
        prop_assert_eq!(path(&respelt(&once, &dice)), once);
    }

    /// Cutting a canonical path anywhere leaves a beginning of it, also within an encoded byte.
    #[test]
    fn a_cut_path_is_a_prefix_of_it(text in text(), at in any::<prop::sample::Index>()) {
        let whole = UrlPath::parse(&text).expect("a path");
        let cut = &whole.as_str()[..=at.index(whole.as_str().len())];
        prop_assert!(whole.starts_with(&UrlPath::prefix(cut).expect("a prefix")), "{cut}");
    }
}
