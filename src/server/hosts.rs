//! By which names the instance may be asked (`control.hosts`), against DNS rebinding: a page whose
//! own name was made to lead to this host asks as if it were from here, and only `Host` shows it.
//!
//! Such an attack needs a public name and a browser that reaches the listener. So addresses, names
//! without a dot and names below `localhost` always hold; any other name must be listed where the
//! connection comes from this host and not from a trusted proxy. Where names are listed, they hold
//! for connections from everywhere. Health checks are let through.

use std::net::{IpAddr, Ipv6Addr};

use hyper::header::HOST;
use hyper::http::uri::Authority;
use hyper::{HeaderMap, StatusCode};
use ipnet::IpNet;

use super::respond::Problem;
use crate::gate::is_within;

/// They reveal nothing.
const OPEN: [&str; 2] = ["/healthz", "/readyz"];

/// The listed names, in lower case.
#[derive(Debug, Clone, Default)]
pub struct Hosts(Vec<String>);

impl Hosts {
    /// A list of names; the first that is none: `name`, `*.name` or `*`, without a port.
    ///
    /// # Errors
    /// The text that is no name.
    pub fn parse(names: Vec<String>) -> Result<Self, String> {
        let is_name = |text: &str| {
            let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
            !text.is_empty() && text.chars().all(plain)
        };
        let mut list = vec![];
        for text in names {
            let name = text.trim_end_matches('.').to_ascii_lowercase();
            if name != "*" && !is_name(name.strip_prefix("*.").unwrap_or(&name)) {
                return Err(text);
            }
            list.push(name);
        }
        Ok(Self(list))
    }

    /// Refuses a request with a foreign `Host`.
    ///
    /// # Errors
    /// 421.
    pub fn check(
        &self,
        path: &str,
        headers: &HeaderMap,
        socket: IpAddr,
        proxies: &[IpNet],
    ) -> Result<(), Problem> {
        let is_checked = !self.0.is_empty() || socket.to_canonical().is_loopback();
        if !is_checked || OPEN.contains(&path) || is_within(socket, proxies) {
            return Ok(());
        }
        let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        let name = name_of(host);
        if name.is_empty() {
            // HTTP/1.0 can do without the header; which name was meant is unknown then.
            let detail = "this request has no Host: send the name of this instance in it";
            return Err(
                Problem::new(StatusCode::MISDIRECTED_REQUEST, "unknown_host", detail).closing()
            );
        }
        if is_harmless(&name) || self.lists(&name) {
            return Ok(());
        }
        let detail = "the Host of this request is no name of this instance: list its names in \
                      control.hosts, or its proxy in control.trusted_proxies";
        Err(Problem::new(StatusCode::MISDIRECTED_REQUEST, "unknown_host", detail).closing())
    }

    fn lists(&self, name: &str) -> bool {
        self.0.iter().any(|listed| match listed.strip_prefix('*') {
            Some(end) => name.ends_with(end),
            None => name == listed,
        })
    }
}

/// The name in a `Host`, in lower case and without port and final dot.
fn name_of(host: &str) -> String {
    let authority = host.parse::<Authority>();
    // Text after a `]` that is no port belongs to the name, even if the parser ignores it.
    let is_odd = host
        .split_once(']')
        .is_some_and(|(_, end)| !matches!(end.chars().next(), None | Some(':')));
    let name = authority.as_ref().ok().filter(|_| !is_odd).map_or(host, Authority::host);
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

/// Whether no stranger can make this name lead here.
fn is_harmless(name: &str) -> bool {
    let bare = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let is_v6 = bare.is_some_and(|bare| bare.parse::<Ipv6Addr>().is_ok());
    is_v6 || name.parse::<IpAddr>().is_ok() || !name.contains('.') || name.ends_with(".localhost")
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    fn is_taken(hosts: &[&str], host: &str, socket: &str, path: &str) -> bool {
        let hosts = Hosts::parse(hosts.iter().map(ToString::to_string).collect()).expect("names");
        let value = HeaderValue::from_str(host).expect("a value");
        let headers = [(HOST, value)].into_iter().collect();
        let proxies = ["10.0.0.0/8".parse().expect("a network")];
        hosts.check(path, &headers, socket.parse().expect("an address"), &proxies).is_ok()
    }

    #[test]
    fn a_name_that_others_can_own_must_be_listed() {
        for (listed, host, socket, path, expected) in [
            (&[][..], "evil.example:4400", "127.0.0.1", "/x", false),
            (&[], "evil.example", "::1", "/x", false),
            (&[], "evil.example", "::ffff:127.0.0.1", "/x", false),
            (&[], "127.0.0.1.evil.example", "127.0.0.1", "/x", false),
            (&[], "localhost.evil.example", "127.0.0.1", "/x", false),
            (&[], "evil.example.", "127.0.0.1", "/x", false),
            (&[], "evil.example", "127.0.0.1", "/healthz", true),
            (&[], "evil.example", "10.0.0.1", "/x", true),
            (&[], "cache.internal", "192.0.2.1", "/x", true),
            (&[], "127.0.0.1:4400", "127.0.0.1", "/x", true),
            (&[], "192.0.2.7", "127.0.0.1", "/x", true),
            (&[], "[::1]:4400", "::1", "/x", true),
            (&[], "localhost", "127.0.0.1", "/x", true),
            (&[], "LOCALHOST.:1", "127.0.0.1", "/x", true),
            (&[], "a.localhost", "127.0.0.1", "/x", true),
            (&[], "cache-mirror:4400", "127.0.0.1", "/x", true),
            (&[], "[::1].evil.example", "127.0.0.1", "/x", false),
            (&[], "", "127.0.0.1", "/x", false),
            (&[], ":4400", "127.0.0.1", "/x", false),
            (&[], "", "127.0.0.1", "/healthz", true),
            (&[], "", "192.0.2.1", "/x", true),
            (&["cache.example"], "", "192.0.2.1", "/x", false),
            (&["cache.example"], "Cache.Example:80", "127.0.0.1", "/x", true),
            (&["cache.example"], "a.cache.example", "127.0.0.1", "/x", false),
            (&["*.example"], "a.cache.example", "127.0.0.1", "/x", true),
            (&["*.example"], "badexample.org", "127.0.0.1", "/x", false),
            (&["cache.example"], "evil.example", "192.0.2.1", "/x", false),
            (&["cache.example"], "evil.example", "192.0.2.1", "/readyz", true),
            (&["cache.example"], "127.0.0.1", "192.0.2.1", "/x", true),
            (&["*"], "evil.example", "127.0.0.1", "/x", true),
        ] {
            assert_eq!(
                is_taken(listed, host, socket, path),
                expected,
                "{listed:?} {host} {socket}"
            );
        }
    }

    #[test]
    fn a_request_without_a_host_is_for_nobody() {
        let (hosts, none) = (Hosts::default(), HeaderMap::new());
        for (socket, path, expected) in [
            ("127.0.0.1", "/x", false),
            ("::1", "/x", false),
            ("127.0.0.1", "/readyz", true),
            ("192.0.2.1", "/x", true),
        ] {
            let socket = socket.parse().expect("an address");
            assert_eq!(hosts.check(path, &none, socket, &[]).is_ok(), expected, "{socket} {path}");
        }
    }

    #[test]
    fn only_names_are_listed() {
        for text in ["", "a b", "http://a", "a:80", "a/b", "*a", "a.*", "[::1]"] {
            assert!(Hosts::parse(vec![text.to_owned()]).is_err(), "{text:?}");
        }
    }
}
