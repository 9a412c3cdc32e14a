//! What delivery is told: true values only, checked before anything binds.
//! One part holds for every peer, one is per peer; who fills them in is not this room's business.

use std::fmt;
use std::time::Duration;

use url::Url;

use crate::domain::Mode;
use crate::support::{Secret, backoff::Backoff};

/// How deliveries behave, and to whom.
#[derive(Debug, Clone)]
pub struct Config {
    /// The peers, in the order they were named, without doubles.
    pub peers: Vec<PeerConfig>,
    /// One request, connect to last byte.
    pub timeout: Duration,
    /// The connect part of it.
    pub connect_time_max: Duration,
    /// Events in one batch.
    pub batch_events_max: usize,
    /// Bytes of one batch.
    pub batch_bytes_max: usize,
    /// Waits after failures.
    pub backoff: Backoff,
    /// Failures in a row that open the breaker.
    pub breaker_failures: u32,
    /// Between two identity probes.
    pub probe_every: Duration,
    /// Bytes of an answer that are read.
    pub answer_bytes_max: usize,
    /// How an `all` that came from widening is applied.
    pub widened_all: Mode,
    /// How long a sent selector that comes back counts as an echo.
    pub echo_window: Duration,
    /// Waits before an echo is mirrored again.
    pub echo: Backoff,
}

/// One peer.
#[derive(Debug, Clone)]
pub struct PeerConfig {
    /// `host[:port]`, or the configured name: what operators call it.
    pub name: String,
    /// Scheme, host, port and base path, ending in `/`.
    pub base: Url,
    /// Requests a second.
    pub rate_per_second: f64,
    /// Requests at once after a pause.
    pub burst: u32,
    /// How we log in there.
    pub login: Login,
}

/// How a token is got from a peer. Its `Debug` leaves the body out: it may hold a key.
#[derive(Clone)]
pub struct Login {
    /// The account; `None` where none is configured.
    pub credentials: Option<Credentials>,
    /// A path below the peer's base, or a whole URL.
    pub url: String,
    /// JSON with `{email}` and `{password}`.
    pub body: String,
    /// JSON pointer to the token.
    pub token_pointer: String,
    /// JSON pointer to its life in seconds.
    pub expires_pointer: String,
}

impl fmt::Debug for Login {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Login")
            .field("credentials", &self.credentials)
            .field("url", &self.url)
            .field("token_pointer", &self.token_pointer)
            .field("expires_pointer", &self.expires_pointer)
            .finish_non_exhaustive()
    }
}

/// A service account at a peer.
#[derive(Debug, Clone)]
pub struct Credentials {
    /// Its name.
    pub email: String,
    /// Its password.
    pub password: Secret,
}
