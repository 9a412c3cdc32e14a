//! The real network.
//!
//! It keeps what an outgoing request of this product promises: no redirect is followed, no proxy of
//! the environment is used, nothing is decompressed, an answer is read up to its limit and no
//! further, and every address is checked when it is connected to.

use std::error::Error as _;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::future::BoxFuture;
use reqwest::header::{CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue, LOCATION};
use reqwest::{Client, ClientBuilder, Method};
use rustls::pki_types::CertificateDer;
use url::Url;

use super::addresses::{CheckedResolver, is_forbidden};
use super::http_date::{date_ms, retry_after};
use super::pinned::{Names, Pinned, SystemNames};
use super::scheme;
use super::tls::{ClientError, builder_with, roots, tls};
use super::transport::{Failure, FailureKind, HttpAnswer, Outgoing, Transport};
use crate::support::Live;

/// Limits of the real network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Config {
    /// One exchange, connect to last byte.
    pub timeout: Duration,
    /// The connect part of it.
    pub connect_time_max: Duration,
    /// Bytes of an answer that are read.
    pub answer_bytes_max: usize,
}

/// The real network.
pub struct Network {
    current: Live<Clients>,
    authorities: Vec<CertificateDer<'static>>,
    names: Arc<dyn Names>,
}

/// The clients of one configuration. Those that know the system's authorities are made when the
/// first `https` URL asks for them: reading these takes time and memory that a loopback instance
/// never needs.
struct Clients {
    config: Config,
    authorities: Vec<CertificateDer<'static>>,
    plain: Pair,
    secure: OnceLock<Pair>,
    pinned: Pinned,
}

/// A client that keeps connections, and one that never does.
struct Pair {
    pooled: Client,
    alone: Client,
}

/// Equal if they trust the same authorities: everything else can be exchanged.
impl PartialEq for Network {
    fn eq(&self, other: &Self) -> bool {
        self.authorities == other.authorities
    }
}

impl fmt::Debug for Network {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Network")
    }
}

impl Network {
    /// Builds the clients.
    ///
    /// # Errors
    /// [`ClientError`] where the TLS library refuses its configuration.
    pub fn new(config: Config) -> Result<Self, ClientError> {
        Self::trusting(config, &[])
    }

    /// Builds clients that trust these authorities beside the usual ones.
    ///
    /// # Errors
    /// [`ClientError`] where a certificate is none.
    pub fn trusting(
        config: Config,
        authorities: &[CertificateDer<'static>],
    ) -> Result<Self, ClientError> {
        let current = Live::new(Clients::new(config, authorities.to_vec())?);
        let names = Arc::new(SystemNames);
        Ok(Self { current, authorities: authorities.to_vec(), names })
    }

    /// Looks up by other means than the system's where every address of a name is asked for.
    #[must_use]
    pub fn naming(mut self, names: Arc<dyn Names>) -> Self {
        self.names = names;
        self
    }

    /// Goes on with other limits, if clients can be built of them; exchanges under way end under
    /// the old ones.
    ///
    /// # Errors
    /// [`ClientError`]; nothing was changed then.
    pub fn adopt(&self, config: Config) -> Result<(), ClientError> {
        self.current.set(Clients::new(config, self.authorities.clone())?);
        Ok(())
    }
}

impl Clients {
    fn new(config: Config, authorities: Vec<CertificateDer<'static>>) -> Result<Self, ClientError> {
        let plain = Pair::new(config, tls(rustls::RootCertStore::empty())?)?;
        let (secure, pinned) = (OnceLock::new(), Pinned::default());
        let clients = Self { config, authorities, plain, secure, pinned };
        if !clients.authorities.is_empty() {
            // An invalid certificate is reported now, not at its first use.
            clients.pair(true)?;
        }
        Ok(clients)
    }

    fn pair(&self, is_secure: bool) -> Result<&Pair, ClientError> {
        if !is_secure {
            return Ok(&self.plain);
        }
        if let Some(pair) = self.secure.get() {
            return Ok(pair);
        }
        let pair = Pair::new(self.config, tls(roots(&self.authorities)?)?)?;
        Ok(self.secure.get_or_init(|| pair))
    }
}

impl Pair {
    fn new(config: Config, tls: rustls::ClientConfig) -> Result<Self, ClientError> {
        let build = |idle_max: usize| {
            limited(builder_with(tls.clone()), config, idle_max)
                .dns_resolver(CheckedResolver)
                .build()
                .map_err(|error| ClientError(error.to_string()))
        };
        Ok(Self { pooled: build(2)?, alone: build(0)? })
    }
}

impl Clients {
    /// The client for one address behind a name.
    fn client_to(&self, url: &Url, address: SocketAddr) -> Result<Client, Failure> {
        let failed = |error: ClientError| Failure::new(FailureKind::Other, error.to_string());
        if is_forbidden(address.ip()) {
            return Err(Failure::new(FailureKind::Address, "an address never connected to"));
        }
        let is_secure = url.scheme() == "https";
        self.pinned.client(url, address, || {
            let roots = match is_secure {
                true => roots(&self.authorities).map_err(failed)?,
                false => rustls::RootCertStore::empty(),
            };
            let builder = builder_with(tls(roots).map_err(failed)?);
            limited(builder, self.config, 1)
                .dns_resolver(Arc::new(super::pinned::Only(address)))
                .build()
                .map_err(|error| failed(ClientError(error.to_string())))
        })
    }

    async fn exchange(
        &self,
        choose: fn(&Pair) -> &Client,
        request: Outgoing,
    ) -> Result<HttpAnswer, Failure> {
        let pair = self.pair(request.url.scheme() == "https");
        let pair = pair.map_err(|error| Failure::new(FailureKind::Other, error.to_string()))?;
        self.exchange_over(choose(pair), request).await
    }

    async fn exchange_over(
        &self,
        client: &Client,
        request: Outgoing,
    ) -> Result<HttpAnswer, Failure> {
        if let Some(address) = literal_address(&request.url)
            && is_forbidden(address)
        {
            return Err(Failure::new(FailureKind::Address, "an address never connected to"));
        }
        let is_secure = request.url.scheme() == "https";
        let mut headers = HeaderMap::with_capacity(request.headers.len());
        for (name, value) in request.headers {
            let value = HeaderValue::from_str(&value)
                .map_err(|_| Failure::new(FailureKind::Other, format!("{name} holds no text")))?;
            headers.insert(name, value);
        }
        if request.body.is_empty() && request.method == Method::POST {
            // Without it strict front ends answer 411 (RFC 9110 section 8.6).
            headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
        }
        let mut response = client
            .request(request.method, request.url)
            .headers(headers)
            .timeout(request.timeout)
            .body(request.body)
            .send()
            .await
            .map_err(|error| classify(&error))?;
        let mut answer = HttpAnswer {
            status: response.status().as_u16(),
            content_type: media_type(response.headers()),
            retry_after: retry_after(response.headers()),
            location: text(response.headers(), LOCATION),
            date_ms: date_ms(response.headers()),
            body: Bytes::new(),
            address: response.remote_addr().map(|address| address.ip()),
        };
        let mut body = BytesMut::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| classify(&error))? {
            let bytes_max = self.config.answer_bytes_max;
            if body.len() + chunk.len() > bytes_max {
                let cause = format!("more than {bytes_max} bytes");
                return Err(Failure::new(FailureKind::TooLarge, cause));
            }
            body.extend_from_slice(&chunk);
        }
        answer.body = body.freeze();
        if !is_secure && scheme::is_complaint(answer.status, &answer.body) {
            return Err(Failure::new(FailureKind::Connect, scheme::SECURE));
        }
        Ok(answer)
    }
}

impl Transport for Network {
    fn send(&self, request: Outgoing) -> BoxFuture<'_, Result<HttpAnswer, Failure>> {
        let clients = self.current.get();
        Box::pin(async move { clients.exchange(|pair| &pair.pooled, request).await })
    }

    fn send_alone(&self, request: Outgoing) -> BoxFuture<'_, Result<HttpAnswer, Failure>> {
        let clients = self.current.get();
        Box::pin(async move { clients.exchange(|pair| &pair.alone, request).await })
    }

    fn addresses(&self, url: &Url) -> BoxFuture<'_, Result<Vec<SocketAddr>, Failure>> {
        let host = url.domain().map(str::to_owned);
        let port = url.port_or_known_default().unwrap_or_default();
        Box::pin(async move {
            let Some(host) = host else { return Ok(vec![]) };
            let found = self.names.look_up(&host, port).await;
            let found =
                found.map_err(|error| Failure::new(FailureKind::Connect, error.to_string()))?;
            let allowed = super::pinned::allowed(found);
            if allowed.is_empty() {
                let cause = "resolves to no address that may be reached";
                return Err(Failure::new(FailureKind::Address, cause));
            }
            Ok(allowed)
        })
    }

    fn send_to(
        &self,
        request: Outgoing,
        address: SocketAddr,
    ) -> BoxFuture<'_, Result<HttpAnswer, Failure>> {
        let clients = self.current.get();
        Box::pin(async move {
            let client = clients.client_to(&request.url, address)?;
            clients.exchange_over(&client, request).await
        })
    }
}

fn limited(builder: ClientBuilder, config: Config, idle_max: usize) -> ClientBuilder {
    builder
        .connect_timeout(config.connect_time_max)
        .timeout(config.timeout)
        .pool_max_idle_per_host(idle_max)
}

fn literal_address(url: &Url) -> Option<IpAddr> {
    match url.host()? {
        url::Host::Ipv4(address) => Some(address.into()),
        url::Host::Ipv6(address) => Some(address.into()),
        url::Host::Domain(_) => None,
    }
}

fn classify(error: &reqwest::Error) -> Failure {
    let mut cause = error.to_string();
    let mut inner = error.source();
    // The outermost text names only the URL; the cause worth reading is the innermost.
    while let Some(next) = inner {
        cause = next.to_string();
        inner = next.source();
    }
    let is_secure = error.url().is_some_and(|url| url.scheme() == "https");
    if let Some(words) = scheme::mistaken(is_secure, &cause) {
        return Failure::new(FailureKind::Connect, words);
    }
    let kind = if error.is_timeout() {
        FailureKind::Timeout
    } else if error.is_connect() {
        FailureKind::Connect
    } else if error.is_body() || error.is_decode() {
        FailureKind::Truncated
    } else {
        FailureKind::Other
    };
    Failure::new(kind, cause)
}

fn media_type(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(reqwest::header::CONTENT_TYPE)?.to_str().ok()?;
    value.split(';').next().map(|media| media.trim().to_ascii_lowercase())
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}
