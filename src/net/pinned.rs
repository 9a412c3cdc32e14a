//! One address of several behind a name: who they are, and a client for each.
//!
//! A pooled connection belongs to a name, not to an address, so each address has a client of its
//! own. Every address passes the policy of [`super::addresses`] when it is found and again when it
//! is connected to.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use reqwest::Client;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::Url;

use super::addresses::is_forbidden;
use super::transport::Failure;

/// Addresses of one name that are used: more replicas want a balancer that knows them.
const ADDRESSES_MAX: usize = 64;
/// Clients that are kept; past it all are made anew, for addresses that come and go with every
/// deployment would otherwise pile up.
const CLIENTS_MAX: usize = 256;

/// Finds the addresses of a name.
pub trait Names: Send + Sync {
    /// All of them, with this port.
    fn look_up(&self, host: &str, port: u16) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>>;
}

/// The system's resolver.
pub(super) struct SystemNames;

impl Names for SystemNames {
    fn look_up(&self, host: &str, port: u16) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> {
        let host = host.to_owned();
        Box::pin(async move { Ok(tokio::net::lookup_host((host, port)).await?.collect()) })
    }
}

/// Those that may be reached, each once, in the resolver's order.
pub(super) fn allowed(found: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let mut kept: Vec<SocketAddr> = Vec::new();
    for address in found {
        let is_known = kept.contains(&address);
        if !is_known && !is_forbidden(address.ip()) && kept.len() < ADDRESSES_MAX {
            kept.push(address);
        }
    }
    kept
}

/// Resolves every name to one address.
pub(super) struct Only(pub(super) SocketAddr);

impl Resolve for Only {
    fn resolve(&self, _name: Name) -> Resolving {
        // Port 0: the URL's.
        let address = SocketAddr::new(self.0.ip(), 0);
        let found: Addrs = Box::new(std::iter::once(address));
        Box::pin(std::future::ready(Ok(found)))
    }
}

/// Clients by scheme, host and address.
#[derive(Default)]
pub(super) struct Pinned(Mutex<BTreeMap<(String, SocketAddr), Arc<Client>>>);

impl Pinned {
    /// The client that is kept, or a new one.
    pub(super) fn client(
        &self,
        url: &Url,
        address: SocketAddr,
        make: impl FnOnce() -> Result<Client, Failure>,
    ) -> Result<Client, Failure> {
        let origin = url.origin().ascii_serialization();
        if let Some(client) = self.0.lock().get(&(origin.clone(), address)) {
            return Ok(Client::clone(client));
        }
        let client = make()?;
        let mut kept = self.0.lock();
        if kept.len() >= CLIENTS_MAX {
            kept.clear();
        }
        kept.insert((origin, address), Arc::new(client.clone()));
        Ok(client)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;
    use crate::net::{Config, FailureKind, Network, Outgoing, Transport};

    /// A zone with one name in it.
    struct Zone(Vec<SocketAddr>);

    impl Names for Zone {
        fn look_up(&self, host: &str, _: u16) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> {
            let found = if host == "replicas.test" { self.0.clone() } else { vec![] };
            Box::pin(std::future::ready(Ok(found)))
        }
    }

    fn network(zone: &[&str], port: u16) -> Network {
        let limits = Config {
            timeout: Duration::from_secs(5),
            connect_time_max: Duration::from_secs(5),
            answer_bytes_max: 1024,
        };
        let address = |text: &&str| SocketAddr::new(text.parse().expect("address"), port);
        let zone = Zone(zone.iter().map(address).collect());
        Network::new(limits).expect("a client").naming(Arc::new(zone))
    }

    fn get(url: &Url) -> Outgoing {
        Outgoing {
            method: reqwest::Method::GET,
            url: url.clone(),
            headers: vec![],
            body: bytes::Bytes::new(),
            timeout: Duration::from_secs(5),
        }
    }

    /// Answers with the `Host` that it was asked under, and who it is.
    async fn replica(listener: TcpListener) {
        let mine = listener.local_addr().expect("bound").ip();
        loop {
            let Ok((mut stream, _)) = listener.accept().await else { return };
            let mut head = vec![0; 4096];
            let read = stream.read(&mut head).await.unwrap_or(0);
            let head = String::from_utf8_lossy(&head[..read]).to_lowercase();
            let host = head.lines().find_map(|line| line.strip_prefix("host: ")).unwrap_or("?");
            let body = format!("{mine} {host}");
            let length = body.len();
            let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{body}");
            drop(stream.write_all(answer.as_bytes()).await);
        }
    }

    #[tokio::test]
    async fn each_address_behind_a_name_is_reached_under_that_name() {
        let first = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = first.local_addr().expect("bound").port();
        let second = TcpListener::bind(("127.0.0.2", port)).await.expect("free there too");
        for listener in [first, second] {
            tokio::spawn(replica(listener));
        }
        let network = network(&["127.0.0.1", "127.0.0.2", "127.0.0.1"], port);
        let url = Url::parse(&format!("http://replicas.test:{port}/")).expect("url");
        let addresses = network.addresses(&url).await.expect("two addresses");
        assert_eq!(addresses.len(), 2, "each once");
        for address in addresses {
            for _ in 0..2 {
                let answer = network.send_to(get(&url), address).await.expect("an answer");
                let expected = format!("{} replicas.test:{port}", address.ip());
                assert_eq!(String::from_utf8_lossy(&answer.body), expected);
            }
        }
    }

    /// The policy holds for each address, found or given.
    #[tokio::test]
    async fn forbidden_addresses_are_left_out_and_refused() {
        let url = Url::parse("http://replicas.test:80/").expect("url");
        let some = network(&["169.254.169.254", "127.0.0.3"], 80);
        let found = some.addresses(&url).await.expect("one address");
        assert_eq!(found, [SocketAddr::from(([127, 0, 0, 3], 80))]);
        let none = network(&["169.254.169.254", "fe80::1"], 80);
        let refused = none.addresses(&url).await.expect_err("none is left");
        assert_eq!(refused.kind, FailureKind::Address);
        let address = "169.254.169.254:80".parse().expect("address");
        let refused = none.send_to(get(&url), address).await.expect_err("never connected to");
        assert_eq!(refused.kind, FailureKind::Address);
    }

    #[tokio::test]
    async fn a_url_with_an_address_has_no_others() {
        let url = Url::parse("http://127.0.0.1:80/").expect("url");
        assert_eq!(network(&[], 80).addresses(&url).await, Ok(vec![]));
    }
}
