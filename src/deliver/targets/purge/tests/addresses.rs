//! The URL of a path requests exactly that page, or there is no URL.

use proptest::prelude::*;
use url::{Position, Url};

use super::super::address::at;

fn site() -> Url {
    Url::parse("https://a.example/").expect("url")
}

/// The request target of its URL.
fn request_target(path: &str) -> Option<String> {
    let url = at(&site(), path)?;
    assert_eq!(url.origin(), site().origin(), "{path}");
    assert_eq!(url.fragment(), None, "{path}");
    Some(url[Position::BeforePath..].to_owned())
}

#[test]
fn a_url_requests_exactly_its_path_or_does_not_exist() {
    for (path, expected) in [
        ("/tag/c#", Some("/tag/c%23")),
        ("/tag/c#/a?b=#1", Some("/tag/c%23/a?b=%231")),
        ("/tag/c%23", Some("/tag/c%23")),
        ("/a?", Some("/a?")),
        ("/a%3Fb", Some("/a%3Fb")),
        ("/a b/é", Some("/a%20b/%C3%A9")),
        ("//host/a", Some("//host/a")),
        ("/a'b", Some("/a'b")),
        ("/%5C", Some("/%5C")),
        ("/a\\b", None),
        ("/\\host/a", None),
        ("/100%", None),
        ("/100%2", None),
        ("/100%+1", None),
        ("/a?b='c'", None),
        ("/a ", None),
        ("/a/../b", None),
        ("/a/%2e%2E/b", None),
        ("@host/a", None),
        (".host/a", None),
    ] {
        assert_eq!(request_target(path).as_deref(), expected, "{path}");
    }
}

proptest! {
    /// The URL is a valid request target with the same segments as the path.
    #[test]
    fn no_path_becomes_another(path in "/[a./\\\\%#?'\"|^`{}<>\\[\\]:@;=&+ é2-5]{0,12}") {
        if let Some(asked) = request_target(&path) {
            prop_assert!(asked.parse::<hyper::Uri>().is_ok(), "{path} as {asked}");
            let parts = |text: &str| text.replace(|c| !"/?&=;:@+".contains(c), "");
            prop_assert_eq!(parts(&asked), parts(&path));
        }
    }
}
