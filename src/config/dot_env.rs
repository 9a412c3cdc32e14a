//! The `.env` file: `NAME=value` lines, read without expansion.
//!
//! A `$` is a character of the value. Expanding it would shorten a secret such as `s3cret$value`
//! silently, and empty a bcrypt hash. A value is
//! - `'single quoted'`: every character stands for itself;
//! - `"double quoted"`: `\n`, `\r`, `\t`, `\"`, `\\` and `\$` are escapes;
//! - unquoted: up to the end of the line or to a `#` after a blank; `\$` is a `$`, so that a file
//!   that is written for tools which expand reads the same here.
//!
//! Quoted values may span lines. `export` before a name is skipped. The last of two lines with the
//! same name wins. No message shows a value.

use std::collections::BTreeMap;
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
    /// Names of values with a `$` that other tools would expand.
    pub(super) expandable: Vec<String>,
    /// Lines that are no variable.
    pub(super) problems: Vec<Invalid>,
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
        let (mut rest, mut line) = (text, 1);
        while !rest.is_empty() {
            let before = rest;
            match variable(rest) {
                Parsed::Nothing { after } => rest = after,
                Parsed::Variable { name, value, after } => {
                    parsed.expandable.retain(|known| *known != name);
                    if value.is_expandable {
                        parsed.expandable.push(name.clone());
                    }
                    parsed.variables.insert(name, value.text);
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
    /// Whether a tool that expands `$NAME` would change it.
    is_expandable: bool,
}

fn variable(text: &str) -> Parsed<'_> {
    let (line, after) = line_of(text);
    let trimmed = line.trim();
    if trimmed.is_empty() || trimmed.starts_with('#') {
        return Parsed::Nothing { after };
    }
    let exported = trimmed.strip_prefix("export").filter(|rest| rest.starts_with([' ', '\t']));
    let Some((name, _)) = exported.unwrap_or(trimmed).split_once('=') else {
        return Parsed::Malformed { after };
    };
    let name = name.trim();
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    if name.is_empty()
        || name.starts_with(|c: char| c.is_ascii_digit())
        || !name.chars().all(is_name)
    {
        return Parsed::Malformed { after };
    }
    let begin = text.find('=').map_or(text.len(), |at| at + 1);
    let given = text[begin..].trim_start_matches([' ', '\t']);
    let read = match given.as_bytes().first() {
        Some(b'\'') => single_quoted(&given[1..]),
        Some(b'"') => double_quoted(&given[1..]),
        _ => return unquoted(name, given, after),
    };
    let Some((value, rest)) = read else { return Parsed::Malformed { after } };
    let (end, after_value) = line_of(rest);
    let is_over =
        end.trim().is_empty() || (end.starts_with([' ', '\t']) && end.trim().starts_with('#'));
    match is_over {
        true => Parsed::Variable { name: name.to_owned(), value, after: after_value },
        false => Parsed::Malformed { after: after_value },
    }
}

/// The line at the beginning of a text, without its end, and the text after it.
fn line_of(text: &str) -> (&str, &str) {
    let (line, after) = text.split_once('\n').unwrap_or((text, ""));
    (line.strip_suffix('\r').unwrap_or(line), after)
}

fn unquoted<'a>(name: &str, given: &str, after: &'a str) -> Parsed<'a> {
    let (line, _) = line_of(given);
    let comment =
        line.match_indices('#').find(|(at, _)| *at == 0 || line[..*at].ends_with([' ', '\t']));
    let text = line[..comment.map_or(line.len(), |(at, _)| at)].trim();
    let is_expandable = expands(text);
    let value = Value { text: text.replace("\\$", "$"), is_expandable };
    Parsed::Variable { name: name.to_owned(), value, after }
}

/// What stands before the closing quote, and the text after it.
fn single_quoted(text: &str) -> Option<(Value, &str)> {
    let (text, rest) = text.split_once('\'')?;
    Some((Value { text: text.to_owned(), is_expandable: false }, rest))
}

fn double_quoted(text: &str) -> Option<(Value, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => {
                let is_expandable = expands(&text[..at]);
                return Some((Value { text: value, is_expandable }, &text[at + 1..]));
            }
            '\\' => match chars.next()?.1 {
                'n' => value.push('\n'),
                'r' => value.push('\r'),
                't' => value.push('\t'),
                escaped @ ('"' | '\\' | '$') => value.push(escaped),
                other => value.extend(['\\', other]),
            },
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
    fn values_that_other_tools_expand_are_named() {
        let parsed = DotEnv::parse(
            "A=a$b\nB='a$b'\nC=\"${x}\"\nD=a\\$b\nE=cost$\nF=$(id)\nG=$2b$12$x\nA2=a$b\n\
             A2=1\nH=a\\\\$b",
        );
        assert_eq!(parsed.expandable, ["A", "C", "F", "G", "H"]);
    }
}
