//! Which addresses a peer may have.
//!
//! A peer gets passwords and tokens, and its URL may come from an environment that others can write
//! to; so the text is judged raw, before the URL parser smooths it (it drops CR, LF and TAB without
//! a word, and reads `\` as `/`), and the host afterwards, in the one form that all spellings of an
//! address come down to. What a name resolves to is not judged here: that is only known when
//! connecting.

use std::net::IpAddr;

use url::{Host, Url};

use crate::net::reason_against;

/// Longest peer URL in bytes.
const URL_BYTES_MAX: usize = 2048;

/// Names of metadata services.
const METADATA_NAMES: [&str; 3] =
    ["metadata.google.internal", "metadata.goog", "instance-data.ec2.internal"];

/// The base URL of a peer, ending in `/`.
///
/// # Errors
/// What is wrong with it, without showing it.
pub(super) fn base(text: &str, allow_http: bool) -> Result<Url, String> {
    check_raw(text)?;
    let mut url = match text.split_once("://") {
        Some(_) => parse(text)?,
        None => match parse(&format!("https://{text}"))? {
            url if is_loopback(&url) => parse(&format!("http://{text}"))?,
            url => url,
        },
    };
    strip_final_dot(&mut url)?;
    check_parts(&url)?;
    if url.scheme() == "http" && !allow_http && !is_loopback(&url) {
        return Err("http only to loopback unless mirrors.allow_http is true".into());
    }
    if !url.path().ends_with('/') {
        let path = format!("{}/", url.path());
        url.set_path(&path);
    }
    Ok(url)
}

/// Paths of instances and of the older systems that are no base of a mirror.
const ENDPOINTS: [&str; 14] = [
    "/api/cache/invalidate",
    "/api/cache/clear",
    "/api/admin/cache/clear",
    "/api/cache",
    "/api/auth/login",
    "/api/revalidate",
    "/api/stream",
    "/api/mirrors",
    "/api/hooks",
    "/_cache-mirror/identity",
    "/_cache-mirror",
    "/healthz",
    "/readyz",
    "/dashboard",
];

/// Refuses a base URL that names one endpoint: the paths of all endpoints are appended to the base.
///
/// # Errors
/// Which endpoint it is, and what was expected.
pub fn refuse_endpoint(base: &Url) -> Result<(), String> {
    let path = base.path().trim_end_matches('/').to_ascii_lowercase();
    match ENDPOINTS.iter().find(|endpoint| path.ends_with(*endpoint)) {
        None => Ok(()),
        Some(endpoint) => Err(format!(
            "expected the address of an instance, without the endpoint {endpoint}: it is appended"
        )),
    }
}

/// A whole URL with whatever path and query, at an address that a peer may have.
///
/// # Errors
/// What is wrong with it, without showing it.
pub(super) fn whole(text: &str, allow_http: bool) -> Result<Url, String> {
    if !text.contains("://") {
        return Err("expected a whole URL".into());
    }
    base(text.split('?').next().unwrap_or_default(), allow_http)?;
    parse(text)
}

/// What operators call a peer: `host[:port]`, without the scheme's own port.
pub(super) fn name(base: &Url) -> String {
    let host = base.host_str().unwrap_or_default();
    base.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// Whether it leads to this host.
pub(super) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => {
            let name = name.trim_end_matches('.');
            name == "localhost" || name.ends_with(".localhost")
        }
        Some(Host::Ipv4(four)) => four.is_loopback(),
        Some(Host::Ipv6(six)) => six.to_canonical().is_loopback(),
        None => false,
    }
}

fn check_raw(text: &str) -> Result<(), String> {
    let is_odd = |c: char| c.is_control() || c.is_whitespace() || c == '\\';
    if text.is_empty() {
        return Err("expected a host or a URL".into());
    }
    if text.len() > URL_BYTES_MAX {
        return Err(format!("expected at most {URL_BYTES_MAX} bytes"));
    }
    if text.contains(is_odd) {
        return Err("expected no blanks, control characters or backslashes".into());
    }
    let (scheme, rest) = text.split_once("://").unwrap_or(("https", text));
    if !["http", "https"].iter().any(|known| known.eq_ignore_ascii_case(scheme)) {
        return Err("expected https:// or http://".into());
    }
    check_authority(rest)
}

fn check_authority(rest: &str) -> Result<(), String> {
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.contains('@') {
        return Err("expected no user or password in the URL: use email and password".into());
    }
    let after_host = authority.rsplit_once(']').map_or(authority, |(_, rest)| rest);
    let (host, port) = after_host.split_once(':').unwrap_or((after_host, "0"));
    let has_host = !host.is_empty() || authority.starts_with('[');
    if !has_host || port.is_empty() || !port.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err("expected a host, then perhaps a port".into());
    }
    Ok(())
}

fn parse(text: &str) -> Result<Url, String> {
    Url::parse(text).map_err(|error| format!("expected a host or a URL: {error}"))
}

/// `example.org.` is `example.org`, and must not count as another peer.
fn strip_final_dot(url: &mut Url) -> Result<(), String> {
    let Some(Host::Domain(name)) = url.host() else { return Ok(()) };
    let Some(stripped) = name.strip_suffix('.').map(str::to_owned) else { return Ok(()) };
    url.set_host(Some(&stripped)).map_err(|_| "expected a host".to_owned())
}

fn check_parts(url: &Url) -> Result<(), String> {
    if url.query().is_some() || url.fragment().is_some() {
        return Err("expected no query and no fragment".into());
    }
    if url.port() == Some(0) {
        return Err("expected a port other than 0".into());
    }
    match url.host() {
        Some(Host::Domain(name)) => check_name(name),
        Some(Host::Ipv4(four)) => check_address(IpAddr::V4(four)),
        Some(Host::Ipv6(six)) => check_address(IpAddr::V6(six)),
        None => Err("expected a host".into()),
    }
}

fn check_name(name: &str) -> Result<(), String> {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if name.is_empty()
        || name.contains("..")
        || name.starts_with('.')
        || !name.chars().all(is_allowed)
    {
        return Err("expected a host name".into());
    }
    if METADATA_NAMES.contains(&name) {
        return Err("a metadata service is no peer".into());
    }
    Ok(())
}

fn check_address(address: IpAddr) -> Result<(), String> {
    reason_against(address).map_or(Ok(()), |reason| Err(reason.to_owned()))
}
