//! What is known of one peer, shared by its worker and by those who ask and operate.
//!
//! Only the worker moves the delivery part; operators pause, resume, retry and change the limit.
//! The lock is never held over an await.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::OnceLock;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::beside::Said;
use super::credentials::Account;
use super::identity::{Answered, Identity};
use super::limiter::Limiter;
use super::outage::Outage;
use super::quiet::Row;
use super::skew::Skew;
use super::throttle::Throttle;
use super::{Config, PeerConfig};
use crate::support::backoff::chance;

/// Addresses remembered of one peer; a balanced name shows a few.
const ADDRESSES_MAX: usize = 16;
/// Unanswered probes in a row after which one that takes what it is told counts as no cache-mirror.
const SILENT_AFTER: u32 = 3;
/// Answers without identity in a row before a cache-mirror is taken for a legacy server: one stray
/// error page of a balancer must not cost it its tags.
const DOWNGRADE_AFTER: u32 = 3;
/// Answers as ourselves in a row before a peer is skipped: behind a balanced name, others get a
/// chance to answer.
pub const ONESELF_AFTER: u32 = 3;

/// What sort of peer it is, as far as known.
#[derive(Debug, Clone, Default)]
pub enum Kind {
    /// No probe has been answered yet.
    #[default]
    Unknown,
    /// It speaks HTTP but is no cache-mirror.
    Legacy,
    /// A cache-mirror.
    CacheMirror(Box<Identity>),
    /// This very process.
    Oneself,
}

impl Kind {
    /// The word used in answers and log lines.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Legacy => "legacy",
            Self::CacheMirror(_) => "cache-mirror",
            Self::Oneself => "self",
        }
    }
}

/// Why a peer is paused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pause {
    /// By an operator, until resumed.
    Operator,
    /// The peer refuses our credentials; tried again after a while.
    Auth,
    /// There are no credentials to try.
    NoCredentials,
}

impl Pause {
    /// The word used in answers and log lines.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::Auth | Self::NoCredentials => "auth",
        }
    }
}

/// The moving part.
#[derive(Debug, Default)]
pub struct State {
    /// What sort of peer.
    pub kind: Kind,
    /// Whether somebody other than ourselves ever answered under this name.
    pub was_another: bool,
    /// Answers as ourselves in a row.
    pub oneself_in_a_row: u32,
    not_identified_in_a_row: u32,
    /// Probes in a row that reached it and were not answered.
    unanswered_in_a_row: u32,
    /// When it was last asked who it is.
    pub probed_at: Option<Instant>,
    /// Held back, and why.
    pub pause: Option<Pause>,
    /// Not before this.
    pub not_before: Option<Instant>,
    /// Failures in a row.
    pub failures: u32,
    /// Whether failures opened the breaker.
    pub is_broken: bool,
    /// How often in a row the peer refused what it is sent as something that it cannot take; the
    /// next attempt goes wider.
    pub refusals: u32,
    /// What it acknowledged of the backlog that waits.
    pub said: Said,
    /// The last failure in words.
    pub last_error: Option<String>,
    /// Addresses that answered.
    pub addresses: BTreeSet<IpAddr>,
    /// Requests made for invalidations.
    pub requests: u64,
    /// What each address behind the name said last, where each is called: why not, or nothing.
    pub replies: Vec<(IpAddr, Option<String>)>,
    /// Events acknowledged.
    pub delivered: u64,
    /// Events settled without a word of them.
    pub skipped: u64,
    /// Its failures in a row, as far as they are told.
    pub row: Row,
    /// Whether it seems to be down.
    pub outage: Outage,
    /// How its clock differs from ours.
    pub skew: Skew,
    /// Whether it asked for a pause.
    pub throttle: Throttle,
    /// When it last said that it has started.
    pub heard_hello_at: Option<Instant>,
    /// Until when its echoes are held back.
    pub echoing_until: Option<Instant>,
}

/// One peer.
pub struct Peer {
    /// Its settings when it came; `limiter` and `account` know what has changed since.
    pub config: PeerConfig,
    /// Its name among the journal's destinations.
    pub destination: String,
    /// Its rate limit.
    pub limiter: Limiter,
    /// Our account there.
    pub account: Account,
    /// Rings when the worker should look again.
    pub wake: Notify,
    /// Ends its worker; set by the start.
    pub stop: OnceLock<CancellationToken>,
    /// Fires when its worker has ended.
    pub ended: CancellationToken,
    state: Mutex<State>,
}

impl Peer {
    /// A peer of which nothing is known yet.
    pub fn new(config: PeerConfig, all: &Config) -> Self {
        Self {
            destination: config.destination(),
            limiter: Limiter::new(config.rate_per_second, config.burst),
            account: Account::new(config.login.clone(), all.mint.clone(), all.timeout),
            wake: Notify::new(),
            stop: OnceLock::new(),
            ended: CancellationToken::new(),
            state: Mutex::default(),
            config,
        }
    }

    /// Whether it is told what was invalidated, rather than called.
    pub fn is_mirror(&self) -> bool {
        self.config.errand.neighbour().is_none()
    }

    /// Looks at or changes the moving part.
    pub fn with<R>(&self, use_it: impl FnOnce(&mut State) -> R) -> R {
        use_it(&mut self.state.lock())
    }

    /// What sort of peer.
    pub fn kind(&self) -> Kind {
        self.state.lock().kind.clone()
    }

    /// Takes the answer of a probe; says whether the kind changed.
    pub fn identified(&self, answered: Answered) -> bool {
        self.with(|state| {
            let before = state.kind.as_str();
            state.probed_at = Some(Instant::now());
            state.unanswered_in_a_row = 0;
            match answered {
                Answered::Oneself => {
                    state.oneself_in_a_row += 1;
                    if !state.was_another && state.oneself_in_a_row >= ONESELF_AFTER {
                        state.kind = Kind::Oneself;
                    }
                }
                Answered::CacheMirror(identity) => {
                    state.became_another();
                    state.not_identified_in_a_row = 0;
                    state.kind = Kind::CacheMirror(identity);
                }
                Answered::Legacy => {
                    state.became_another();
                    state.not_identified_in_a_row += 1;
                    let is_mirror = matches!(state.kind, Kind::CacheMirror(_));
                    if !is_mirror || state.not_identified_in_a_row >= DOWNGRADE_AFTER {
                        state.kind = Kind::Legacy;
                    }
                }
            }
            before != state.kind.as_str()
        })
    }

    /// Takes that a probe came to nothing.
    pub fn not_identified(&self, is_reached: bool) {
        self.with(|state| {
            state.probed_at = Some(Instant::now());
            state.unanswered_in_a_row = if is_reached { state.unanswered_in_a_row + 1 } else { 0 };
        });
    }

    /// Whether it was asked often enough who it is: where it takes what it is told and does not
    /// answer that, it is no cache-mirror.
    pub fn is_silent(&self) -> bool {
        self.with(|state| state.unanswered_in_a_row >= SILENT_AFTER)
    }

    /// Whether it is time to ask who it is.
    pub fn is_probe_due(&self, every: Duration) -> bool {
        self.with(|state| state.probed_at.is_none_or(|at| at.elapsed() >= every))
    }

    /// Notes who answered.
    pub fn met(&self, address: Option<IpAddr>) {
        if let Some(address) = address {
            self.with(|state| {
                if state.addresses.len() < ADDRESSES_MAX {
                    state.addresses.insert(address.to_canonical());
                }
            });
        }
    }

    /// Notes what each address behind the name said.
    pub fn replied(&self, replies: impl Iterator<Item = (IpAddr, Option<String>)>) {
        let replies = replies.collect();
        self.with(|state| state.replies = replies);
    }

    /// Notes an acknowledgement; says whether it closed the breaker.
    pub fn succeeded(&self) -> bool {
        self.with(|state| {
            state.failures = 0;
            state.not_before = None;
            state.last_error = None;
            state.refusals = 0;
            state.said.clear();
            state.row.end();
            state.outage.clear();
            state.throttle.clear();
            if state.pause != Some(Pause::Operator) {
                state.pause = None;
            }
            std::mem::take(&mut state.is_broken)
        })
    }

    /// Counts what became of events that are owed no more.
    pub fn settled(&self, delivered: u64, skipped: u64) {
        self.with(|state| {
            state.delivered += delivered;
            state.skipped += skipped;
        });
    }

    /// Notes a failed attempt and when the next may come; says how many failed in a row, and
    /// whether this one opened the breaker.
    pub fn failed(&self, error: &str, wait: Duration, breaker_failures: u32) -> (u32, bool) {
        self.with(|state| {
            state.failures = state.failures.saturating_add(1);
            state.last_error = Some(error.to_owned());
            state.not_before = Some(Instant::now() + wait);
            let opens = !state.is_broken && state.failures >= breaker_failures;
            state.is_broken |= opens;
            (state.failures, opens)
        })
    }

    /// Waits as long as the peer asked for and a growing floor at least, without a failure being
    /// counted; gives how long.
    pub fn throttled(&self, asked: Option<Duration>) -> Duration {
        self.with(|state| {
            let wait = state.throttle.note(asked, chance());
            state.not_before = Some(Instant::now() + wait);
            wait
        })
    }

    /// Held back for its refusal of our credentials; says whether that is news.
    pub fn refused_credentials(&self, pause: Pause, error: &str, wait: Option<Duration>) -> bool {
        self.with(|state| {
            let is_news = state.pause != Some(pause);
            if state.pause != Some(Pause::Operator) {
                state.pause = Some(pause);
            }
            state.last_error = Some(error.to_owned());
            state.not_before = wait.map(|wait| Instant::now() + wait);
            is_news
        })
    }

    /// Holds it back until it is resumed.
    pub fn pause(&self) {
        self.with(|state| state.pause = Some(Pause::Operator));
        self.wake.notify_one();
    }

    /// Lets it go on at once, whatever held it.
    pub fn resume(&self) {
        self.with(|state| {
            state.pause = None;
            state.not_before = None;
            state.throttle.lift();
        });
        self.wake.notify_one();
    }

    /// Tries now instead of when the back-off ends; an operator's pause stays.
    pub fn retry(&self) {
        self.with(|state| {
            if state.pause != Some(Pause::Operator) {
                state.pause = None;
            }
            state.not_before = None;
            state.throttle.lift();
            state.probed_at = None;
        });
        self.wake.notify_one();
    }
}

impl State {
    fn became_another(&mut self) {
        self.was_another = true;
        self.oneself_in_a_row = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deliver::tests::config;
    use crate::deliver::{Errand, Login, Means};
    use crate::support::Secret;

    fn peer() -> Peer {
        let login = Login { credentials: None, means: Means::Bearer(Secret::new("t")) };
        let base = url::Url::parse("http://127.0.0.1:1/").expect("url");
        let name = "p".into();
        let peer = PeerConfig {
            name,
            base,
            rate_per_second: 1.0,
            burst: 1,
            login,
            network: None,
            errand: Errand::Mirror,
        };
        Peer::new(peer, &config(vec![]))
    }

    /// A balanced name that answered as oneself once and as another later is delivered to.
    #[test]
    fn oneself_only_while_nobody_else_ever_answered() {
        let only_self = peer();
        (0..ONESELF_AFTER).for_each(|_| _ = only_self.identified(Answered::Oneself));
        assert_eq!(only_self.kind().as_str(), "self");

        only_self.identified(Answered::Legacy);
        (0..10).for_each(|_| _ = only_self.identified(Answered::Oneself));
        assert_eq!(only_self.kind().as_str(), "legacy");
    }

    #[test]
    fn one_error_page_does_not_make_a_mirror_legacy() {
        let peer = peer();
        let identity = Identity {
            instance: "b".into(),
            version: "0".into(),
            protocol: 1,
            features: vec![],
            paths: crate::deliver::identity::Paths { login: "l".into(), invalidate: "i".into() },
            graph: String::new(),
            proof: String::new(),
            check: None,
        };
        peer.identified(Answered::CacheMirror(Box::new(identity)));
        peer.identified(Answered::Legacy);
        assert_eq!(peer.kind().as_str(), "cache-mirror");
        peer.identified(Answered::Legacy);
        peer.identified(Answered::Legacy);
        assert_eq!(peer.kind().as_str(), "legacy");
    }

    #[test]
    fn the_breaker_opens_once_and_closes_once() {
        let peer = peer();
        let fail = || peer.failed("x", Duration::ZERO, 2).1;
        assert_eq!([fail(), fail(), fail()], [false, true, false]);
        assert!(peer.succeeded());
        assert!(!peer.succeeded());
    }

    #[test]
    fn an_operators_pause_outlives_a_success_and_a_retry() {
        let peer = peer();
        peer.pause();
        peer.retry();
        peer.succeeded();
        assert_eq!(peer.with(|state| state.pause), Some(Pause::Operator));
        peer.resume();
        assert_eq!(peer.with(|state| state.pause), None);
    }
}
