//! Which addresses an outgoing request may never reach.
//!
//! Checked at connect time, on every address a name resolves to, so that a name that changes its
//! mind between check and connect gains nothing. Private networks are fine (mirrors are often in
//! one); link-local and cloud metadata addresses never are, in whatever form they are written.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// Instance metadata services outside the link-local networks: Alibaba, Oracle, Azure's wire
/// server, AWS and Google by IPv6.
const METADATA: [IpAddr; 5] = [
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V4(Ipv4Addr::new(192, 0, 0, 192)),
    IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
    IpAddr::V6(Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254)),
];

/// An IPv6 address and its zone (RFC 4007 section 11), which may be written as in a URL (`%25eth0`,
/// RFC 6874). IPv4 addresses have no zones, also where they are written as IPv6.
pub fn with_zone(text: &str) -> Option<(Ipv6Addr, Option<&str>)> {
    let Some((address, zone)) = text.split_once('%') else {
        return Some((text.parse().ok()?, None));
    };
    let address: Ipv6Addr = address.parse().ok()?;
    let zone = zone.strip_prefix("25").filter(|rest| !rest.is_empty()).unwrap_or(zone);
    let is_zone = is_zone(zone) && address.to_ipv4_mapped().is_none();
    is_zone.then_some((address, Some(zone)))
}

/// Unreserved and percent-encoded characters (RFC 6874 section 2).
fn is_zone(text: &str) -> bool {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
    let mut parts = text.split('%');
    let first = parts.next().unwrap_or_default();
    let is_encoded = |part: &str| {
        let bytes = part.as_bytes();
        bytes.len() >= 2 && bytes[..2].iter().all(u8::is_ascii_hexdigit)
    };
    !text.is_empty()
        && first.bytes().all(is_plain)
        && parts.all(|part| is_encoded(part) && part.bytes().all(is_plain))
}

/// Whether no request may go there.
pub fn is_forbidden(address: IpAddr) -> bool {
    reason_against(address).is_some()
}

/// Why no request may go there, if none may. An IPv6 address that stands for an IPv4 one is judged
/// as both.
pub fn reason_against(address: IpAddr) -> Option<&'static str> {
    let inner = match address {
        IpAddr::V4(_) => None,
        IpAddr::V6(six) => embedded(six).map(IpAddr::V4),
    };
    std::iter::once(address).chain(inner).find_map(judge)
}

fn judge(address: IpAddr) -> Option<&'static str> {
    let is_link_local = match address {
        IpAddr::V4(four) => four.is_link_local(),
        IpAddr::V6(six) => six.is_unicast_link_local(),
    };
    let is_this_network = matches!(address, IpAddr::V4(four) if four.octets()[0] == 0);
    if is_link_local || METADATA.contains(&address) {
        Some("link-local and metadata addresses are no peers")
    } else if address.is_unspecified() || is_this_network {
        Some("expected the address of a host, not the unspecified one")
    } else if address.is_multicast() || address == IpAddr::V4(Ipv4Addr::BROADCAST) {
        Some("expected the address of one host, not of many")
    } else {
        None
    }
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

/// Resolves by the system and leaves out what is forbidden.
#[derive(Debug, Clone, Copy)]
pub struct CheckedResolver;

impl Resolve for CheckedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let allowed: Vec<SocketAddr> =
                found.filter(|address| !is_forbidden(address.ip())).collect();
            if allowed.is_empty() {
                return Err("resolves to no address that may be reached".into());
            }
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zone_is_read_in_every_form_and_nothing_else_is_one() {
        for (text, zone) in [
            ("fe80::1%eth0", Some("eth0")),
            ("fe80::1%25eth0", Some("eth0")),
            ("fe80::1%3", Some("3")),
            ("fe80::1%25", Some("25")),
            ("fe80::1%2512", Some("12")),
            ("2001:db8::7%br-1.2~_", Some("br-1.2~_")),
            ("ff02::1%eth0%2F1", Some("eth0%2F1")),
            ("fe80::1", None),
        ] {
            let (address, found) = with_zone(text).expect(text);
            assert_eq!((address, found), (text.split('%').next().unwrap().parse().unwrap(), zone));
        }
        for text in [
            "fe80::1%",
            "%eth0",
            "fe80::1%eth 0",
            "fe80::1%eth0%",
            "fe80::1%eth0%2",
            "fe80::1%%4",
            "fe80::1%eth0%zz",
            "fe80::1%eth/0",
            "fe80::1%eth:0",
            "::ffff:192.0.2.1%eth0",
            "192.0.2.1%eth0",
            "fe80::1%\u{e9}",
            "fe80%eth0::1",
            "",
        ] {
            assert_eq!(with_zone(text), None, "{text}");
        }
    }

    #[test]
    fn link_local_and_metadata_in_every_form() {
        for text in [
            "169.254.169.254",
            "0.0.0.0",
            "::",
            "fe80::1",
            "febf::1",
            "::ffff:169.254.169.254",
            "64:ff9b::a9fe:a9fe",
            "2002:a9fe:a9fe::1",
            "fd00:ec2::254",
            "100.100.100.200",
            "224.0.0.1",
            "ff02::1",
            "255.255.255.255",
        ] {
            assert!(is_forbidden(text.parse().expect("address")), "{text}");
        }
        for text in ["127.0.0.1", "::1", "10.0.0.1", "192.168.1.1", "fd00::1", "93.184.216.34"] {
            assert!(!is_forbidden(text.parse().expect("address")), "{text}");
        }
    }
}
