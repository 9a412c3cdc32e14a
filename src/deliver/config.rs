//! What delivery is told: true values only, checked before anything binds.
//! One part holds for every peer, one is per peer; who fills them in is not this room's business.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::HeaderName;
use url::Url;

use super::targets::Target;
use crate::journal::{CursorClass, Destination};
use crate::net::Network;
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
    pub widened_all: WidenedAll,
    /// How long a sent selector that comes back counts as an echo.
    pub echo_window: Duration,
    /// Waits before an echo is mirrored again.
    pub echo: Backoff,
    /// What is sent to routes that revalidate, here or elsewhere; compared with peers by hash.
    pub revalidate_secrets: Vec<Secret>,
    /// How long what a destination is owed is kept after the settings stopped to name it.
    pub forget_after: Duration,
    /// Who makes tokens of our own, for peers that are logged in at with such.
    pub mint: Mint,
}

impl Config {
    /// What callers of routes that revalidate send here, and what we send to such elsewhere.
    pub fn known_revalidate_secrets(&self) -> Vec<Secret> {
        let sent = self.peers.iter().filter_map(|peer| match peer.class.target()? {
            Target::Revalidate(revalidate) => Some(revalidate.secret.clone()),
            Target::Purge(_) => None,
        });
        let all = self.revalidate_secrets.iter().cloned().chain(sent);
        all.filter(|secret| !secret.is_empty()).collect()
    }
}

/// One peer.
#[derive(Debug, Clone, PartialEq)]
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
    /// The way there, where it is not the common one: with certificates of its own.
    pub network: Option<Arc<Network>>,
    /// What is done there.
    pub class: DestinationClass,
    /// What sort of mirror it is, where the settings say so.
    pub kind: Option<ConfiguredKind>,
}

/// What sort of mirror an operator says that it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConfiguredKind {
    /// A server that speaks the legacy form only.
    Legacy,
    /// Another instance.
    CacheMirror,
}

impl PeerConfig {
    /// As the journal lists it: under its name, and with the address by which it is recognised
    /// under another one. A query may hold a secret and stays out.
    pub fn listed(&self) -> Destination {
        let Self { base, .. } = self;
        let host = base.host_str().unwrap_or_default();
        let port = base.port_or_known_default().unwrap_or_default();
        let address = format!("{}://{host}:{port}{}", base.scheme(), base.path());
        Destination { name: self.destination(), address, class: self.cursor_class() }
    }

    /// The journal's name of it.
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

/// What is done at a destination.
#[derive(Debug, Clone, PartialEq)]
pub enum DestinationClass {
    /// Another instance, or a server that speaks as one, is told what was invalidated here.
    Mirror,
    /// A cache or a framework beside this instance is called.
    Target(Target),
}

impl DestinationClass {
    /// What is called, where something is.
    pub fn target(&self) -> Option<&Target> {
        match self {
            Self::Mirror => None,
            Self::Target(target) => Some(target),
        }
    }

    /// Whether it is asked who it is: only what could be a gateway.
    pub fn is_probed(&self) -> bool {
        self.target().is_none_or(Target::is_probed)
    }
}

/// How a token is got from a peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    /// The account; `None` where none is configured.
    pub credentials: Option<Credentials>,
    /// By which way.
    pub means: LoginMethod,
}

impl Login {
    /// Whether there is nothing to log in with.
    pub fn is_empty(&self) -> bool {
        !matches!(self.means, LoginMethod::Bearer(_)) && self.credentials.is_none()
    }
}

/// The ways to a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LoginMethod {
    /// A request that is answered with one.
    Request(Box<LoginRequest>),
    /// We make it ourselves, with our own key.
    SelfSigned {
        /// `aud`; `sub` is the account's email.
        audience: String,
    },
    /// It was given to us, once and for all.
    Bearer(Secret),
}

/// What is sent to log in. Its `Debug` leaves out what may hold a key: body and headers.
#[derive(Clone, PartialEq, Eq)]
pub struct LoginRequest {
    /// A path below the peer's base, or a whole URL.
    pub url: String,
    /// Text with `{email}` and `{password}`.
    pub body: String,
    /// Whether the body is a form; else it is JSON.
    pub is_form: bool,
    /// Further headers, such as an API key.
    pub headers: Vec<(HeaderName, Secret)>,
    /// JSON pointer to the token.
    pub token_pointer: String,
    /// JSON pointer to its life in seconds.
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

/// Makes a token of our own: email and audience go in, the token and its life come out.
pub type MintFn = dyn Fn(&str, &str) -> Option<(Secret, Duration)> + Send + Sync;

/// Who makes tokens of our own. The default makes none.
#[derive(Clone, Default)]
pub struct Mint(Option<Arc<MintFn>>);

impl Mint {
    /// Makes them so.
    pub fn new(
        make: impl Fn(&str, &str) -> Option<(Secret, Duration)> + Send + Sync + 'static,
    ) -> Self {
        Self(Some(Arc::new(make)))
    }

    /// A token for this account and audience.
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
    /// Its name.
    pub email: String,
    /// Its password.
    pub password: Secret,
}

/// How an `all` that nobody asked for, but that stands for a backlog past its bound, is applied.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum WidenedAll {
    /// As hard as the hardest event in it: what was asked hard is never served again.
    #[default]
    AsMerged,
    /// Always hard.
    Hard,
    /// Always soft: the old is served once more, while one refresh runs.
    Soft,
}
