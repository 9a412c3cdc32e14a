//! The house rules that rustfmt and clippy cannot check, checked by reading the source tree.
//!
//! Each rule is a function from text to findings, and each has a test that shows it can fail. A
//! finding names file, line, rule and remedy. The rules read `src/`, `tests/` and `benches/`, the
//! documents, and the sizes of the files in git. They compile nothing and run only git.

#[path = "tidy/acceptance.rs"]
mod acceptance;
#[path = "tidy/docs.rs"]
mod docs;
#[path = "tidy/layers.rs"]
mod layers;
#[path = "tidy/mask.rs"]
mod mask;
#[path = "tidy/shape.rs"]
mod shape;
#[path = "tidy/tree.rs"]
mod tree;
#[path = "tidy/words.rs"]
mod words;

use std::fmt;

use mask::Source;
use tree::Tree;

/// One violation of one rule.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    path: String,
    line: usize,
    rule: String,
    remedy: &'static str,
}

impl Finding {
    fn new(path: &str, line: usize, rule: impl Into<String>, remedy: &'static str) -> Self {
        Self { path: path.to_owned(), line, rule: rule.into(), remedy }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:{}: {}; {}", self.path, self.line, self.rule, self.remedy)
    }
}

/// Every rule about one Rust file.
fn check_source(source: &Source) -> Vec<Finding> {
    let rules = [
        layers::arrows,
        layers::way_out,
        shape::file_length,
        shape::function_length,
        shape::columns,
        shape::name,
        words::forbidden,
        words::unfinished,
    ];
    rules.iter().flat_map(|rule| rule(source)).collect()
}

#[test]
fn the_tree_keeps_the_house_rules() {
    let tree = Tree::read();
    let mut findings: Vec<Finding> = tree.sources.iter().flat_map(check_source).collect();
    findings.extend(shape::stale_exceptions(&tree.sources));
    for (path, text) in &tree.documents {
        findings.extend(docs::paths(path, text, |quoted| tree.has(quoted)));
    }
    findings.extend(tree.sizes.iter().filter_map(|(path, bytes)| tree::size(path, *bytes)));
    findings.sort();
    let lines: Vec<String> = findings.iter().map(ToString::to_string).collect();
    assert!(lines.is_empty(), "{} violations:\n{}", lines.len(), lines.join("\n"));
}

/// Without files, every rule would pass.
#[test]
fn the_whole_tree_is_read() {
    let tree = Tree::read();
    for path in ["src/main.rs", "src/domain/mod.rs", "src/cli/logs/line.rs", "tests/tidy.rs"] {
        assert!(tree.sources.iter().any(|source| source.path == path), "{path} was not read");
    }
    assert!(tree.sizes.iter().any(|(path, _)| path == "Cargo.toml"), "no sizes");
    let is_test = |path: &str| tree.sources.iter().any(|s| s.path == path && s.is_test_file);
    assert!(is_test("src/store/tests/races.rs"), "a folder behind #[cfg(test)] mod is all tests");
    assert!(!is_test("src/journal/sim.rs"));
}
