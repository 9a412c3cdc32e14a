//! The proxies that a request came through, by its headers.
//!
//! Read here, judged in `gate` (whose address counts) and `https` (whether it came over HTTPS).

use hyper::HeaderMap;

use crate::gate::{PassedOn, elements_of, parameter};

/// Headers besides those with the client's address that show that a request was forwarded.
const SHOWING: [&str; 6] = [
    "via",
    "x-forwarded-proto",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-server",
    "x-forwarded-scheme",
];

/// What names the client.
const NAMING: [&str; 3] = ["x-forwarded-for", "forwarded", "x-real-ip"];

/// The lines of a header in order; one that is no text is empty.
fn lines<'a>(headers: &'a HeaderMap, name: &str) -> Vec<&'a str> {
    headers.get_all(name).iter().map(|value| value.to_str().unwrap_or_default()).collect()
}

/// The proxies, as far as the headers name them.
pub fn passed_on(headers: &HeaderMap) -> PassedOn<'_> {
    let [x_forwarded_for, forwarded, x_real_ip] = NAMING.map(|name| lines(headers, name));
    let is_shown = SHOWING.iter().any(|name| headers.contains_key(*name));
    PassedOn { x_forwarded_for, forwarded, x_real_ip, is_shown }
}

/// Whether any header shows that the request was forwarded.
pub fn is_shown(headers: &HeaderMap) -> bool {
    NAMING.iter().chain(&SHOWING).any(|name| headers.contains_key(*name))
}

/// Whether every proxy on the way says that it was asked over HTTPS; `None` where none says
/// anything. Of two headers, both must say so.
pub fn is_https(headers: &HeaderMap) -> Option<bool> {
    let is_word = |word: &str| word.trim().eq_ignore_ascii_case("https");
    let plain = lines(headers, "x-forwarded-proto");
    let plain = (!plain.is_empty()).then(|| plain.iter().all(|line| line.split(',').all(is_word)));
    let forwarded = lines(headers, "forwarded");
    let says = forwarded.iter().any(|line| line.to_ascii_lowercase().contains("proto="));
    let of_line = |line: &&str| {
        elements_of(line).is_some_and(|elements| {
            elements.iter().all(|element| parameter(element, "proto").is_some_and(is_word))
        })
    };
    let forwarded = says.then(|| forwarded.iter().all(of_line));
    match (plain, forwarded) {
        (None, None) => None,
        (plain, forwarded) => Some(plain.unwrap_or(true) && forwarded.unwrap_or(true)),
    }
}
