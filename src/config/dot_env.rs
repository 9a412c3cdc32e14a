//! The `.env` file: `NAME=value` lines, read without expansion.
//!
//! A `$` is a character of the value. Expanding it would shorten a secret such as `s3cret$value`
//! silently, and empty a bcrypt hash; so would ending a value at a `#` within it. A value is
//! - `'single quoted'`: every character stands for itself;
//! - `"double quoted"`: `\n`, `\r`, `\t`, `\"`, `\\` and `\$` are escapes;
//! - unquoted: up to the end of the line, or to a `#` at the beginning or after a blank; `\$` is
//!   a `$`.
//!
//! Quoted values may span lines. `export` before a name is skipped. The last of two lines with the
//! same name wins. What other tools read in another way is reported. No message shows a value.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::Path;

use super::invalid::Invalid;
use super::layer::invalid;
use super::read_text;

/// Bytes of the file.
const BYTES_MAX: u64 = 1024 * 1024;

/// What the file holds.
#[derive(Debug, Default)]
pub(super) struct DotEnv {
    /// Values by name.
    pub(super) variables: BTreeMap<String, String>,
    /// The whole file; `None` where there is none.
    pub(super) text: Option<String>,
    /// What may be meant otherwise, by name.
    pub(super) doubts: BTreeMap<String, Vec<Doubt>>,
    /// Lines that are no variable.
    pub(super) problems: Vec<Invalid>,
}

/// Why a value may be meant otherwise than it is read: tools differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Doubt {
    /// A `$` that others expand.
    Expanded,
    /// A `#` that ends the value for others.
    Cut,
    /// A `#` at its beginning, which is a comment here.
    Commented,
    /// A comment right behind the closing quote.
    Glued,
    /// Backslashes that others keep, or drop.
    Escaped,
    /// Backticks that are quotes for others.
    Backticks,
    /// An earlier line says otherwise.
    Repeated { first: usize, last: usize },
}

impl fmt::Display for Doubt {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quoted = "in single quotes it reads the same everywhere";
        match self {
            Self::Expanded => write!(
                out,
                "the \"$\" in its value is kept as it is, but other tools expand it; in single \
                 quotes, or written \\$, it reads the same everywhere"
            ),
            Self::Cut => write!(
                out,
                "the \"#\" in its value is kept, but Node.js, Next.js, Laravel and Ruby end the \
                 value there; {quoted}"
            ),
            Self::Commented => write!(
                out,
                "its value is empty, for the \"#\" after \"=\" begins a comment; shells and \
                 Python keep it; {quoted}"
            ),
            Self::Glued => write!(
                out,
                "what follows its closing quote is taken for a comment, but shells add it to the \
                 value; put a blank before the \"#\""
            ),
            Self::Escaped => {
                write!(out, "tools differ in how they read the backslashes in its value; {quoted}")
            }
            Self::Backticks => write!(
                out,
                "the backticks around its value are kept, but Node.js takes them for quotes; \
                 {quoted}"
            ),
            Self::Repeated { first, last } => write!(
                out,
                "set on line {first} and again, with another value, on line {last}: the last counts"
            ),
        }
    }
}

impl DotEnv {
    /// Reads the working directory's `.env`; empty where there is none.
    pub(super) fn read(workdir: &Path) -> Self {
        match read_text(&workdir.join(".env"), BYTES_MAX) {
            Ok(text) => Self { text: Some(text.clone()), ..Self::parse(&text) },
            Err(error) if error.kind() == io::ErrorKind::NotFound => Self::default(),
            Err(error) => {
                let problem = invalid(".env", String::new(), &"file", error.to_string());
                Self { problems: vec![problem], ..Self::default() }
            }
        }
    }

    fn parse(text: &str) -> Self {
        let mut parsed = Self::default();
        let mut lines = BTreeMap::new();
        let text = text.replace("\r\n", "\n").replace('\r', "\n");
        let (mut rest, mut line) = (text.as_str(), 1);
        while !rest.is_empty() {
            let before = rest;
            match variable(rest) {
                Parsed::Nothing { after } => rest = after,
                Parsed::Variable { name, value, after } => {
                    let mut doubts = value.doubts;
                    let first = *lines.entry(name.clone()).or_insert(line);
                    let before = parsed.variables.insert(name.clone(), value.text.clone());
                    if before.is_some_and(|before| before != value.text) {
                        doubts.push(Doubt::Repeated { first, last: line });
                    }
                    parsed.doubts.insert(name, doubts);
                    rest = after;
                }
                Parsed::Malformed { after } => {
                    parsed.problems.push(invalid(
                        &format!("line {line}"),
                        String::new(),
                        &".env",
                        "expected NAME=value, with quotes closed",
                    ));
                    rest = after;
                }
            }
            line += before[..before.len() - rest.len()].matches('\n').count();
        }
        parsed
    }
}

/// What stands at the beginning of a text that starts with a line, and the text after it.
enum Parsed<'a> {
    /// A blank line or a comment.
    Nothing {
        after: &'a str,
    },
    Variable {
        name: String,
        value: Value,
        after: &'a str,
    },
    Malformed {
        after: &'a str,
    },
}

struct Value {
    text: String,
    doubts: Vec<Doubt>,
}

/// Those that apply.
fn doubts(each: impl IntoIterator<Item = (Doubt, bool)>) -> Vec<Doubt> {
    each.into_iter().filter(|(_, applies)| *applies).map(|(doubt, _)| doubt).collect()
}

fn variable(text: &str) -> Parsed<'_> {
    let (line, after) = line_of(text);
    let trimmed = line.trim();
    if trimmed.is_empty() || trimmed.starts_with('#') {
        return Parsed::Nothing { after };
    }
    let exported = trimmed.strip_prefix("export").filter(|rest| rest.starts_with([' ', '\t']));
    let Some((name, _)) = exported.unwrap_or(trimmed).split_once('=') else {
        // `export NAME` hands on what is set already: it says nothing about the value.
        return match exported.is_some_and(|name| is_name(name.trim())) {
            true => Parsed::Nothing { after },
            false => Parsed::Malformed { after },
        };
    };
    let name = name.trim();
    if !is_name(name) {
        return Parsed::Malformed { after };
    }
    let begin = text.find('=').map_or(text.len(), |at| at + 1);
    let given = text[begin..].trim_start_matches([' ', '\t']);
    let read = match given.as_bytes().first() {
        Some(b'\'') => single_quoted(&given[1..]),
        Some(b'"') => double_quoted(&given[1..]),
        _ => return unquoted(name, &text[begin..], after),
    };
    let Some((mut value, rest)) = read else { return Parsed::Malformed { after } };
    let (end, after_value) = line_of(rest);
    if end.starts_with('#') {
        value.doubts.push(Doubt::Glued);
    }
    match end.trim().is_empty() || end.trim().starts_with('#') {
        true => Parsed::Variable { name: name.to_owned(), value, after: after_value },
        false => Parsed::Malformed { after: after_value },
    }
}

fn is_name(text: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    !text.is_empty()
        && !text.starts_with(|c: char| c.is_ascii_digit())
        && text.chars().all(is_plain)
}

/// The line at the beginning of a text, without its end, and the text after it.
fn line_of(text: &str) -> (&str, &str) {
    text.split_once('\n').unwrap_or((text, ""))
}

/// `given` is all that follows the `=`.
fn unquoted<'a>(name: &str, given: &str, after: &'a str) -> Parsed<'a> {
    let (given, _) = line_of(given);
    let line = given.trim_start_matches([' ', '\t']);
    let comment =
        line.match_indices('#').find(|(at, _)| *at == 0 || line[..*at].ends_with([' ', '\t']));
    let text = line[..comment.map_or(line.len(), |(at, _)| at)].trim();
    let plain = text.replace("\\$", "$");
    let doubts = doubts([
        (Doubt::Expanded, expands(text)),
        (Doubt::Cut, text.contains('#')),
        (Doubt::Commented, given.starts_with('#')),
        (Doubt::Escaped, plain.contains('\\')),
        (Doubt::Backticks, text.len() > 1 && text.starts_with('`') && text.ends_with('`')),
    ]);
    Parsed::Variable { name: name.to_owned(), value: Value { text: plain, doubts }, after }
}

/// What stands before the closing quote, and the text after it.
fn single_quoted(text: &str) -> Option<(Value, &str)> {
    let (text, rest) = text.split_once('\'')?;
    Some((Value { text: text.to_owned(), doubts: vec![] }, rest))
}

fn double_quoted(text: &str) -> Option<(Value, &str)> {
    let mut value = String::new();
    let mut is_escaped = false;
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => {
                let expanded = (Doubt::Expanded, expands(&text[..at]));
                let doubts = doubts([expanded, (Doubt::Escaped, is_escaped)]);
                return Some((Value { text: value, doubts }, &text[at + 1..]));
            }
            '\\' => {
                let next = chars.next()?.1;
                is_escaped |= !matches!(next, 'n' | 'r' | '$');
                match next {
                    'n' => value.push('\n'),
                    'r' => value.push('\r'),
                    't' => value.push('\t'),
                    escaped @ ('"' | '\\' | '$') => value.push(escaped),
                    other => value.extend(['\\', other]),
                }
            }
            other => value.push(other),
        }
    }
    None
}

/// Whether a tool that knows `$NAME`, `${NAME}` and `$(command)` would change the text.
fn expands(text: &str) -> bool {
    let mut is_escaped = false;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let starts = |next: &char| next.is_ascii_alphanumeric() || matches!(next, '_' | '{' | '(');
        if c == '$' && !is_escaped && chars.peek().is_some_and(starts) {
            return true;
        }
        is_escaped = c == '\\' && !is_escaped;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_form_of_a_value_reads_as_documented() {
        for (line, expected) in [
            ("A=s3cret$value", "s3cret$value"),
            ("A=$2b$12$abcdefghijklmnopqrstuv", "$2b$12$abcdefghijklmnopqrstuv"),
            ("A=\"$2b$12$x\"", "$2b$12$x"),
            ("A='${B}'", "${B}"),
            ("A=${B}", "${B}"),
            ("A=s3cret\\$value", "s3cret$value"),
            ("A=\"s3cret\\$value\"", "s3cret$value"),
            ("A='s3cret\\$value'", "s3cret\\$value"),
            ("A=", ""),
            ("A=''", ""),
            ("A=a#b", "a#b"),
            ("A=a #b", "a"),
            ("A=#b", ""),
            ("A='a #b' # c", "a #b"),
            ("  export\tA = a b ", "a b"),
            ("exported=1\nA=2", "2"),
            ("A=it's", "it's"),
            ("A=C:\\dir\\new", "C:\\dir\\new"),
            ("A=\"a\\nb\\\"c\\\\d\\q\"", "a\nb\"c\\d\\q"),
            ("A='1\n2'", "1\n2"),
            ("A=1\nA=2", "2"),
            ("A=1\r\nB=2\r\n", "1"),
            ("A=1\rB=2\r", "1"),
            ("A='1\r\n2'\r\n", "1\n2"),
            ("A=\"1\r\n2\"", "1\n2"),
            ("A = v", "v"),
            ("A='1'#2", "1"),
            ("A=\"1\"\t#2", "1"),
            ("export B\nexport A=1", "1"),
            ("A= # 1", ""),
            ("A=a=b", "a=b"),
            ("# A=0\n\nA=1", "1"),
        ] {
            let parsed = DotEnv::parse(line);
            assert!(parsed.problems.is_empty(), "{line:?}: {:?}", parsed.problems);
            assert_eq!(parsed.variables.get("A").map(String::as_str), Some(expected), "{line:?}");
        }
    }

    #[test]
    fn what_is_no_variable_is_named_by_its_line_and_the_rest_is_read() {
        for (text, line) in [
            ("X=1\nA\n", 2),
            ("=1", 1),
            ("1A=1", 1),
            ("A B=1", 1),
            ("A='1", 1),
            ("A='1\n2\nB=1", 1),
            ("X=1\n\nA=\"1\\", 3),
            ("A='1'2", 1),
        ] {
            let problems = DotEnv::parse(text).problems;
            assert_eq!(
                problems.first().map(|it| it.key.clone()),
                Some(format!("line {line}")),
                "{text:?}"
            );
        }
        assert_eq!(DotEnv::parse("A x\nB=2").variables["B"], "2");
    }

    #[test]
    fn values_that_other_tools_read_otherwise_are_named() {
        let found = |text: &str| {
            let parsed = DotEnv::parse(text);
            assert!(parsed.problems.is_empty(), "{text:?}: {:?}", parsed.problems);
            parsed.doubts.get("A").cloned().unwrap_or_default()
        };
        for text in ["A=a$b", "A=\"${x}\"", "A=$(id)", "A=$2b$12$x"] {
            assert_eq!(found(text), [Doubt::Expanded], "{text:?}");
        }
        for text in [
            "A=a",
            "A=",
            "A='a$b'",
            "A=a\\$b",
            "A=cost$",
            "A='a#b'",
            "A=\"a#b\"",
            "A=a #b#c",
            "A= #b",
            "A= # b",
            "A='a' #b",
            "A='a\\b'",
            "A=\"a\\nb\\r\"",
            "A='`a`'",
            "A=a`b",
            "A=1\nA=1",
            "A=a$b\nA=a$b\nA='a$b'",
        ] {
            assert_eq!(found(text), [], "{text:?}");
        }
        let doubts = [
            ("A=a#b", Doubt::Cut),
            ("A=a#b #c", Doubt::Cut),
            ("A=#b", Doubt::Commented),
            ("A='a'#b", Doubt::Glued),
            ("A=\"a\"# b", Doubt::Glued),
            ("A=C:\\dir", Doubt::Escaped),
            ("A=\"a\\\\b\"", Doubt::Escaped),
            ("A=\"a\\\"b\"", Doubt::Escaped),
            ("A=\"a\\tb\"", Doubt::Escaped),
            ("A=`a`", Doubt::Backticks),
            ("A=1\nB='\n\n'\nA=2", Doubt::Repeated { first: 1, last: 5 }),
            ("A=a#b\nA=2", Doubt::Repeated { first: 1, last: 2 }),
        ];
        for (text, doubt) in doubts {
            assert_eq!(found(text), [doubt], "{text:?}");
        }
        assert_eq!(found("A=a\\\\$b#c"), [Doubt::Expanded, Doubt::Cut, Doubt::Escaped]);
    }
}
