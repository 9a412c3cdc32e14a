//! What hyper lets through and we do not (RFC 9110, RFC 9112): a missing or double Host, a target
//! that disagrees with it, TRACE and CONNECT, unknown methods and transfer codings, odd `Expect`.
//! What only the raw bytes show is found in `heads`.

use hyper::header::{CONTENT_LENGTH, EXPECT, HOST, TRANSFER_ENCODING, UPGRADE};
use hyper::{Method, Request, StatusCode, Version};

use super::respond::Problem;

/// Longest request target in bytes: a key of 1,024 bytes, every byte escaped, and a query.
const TARGET_BYTES_MAX: usize = 8 * 1024;

/// Methods that have a meaning, which no route has.
const REFUSED: [&str; 3] = ["TRACE", "CONNECT", "QUERY"];

/// Refuses what must not reach a route.
///
/// # Errors
/// The answer to give; the connection closes after it.
pub fn check<B>(request: &Request<B>) -> Result<(), Problem> {
    check_method(request.method())?;
    check_target(request)?;
    check_host(request)?;
    check_framing(request)
}

fn check_method(method: &Method) -> Result<(), Problem> {
    match *method {
        Method::GET
        | Method::HEAD
        | Method::POST
        | Method::PUT
        | Method::PATCH
        | Method::DELETE
        | Method::OPTIONS => Ok(()),
        // 501 is for methods that are not recognised (RFC 9110 15.6.2); these are known.
        _ if REFUSED.contains(&method.as_str()) => {
            Err(Problem::method_not_allowed("GET, HEAD, POST, PUT, PATCH, DELETE").closing())
        }
        _ => {
            let detail = "this method is not known here";
            Err(Problem::new(StatusCode::NOT_IMPLEMENTED, "unknown_method", detail).closing())
        }
    }
}

fn check_target<B>(request: &Request<B>) -> Result<(), Problem> {
    let uri = request.uri();
    let target = uri.path_and_query().map_or("", |target| target.as_str());
    let bad = |detail: &str| Err(Problem::bad_request("bad_target", detail).closing());
    match (uri.scheme_str(), uri.authority()) {
        (None, None) => {}
        // The form in which proxies are asked (RFC 9112 section 3.2.2).
        (Some("http" | "https"), Some(authority)) => {
            let Some(host) = request.headers().get(HOST) else {
                return bad("a target with a host needs a Host header that agrees");
            };
            if !agree(authority.as_str(), host.as_bytes(), uri.scheme_str()) {
                return bad("target and Host name different hosts");
            }
        }
        _ => return bad("the target must be a path, or a URL of http or https"),
    }
    if !target.starts_with('/') {
        return bad("the target must be a path");
    }
    if target.len() > TARGET_BYTES_MAX {
        let detail = format!("at most {TARGET_BYTES_MAX} bytes");
        return Err(Problem::new(StatusCode::URI_TOO_LONG, "target_too_long", detail).closing());
    }
    Ok(())
}

/// Whether a target's authority and a `Host` are the same, whatever the case; a scheme's own port
/// may be left out.
fn agree(authority: &str, host: &[u8], scheme: Option<&str>) -> bool {
    let port = if scheme == Some("https") { ":443" } else { ":80" };
    let plain = |text: &str| {
        let text = text.to_ascii_lowercase();
        text.strip_suffix(port).map(ToOwned::to_owned).unwrap_or(text)
    };
    std::str::from_utf8(host).is_ok_and(|host| plain(authority) == plain(host))
}

fn check_host<B>(request: &Request<B>) -> Result<(), Problem> {
    let mut hosts = request.headers().get_all(HOST).iter();
    let bad = |detail: &str| Err(Problem::bad_request("bad_host", detail).closing());
    match (hosts.next(), hosts.next()) {
        (None, _) if request.version() == Version::HTTP_10 => Ok(()),
        (None, _) => bad("a Host header is needed"),
        (Some(_), Some(_)) => bad("more than one Host header"),
        (Some(host), None) => {
            let plain = |b: &u8| b.is_ascii_alphanumeric() || b".-:[]_%".contains(b);
            if host.as_bytes().iter().all(plain) { Ok(()) } else { bad("this is no host") }
        }
    }
}

fn check_framing<B>(request: &Request<B>) -> Result<(), Problem> {
    let headers = request.headers();
    let codings: Vec<_> = headers.get_all(TRANSFER_ENCODING).iter().collect();
    let is_chunked = |value: &hyper::header::HeaderValue| {
        value.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked")
    };
    match codings[..] {
        [] => {}
        [one] if is_chunked(one) => {
            if headers.contains_key(CONTENT_LENGTH) {
                let detail = "both Content-Length and Transfer-Encoding";
                return Err(Problem::bad_request("bad_framing", detail).closing());
            }
        }
        [_] => {
            let detail = "only chunked is understood";
            let status = StatusCode::NOT_IMPLEMENTED;
            return Err(Problem::new(status, "unknown_coding", detail).closing());
        }
        _ => {
            let detail = "more than one Transfer-Encoding";
            return Err(Problem::bad_request("bad_framing", detail).closing());
        }
    }
    if headers.contains_key(UPGRADE)
        && (headers.contains_key(TRANSFER_ENCODING) || headers.contains_key(CONTENT_LENGTH))
    {
        return Err(Problem::bad_request("bad_upgrade", "an upgrade with a body").closing());
    }
    match headers.get(EXPECT) {
        Some(expect) if !expect.as_bytes().eq_ignore_ascii_case(b"100-continue") => {
            let detail = "only 100-continue is understood";
            let status = StatusCode::EXPECTATION_FAILED;
            Err(Problem::new(status, "unknown_expect", detail).closing())
        }
        _ => Ok(()),
    }
}
