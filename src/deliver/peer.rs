//! The state of one destination, shared by its worker, the API and the operator commands.
//!
//! Only the worker changes the delivery part. Operators pause, resume, retry and change the limit.
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
use super::partial::PendingRequests;
use super::skew::Skew;
use super::streak::FailureStreak;
use super::targets::OwedCall;
use super::throttle::Throttle;
use super::{Config, ConfiguredKind, PeerConfig};
use crate::domain::Selector;
use crate::support::backoff::chance;

/// Addresses remembered for one peer. A load-balanced name shows a few.
const ADDRESSES_MAX: usize = 16;
/// Refusals in a row after which a batch is sent as `all` instead of as types.
pub const WIDEST_AFTER: u32 = 6;
/// The shortest and the longest wait between two probes of an unknown peer for which something is
/// held.
const PROBE_WAIT_MIN: Duration = Duration::from_secs(1);
const PROBE_WAIT_HOLDING_MAX: Duration = Duration::from_secs(5);
/// The wait between two probes while further answers may prove a legacy server.
const PROBE_WAIT_OPEN: Duration = Duration::from_secs(10);
/// Answers of this instance in a row before a peer is skipped. Behind a load-balanced name another
/// instance may answer.
pub const ONESELF_AFTER: u32 = 3;

/// The kind of a peer, as far as it is known.
#[derive(Debug, Clone, Default)]
pub enum PeerKind {
    /// No probe has had a definite answer yet.
    #[default]
    Unknown,
    /// A server that understands the legacy form only.
    Legacy,
    /// A cache-mirror, with the identity that it sent since this process started.
    CacheMirror(Option<Arc<Identity>>),
    /// This process.
    Oneself,
}

impl PeerKind {
    /// The value in answers and log lines.
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
    /// By an operator, until an operator resumes it.
    Operator,
    /// The peer refuses our credentials. They are tried again after a while.
    Auth,
    /// No credentials are configured.
    NoCredentials,
}

impl PauseReason {
    /// The value in answers and log lines.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::Auth | Self::NoCredentials => "auth",
        }
    }
}

/// The changing part of a peer.
#[derive(Debug, Default)]
pub struct PeerState {
    /// The kind.
    pub kind: PeerKind,
    /// Whether another process than this one ever answered under this name.
    pub was_another: bool,
    /// Answers of this instance in a row.
    pub oneself_in_a_row: u32,
    /// The evidence that it is a legacy server.
    pub evidence: LegacyEvidence,
    /// Probes in a row without a definite answer.
    pub probes_in_vain: u32,
    /// Whether the log line about its unusable paths was written.
    pub has_logged_bad_paths: bool,
    /// Whether the log line about its kind, which differs from the settings, was written.
    pub has_logged_other_kind: bool,
    /// Whether the last probe could not connect.
    pub is_unreached: bool,
    /// Whether the last probe timed out.
    pub is_probe_slow: bool,
    /// When it was last probed.
    pub probed_at: Option<Instant>,
    /// Why it is paused, if it is.
    pub pause: Option<PauseReason>,
    /// The earliest time of the next attempt.
    pub not_before: Option<Instant>,
    /// Failures in a row.
    pub failures: u32,
    /// Whether failures opened the breaker.
    pub is_broken: bool,
    /// How often in a row the peer refused a request as malformed. The next attempt is widened.
    pub refusals: u32,
    /// When it refused even the widest form, and the newest event at that time.
    pub refused_all: Option<(Instant, u64)>,
    /// The pending requests of a mirror that gets the legacy form.
    pub partial: PendingRequests<Selector>,
    /// The pending calls of a target.
    pub calls: PendingRequests<OwedCall>,
    /// Calls that a target refused in attempts without any acknowledgement, with their number. They
    /// are sent last.
    pub suspects: BTreeMap<String, u32>,
    /// New calls that a target refused since its last acknowledgement.
    pub calls_refused: usize,
    /// The last failure.
    pub last_error: Option<String>,
    /// Addresses that answered.
    pub addresses: BTreeSet<IpAddr>,
    /// Requests made for invalidations.
    pub requests: u64,
    /// The last error of each address behind the name, if each is called; `None` after a success.
    pub address_errors: Vec<(IpAddr, Option<String>)>,
    /// Events acknowledged.
    pub delivered: u64,
    /// Events settled without sending anything for them.
    pub skipped: u64,
    /// Its failures in a row. They decide which failures are logged.
    pub streak: FailureStreak,
    /// Whether it appears to be down.
    pub outage: Outage,
    /// The difference between its clock and ours.
    pub skew: Skew,
    /// Whether it asked us to wait.
    pub throttle: Throttle,
    /// When it was or will be probed because of a hello.
    pub hello_probe_at: Option<Instant>,
}

/// One destination: a mirror or a target.
pub struct Peer {
    /// Its settings when it was created. `limiter` and `account` hold later changes.
    pub config: PeerConfig,
    /// The name of its cursor in the journal.
    pub destination: String,
    /// Its rate limit.
    pub limiter: Limiter,
    /// Our account there.
    pub account: Account,
    /// Wakes the worker, which then looks for work again.
    pub wake: Notify,
    /// Stops its worker. Set by [`super::Delivery::start`].
    pub stop: OnceLock<CancellationToken>,
    /// Cancelled when its worker has ended.
    pub ended: CancellationToken,
    state: Mutex<PeerState>,
}

impl Peer {
    /// A peer in its initial state.
    pub fn new(config: PeerConfig, all: &Config) -> Self {
        Self {
            destination: config.destination(),
            limiter: Limiter::new(config.rate_per_second, config.burst),
            account: Account::new(config.login.clone(), all.mint.clone(), all.timeout),
            wake: Notify::new(),
            stop: OnceLock::new(),
            ended: CancellationToken::new(),
            state: Mutex::new(PeerState { kind: configured_kind(&config), ..PeerState::default() }),
            config,
        }
    }

    /// Records that it answered as a cache-mirror before, according to the data directory.
    pub fn remember_cache_mirror(&self) {
        self.with(|state| {
            if self.config.kind.is_none() && matches!(state.kind, PeerKind::Unknown) {
                state.kind = PeerKind::CacheMirror(None);
            }
        });
    }

    /// Whether it is a mirror, not a target.
    pub fn is_mirror(&self) -> bool {
        self.config.class.target().is_none()
    }

    /// Reads or changes the state under its lock.
    pub fn with<R>(&self, use_it: impl FnOnce(&mut PeerState) -> R) -> R {
        use_it(&mut self.state.lock())
    }

    /// The kind.
    pub fn kind(&self) -> PeerKind {
        self.state.lock().kind.clone()
    }

    /// Records the answer of a probe. Returns whether the kind changed.
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
                ProbeResult::CacheMirror(parsed) => {
                    state.note_another();
                    state.evidence = LegacyEvidence::default();
                    if self.config.kind != Some(ConfiguredKind::Legacy) {
                        state.set_cache_mirror(parsed.identity);
                    }
                }
                ProbeResult::Absent => {
                    state.note_another();
                    let is_proved = state.evidence.note_absent(now);
                    state.set_not_cache_mirror(is_proved, &self.config);
                }
                ProbeResult::Unclear { is_another } => {
                    if is_another {
                        state.note_another();
                    }
                    state.set_not_cache_mirror(false, &self.config);
                }
            }
            before != state.kind.as_str()
        })
    }

    /// Records a probe without an answer.
    pub fn not_identified(&self, is_slow: bool) {
        self.with(|state| {
            state.probed_at = Some(Instant::now());
            state.probes_in_vain = state.probes_in_vain.saturating_add(1);
            state.is_probe_slow = is_slow;
            state.is_unreached = !is_slow;
        });
    }

    /// When the next probe is due; now if there was none yet. `every` is the time between two
    /// probes of a mirror whose kind is known.
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

    /// Whether to probe before something is sent. Probes are limited, so that they do not delay
    /// each attempt.
    pub fn is_probe_worthwhile(&self) -> bool {
        self.with(|state| {
            let wait = if state.is_probe_slow { PROBE_WAIT_OPEN } else { PROBE_WAIT_MIN };
            state.is_unreached || state.probed_at.is_none_or(|at| at.elapsed() >= wait)
        })
    }

    /// Probes at once and retries what waits, because it announced its start.
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

    /// Records an address that answered.
    pub fn note_address(&self, address: Option<IpAddr>) {
        if let Some(address) = address {
            self.with(|state| {
                if state.addresses.len() < ADDRESSES_MAX {
                    state.addresses.insert(address.to_canonical());
                }
            });
        }
    }

    /// Records the last error of each address behind the name.
    pub fn set_address_errors(
        &self,
        address_errors: impl Iterator<Item = (IpAddr, Option<String>)>,
    ) {
        let address_errors = address_errors.collect();
        self.with(|state| state.address_errors = address_errors);
    }

    /// Records an acknowledgement. Returns whether it closed the breaker.
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

    /// Counts settled events.
    pub fn settled(&self, delivered: u64, skipped: u64) {
        self.with(|state| {
            state.delivered += delivered;
            state.skipped += skipped;
        });
    }

    /// Records a failed attempt and the time of the next. Returns the number of failures in a row,
    /// and whether this one opened the breaker.
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

    /// Waits as long as the peer asked for, and at least for a growing floor. It does not count as
    /// a failure. Returns the wait.
    pub fn throttled(&self, asked: Option<Duration>) -> Duration {
        self.with(|state| {
            let wait = state.throttle.note(asked, chance());
            state.not_before = Some(Instant::now() + wait);
            wait
        })
    }

    /// Pauses it because it refuses our credentials. Returns whether it was not paused for this
    /// reason before.
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

    /// Pauses it until it is resumed.
    pub fn pause(&self) {
        self.with(|state| state.pause = Some(PauseReason::Operator));
        self.wake.notify_one();
    }

    /// Resumes it at once, whatever paused it.
    pub fn resume(&self) {
        self.with(|state| {
            state.pause = None;
            state.not_before = None;
            state.throttle.lift();
        });
        self.wake.notify_one();
    }

    /// Retries now instead of at the end of the back-off. An operator's pause stays.
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
    /// Events up to this number are settled, except for the pending requests.
    pub(super) fn settled_through(&self) -> u64 {
        self.partial.through.max(self.calls.through)
    }

    /// When the next pending request is due.
    pub(super) fn next_due(&self, now: Instant) -> Option<Instant> {
        self.partial.next_due(now).into_iter().chain(self.calls.next_due(now)).min()
    }

    pub(super) fn note_another(&mut self) {
        self.was_another = true;
        self.oneself_in_a_row = 0;
    }
}

fn configured_kind(config: &PeerConfig) -> PeerKind {
    match config.kind {
        None => PeerKind::Unknown,
        Some(ConfiguredKind::Legacy) => PeerKind::Legacy,
        Some(ConfiguredKind::CacheMirror) => PeerKind::CacheMirror(None),
    }
}
