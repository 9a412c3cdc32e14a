//! The handshake of a WebSocket (RFC 6455 section 4.2): what a request must say, and what proves to
//! the other side that it was understood.
//!
//! No subprotocol and no extension is ever agreed to. `Origin` is checked elsewhere, and before.

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http_body_util::{Either, Full};
use hyper::header::{
    CONNECTION, HeaderName, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_VERSION, UPGRADE,
};
use hyper::{HeaderMap, Response, StatusCode};

use crate::server::respond::{Answer, Problem};

/// The one version there is.
const VERSION: &str = "13";
/// What the key is hashed with; the RFC's constant.
const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
/// Bytes of a key.
const KEY_BYTES: usize = 16;

/// Whether a WebSocket is asked for; any other protocol is left alone.
pub fn is_asked(headers: &HeaderMap) -> bool {
    names(headers, UPGRADE, "websocket")
}

/// The key of a good handshake.
///
/// # Errors
/// 426 for another version, else 400.
pub fn check(headers: &HeaderMap) -> Result<HeaderValue, Problem> {
    if one(headers, SEC_WEBSOCKET_VERSION).is_none_or(|version| version != VERSION) {
        let detail = format!("Sec-WebSocket-Version must be {VERSION}");
        let problem = Problem::new(StatusCode::UPGRADE_REQUIRED, "unknown_version", detail);
        return Err(problem
            .with(SEC_WEBSOCKET_VERSION, VERSION)
            .with(UPGRADE, "websocket")
            .with(CONNECTION, "upgrade"));
    }
    let bad = |detail: &str| Problem::bad_request("bad_handshake", detail);
    if !names(headers, CONNECTION, "upgrade") {
        return Err(bad("Connection must name upgrade; a proxy on the way may have taken it out"));
    }
    let key = one(headers, SEC_WEBSOCKET_KEY).ok_or_else(|| bad("one Sec-WebSocket-Key is needed"));
    let key = key?;
    let is_key = STANDARD.decode(key).is_ok_and(|bytes| bytes.len() == KEY_BYTES);
    if is_key { Ok(key.clone()) } else { Err(bad("Sec-WebSocket-Key must be 16 bytes in base64")) }
}

/// The answer to a good handshake.
pub fn switch(key: &HeaderValue) -> Answer {
    let mut answer = Response::new(Either::Left(Full::default()));
    *answer.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = answer.headers_mut();
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(SEC_WEBSOCKET_ACCEPT, accept(key));
    answer
}

/// Not a secret: it shows that the other side speaks the protocol, and is no cache.
fn accept(key: &HeaderValue) -> HeaderValue {
    let hashed = [key.as_bytes(), GUID.as_bytes()].concat();
    let hash = STANDARD.encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, &hashed));
    HeaderValue::try_from(hash).expect("base64 is a header's text")
}

/// The value of a header that must be there once.
fn one(headers: &HeaderMap, name: HeaderName) -> Option<&HeaderValue> {
    let mut all = headers.get_all(name).iter();
    all.next().filter(|_| all.next().is_none())
}

/// Whether a header that is a list names a word.
fn names(headers: &HeaderMap, name: HeaderName, word: &str) -> bool {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    let mut words = values.flat_map(|value| value.split(','));
    words.any(|one| one.trim().eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

    fn request(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        lines.iter().map(pair).collect()
    }

    /// The example of RFC 6455 section 1.3.
    #[test]
    fn the_key_is_answered_as_the_rfc_says() {
        let answer = switch(&HeaderValue::from_static(KEY));
        assert_eq!(answer.status(), 101);
        assert_eq!(answer.headers()[SEC_WEBSOCKET_ACCEPT], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn a_websocket_is_asked_for_by_name() {
        for (value, expected) in [
            ("websocket", true),
            ("WebSocket", true),
            ("h2c, websocket", true),
            ("h2c", false),
            ("websocket2", false),
            ("", false),
        ] {
            assert_eq!(is_asked(&request(&[("upgrade", value)])), expected, "{value}");
        }
        assert!(!is_asked(&request(&[])));
    }

    #[test]
    fn what_is_no_handshake_is_refused() {
        let good = [
            ("connection", "keep-alive, Upgrade"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-key", KEY),
        ];
        assert_eq!(check(&request(&good)).expect("good"), KEY);
        for (name, value, status) in [
            ("connection", "keep-alive", 400),
            ("sec-websocket-version", "8", 426),
            ("sec-websocket-version", "13, 8", 426),
            ("sec-websocket-key", "", 400),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ", 400),
            ("sec-websocket-key", "c2hvcnQ=", 400),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZXM3Nzc=", 400),
        ] {
            let mut headers = request(&good);
            headers.insert(name, HeaderValue::from_static(value));
            let refused = check(&headers).expect_err(value).into_answer();
            assert_eq!(refused.status(), status, "{name}: {value}");
            headers.remove(name);
            assert!(check(&headers).is_err(), "without {name}");
        }
        let mut twice = request(&good);
        twice.append("sec-websocket-key", HeaderValue::from_static(KEY));
        assert!(check(&twice).is_err());
    }
}
