//! That building and comparing unions grows with their size and not with its square.
//! A request may hold thousands of selectors, and none of them is compared with all others.

use super::super::growth::is_not_quadratic;
use super::super::{Demand, Mode};
use super::*;

fn label(text: &str) -> Label {
    Label::parse(text).expect("label")
}

fn url_path(text: &str) -> UrlPath {
    UrlPath::parse(text).expect("path")
}

fn pattern(text: &str) -> Selector {
    Selector::Pattern(Glob::parse(text).expect("glob"))
}

/// Selectors of one shape, by number.
type Shape = (&'static str, fn(usize) -> [Selector; 2]);

const SHAPES: [Shape; 5] = [
    ("prefixes and paths beside them", |n| {
        let path = |text: String| Selector::Path(url_path(&text));
        [Selector::PathPrefix(url_path(&format!("/a/{n}/"))), path(format!("/b/{n}"))]
    }),
    ("paths below one prefix each", |n| {
        [
            Selector::Path(url_path(&format!("/a/{n}/x"))),
            Selector::PathPrefix(url_path(&format!("/a/{n}/"))),
        ]
    }),
    ("patterns and keys that nearly match", |n| {
        [pattern(&format!("*{}{n}", "a".repeat(200))), Selector::Key(label(&format!("a{n}")))]
    }),
    ("patterns with a beginning, and keys below", |n| {
        [Selector::Key(label(&format!("k{n}:x"))), pattern(&format!("k{n}:*"))]
    }),
    ("entities and types", |n| {
        let name = TypeName::parse(&format!("t{n}")).expect("type");
        [Selector::Entity(name.clone(), label("1")), Selector::Type(name)]
    }),
];

/// Building a union, joining it with another and comparing both.
#[test]
fn unions_grow_with_their_size_and_not_with_its_square() {
    for (name, shape) in SHAPES {
        is_not_quadratic(name, 1_000, |size| {
            let all: Vec<Selector> = (0..size).flat_map(shape).collect();
            Box::new(move || {
                let whole: Selectors = all.iter().cloned().collect();
                let mut half: Selectors = all.iter().take(all.len() / 2).cloned().collect();
                assert!(whole.covers(&half));
                half.join(&whole);
                assert_eq!(half, whole);
                let mut demand = Demand::new(Mode::Soft, whole.clone());
                demand.join(&Demand::new(Mode::Hard, half));
                assert!(demand.soft.is_empty());
            })
        });
    }
}

/// A prefix takes out what lies below it, wherever it comes, and nothing else.
#[test]
fn a_beginning_takes_out_what_begins_so_and_nothing_else() {
    let path = |text: &str| Selector::Path(url_path(text));
    let prefix = |text: &str| Selector::PathPrefix(url_path(text));
    let mut all = vec![path("/a"), path("/a/1"), path("/a/\u{10ffff}"), path("/a0"), path("/b")];
    all.extend([prefix("/a/b"), prefix("/a/"), prefix("/ab/")]);
    for _ in 0..all.len() {
        all.rotate_left(1);
        let union: Selectors = all.iter().cloned().collect();
        let text = union.to_string();
        assert_eq!(text, "path:/a,path:/a0,path:/b,path:/a/*,path:/ab/*");
    }
    let keys = [Selector::Key(label("k")), Selector::Key(label("k:1")), pattern("k:?*")];
    let union: Selectors = keys.into_iter().chain([pattern("k:*")]).collect();
    assert_eq!(union.to_string(), "key:k,pattern:k:*");
}
