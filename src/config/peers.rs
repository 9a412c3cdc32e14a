//! Which addresses a peer may have.
//!
//! A peer gets passwords and tokens, and its URL may come from an environment that others can write
//! to; so the text is judged raw, before the URL parser smooths it (it drops CR, LF and TAB without
//! a word, and reads `\` as `/`), and the host afterwards, in the one form that all spellings of an
//! address come down to. What a name resolves to is not judged here: that is only known when
//! connecting.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use url::{Host, Url};

/// Longest peer URL in bytes.
const URL_BYTES_MAX: usize = 2048;

/// Instance metadata services outside the link-local networks: Alibaba, Oracle, Azure's wire
/// server, AWS and Google by IPv6.
const METADATA: [IpAddr; 5] = [
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V4(Ipv4Addr::new(192, 0, 0, 192)),
    IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
    IpAddr::V6(Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254)),
];

/// Names of the same.
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
    let embedded = match address {
        IpAddr::V4(_) => None,
        IpAddr::V6(six) => embedded(six).map(IpAddr::V4),
    };
    for address in std::iter::once(address).chain(embedded) {
        let is_link_local = match address {
            IpAddr::V4(four) => four.is_link_local(),
            IpAddr::V6(six) => six.is_unicast_link_local(),
        };
        let is_this_network = matches!(address, IpAddr::V4(four) if four.octets()[0] == 0);
        if is_link_local || METADATA.contains(&address) {
            return Err("link-local and metadata addresses are no peers".into());
        }
        if address.is_unspecified() || is_this_network {
            return Err("expected the address of a host, not the unspecified one".into());
        }
        if address.is_multicast() || address == IpAddr::V4(Ipv4Addr::BROADCAST) {
            return Err("expected the address of one host, not of many".into());
        }
    }
    Ok(())
}

/// The IPv4 address that an IPv6 one stands for: mapped and compatible (RFC 4291), translated
/// (RFC 2765), NAT64 (RFC 6052, RFC 8215) and 6to4 (RFC 3056).
fn embedded(six: Ipv6Addr) -> Option<Ipv4Addr> {
    let [a, b, c, d, e, f, g, h] = six.segments();
    let four = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        Ipv4Addr::new(a, b, c, d)
    };
    match [a, b, c, d, e, f] {
        // `::` and `::1` are themselves.
        [0, 0, 0, 0, 0, 0] if g == 0 => None,
        [0, 0, 0, 0, 0, 0 | 0xffff] | [0, 0, 0, 0, 0xffff, 0] => Some(four(g, h)),
        [0x64, 0xff9b, 0 | 1, ..] => Some(four(g, h)),
        [0x2002, high, low, ..] => Some(four(high, low)),
        _ => None,
    }
}
