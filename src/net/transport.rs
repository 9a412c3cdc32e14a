//! One outgoing HTTP exchange, behind a trait so that a simulated network can stand in for it.
//! `network` documents the guarantees of the real one.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use reqwest::Method;
use reqwest::header::HeaderName;
use url::Url;

/// A request to send.
#[derive(Debug, Clone)]
pub struct Outgoing {
    /// `GET` or `POST`.
    pub method: Method,
    /// Where to.
    pub url: Url,
    /// Header names and values.
    pub headers: Vec<(HeaderName, String)>,
    /// JSON, or nothing.
    pub body: Bytes,
    /// From connect to the last byte of the answer.
    pub timeout: Duration,
}

/// An answer, whatever its status.
#[derive(Debug, Clone, Default)]
pub struct HttpAnswer {
    /// HTTP status.
    pub status: u16,
    /// `Content-Type`, lower-cased, without parameters.
    pub content_type: Option<String>,
    /// `Retry-After` in seconds, or as a date, counted from the answer's own `Date`.
    pub retry_after: Option<Duration>,
    /// `Location`: where a redirect points, as it was written.
    pub location: Option<String>,
    /// `Date` in milliseconds since 1970; it counts whole seconds.
    pub date_ms: Option<u64>,
    /// The body, whole.
    pub body: Bytes,
    /// The address that answered.
    pub address: Option<IpAddr>,
}

/// Why there is no usable answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind}: {cause}", kind = .kind.as_str())]
pub struct Failure {
    /// The class, for log lines.
    pub kind: FailureKind,
    /// The error text of the library.
    pub cause: String,
}

/// Classes of failures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are the documentation")]
pub enum FailureKind {
    Connect,
    Timeout,
    Truncated,
    TooLarge,
    Address,
    Unavailable,
    Other,
}

impl FailureKind {
    /// The value in log lines.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Timeout => "timeout",
            Self::Truncated => "truncated",
            Self::TooLarge => "too_large",
            Self::Address => "address",
            Self::Unavailable => "unavailable",
            Self::Other => "other",
        }
    }
}

impl Failure {
    pub(super) fn new(kind: FailureKind, cause: impl Into<String>) -> Self {
        Self { kind, cause: cause.into() }
    }
}

/// Sends one request.
pub trait Transport: Send + Sync {
    /// Sends a request; returns the answer, or why there is none.
    fn send(&self, request: Outgoing) -> BoxFuture<'_, Result<HttpAnswer, Failure>>;
    /// The same over a connection of its own, so that a balancer may choose another backend.
    fn send_alone(&self, request: Outgoing) -> BoxFuture<'_, Result<HttpAnswer, Failure>>;

    /// Every address behind a URL's name that may be reached; none where the URL holds an address,
    /// or where names have none.
    fn addresses(&self, _url: &Url) -> BoxFuture<'_, Result<Vec<SocketAddr>, Failure>> {
        Box::pin(std::future::ready(Ok(vec![])))
    }

    /// The same exchange with one of these addresses; host and TLS name stay those of the URL.
    fn send_to(
        &self,
        request: Outgoing,
        _address: SocketAddr,
    ) -> BoxFuture<'_, Result<HttpAnswer, Failure>> {
        self.send(request)
    }
}
