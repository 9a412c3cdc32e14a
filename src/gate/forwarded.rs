//! The client's address of a call that came through proxies.
//!
//! Only trusted proxies are believed, from right to left: each names the address that called it. If
//! a name cannot be read, the address is *unreadable*, never the proxy's own: an allow list then
//! refuses the call, and all such callers share one limit.

use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;

use super::is_within;
use crate::net::with_zone;

/// The address of a client, if it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ClientAddress {
    /// A known address.
    Known(IpAddr),
    /// A trusted proxy forwarded the call without a readable address.
    Unreadable,
}

impl ClientAddress {
    /// The address, if it is known.
    pub fn known(self) -> Option<IpAddr> {
        match self {
            Self::Known(address) => Some(address),
            Self::Unreadable => None,
        }
    }
}

impl From<IpAddr> for ClientAddress {
    fn from(address: IpAddr) -> Self {
        Self::Known(address.to_canonical())
    }
}

impl fmt::Display for ClientAddress {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Known(address) => address.fmt(out),
            Self::Unreadable => out.write_str("unreadable"),
        }
    }
}

/// The headers of a call that proxies set. A header line that is not text is passed as an empty
/// line.
#[derive(Debug, Default)]
pub struct PassedOn<'a> {
    /// The lines of `X-Forwarded-For`, in order.
    pub x_forwarded_for: Vec<&'a str>,
    /// The lines of `Forwarded` (RFC 7239), read if `X-Forwarded-For` is absent.
    pub forwarded: Vec<&'a str>,
    /// The lines of `X-Real-IP`, read if both others are absent.
    pub x_real_ip: Vec<&'a str>,
    /// Whether another header (`Via`, `X-Forwarded-Proto`) shows that a proxy forwarded the call.
    pub is_shown: bool,
}

impl PassedOn<'_> {
    /// The named addresses, the client's first; `None` for one that cannot be read.
    fn hops(&self) -> Vec<Option<IpAddr>> {
        let [x_forwarded_for, forwarded, x_real_ip] =
            [&self.x_forwarded_for, &self.forwarded, &self.x_real_ip];
        if !x_forwarded_for.is_empty() {
            x_forwarded_for.iter().flat_map(|line| line.split(',')).map(node).collect()
        } else if !forwarded.is_empty() {
            forwarded.iter().flat_map(|line| elements(line)).collect()
        } else {
            match x_real_ip[..] {
                [one] => vec![node(one)],
                [] if !self.is_shown => vec![],
                _ => vec![None],
            }
        }
    }
}

/// The client's address: the socket's, or, behind trusted proxies, the rightmost named address that
/// is not a trusted proxy.
pub(super) fn client(socket: IpAddr, by: &PassedOn<'_>, trusted: &[IpNet]) -> ClientAddress {
    let mut address = socket.to_canonical();
    if !is_within(address, trusted) {
        return ClientAddress::Known(address);
    }
    for hop in by.hops().into_iter().rev() {
        let Some(next) = hop else { return ClientAddress::Unreadable };
        address = next;
        if !is_within(address, trusted) {
            break;
        }
    }
    ClientAddress::Known(address)
}

/// The `for` of each element of a `Forwarded` line.
fn elements(line: &str) -> Vec<Option<IpAddr>> {
    let Some(elements) = elements_of(line) else { return vec![None] };
    elements.into_iter().map(|element| node(parameter(element, "for")?)).collect()
}

/// The elements of a `Forwarded` line (RFC 7239 section 4); `None` if it is malformed.
pub fn elements_of(line: &str) -> Option<Vec<&str>> {
    split(line, ',')
}

/// The unquoted value of a parameter; `None` unless the element has it exactly once.
pub fn parameter<'a>(element: &'a str, name: &str) -> Option<&'a str> {
    let mut found = None;
    for pair in split(element, ';')? {
        let (other, value) = pair.split_once('=')?;
        if other.trim().eq_ignore_ascii_case(name) && found.replace(value.trim()).is_some() {
            return None;
        }
    }
    let value = found?;
    match value.strip_prefix('"') {
        Some(quoted) => quoted.strip_suffix('"'),
        None => Some(value),
    }
}

/// Splits outside quoted strings; `None` if a quote is not closed.
fn split(text: &str, at: char) -> Option<Vec<&str>> {
    let (mut parts, mut from) = (vec![], 0);
    let (mut is_quoted, mut is_escaped) = (false, false);
    for (index, letter) in text.char_indices() {
        if is_escaped {
            is_escaped = false;
        } else if letter == '\\' && is_quoted {
            is_escaped = true;
        } else if letter == '"' {
            is_quoted = !is_quoted;
        } else if letter == at && !is_quoted {
            parts.push(&text[from..index]);
            from = index + letter.len_utf8();
        }
    }
    parts.push(&text[from..]);
    (!is_quoted).then_some(parts)
}

/// Parses one address as proxies write it: bare, with a port, in brackets, in quotes (RFC 7239
/// section 6), or with a zone, which is meaningful to the proxy only. `unknown` and obfuscated
/// names are not addresses.
fn node(text: &str) -> Option<IpAddr> {
    let text = text.trim_matches([' ', '\t']);
    let text = match text.strip_prefix('"') {
        Some(quoted) => quoted.strip_suffix('"')?,
        None => text,
    };
    let address = if let Some(bracketed) = text.strip_prefix('[') {
        let (address, after) = bracketed.split_once(']')?;
        if !after.is_empty() && !is_port(after.strip_prefix(':')?) {
            return None;
        }
        IpAddr::V6(with_zone(address)?.0)
    } else if let Some((address, port)) = text.split_once(':').filter(|(_, it)| !it.contains(':')) {
        let address = address.parse().ok().filter(IpAddr::is_ipv4)?;
        is_port(port).then_some(address)?
    } else if text.contains(':') {
        IpAddr::V6(with_zone(text)?.0)
    } else {
        text.parse().ok()?
    };
    let address = address.to_canonical();
    (!address.is_unspecified()).then_some(address)
}

/// A port, or an obfuscated one (RFC 7239 section 6.3).
fn is_port(text: &str) -> bool {
    let is_number = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let is_hidden = text.strip_prefix('_').is_some_and(|name| {
        !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
    });
    (is_number && text.parse::<u16>().is_ok()) || is_hidden
}
