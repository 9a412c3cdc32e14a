//! The validated configuration of deliveries. One part applies to all destinations, one part to
//! each.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::HeaderName;
use url::Url;

use super::targets::Target;
use crate::journal::{CursorClass, Destination};
use crate::net::Network;
use crate::support::{Secret, backoff::Backoff};

/// How deliveries behave, and the destinations.
#[derive(Debug, Clone)]
pub struct Config {
    /// The destinations, in their order in the settings, without duplicates.
    pub peers: Vec<PeerConfig>,
    /// The time limit of one request, from connect to the last byte.
    pub timeout: Duration,
    /// The time limit of the connect.
    pub connect_time_max: Duration,
    /// The maximum number of events in one batch.
    pub batch_events_max: usize,
    /// The maximum size of one batch.
    pub batch_bytes_max: usize,
    /// The waits after failures.
    pub backoff: Backoff,
    /// Failures in a row that open the breaker.
    pub breaker_failures: u32,
    /// The time between two identity probes.
    pub probe_every: Duration,
    /// The maximum size of an answer.
    pub answer_bytes_max: usize,
    /// How an `all` that came from widening is sent.
    pub widened_all: WidenedAll,
    /// How long a sent selector that returns counts as an echo.
    pub echo_window: Duration,
    /// The waits before an echo is mirrored again.
    pub echo: Backoff,
    /// The secrets of revalidation routes, here and at targets. They are compared with peers by
    /// hash.
    pub revalidate_secrets: Vec<Secret>,
    /// How long the backlog of a removed destination is kept.
    pub forget_after: Duration,
    /// Makes self-signed tokens, for peers that use them.
    pub mint: Mint,
}

impl Config {
    /// All known secrets of revalidation routes: those that callers send here, and those that we
    /// send.
    pub fn known_revalidate_secrets(&self) -> Vec<Secret> {
        let sent = self.peers.iter().filter_map(|peer| match peer.class.target()? {
            Target::Revalidate(revalidate) => Some(revalidate.secret.clone()),
            Target::Purge(_) => None,
        });
        let all = self.revalidate_secrets.iter().cloned().chain(sent);
        all.filter(|secret| !secret.is_empty()).collect()
    }
}

/// One destination.
#[derive(Debug, Clone, PartialEq)]
pub struct PeerConfig {
    /// The configured name, or `host[:port]`.
    pub name: String,
    /// Scheme, host, port and base path, ending in `/`.
    pub base: Url,
    /// The rate limit, in requests per second.
    pub rate_per_second: f64,
    /// Requests that may be sent at once after a pause.
    pub burst: u32,
    /// How we log in.
    pub login: Login,
    /// Its own transport, if it has certificates of its own.
    pub network: Option<Arc<Network>>,
    /// Whether it is a mirror or a target.
    pub class: DestinationClass,
    /// The kind of mirror, if the settings name it.
    pub kind: Option<ConfiguredKind>,
}

/// The kind of a mirror in the settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConfiguredKind {
    /// A server that understands the legacy form only.
    Legacy,
    /// Another instance.
    CacheMirror,
}

impl PeerConfig {
    /// Its entry in the journal: its name, and the address that identifies it under another name.
    /// The query is left out, because it may hold a secret.
    pub fn listed(&self) -> Destination {
        let Self { base, .. } = self;
        let host = base.host_str().unwrap_or_default();
        let port = base.port_or_known_default().unwrap_or_default();
        let address = format!("{}://{host}:{port}{}", base.scheme(), base.path());
        Destination { name: self.destination(), address, class: self.cursor_class() }
    }

    /// The name of its cursor in the journal.
    pub fn destination(&self) -> String {
        self.cursor_class().stored_name(&self.name)
    }

    fn cursor_class(&self) -> CursorClass {
        match self.class {
            DestinationClass::Mirror => CursorClass::Mirror,
            DestinationClass::Target(_) => CursorClass::Target,
        }
    }
}

/// The class of a destination.
#[derive(Debug, Clone, PartialEq)]
pub enum DestinationClass {
    /// Another instance or a legacy server. It gets the invalidations of this instance.
    Mirror,
    /// A site or a cache. It is called.
    Target(Target),
}

impl DestinationClass {
    /// The target, if it is one.
    pub fn target(&self) -> Option<&Target> {
        match self {
            Self::Mirror => None,
            Self::Target(target) => Some(target),
        }
    }

    /// Whether it is probed. Only a server that may be a gateway is.
    pub fn is_probed(&self) -> bool {
        self.target().is_none_or(Target::is_probed)
    }
}

/// How a token is obtained.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    /// The account; `None` where none is configured.
    pub credentials: Option<Credentials>,
    /// The method.
    pub means: LoginMethod,
}

impl Login {
    /// Whether there is nothing to log in with.
    pub fn is_empty(&self) -> bool {
        !matches!(self.means, LoginMethod::Bearer(_)) && self.credentials.is_none()
    }
}

/// The methods to obtain a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LoginMethod {
    /// A login request, whose answer contains the token.
    Request(Box<LoginRequest>),
    /// A token that is signed with our own key.
    SelfSigned {
        /// `aud`; `sub` is the account's email.
        audience: String,
    },
    /// A configured token.
    Bearer(Secret),
}

/// The login request. Its `Debug` omits body and headers, which may contain a key.
#[derive(Clone, PartialEq, Eq)]
pub struct LoginRequest {
    /// A path below the peer's base, or a whole URL.
    pub url: String,
    /// The template, with `{email}` and `{password}`.
    pub body: String,
    /// Whether the body is a form. Otherwise it is JSON.
    pub is_form: bool,
    /// Further headers, such as an API key.
    pub headers: Vec<(HeaderName, Secret)>,
    /// JSON pointer to the token.
    pub token_pointer: String,
    /// JSON pointer to the life of the token in seconds.
    pub expires_pointer: String,
}

impl fmt::Debug for LoginRequest {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("LoginRequest")
            .field("url", &self.url)
            .field("is_form", &self.is_form)
            .field("token_pointer", &self.token_pointer)
            .field("expires_pointer", &self.expires_pointer)
            .finish_non_exhaustive()
    }
}

/// Makes a self-signed token from email and audience. Returns the token and its life.
pub type MintFn = dyn Fn(&str, &str) -> Option<(Secret, Duration)> + Send + Sync;

/// Makes self-signed tokens. The default makes none.
#[derive(Clone, Default)]
pub struct Mint(Option<Arc<MintFn>>);

impl Mint {
    /// Makes tokens with this function.
    pub fn new(
        make: impl Fn(&str, &str) -> Option<(Secret, Duration)> + Send + Sync + 'static,
    ) -> Self {
        Self(Some(Arc::new(make)))
    }

    /// Makes a token for this account and audience.
    pub fn make(&self, email: &str, audience: &str) -> Option<(Secret, Duration)> {
        self.0.as_ref().and_then(|make| make(email, audience))
    }
}

impl fmt::Debug for Mint {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(if self.0.is_some() { "Mint" } else { "(no mint)" })
    }
}

/// A service account at a peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The email.
    pub email: String,
    /// The password.
    pub password: Secret,
}

/// How an `all` that widening made of a long backlog is sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum WidenedAll {
    /// As hard as the hardest event in it: an entry that was invalidated hard is never served
    /// again.
    #[default]
    AsMerged,
    /// Always hard.
    Hard,
    /// Always soft: the stale entry is served once more while one refresh runs.
    Soft,
}
