//! Which addresses an outgoing request may never reach.
//!
//! Checked at connect time, on every address a name resolves to, so that a name that changes its
//! mind between check and connect gains nothing. Private networks are fine (mirrors are often in
//! one); link-local and cloud metadata addresses never are, in whatever form they are written.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// The metadata address of AWS over IPv6.
const METADATA_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);
/// The metadata address of Alibaba Cloud.
const METADATA_V4: Ipv4Addr = Ipv4Addr::new(100, 100, 100, 200);

/// Whether no request may go there.
pub fn is_forbidden(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => is_forbidden_v4(v4),
        IpAddr::V6(v6) => match embedded_v4(v6) {
            Some(v4) => is_forbidden_v4(v4),
            None => {
                v6.is_unspecified()
                    || v6.is_multicast()
                    || v6.segments()[0] & 0xffc0 == 0xfe80
                    || v6 == METADATA_V6
            }
        },
    }
}

fn is_forbidden_v4(address: Ipv4Addr) -> bool {
    address.is_unspecified()
        || address.is_link_local()
        || address.is_multicast()
        || address.is_broadcast()
        || address == METADATA_V4
}

/// The IPv4 address inside a mapped, compatible, NAT64 or 6to4 address.
fn embedded_v4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let segments = address.segments();
    let join = |high: u16, low: u16| {
        let [a, b] = high.to_be_bytes();
        let [c, d] = low.to_be_bytes();
        Ipv4Addr::new(a, b, c, d)
    };
    match segments {
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            Some(join(high, low))
        }
        [0, 0, 0, 0, 0, 0, high, low] if high != 0 => Some(join(high, low)),
        [0x2002, high, low, ..] => Some(join(high, low)),
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
