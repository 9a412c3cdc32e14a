//! `control.require_https`: what came in the clear is refused.
//!
//! The listener itself speaks no TLS; whoever ends it in front says so in `X-Forwarded-Proto`. What
//! makes things stricter is believed from anybody, what makes them laxer from a trusted proxy or
//! from this host only. What a proxy on this host passed on without that word came from elsewhere,
//! nobody knows how.

use std::net::IpAddr;

use hyper::{HeaderMap, StatusCode};
use ipnet::IpNet;

use super::respond::Problem;
use crate::gate::is_within;

/// They tell nothing, and who asks them speaks no TLS.
const OPEN: [&str; 2] = ["/healthz", "/readyz"];

/// What says that a request was passed on for somebody else.
const FORWARDED: [&str; 2] = ["x-forwarded-for", "forwarded"];

/// Refuses what did not come over HTTPS.
///
/// # Errors
/// The answer to give.
pub fn check(
    path: &str,
    headers: &HeaderMap,
    socket: IpAddr,
    proxies: &[IpNet],
) -> Result<(), Problem> {
    let is_here = socket.to_canonical().is_loopback();
    let is_secure = match forwarded(headers) {
        Some(is_https) => is_https && (is_here || is_within(socket, proxies)),
        None => is_here && !FORWARDED.iter().any(|name| headers.contains_key(*name)),
    };
    if is_secure || OPEN.contains(&path) {
        return Ok(());
    }
    let detail = "this instance is to be asked over https; a proxy that ends TLS in front of it \
                  must be in control.trusted_proxies and send X-Forwarded-Proto";
    Err(Problem::new(StatusCode::FORBIDDEN, "https_required", detail))
}

/// What the proxies on the way say; any of them in the clear counts.
fn forwarded(headers: &HeaderMap) -> Option<bool> {
    let mut lines = headers.get_all("x-forwarded-proto").iter().peekable();
    lines.peek()?;
    let is_https = |word: &str| word.trim().eq_ignore_ascii_case("https");
    Some(lines.all(|line| line.to_str().is_ok_and(|line| line.split(',').all(is_https))))
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    /// S1 1.24: HTTPS only in production.
    #[test]
    fn only_a_proxy_that_is_trusted_can_say_that_it_was_https() {
        let proxies = ["10.0.0.0/8".parse().expect("a network")];
        for (socket, says, path, expected) in [
            ("127.0.0.1", None, "/api/cache/stats", true),
            ("::1", Some("https"), "/api/cache/stats", true),
            ("::ffff:127.0.0.1", None, "/api/cache/stats", true),
            ("127.0.0.1", Some("http"), "/api/cache/stats", false),
            ("10.1.2.3", Some("https"), "/api/cache/stats", true),
            ("10.1.2.3", Some("HTTPS, https"), "/api/cache/stats", true),
            ("10.1.2.3", Some("https, http"), "/api/cache/stats", false),
            ("10.1.2.3", Some(""), "/api/cache/stats", false),
            ("10.1.2.3", None, "/api/cache/stats", false),
            ("192.0.2.1", Some("https"), "/api/cache/stats", false),
            ("192.0.2.1", None, "/api/auth/login", false),
            ("192.0.2.1", None, "/healthz", true),
            ("10.1.2.3", Some("http"), "/readyz", true),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(says) = says {
                headers.insert("x-forwarded-proto", HeaderValue::from_static(says));
            }
            let socket = socket.parse().expect("an address");
            let answer = check(path, &headers, socket, &proxies);
            assert_eq!(answer.is_ok(), expected, "{socket} {says:?} {path}");
        }
    }

    #[test]
    fn what_was_passed_on_without_a_word_about_tls_is_not_from_here() {
        let here = "127.0.0.1".parse().expect("an address");
        for (name, value) in [("x-forwarded-for", "203.0.113.9"), ("forwarded", "for=192.0.2.1")] {
            let mut headers = HeaderMap::new();
            headers.insert(name, HeaderValue::from_static(value));
            let answer = |headers: &_| check("/api/cache/stats", headers, here, &[]).is_ok();
            assert!(!answer(&headers), "{name}");
            headers.insert("x-forwarded-proto", HeaderValue::from_static("https"));
            assert!(answer(&headers), "{name} and https");
        }
    }
}
