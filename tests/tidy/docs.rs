//! Paths that documents quote must exist.
//!
//! The rule checks text in backticks that begins with a directory of the tree, without stars and
//! braces, which are patterns.

use crate::Finding;

const ROOTS: [&str; 5] = ["src/", "tests/", "benches/", "docs/", "deploy/"];

/// Finds quoted paths that do not exist.
pub fn paths(document: &str, text: &str, exists: impl Fn(&str) -> bool) -> Vec<Finding> {
    let mut found = Vec::new();
    for (at, line) in text.lines().enumerate() {
        for path in line.split('`').skip(1).step_by(2).filter_map(quoted) {
            if !exists(path) {
                let rule = format!("{path} is not there");
                found.push(Finding::new(document, at + 1, rule, "name the file that is"));
            }
        }
    }
    found
}

/// The path in a piece of quoted text, without `:line` and a closing slash.
fn quoted(text: &str) -> Option<&str> {
    let is_path = ROOTS.iter().any(|root| text.starts_with(root))
        && !text.contains(['*', '{', '<', '…', ' ', '$']);
    let path = text.split([':', '#']).next()?;
    is_path.then(|| path.trim_end_matches('/'))
}

#[test]
fn a_missing_path_is_found() {
    let exists = |path: &str| path == "src/a.rs" || path == "src/b";
    let text =
        "See `src/a.rs`, `src/b/`, `src/a.rs:12`, `src/*.rs`, src/prose.rs.\nAnd `src/c.rs`.";
    let found = paths("docs/X.md", text, exists);
    let lines: Vec<String> = found.iter().map(ToString::to_string).collect();
    assert_eq!(lines, ["docs/X.md:2: src/c.rs is not there; name the file that is"]);
}
