//! The table of docs/COMPATIBILITY.md: each behaviour of the older systems, and the tests that show
//! it. A test cites its number in a doc comment (`S1 1.13`).
//!
//! The table is generated, so it cannot promise what no test shows. A number without a test is
//! marked as open.

use std::collections::{BTreeMap, BTreeSet};

use crate::mask::Source;
use crate::tree::Tree;

/// Number, way and title, a line each.
const LIST: &str = include_str!("acceptance.txt");

const DOCUMENT: &str = "docs/COMPATIBILITY.md";
const BEGIN: &str = "<!-- made by tests/tidy/acceptance.rs: do not edit below -->\n";

/// If this variable is set, the test writes the table instead of comparing it.
const RENEW: &str = "CACHE_MIRROR_RENEW_TABLE";

/// System and place in it.
type Number = (u32, u32);

fn listed() -> Vec<(Number, &'static str, &'static str)> {
    let line = |line: &'static str| {
        let mut parts = line.splitn(3, ' ');
        let number = number(parts.next()?)?;
        let way = match parts.next()? {
            "R" => "route or core",
            "P" => "preset or variable",
            "C" => "client package",
            "D" => "recipe",
            "L" => "log",
            _ => return None,
        };
        Some((number, way, parts.next()?))
    };
    LIST.lines().map(|text| line(text).unwrap_or_else(|| panic!("{text:?} is no line"))).collect()
}

/// `1.13`, whatever follows it.
fn number(text: &str) -> Option<Number> {
    let (system, rest) = text.split_once('.')?;
    let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    Some((system.parse().ok()?, rest[..digits].parse().ok()?))
}

/// The numbers that a comment cites: `S1 1.13, 1.14 and 1.16`, `S1 1.13 to 1.16`.
fn cited(comment: &str) -> BTreeSet<Number> {
    let mut found = BTreeSet::new();
    let words: Vec<&str> = comment.split_whitespace().collect();
    let mut system = None;
    let mut is_range = false;
    let mut last = None;
    for word in words {
        let bare = word.trim_start_matches('(');
        if let Some(digit) = bare.strip_prefix('S').and_then(|rest| rest.parse::<u32>().ok()) {
            (system, is_range, last) = (Some(digit), false, None);
            continue;
        }
        match number(bare).filter(|(of, _)| Some(*of) == system) {
            Some((of, at)) => {
                let from = last.filter(|_| is_range).map_or(at, |from: u32| from + 1);
                found.extend((from..=at).map(|at| (of, at)));
                (last, is_range) = (Some(at), false);
                // A list continues only after a comma, "and" or "to".
                if word.ends_with([':', ';', '.', ')']) {
                    system = None;
                }
            }
            None if matches!(word, "and" | "to") && last.is_some() => is_range = word == "to",
            None => system = None,
        }
    }
    found
}

/// What each test of a file shows; numbers in the opening comment apply to the whole file.
fn shown(source: &Source) -> Vec<(Number, String)> {
    let mut found = Vec::new();
    let mut comment = String::new();
    let mut opening = String::new();
    for (at, text) in source.lines() {
        let text = text.trim();
        if let Some(rest) = text.strip_prefix("//!") {
            opening.push_str(rest);
        } else if let Some(rest) = text.strip_prefix("///") {
            comment.push_str(rest);
        } else if !text.starts_with("#[") {
            let name = text.split("fn ").nth(1).and_then(|rest| rest.split('(').next());
            if let Some(name) = name.filter(|_| source.is_test(at)) {
                found.extend(cited(&comment).into_iter().map(|it| (it, name.to_owned())));
            }
            comment.clear();
        }
    }
    if source.is_test_file {
        let file = source.path.clone();
        found.extend(cited(&opening).into_iter().map(|it| (it, format!("{file} as a whole"))));
    }
    found
}

fn table(sources: &[Source]) -> String {
    let mut by_number: BTreeMap<Number, BTreeSet<String>> = BTreeMap::new();
    for (number, name) in sources.iter().flat_map(shown) {
        by_number.entry(number).or_default().insert(name);
    }
    let mut out = String::from("| number | what | how | shown by |\n| --- | --- | --- | --- |\n");
    for (number, way, title) in listed() {
        let tests = by_number.remove(&number).unwrap_or_default();
        let names: Vec<String> = tests.iter().map(|name| format!("`{name}`")).collect();
        let names = if names.is_empty() { "not yet".into() } else { names.join(", ") };
        let (system, at) = number;
        out.push_str(&format!("| S{system} {system}.{at} | {title} | {way} | {names} |\n"));
    }
    assert!(by_number.is_empty(), "tests name numbers that are not in the list: {by_number:?}");
    out
}

#[test]
fn the_table_of_older_behaviours_matches_the_tests() {
    let tree = Tree::read();
    let (_, text) = tree.documents.iter().find(|(path, _)| path == DOCUMENT).expect(DOCUMENT);
    let (prose, kept) = text.split_once(BEGIN).expect("the mark above the table");
    let table = table(&tree.sources);
    if std::env::var_os(RENEW).is_some() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(DOCUMENT);
        std::fs::write(path, format!("{prose}{BEGIN}\n{table}")).expect("it can be written");
        return;
    }
    let remedy = format!("renew it: {RENEW}=1 cargo test --test tidy acceptance");
    assert!(kept.trim() == table.trim(), "{DOCUMENT} is not what the tests say; {remedy}");
}

#[test]
fn numbers_are_found_in_every_form() {
    let cited = |text: &str| {
        let all: Vec<String> = cited(text).iter().map(|(a, b)| format!("{a}.{b}")).collect();
        all.join(" ")
    };
    for (text, expected) in [
        ("S1 1.13: a wrong secret", "1.13"),
        ("S0 0.3, 0.4, S3 3.5 and 3.6: both", "0.3 0.4 3.5 3.6"),
        ("(acceptance S1 1.13 to 1.16). Bodies", "1.13 1.14 1.15 1.16"),
        ("S1 1.31: what; S1 1.9: slug, 1.8 none", "1.9 1.31"),
        ("S2 2.5: 80, 60 and 0.3 are exclusive", "2.5"),
        ("Read 1.13 or R3 3.4", ""),
        ("S4 4.2.", "4.2"),
    ] {
        assert_eq!(cited(text), expected, "{text}");
    }
}

#[test]
fn tests_are_found_by_their_comments_and_product_code_is_ignored() {
    let text = "//! S1 1.1\n/// S1 1.13: no\n#[tokio::test]\nasync fn one() {}\nfn two() {}\n";
    let names = |path: &str| -> Vec<String> {
        shown(&Source::new(path, text)).into_iter().map(|(_, name)| name).collect()
    };
    assert_eq!(names("tests/it/a.rs"), ["one", "tests/it/a.rs as a whole"]);
    assert_eq!(names("src/a.rs"), [""; 0]);
}
