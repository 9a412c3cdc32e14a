//! Counters since the start of the process, for `/metrics`, `stats` and `status`.
//!
//! An [`Activity`] is counted when it is emitted, at every log level, so metrics and log cannot
//! disagree. Every label value is one of a closed list or the name of a configured peer, so that no
//! caller can make the exposition grow. What happens for every invalidation is counted through
//! stored handles; only a send looks up its peer. Atomics are relaxed: nothing depends on the order
//! in which two counters change.

use std::fmt;
use std::sync::LazyLock;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode_registry;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::{Family, MetricConstructor};
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use super::Activity;
use super::kind::ActivityKind;

/// The prefix of every metric's name.
pub const PREFIX: &str = "cache_mirror";

/// The walls against loops by the value of `reason`: the three of `domain::scope::LocalReason`,
/// then the proof of identity, the known event id and the echo quench. Anything else counts as the
/// last.
pub const WALLS: [&str; 7] = ["credential", "mark", "asked", "self", "repeat", "echo", "other"];
/// Sources of invalidations, the values of `domain::Source`; anything else counts as the last.
const SOURCES: [&str; 8] =
    ["api", "mirror", "compat", "webhook", "schedule", "quench", "recovery", "other"];
const SCOPES: [&str; 2] = ["mirrored", "local"];
/// How a send may end; anything else counts as the last.
const OUTCOMES: [&str; 5] = ["delivered", "failed", "skipped", "paused", "other"];
/// How a login at a peer may end; anything else counts as the last.
const LOGINS: [&str; 5] = ["ok", "refused", "throttled", "failed", "other"];
/// Why a caller was refused, the values of `server::refusals`; anything else counts as the last.
pub const REFUSALS: [&str; 10] = [
    "missing",
    "invalid",
    "forbidden",
    "address",
    "https",
    "host",
    "origin",
    "too_many",
    "tls",
    "other",
];
/// Why a send is held; anything else counts as the last.
const HOLDS: [&str; 3] = ["rate", "throttled", "other"];

/// The alerts, by the names of `deliver::alerts::AlertKind`.
pub const ALERTS: [&str; 3] = ["failures", "backlog", "echo"];

/// Upper bounds of buckets in seconds, for a request: from loopback to a time-out.
const REQUEST_SECONDS: [f64; 12] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];
/// Upper bounds in seconds for times that include waiting for a peer to come back.
const WAITING_SECONDS: [f64; 14] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0, 60.0, 600.0, 3600.0];

/// A configured peer.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PeerLabel {
    peer: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabels {
    peer: String,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct HoldLabels {
    peer: String,
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct InvalidationLabels {
    source: &'static str,
    scope: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AlertLabels {
    peer: String,
    alert: &'static str,
}

/// The buckets of one histogram.
#[derive(Clone)]
struct Buckets(&'static [f64]);

impl MetricConstructor<Histogram> for Buckets {
    fn new_metric(&self) -> Histogram {
        Histogram::new(self.0.iter().copied())
    }
}

type Times<Labels> = Family<Labels, Histogram, Buckets>;

/// The counters of the process.
pub struct Counters {
    registry: Registry,
    happened: [Counter; ActivityKind::ALL.len()],
    loops: [Counter; WALLS.len()],
    refused: [Counter; REFUSALS.len()],
    invalidations: [[Counter; SCOPES.len()]; SOURCES.len()],
    entries: Counter,
    log_dropped: Counter,
    readers_dropped: Counter,
    deliveries: Family<OutcomeLabels, Counter>,
    logins: Family<OutcomeLabels, Counter>,
    delivery: Times<PeerLabel>,
    propagation: Times<PeerLabel>,
    limiter: Times<HoldLabels>,
    alerts: Family<AlertLabels, Gauge>,
}

/// The counters of the process.
pub fn counters() -> &'static Counters {
    static COUNTERS: LazyLock<Counters> = LazyLock::new(Counters::new);
    &COUNTERS
}

impl Counters {
    fn new() -> Self {
        let mut to = Registry::with_prefix(PREFIX);
        let kinds = ("activities", "Things that happened, by the log's field event");
        let walls = ("loops_prevented", "Loops prevented, by the wall that held");
        let refusals = ("refused", "Calls of the control API that were refused, by reason");
        Self {
            happened: labelled(
                &mut to,
                kinds,
                "event",
                ActivityKind::ALL.map(ActivityKind::as_str),
            ),
            loops: labelled(&mut to, walls, "wall", WALLS),
            refused: labelled(&mut to, refusals, "reason", REFUSALS),
            invalidations: invalidations(&mut to),
            entries: counter(&mut to, "invalidated_entries", "Entries cleared or made stale"),
            log_dropped: counter(&mut to, "log_dropped_lines", "Log lines that were lost"),
            readers_dropped: counter(&mut to, "sse_dropped", "Stream readers cut off for slowness"),
            deliveries: family(&mut to, "deliveries", "Sends to peers, by how they ended"),
            logins: family(&mut to, "token_refreshes", "Logins at peers, by how they ended"),
            delivery: times(&mut to, "delivery", "Acknowledged requests", &REQUEST_SECONDS),
            propagation: times(
                &mut to,
                "propagation",
                "From the acceptance of the oldest event of a send to its acknowledgement",
                &WAITING_SECONDS,
            ),
            limiter: times(&mut to, "limiter_delay", "Sends held back", &WAITING_SECONDS),
            alerts: gauges(&mut to, "alerts_firing", "1 while somebody should look at a peer"),
            registry: to,
        }
    }

    /// How often a kind of thing happened.
    pub fn happened(&self, kind: ActivityKind) -> u64 {
        self.happened[kind as usize].get()
    }

    /// Loops prevented, by wall.
    pub fn loops(&self) -> impl Iterator<Item = (&'static str, u64)> {
        WALLS.into_iter().zip(self.loops.iter().map(Counter::get))
    }

    /// Counts a refused caller. Not each of them has a log line.
    pub fn note_refused(&self, reason: &str) {
        self.refused[label_index(&REFUSALS, Some(reason))].inc();
    }

    /// Log lines that were lost.
    pub fn log_dropped(&self) -> u64 {
        self.log_dropped.get()
    }

    /// Creates a peer's counters at the start. A rate over a counter that appears with its first
    /// failure would miss that failure.
    pub fn expect_peer(&self, name: &str) {
        let peer = || name.to_owned();
        for outcome in &OUTCOMES[..OUTCOMES.len() - 1] {
            drop(self.deliveries.get_or_create(&OutcomeLabels { peer: peer(), outcome }));
        }
        for outcome in &LOGINS[..LOGINS.len() - 1] {
            drop(self.logins.get_or_create(&OutcomeLabels { peer: peer(), outcome }));
        }
        for reason in &HOLDS[..HOLDS.len() - 1] {
            drop(self.limiter.get_or_create(&HoldLabels { peer: peer(), reason }));
        }
        for alert in ALERTS {
            drop(self.alerts.get_or_create(&AlertLabels { peer: peer(), alert }));
        }
        drop(self.delivery.get_or_create(&PeerLabel { peer: peer() }));
        drop(self.propagation.get_or_create(&PeerLabel { peer: peer() }));
    }

    /// Encodes them in the OpenMetrics text format, without the closing line.
    ///
    /// # Errors
    /// That of `out`.
    pub fn encode(&self, out: &mut String) -> fmt::Result {
        encode_registry(out, &self.registry)
    }

    /// Counts one thing that happened.
    pub(super) fn note(&self, it: &Activity<'_>) {
        self.happened[it.event as usize].inc();
        match it.event {
            ActivityKind::Loop => drop(self.loops[label_index(&WALLS, it.reason)].inc()),
            ActivityKind::Invalidate => self.note_invalidation(it),
            ActivityKind::Announce if it.status == Some("cut") => drop(self.readers_dropped.inc()),
            ActivityKind::Alert => self.note_alert(it),
            ActivityKind::Mirror
            | ActivityKind::Revalidate
            | ActivityKind::Purge
            | ActivityKind::Limit
            | ActivityKind::Token => {
                self.note_peer(it);
            }
            _ => {}
        }
    }

    fn note_invalidation(&self, it: &Activity<'_>) {
        let scope = SCOPES.iter().position(|scope| Some(*scope) == it.scope).unwrap_or(0);
        self.invalidations[label_index(&SOURCES, it.source)][scope].inc();
        self.entries.inc_by(it.entries.unwrap_or(0));
    }

    fn note_peer(&self, it: &Activity<'_>) {
        let Some(name) = it.peer else { return };
        let peer = || name.to_owned();
        let seconds = |ms: f64| ms / 1e3;
        match it.event {
            // A line without events is an operator's action on a mirror, not a send.
            ActivityKind::Mirror | ActivityKind::Revalidate | ActivityKind::Purge
                if it.events.is_some() =>
            {
                let outcome = OUTCOMES[label_index(&OUTCOMES, it.status)];
                self.deliveries.get_or_create(&OutcomeLabels { peer: peer(), outcome }).inc();
                if let Some(ms) = it.duration_ms.filter(|_| outcome == OUTCOMES[0]) {
                    self.delivery.get_or_create(&PeerLabel { peer: peer() }).observe(seconds(ms));
                }
                if let Some(ms) = it.propagation_ms {
                    let of_peer = self.propagation.get_or_create(&PeerLabel { peer: peer() });
                    of_peer.observe(ms as f64 / 1e3);
                }
            }
            ActivityKind::Limit => {
                let reason = HOLDS[label_index(&HOLDS, it.reason)];
                let held = self.limiter.get_or_create(&HoldLabels { peer: peer(), reason });
                held.observe(it.wait_ms.unwrap_or(0) as f64 / 1e3);
            }
            ActivityKind::Token => {
                let outcome = LOGINS[label_index(&LOGINS, it.status)];
                self.logins.get_or_create(&OutcomeLabels { peer: peer(), outcome }).inc();
            }
            _ => {}
        }
    }

    /// Only the beginning and the end of an alert change the gauge.
    fn note_alert(&self, it: &Activity<'_>) {
        let alert = ALERTS.into_iter().find(|alert| Some(*alert) == it.reason);
        let (Some(peer), Some(alert)) = (it.peer, alert) else { return };
        let gauge = self.alerts.get_or_create(&AlertLabels { peer: peer.to_owned(), alert });
        match it.status {
            Some("firing") => _ = gauge.set(1),
            Some("resolved") => _ = gauge.set(0),
            _ => {}
        }
    }

    pub(super) fn note_log_dropped(&self, lines: u64) {
        self.log_dropped.inc_by(lines);
    }
}

/// The index of a label's value; that of the last one for an unknown value.
fn label_index(values: &[&str], value: Option<&str>) -> usize {
    values.iter().position(|known| Some(*known) == value).unwrap_or(values.len() - 1)
}

fn counter(to: &mut Registry, name: &str, what: &str) -> Counter {
    let counter = Counter::default();
    to.register(name, what, counter.clone());
    counter
}

/// A counter for each value of one label, all created at the start.
fn labelled<const N: usize>(
    to: &mut Registry,
    (name, what): (&str, &str),
    label: &'static str,
    values: [&'static str; N],
) -> [Counter; N] {
    let family = Family::<[(&'static str, &'static str); 1], Counter>::default();
    to.register(name, what, family.clone());
    values.map(|value| family.get_or_create(&[(label, value)]).clone())
}

fn invalidations(to: &mut Registry) -> [[Counter; SCOPES.len()]; SOURCES.len()] {
    let family: Family<InvalidationLabels, Counter> =
        family(to, "invalidations", "Invalidations applied and durable");
    SOURCES.map(|source| {
        SCOPES.map(|scope| family.get_or_create(&InvalidationLabels { source, scope }).clone())
    })
}

fn family<Labels>(to: &mut Registry, name: &str, what: &str) -> Family<Labels, Counter>
where
    Labels: EncodeLabelSet + Clone + Eq + std::hash::Hash + fmt::Debug + Send + Sync + 'static,
{
    let family = Family::default();
    to.register(name, what, family.clone());
    family
}

fn gauges(to: &mut Registry, name: &str, what: &str) -> Family<AlertLabels, Gauge> {
    let family = Family::default();
    to.register(name, what, family.clone());
    family
}

fn times<Labels>(
    to: &mut Registry,
    name: &str,
    what: &str,
    buckets: &'static [f64],
) -> Times<Labels>
where
    Labels: EncodeLabelSet + Clone + Eq + std::hash::Hash + fmt::Debug + Send + Sync + 'static,
{
    let times = Family::new_with_constructor(Buckets(buckets));
    to.register_with_unit(name, what, Unit::Seconds, times.clone());
    times
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::scope::LocalReason;
    use crate::domain::{Scope, Source, Status};

    #[test]
    fn a_kind_indexes_its_own_counter() {
        for (index, kind) in ActivityKind::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, index, "{kind}");
        }
    }

    #[test]
    fn loops_are_counted_by_wall() {
        let counters = Counters::new();
        let note = |event: ActivityKind, reason: Option<&str>| {
            counters.note(&Activity { event, reason, ..Activity::default() });
        };
        for wall in [LocalReason::Credential, LocalReason::Mark, LocalReason::Asked] {
            note(ActivityKind::Loop, Some(wall.as_str()));
        }
        note(ActivityKind::Loop, Some("echo"));
        note(ActivityKind::Loop, Some("unknown"));
        note(ActivityKind::Loop, None);
        note(ActivityKind::Mirror, Some("credential"));
        let counts: Vec<u64> = counters.loops().map(|(_, count)| count).collect();
        assert_eq!(counts, [1, 1, 1, 0, 0, 1, 2]);
        assert_eq!(counters.happened(ActivityKind::Loop), 6);
        assert_eq!(counters.happened(ActivityKind::Mirror), 1);
    }

    /// A new value in the domain must become a label and not be counted as `other`.
    #[test]
    fn the_labels_are_those_of_the_domain() {
        let outside = [Source::Api, Source::Mirror, Source::Compat, Source::Webhook];
        let inside = [Source::Schedule, Source::Quench, Source::Recovery];
        for source in outside.into_iter().chain(inside) {
            assert!(SOURCES[..SOURCES.len() - 1].contains(&source.as_str()), "{source:?}");
        }
        assert_eq!(SCOPES, [Scope::Mirrored.as_str(), Scope::Local.as_str()]);
        for status in [Status::Delivered, Status::Failed, Status::Skipped, Status::Paused] {
            assert!(OUTCOMES[..4].contains(&status.as_str()));
        }
    }

    #[test]
    fn an_alert_fires_until_it_is_over() {
        let counters = Counters::new();
        let shown = |status: Option<&str>, reason: &str| {
            let (event, peer, reason) = (ActivityKind::Alert, Some("b"), Some(reason));
            counters.note(&Activity { event, peer, status, reason, ..Activity::default() });
            let mut text = String::new();
            counters.encode(&mut text).expect("a string takes everything");
            text.contains("alerts_firing{peer=\"b\",alert=\"failures\"} 1\n")
        };
        assert!(!shown(Some("firing"), "backlog"));
        assert!(shown(Some("firing"), "failures"));
        assert!(shown(Some("unsent"), "failures"));
        assert!(!shown(Some("resolved"), "failures"));
        assert!(!shown(Some("firing"), "unknown"));
    }

    #[test]
    fn an_operators_action_on_a_mirror_is_not_a_send() {
        let counters = Counters::new();
        let line = Activity {
            event: ActivityKind::Mirror,
            peer: Some("b"),
            status: Some("paused"),
            ..Activity::default()
        };
        counters.note(&line);
        counters.note(&Activity { events: Some(3), propagation_ms: Some(1500), ..line });
        let mut text = String::new();
        counters.encode(&mut text).expect("a string takes everything");
        let name = "cache_mirror_deliveries_total{peer=\"b\",outcome=\"paused\"} 1\n";
        assert!(text.contains(name), "{text}");
        let sum = "cache_mirror_propagation_seconds_sum{peer=\"b\"} 1.5\n";
        assert!(text.contains(sum), "{text}");
    }
}
