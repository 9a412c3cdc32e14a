//! Words that may not stand in the code: ways to panic or print, unfinished work, waiting by guess.
//!
//! `expect("why it holds")` says what `unwrap` leaves open; only the command line has a terminal;
//! and a test that sleeps is either slow or wrong, unless it says why it may.

use crate::Finding;
use crate::mask::{Source, words};

/// Word, and what to write instead.
const FORBIDDEN: [(&str, &str); 7] = [
    (".unwrap()", "return the error, or expect(\"why it holds\")"),
    ("todo!", "write it, or leave the door out"),
    ("unimplemented!", "write it, or leave the door out"),
    ("dbg!", "say it as an Activity, or take it out"),
    ("println!", "say it as an Activity; only the command line prints"),
    ("print!", "say it as an Activity; only the command line prints"),
    ("eprintln!", "say it as an Activity; only the command line prints"),
];

// In two pieces, so that this file does not find itself.
const MARKS: [&str; 2] = [concat!("FIX", "ME"), concat!("XX", "X")];

/// Product code that can panic without a reason, or prints.
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

/// Notes of unfinished work, and tests that do not run.
pub fn unfinished(source: &Source) -> Vec<Finding> {
    let mut found = Vec::new();
    for (line, text) in source.lines() {
        for mark in MARKS {
            if words(text, mark).next().is_some() {
                let rule = format!("{mark} is left");
                found.push(Finding::new(&source.path, line, rule, "mend it, or open an issue"));
            }
        }
    }
    for (line, code) in source.code_lines() {
        if code.contains("#[ignore") {
            let remedy = "make it run everywhere, or take it out";
            found.push(Finding::new(&source.path, line, "a test that does not run", remedy));
        }
    }
    found
}

/// A sleep in `tests/` that does not say why on the line before. The simulation may: its clock is
/// virtual and moves when everybody waits.
pub fn sleeps(source: &Source) -> Vec<Finding> {
    if !source.path.starts_with("tests/") || source.path.starts_with("tests/sim/") {
        return vec![];
    }
    let lines: Vec<&str> = source.text.lines().collect();
    let mut found = Vec::new();
    for (line, code) in source.code_lines() {
        let says_why = line > 1 && lines[line - 2].trim_start().starts_with("//");
        if words(code, "sleep(").next().is_some() && !says_why {
            let remedy = "wait for the event with a deadline, or say why on the line before";
            found.push(Finding::new(&source.path, line, "a sleep without a reason", remedy));
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

#[test]
fn a_sleep_without_a_reason_is_found() {
    let found = |path: &str, text: &str| sleeps(&Source::new(path, text)).len();
    let bare = "fn f() {\n    std::thread::sleep(D);\n}";
    assert_eq!(found("tests/it/a.rs", bare), 1);
    assert_eq!(found("tests/it/a.rs", "tokio::time::sleep(D).await;"), 1);
    let said = "// The peer is to stay silent this long.\ntokio::time::sleep(D).await;";
    assert_eq!(found("tests/it/a.rs", said), 0);
    assert_eq!(found("tests/sim/a.rs", bare), 0);
    assert_eq!(found("tests/it/a.rs", "let text = \"sleep(1)\"; sleep_until(a)"), 0);
    assert_eq!(found("src/a.rs", bare), 0);
}
