//! Turns paths into full URLs and into regular expressions.
//!
//! A path has no fragment, so a `#` in it is encoded as `%23`. A URL parser normalises its input:
//! it resolves `..`, replaces backslashes and trims blanks. A path that would change, or that is
//! ambiguous, has no URL here, and the caller widens it. It is unknown which spelling of a path a
//! cache has stored: single paths are sent in all usual spellings, and expressions match each
//! character raw and percent-encoded.

use url::{Position, Url};

use crate::domain::Glob;

/// The URL of a path at a site; `None` if no URL can express the path.
pub fn at(site: &Url, path: &str) -> Option<Url> {
    if !is_unambiguous(path) {
        return None;
    }
    let written = path.replace('#', "%23");
    let url = Url::parse(&format!("{}{written}", site.origin().ascii_serialization())).ok()?;
    let is_same = decoded(&url[Position::BeforePath..]) == decoded(path);
    is_same.then_some(url)
}

/// The usual spellings of a canonical path in requests: as it is, with lower-case hex digits (as
/// WordPress writes them), and with the characters raw that browsers do not encode. `None` if a URL
/// cannot express one of them: with a raw `%`, or a `\\` in the path.
pub fn spellings(path: &str) -> Option<Vec<String>> {
    let is_byte = |rest: &str| rest.bytes().take(2).filter(u8::is_ascii_hexdigit).count() == 2;
    let (hierarchy, _) = path.split_once('?').unwrap_or((path, ""));
    if !path.split("%25").skip(1).all(is_byte) || hierarchy.contains("%5C") {
        return None;
    }
    let mut spellings = vec![path.to_owned()];
    for of_browser in [false, true] {
        for is_lower in [true, false] {
            let one = spelling(path, of_browser, is_lower);
            if !spellings.contains(&one) {
                spellings.push(one);
            }
        }
    }
    Some(spellings)
}

/// The path with hex digits in lower case or unchanged, and optionally with the characters raw that
/// browsers do not encode.
fn spelling(path: &str, of_browser: bool, is_lower: bool) -> String {
    const RAW: [&str; 8] = ["5B", "5C", "5D", "5E", "60", "7B", "7C", "7D"];
    let mut pieces = path.split('%');
    let mut out = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let (hex, rest) = piece.split_at_checked(2).unwrap_or((piece, ""));
        match u8::from_str_radix(hex, 16) {
            Ok(byte) if of_browser && RAW.contains(&hex) => out.push(char::from(byte)),
            _ if is_lower => out.push_str(&format!("%{}", hex.to_ascii_lowercase())),
            _ => out.push_str(&format!("%{hex}")),
        }
        out.push_str(rest);
    }
    out
}

/// Whether it has only one request target. It has two with a `%` that starts no encoded byte, which
/// is requested raw and as `%25`, and with a `'` in the query, which only browsers encode.
fn is_unambiguous(path: &str) -> bool {
    let is_byte = |rest: &str| rest.bytes().take(2).filter(u8::is_ascii_hexdigit).count() == 2;
    let query = path.split_once('?').map_or("", |(_, query)| query);
    path.split('%').skip(1).all(is_byte) && !query.contains('\'')
}

/// The percent-decoded bytes.
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

/// The value of a `Host` header: the host, and the port if it is not the default.
pub fn host(site: &Url) -> String {
    let host = site.host_str().unwrap_or_default();
    site.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// An expression for every path with this prefix.
pub fn prefix_regex(prefix: &str) -> String {
    let mut pieces = prefix.split('%');
    let mut regex = format!("^{}", literal(pieces.next().unwrap_or_default()));
    for piece in pieces {
        let (hex, rest) = piece.split_at_checked(2).unwrap_or((piece, ""));
        match u8::from_str_radix(hex, 16) {
            // An encoded delimiter is not equal to the delimiter.
            Ok(byte) if b"/?:@!$&'()*+,;=".contains(&byte) => {
                regex.push_str(&format!("%{}{}", digit(byte >> 4), digit(byte & 15)));
            }
            Ok(byte) => regex.push_str(&either(byte)),
            Err(_) => regex.push_str(&literal(&format!("%{hex}"))),
        }
        regex.push_str(&literal(rest));
    }
    regex
}

/// An expression for every path that matches.
pub fn glob_regex(glob: &Glob) -> String {
    let mut regex = String::from("^");
    let text = glob.to_string();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '*' => regex.push_str(".*"),
            // One character may be up to 12 when percent-encoded.
            '?' => regex.push_str(".+"),
            '\\' => regex.push_str(&literal(chars.next().unwrap_or(c).encode_utf8(&mut [0; 4]))),
            c => regex.push_str(&literal(c.encode_utf8(&mut [0; 4]))),
        }
    }
    regex.push('$');
    regex
}

/// Whether the pattern can match a path.
pub fn may_be_path(glob: &Glob) -> bool {
    glob.to_string().starts_with(['/', '*', '?'])
}

fn literal(text: &str) -> String {
    let mut regex = String::new();
    for byte in text.bytes() {
        match byte {
            b'/' | b'-' | b'_' | b'~' => regex.push(char::from(byte)),
            byte if byte.is_ascii_alphanumeric() => regex.push(char::from(byte)),
            byte => regex.push_str(&either(byte)),
        }
    }
    regex
}

/// A byte, raw or percent-encoded.
fn either(byte: u8) -> String {
    format!("(?:\\x{byte:02x}|%{}{})", digit(byte >> 4), digit(byte & 15))
}

/// A hexadecimal digit in either case.
fn digit(value: u8) -> String {
    match char::from_digit(u32::from(value), 16) {
        Some(letter @ 'a'..='f') => format!("[{letter}{}]", letter.to_ascii_uppercase()),
        Some(figure) => figure.to_string(),
        None => String::new(),
    }
}
