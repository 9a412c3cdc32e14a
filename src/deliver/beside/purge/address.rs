//! Paths as requests name them: whole URLs, and regular expressions over them.
//!
//! A path has no fragment, so its `#` is a character of it and is written `%23`. A URL parser
//! smooths what it reads: it takes `..` away, turns backslashes round and cuts blanks off. A path
//! that would come out as another one, or that can be read in two ways, has no URL here and is
//! widened by whoever asked. Expressions match a character raw and percent-encoded, for nobody
//! knows which of them a cache has seen.

use std::fmt::Write as _;

use url::{Position, Url};

use crate::domain::Glob;

/// The URL of a path at a site; `None` where the path cannot be said in one.
pub fn at(site: &Url, path: &str) -> Option<Url> {
    if !is_unambiguous(path) {
        return None;
    }
    let written = path.replace('#', "%23");
    let url = Url::parse(&format!("{}{written}", site.origin().ascii_serialization())).ok()?;
    let is_same = decoded(&url[Position::BeforePath..]) == decoded(path);
    is_same.then_some(url)
}

/// Whether it stands for one request target only: not where a `%` begins no byte, which is asked
/// for raw and as `%25`, nor where a query has a `'`, which browsers alone encode.
fn is_unambiguous(path: &str) -> bool {
    let is_byte = |rest: &str| rest.bytes().take(2).filter(u8::is_ascii_hexdigit).count() == 2;
    let query = path.split_once('?').map_or("", |(_, query)| query);
    path.split('%').skip(1).all(is_byte) && !query.contains('\'')
}

/// Its bytes without percent-encoding.
fn decoded(text: &str) -> Vec<u8> {
    let (bytes, mut out, mut at) = (text.as_bytes(), vec![], 0);
    while let Some(byte) = bytes.get(at) {
        let escaped = text.get(at + 1..at + 3).and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match escaped.filter(|_| *byte == b'%') {
            Some(escaped) => {
                out.push(escaped);
                at += 3;
            }
            None => {
                out.push(*byte);
                at += 1;
            }
        }
    }
    out
}

/// The host and, where it is not the scheme's own, the port: what a `Host` header says.
pub fn host(site: &Url) -> String {
    let host = site.host_str().unwrap_or_default();
    site.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// Every path that begins so.
pub fn prefix_regex(prefix: &str) -> String {
    format!("^{}", literal(prefix))
}

/// Every path that matches.
pub fn glob_regex(glob: &Glob) -> String {
    let mut regex = String::from("^");
    let text = glob.to_string();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '*' => regex.push_str(".*"),
            // One character may be nine where it is percent-encoded.
            '?' => regex.push_str(".+"),
            '\\' => regex.push_str(&literal(chars.next().unwrap_or(c).encode_utf8(&mut [0; 4]))),
            c => regex.push_str(&literal(c.encode_utf8(&mut [0; 4]))),
        }
    }
    regex.push('$');
    regex
}

/// Whether a key that matches may be a path.
pub fn may_be_path(glob: &Glob) -> bool {
    glob.to_string().starts_with(['/', '*', '?'])
}

fn literal(text: &str) -> String {
    let mut regex = String::new();
    for byte in text.bytes() {
        match byte {
            b'/' | b'-' | b'_' | b'~' => regex.push(char::from(byte)),
            byte if byte.is_ascii_alphanumeric() => regex.push(char::from(byte)),
            byte => {
                let (high, low) = (digit(byte >> 4), digit(byte & 15));
                let written = write!(regex, "(?:\\x{byte:02x}|%{high}{low})");
                written.expect("a String takes everything");
            }
        }
    }
    regex
}

/// A hexadecimal digit in either case.
fn digit(value: u8) -> String {
    match char::from_digit(u32::from(value), 16) {
        Some(letter @ 'a'..='f') => format!("[{letter}{}]", letter.to_ascii_uppercase()),
        Some(figure) => figure.to_string(),
        None => String::new(),
    }
}
