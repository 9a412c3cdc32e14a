//! Words that are forbidden in the code: calls that panic or print, and marks of unfinished work.
//!
//! `expect("why it holds")` gives the reason that `unwrap` leaves out. Only the command line has a
//! terminal to print to.

use crate::Finding;
use crate::mask::{Source, words};

/// Word and remedy.
const FORBIDDEN: [(&str, &str); 7] = [
    (".unwrap()", "return the error, or expect(\"why it holds\")"),
    ("todo!", "implement it, or remove it"),
    ("unimplemented!", "implement it, or remove it"),
    ("dbg!", "log it as an Activity, or remove it"),
    ("println!", "log it as an Activity; only the command line prints"),
    ("print!", "log it as an Activity; only the command line prints"),
    ("eprintln!", "log it as an Activity; only the command line prints"),
];

// In two pieces, so that the rule does not match this file.
const MARKS: [&str; 2] = [concat!("FIX", "ME"), concat!("XX", "X")];

/// Finds product code that can panic without a reason, or that prints.
pub fn forbidden(source: &Source) -> Vec<Finding> {
    if !source.path.starts_with("src/") {
        return vec![];
    }
    let may_print = source.path.starts_with("src/cli/");
    let mut found = Vec::new();
    for (line, code) in source.code_lines().filter(|(line, _)| !source.is_test(*line)) {
        for (word, remedy) in FORBIDDEN {
            let is_allowed = may_print && word.contains("print");
            if !is_allowed && words(code, word).next().is_some() {
                found.push(Finding::new(&source.path, line, format!("{word} in src"), remedy));
            }
        }
    }
    found
}

/// Finds marks of unfinished work, and tests that do not run.
pub fn unfinished(source: &Source) -> Vec<Finding> {
    let mut found = Vec::new();
    for (line, text) in source.lines() {
        for mark in MARKS {
            if words(text, mark).next().is_some() {
                let rule = format!("{mark} is left");
                found.push(Finding::new(&source.path, line, rule, "fix it, or open an issue"));
            }
        }
    }
    for (line, code) in source.code_lines() {
        if code.contains("#[ignore") {
            let remedy = "make it run everywhere, or remove it";
            found.push(Finding::new(&source.path, line, "a test that does not run", remedy));
        }
    }
    found
}

#[test]
fn a_forbidden_word_is_found_in_product_code_only() {
    let found = |path: &str, text: &str| forbidden(&Source::new(path, text)).len();
    for (word, _) in FORBIDDEN {
        let text =
            format!("fn f() {{ a{}{word}(1) }}", if word.starts_with('.') { "" } else { ";" });
        assert_eq!(found("src/store/a.rs", &text), 1, "{word}");
        assert_eq!(found("src/store/tests/a.rs", &text), 0, "{word}");
        let tests = format!("#[cfg(test)]\nmod tests {{\n{text}\n}}");
        assert_eq!(found("src/store/a.rs", &tests), 0, "{word}");
        assert_eq!(found("src/cli/a.rs", &text), usize::from(!word.contains("print")), "{word}");
    }
    assert_eq!(found("src/a.rs", "// a.unwrap()\nlet b = \"dbg!(c)\"; d.unwrap_or(1);"), 0);
}

#[test]
fn unfinished_work_is_found_in_comments_too() {
    let found = |text: &str| unfinished(&Source::new("src/a.rs", text)).len();
    assert_eq!(found(&format!("// {}: later", MARKS[0])), 1);
    assert_eq!(found(&format!("let a = 1; // {}", MARKS[1])), 1);
    assert_eq!(found("#[test]\n#[ignore = \"slow\"]\nfn a() {}"), 1);
    assert_eq!(found("// fixed; the mask XXXX is four letters"), 0);
}
