//! `GET /api/revalidate/{name}`: what POST does there, for a person at the address bar of a browser
//! (acceptance S0 0.11). Served only where `control.dev` is on.
//!
//! A GET with effect can be had by any page that names its address in an image, and a browser adds
//! the password that it remembers. So a request counts only where the browser says that no page
//! asked for it. Browsers say so over https and to this host itself (Fetch Metadata, "potentially
//! trustworthy"); elsewhere a password that came by itself cannot be told from one that was typed,
//! and is not taken.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::header::{HOST, HeaderValue, WWW_AUTHENTICATE};
use hyper::{HeaderMap, StatusCode};
use url::{Host, Url};

use super::{failed, named};
use crate::gate::Rejected;
use crate::server::Control;
use crate::server::call::ControlCall;
use crate::server::respond::Handled;

const CHALLENGE: HeaderValue = HeaderValue::from_static(r#"Basic realm="cache-mirror (dev)""#);

/// What browsers and proxies mark as fetched before anybody asked for it: today's header and those
/// of older browsers (Chromium and Safari, Firefox).
const AHEAD: [&str; 4] = ["sec-purpose", "purpose", "x-purpose", "x-moz"];

/// Clears what the name stands for.
pub async fn get(control: Arc<Control>, call: ControlCall) -> Handled {
    let header = named::authorization(&call);
    let password = header.and_then(password);
    if let Err(why) = check_asker(&call.headers, password.is_some()) {
        named::log_refused(&control, &call, why);
        return Ok(failed(StatusCode::FORBIDDEN, "Forbidden", Some(why.into())));
    }
    let is_typed = password.is_some();
    let bearer = password.map(|password| format!("Bearer {password}"));
    match named::judge(&control, &call, bearer.as_deref().or(header)).await {
        Ok(who) => named::clear(&control, &call, who, None).await,
        Err(Rejected::Missing) => Ok(ask()),
        // A browser keeps a password until a 401 rejects it.
        Err(rejected @ Rejected::Invalid) if is_typed => {
            named::log_refused(&control, &call, &rejected.to_string());
            Ok(ask())
        }
        Err(rejected) => Ok(named::refused(&control, &call, rejected)),
    }
}

fn ask() -> crate::server::respond::Answer {
    let mut answer = failed(StatusCode::UNAUTHORIZED, "Unauthorized", None);
    answer.headers_mut().insert(WWW_AUTHENTICATE, CHALLENGE);
    answer
}

/// The password of `Authorization: Basic` (RFC 7617 section 2); the user's name does not matter.
fn password(header: &str) -> Option<String> {
    let (scheme, text) = header.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("Basic") {
        return None;
    }
    let pair = String::from_utf8(STANDARD.decode(text.trim()).ok()?).ok()?;
    pair.split_once(':').map(|(_, password)| password.to_owned())
}

/// Refuses what another page may have asked for, and what nobody asked for yet.
fn check_asker(headers: &HeaderMap, has_password: bool) -> Result<(), &'static str> {
    if AHEAD.iter().any(|name| headers.contains_key(*name)) {
        return Err("a browser fetched this ahead; open it");
    }
    match headers.get("sec-fetch-site").map(HeaderValue::as_bytes) {
        Some(b"none" | b"same-origin") => Ok(()),
        Some(_) => Err("another page asked for this; open it from the address bar"),
        None if has_password && !is_here(headers) => {
            Err("a browser says who asks only over https or to this host; POST instead")
        }
        None => Ok(()),
    }
}

/// Whether the name that was called is of this host itself, as browsers judge it.
fn is_here(headers: &HeaderMap) -> bool {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let Ok(url) = Url::parse(&format!("http://{host}")) else { return false };
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_what_follows_the_first_colon() {
        let basic = |pair: &str| format!("basic {}", STANDARD.encode(pair));
        for (header, expected) in [
            (basic("me:a:b c"), Some("a:b c")),
            (basic(":only"), Some("only")),
            (basic("no colon"), None),
            ("Bearer abc".into(), None),
            ("Basic ???".into(), None),
            ("Basic".into(), None),
        ] {
            assert_eq!(password(&header).as_deref(), expected, "{header}");
        }
    }

    #[test]
    fn only_a_person_at_this_host_or_a_marked_request_may_bring_a_password() {
        let is_taken = |host: &str, mark: Option<&'static str>| {
            let mut headers = HeaderMap::new();
            headers.insert(HOST, host.parse().expect("a host"));
            if let Some(mark) = mark {
                headers.insert("sec-fetch-site", HeaderValue::from_static(mark));
            }
            check_asker(&headers, true).is_ok()
        };
        for host in ["127.0.0.1:4400", "localhost", "[::1]:4400", "site.localhost:1"] {
            assert!(is_taken(host, None), "{host}");
        }
        for host in ["10.0.0.5:4400", "cache.example", "localhost.example", "[fe80::1]:1", ""] {
            assert!(!is_taken(host, None), "{host}");
            assert!(is_taken(host, Some("none")), "{host}");
        }
        for mark in ["cross-site", "same-site", "", "NONE"] {
            assert!(!is_taken("localhost", Some(mark)), "{mark}");
        }
    }
}
