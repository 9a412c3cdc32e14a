//! Limits for the length of files, functions and lines, and the ban on vague file names.
//!
//! A function that fits one screen, and a file that fits a few, can be read without a search. A
//! file is named after its subject: a name that fits everything explains nothing.

use crate::Finding;
use crate::mask::{Source, item_end, line_of, words};

const FILE_LINES_MAX: usize = 500;
const FUNCTION_LINES_MAX: usize = 70;
const COLUMNS_MAX: usize = 100;

/// Functions that may be longer, such as tables: path, name, reason.
const LONG_FUNCTIONS: &[(&str, &str, &str)] = &[];

const VAGUE: [&str; 8] =
    ["manager", "managers", "helper", "helpers", "util", "utils", "utility", "utilities"];

pub fn file_length(source: &Source) -> Vec<Finding> {
    let lines = source.text.lines().count();
    if lines <= FILE_LINES_MAX {
        return vec![];
    }
    let rule = format!("{lines} lines, {FILE_LINES_MAX} is the limit");
    let remedy = "move one of its subjects into another file";
    vec![Finding::new(&source.path, FILE_LINES_MAX + 1, rule, remedy)]
}

/// Every function with a body: name, first line, number of lines.
fn functions(source: &Source) -> Vec<(&str, usize, usize)> {
    let code = &source.code;
    let mut found = Vec::new();
    for at in words(code, "fn") {
        let rest = code[at + 2..].trim_start();
        let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        let Some(close) = item_end(code.as_bytes(), at + 2) else { continue };
        // `fn(A) -> B` is a type, and a `;` ends a declaration.
        if end == 0 || code.as_bytes()[close] == b';' {
            continue;
        }
        let (first, last) = (line_of(code, at), line_of(code, close));
        found.push((&rest[..end], first, last - first + 1));
    }
    found
}

pub fn function_length(source: &Source) -> Vec<Finding> {
    let is_excepted =
        |name: &str| LONG_FUNCTIONS.iter().any(|(path, n, _)| *path == source.path && *n == name);
    functions(source)
        .into_iter()
        .filter(|(name, _, lines)| *lines > FUNCTION_LINES_MAX && !is_excepted(name))
        .map(|(name, first, lines)| {
            let rule = format!("fn {name} has {lines} lines, {FUNCTION_LINES_MAX} is the limit");
            Finding::new(&source.path, first, rule, "move its steps into functions")
        })
        .collect()
}

/// Finds exceptions for functions that are short or gone.
pub fn stale_exceptions(sources: &[Source]) -> Vec<Finding> {
    let is_needed = |path: &str, name: &str| {
        sources.iter().filter(|source| source.path == path).any(|source| {
            functions(source).iter().any(|(n, _, lines)| *n == name && *lines > FUNCTION_LINES_MAX)
        })
    };
    LONG_FUNCTIONS
        .iter()
        .filter(|(path, name, _)| !is_needed(path, name))
        .map(|(path, name, _)| {
            let rule = format!("fn {name} no longer needs an exception");
            Finding::new(path, 1, rule, "remove it from tests/tidy/shape.rs")
        })
        .collect()
}

/// Finds wide lines: rustfmt does not break strings, comments and macro arguments.
pub fn columns(source: &Source) -> Vec<Finding> {
    let wide = source.lines().filter(|(_, text)| text.chars().count() > COLUMNS_MAX);
    wide.map(|(line, text)| {
        let rule = format!("{} columns, {COLUMNS_MAX} is the limit", text.chars().count());
        Finding::new(&source.path, line, rule, "break the line")
    })
    .collect()
}

pub fn name(source: &Source) -> Vec<Finding> {
    let parts = source.path.trim_end_matches(".rs").split(['/', '_', '-', '.']);
    parts
        .filter(|part| VAGUE.contains(part))
        .map(|part| {
            let rule = format!("{part} is in its name");
            Finding::new(&source.path, 1, rule, "name its subject")
        })
        .collect()
}

#[test]
fn a_long_file_is_found() {
    let lines = |count: usize| file_length(&Source::new("src/a.rs", &"x\n".repeat(count))).len();
    assert_eq!((lines(FILE_LINES_MAX), lines(FILE_LINES_MAX + 1)), (0, 1));
}

#[test]
fn a_long_function_is_found_everywhere() {
    let text = |body: usize| {
        format!(
            "trait T {{ fn no_body(a: [u8; 3]);\n fn f(g: fn(u8) -> u8) -> u8 {{\n{}}} }}",
            "  \"}\"; // }\n".repeat(body)
        )
    };
    let found = |body: usize| function_length(&Source::new("src/a.rs", &text(body)));
    assert_eq!(found(FUNCTION_LINES_MAX - 2), []);
    let finding = found(FUNCTION_LINES_MAX - 1).remove(0).to_string();
    assert!(finding.starts_with("src/a.rs:2: fn f has 71 lines, 70 is the limit"), "{finding}");
}

#[test]
fn a_wide_line_is_found_by_its_characters() {
    let found = |text: &str| columns(&Source::new("src/a.rs", text)).len();
    assert_eq!(found(&"é".repeat(COLUMNS_MAX)), 0);
    assert_eq!(found(&format!("ok\n// {}", "é".repeat(COLUMNS_MAX))), 1);
}

#[test]
fn a_vague_name_is_found_as_a_whole_word() {
    let found = |path: &str| name(&Source::new(path, "")).len();
    assert_eq!(found("src/cache_manager.rs"), 1);
    assert_eq!(found("src/utils/mod.rs"), 1);
    assert_eq!(found("tests/helpers/mod.rs"), 1);
    assert_eq!(found("src/utilisation.rs"), 0);
}
