//! What is known of one peer, shared by its worker and by those who ask and operate.
//!
//! Only the worker moves the delivery part; operators pause, resume, retry and change the limit.
//! The lock is never held over an await.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::credentials::Account;
use super::evidence::LegacyEvidence;
use super::identity::{Identity, ProbeResult};
use super::limiter::Limiter;
use super::outage::Outage;
use super::partial::Partial;
use super::skew::Skew;
use super::streak::FailureStreak;
use super::targets::OwedCall;
use super::throttle::Throttle;
use super::{Config, ConfiguredKind, PeerConfig};
use crate::domain::Selector;
use crate::support::backoff::chance;

/// Addresses remembered of one peer; a balanced name shows a few.
const ADDRESSES_MAX: usize = 16;
/// Refusals in a row after which a batch is no longer said in types but as `all`.
pub const WIDEST_AFTER: u32 = 6;
/// Between two probes of an unknown peer for which something is held: at first, and at most.
const PROBE_WAIT_MIN: Duration = Duration::from_secs(1);
const PROBE_WAIT_HOLDING_MAX: Duration = Duration::from_secs(5);
/// Between two probes while further answers may prove a legacy server.
const PROBE_WAIT_OPEN: Duration = Duration::from_secs(10);
/// Answers as ourselves in a row before a peer is skipped: behind a balanced name, others get a
/// chance to answer.
pub const ONESELF_AFTER: u32 = 3;

/// What sort of peer it is, as far as known.
#[derive(Debug, Clone, Default)]
pub enum PeerKind {
    /// No probe had a definite answer yet.
    #[default]
    Unknown,
    /// A server that speaks the legacy form only.
    Legacy,
    /// A cache-mirror, and what it said of itself since this process started.
    CacheMirror(Option<Arc<Identity>>),
    /// This very process.
    Oneself,
}

impl PeerKind {
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
pub enum PauseReason {
    /// By an operator, until resumed.
    Operator,
    /// The peer refuses our credentials; tried again after a while.
    Auth,
    /// There are no credentials to try.
    NoCredentials,
}

impl PauseReason {
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
pub struct PeerState {
    /// What sort of peer.
    pub kind: PeerKind,
    /// Whether somebody other than ourselves ever answered under this name.
    pub was_another: bool,
    /// Answers as ourselves in a row.
    pub oneself_in_a_row: u32,
    /// What speaks for a legacy server.
    pub evidence: LegacyEvidence,
    /// Probes in a row without a definite answer.
    pub probes_in_vain: u32,
    /// Whether it was told that its paths are not used.
    pub has_logged_bad_paths: bool,
    /// Whether it was told that it answers as a cache-mirror against the settings.
    pub has_logged_other_kind: bool,
    /// Whether the last probe found nobody to ask.
    pub is_unreached: bool,
    /// Whether the last probe was not answered in time.
    pub is_probe_slow: bool,
    /// When it was last asked who it is.
    pub probed_at: Option<Instant>,
    /// Held back, and why.
    pub pause: Option<PauseReason>,
    /// Not before this.
    pub not_before: Option<Instant>,
    /// Failures in a row.
    pub failures: u32,
    /// Whether failures opened the breaker.
    pub is_broken: bool,
    /// How often in a row the peer refused what it is sent as something that it cannot take; the
    /// next attempt goes wider.
    pub refusals: u32,
    /// When it refused even the widest form, and the newest event at that time.
    pub refused_all: Option<(Instant, u64)>,
    /// What is settled and what is owed of a mirror that gets the legacy form.
    pub partial: Partial<Selector>,
    /// The same of a site or a cache.
    pub calls: Partial<OwedCall>,
    /// What a site or a cache refused in attempts that came to nothing, and how often: it is sent
    /// last.
    pub suspects: BTreeMap<String, u32>,
    /// New calls that a site or a cache refused since it acknowledged one.
    pub calls_refused: usize,
    /// The last failure in words.
    pub last_error: Option<String>,
    /// Addresses that answered.
    pub addresses: BTreeSet<IpAddr>,
    /// Requests made for invalidations.
    pub requests: u64,
    /// What each address behind the name said last, where each is called: why not, or nothing.
    pub address_errors: Vec<(IpAddr, Option<String>)>,
    /// Events acknowledged.
    pub delivered: u64,
    /// Events settled without a word of them.
    pub skipped: u64,
    /// Its failures in a row, as far as they are told.
    pub streak: FailureStreak,
    /// Whether it seems to be down.
    pub outage: Outage,
    /// How its clock differs from ours.
    pub skew: Skew,
    /// Whether it asked for a pause.
    pub throttle: Throttle,
    /// When it last said that it has started.
    pub heard_hello_at: Option<Instant>,
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
    state: Mutex<PeerState>,
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
            state: Mutex::new(PeerState { kind: stated(&config), ..PeerState::default() }),
            config,
        }
    }

    /// It answered as a cache-mirror once, as the data directory says.
    pub fn remember_cache_mirror(&self) {
        self.with(|state| {
            if self.config.kind.is_none() && matches!(state.kind, PeerKind::Unknown) {
                state.kind = PeerKind::CacheMirror(None);
            }
        });
    }

    /// Whether it is told what was invalidated, rather than called.
    pub fn is_mirror(&self) -> bool {
        self.config.class.target().is_none()
    }

    /// Looks at or changes the moving part.
    pub fn with<R>(&self, use_it: impl FnOnce(&mut PeerState) -> R) -> R {
        use_it(&mut self.state.lock())
    }

    /// What sort of peer.
    pub fn kind(&self) -> PeerKind {
        self.state.lock().kind.clone()
    }

    /// Takes the answer of a probe; says whether the kind changed.
    pub fn identified(&self, answered: ProbeResult) -> bool {
        self.with(|state| {
            let before = state.kind.as_str();
            let now = Instant::now();
            state.probed_at = Some(now);
            state.is_probe_slow = false;
            state.is_unreached = false;
            state.probes_in_vain = match answered {
                ProbeResult::Absent | ProbeResult::Unclear { .. } => state.probes_in_vain + 1,
                ProbeResult::Oneself | ProbeResult::CacheMirror(_) => 0,
            };
            match answered {
                ProbeResult::Oneself => {
                    state.oneself_in_a_row += 1;
                    if !state.was_another && state.oneself_in_a_row >= ONESELF_AFTER {
                        state.kind = PeerKind::Oneself;
                    }
                }
                ProbeResult::CacheMirror(said) => {
                    state.became_another();
                    state.evidence = LegacyEvidence::default();
                    if self.config.kind != Some(ConfiguredKind::Legacy) {
                        state.is_a_cache_mirror(said.identity);
                    }
                }
                ProbeResult::Absent => {
                    state.became_another();
                    let is_proved = state.evidence.absent(now);
                    state.is_no_cache_mirror(is_proved, &self.config);
                }
                ProbeResult::Unclear { is_another } => {
                    if is_another {
                        state.became_another();
                    }
                    state.is_no_cache_mirror(false, &self.config);
                }
            }
            before != state.kind.as_str()
        })
    }

    /// Takes that a probe came to nothing.
    pub fn not_identified(&self, is_slow: bool) {
        self.with(|state| {
            state.probed_at = Some(Instant::now());
            state.probes_in_vain = state.probes_in_vain.saturating_add(1);
            state.is_probe_slow = is_slow;
            state.is_unreached = !is_slow;
        });
    }

    /// When it is to be asked next who it is; now where it never was. `every` is the time between
    /// two probes of a mirror whose kind is known.
    pub fn next_probe(&self, every: Duration) -> Instant {
        self.with(|state| {
            let Some(at) = state.probed_at else { return Instant::now() };
            let wait = match state.kind {
                PeerKind::Unknown if state.partial.is_holding() => {
                    let doubled = PROBE_WAIT_MIN * 2_u32.pow(state.probes_in_vain.clamp(1, 8) - 1);
                    doubled.min(PROBE_WAIT_HOLDING_MAX)
                }
                PeerKind::Unknown if state.evidence.is_open() => PROBE_WAIT_OPEN,
                _ => every,
            };
            at + wait.min(every)
        })
    }

    /// Whether it is worth asking who it is before something is sent: not again and again.
    pub fn is_probe_worthwhile(&self) -> bool {
        self.with(|state| {
            let wait = if state.is_probe_slow { PROBE_WAIT_OPEN } else { PROBE_WAIT_MIN };
            state.is_unreached || state.probed_at.is_none_or(|at| at.elapsed() >= wait)
        })
    }

    /// Asks who it is at once, and tries what waits: it announced its start, or an operator did.
    pub fn probe_now(&self) {
        self.with(|state| {
            state.probed_at = None;
            state.probes_in_vain = 0;
            if !matches!(state.pause, Some(PauseReason::Operator | PauseReason::NoCredentials)) {
                state.not_before = None;
            }
        });
        self.wake.notify_one();
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
    pub fn set_address_errors(
        &self,
        address_errors: impl Iterator<Item = (IpAddr, Option<String>)>,
    ) {
        let address_errors = address_errors.collect();
        self.with(|state| state.address_errors = address_errors);
    }

    /// Notes an acknowledgement; says whether it closed the breaker.
    pub fn succeeded(&self) -> bool {
        self.with(|state| {
            state.failures = 0;
            state.not_before = None;
            state.last_error = None;
            state.refusals = 0;
            state.refused_all = None;
            state.calls_refused = 0;
            state.streak.end();
            state.outage.clear();
            state.throttle.clear();
            if state.pause != Some(PauseReason::Operator) {
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
    pub fn refused_credentials(
        &self,
        pause: PauseReason,
        error: &str,
        wait: Option<Duration>,
    ) -> bool {
        self.with(|state| {
            let is_news = state.pause != Some(pause);
            if state.pause != Some(PauseReason::Operator) {
                state.pause = Some(pause);
            }
            state.last_error = Some(error.to_owned());
            state.not_before = wait.map(|wait| Instant::now() + wait);
            is_news
        })
    }

    /// Holds it back until it is resumed.
    pub fn pause(&self) {
        self.with(|state| state.pause = Some(PauseReason::Operator));
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
            if state.pause != Some(PauseReason::Operator) {
                state.pause = None;
            }
            state.not_before = None;
            state.throttle.lift();
            state.probed_at = None;
            state.refusals = 0;
            state.refused_all = None;
            state.partial.retry_now();
            state.calls.retry_now();
        });
        self.wake.notify_one();
    }
}

impl PeerState {
    /// Everything at or below is settled, but for what waits by itself.
    pub(super) fn settled_through(&self) -> u64 {
        self.partial.through.max(self.calls.through)
    }

    /// When the next of what waits by itself is due.
    pub(super) fn next_due(&self, now: Instant) -> Option<Instant> {
        self.partial.next_due(now).into_iter().chain(self.calls.next_due(now)).min()
    }

    pub(super) fn became_another(&mut self) {
        self.was_another = true;
        self.oneself_in_a_row = 0;
    }
}

fn stated(config: &PeerConfig) -> PeerKind {
    match config.kind {
        None => PeerKind::Unknown,
        Some(ConfiguredKind::Legacy) => PeerKind::Legacy,
        Some(ConfiguredKind::CacheMirror) => PeerKind::CacheMirror(None),
    }
}
