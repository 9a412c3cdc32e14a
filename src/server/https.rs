//! `control.require_https`: what came in the clear is refused.
//!
//! The listener itself speaks no TLS; whoever ends it in front says so in `X-Forwarded-Proto`. What
//! makes things stricter is believed from anybody, what makes them laxer from a trusted proxy or
//! from this host only. What a proxy on this host passed on without that word came from elsewhere,
//! nobody knows how.

use std::net::IpAddr;

use hyper::{HeaderMap, StatusCode};
use ipnet::IpNet;

use super::forwarded;
use super::respond::Problem;
use crate::gate::is_within;

/// They reveal nothing, and probes that ask them speak no TLS.
const OPEN: [&str; 2] = ["/healthz", "/readyz"];

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
    let is_secure = match forwarded::is_https(headers) {
        Some(is_https) => is_https && (is_here || is_within(socket, proxies)),
        None => is_here && !forwarded::is_shown(headers),
    };
    if is_secure || OPEN.contains(&path) {
        return Ok(());
    }
    let detail = "this instance is to be asked over https; a proxy that ends TLS in front of it \
                  must be in control.trusted_proxies and send X-Forwarded-Proto";
    Err(Problem::new(StatusCode::FORBIDDEN, "https_required", detail))
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
        for (name, value) in [
            ("x-forwarded-for", "203.0.113.9"),
            ("x-forwarded-for", ""),
            ("x-forwarded-host", "cache.example"),
            ("x-forwarded-port", "443"),
            ("x-real-ip", "203.0.113.9"),
            ("via", "1.1 front"),
            ("forwarded", "for=192.0.2.1"),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(name, HeaderValue::from_static(value));
            let proxies = ["127.0.0.0/8".parse().expect("a network")];
            for proxies in [&proxies[..], &[]] {
                assert!(check("/api/cache/stats", &headers, here, proxies).is_err(), "{name}");
            }
            let answer = |headers: &_| check("/api/cache/stats", headers, here, &[]).is_ok();
            headers.insert("x-forwarded-proto", HeaderValue::from_static("https"));
            assert!(answer(&headers), "{name} and https");
        }
    }

    #[test]
    fn the_scheme_is_read_of_forwarded_as_well() {
        let here = "127.0.0.1".parse().expect("an address");
        for (line, expected) in [
            ("for=192.0.2.1;proto=https", true),
            ("for=192.0.2.1; Proto=\"HTTPS\", for=10.0.0.1;proto=https", true),
            ("for=192.0.2.1;proto=http, for=10.0.0.1;proto=https", false),
            ("for=192.0.2.1, for=10.0.0.1;proto=https", false),
            ("proto=https;proto=http", false),
            ("for=\"a,proto=https", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert("forwarded", HeaderValue::from_static(line));
            assert_eq!(check("/x", &headers, here, &[]).is_ok(), expected, "{line}");
            headers.insert("x-forwarded-proto", HeaderValue::from_static("http"));
            assert!(check("/x", &headers, here, &[]).is_err(), "{line} and http");
        }
    }
}
