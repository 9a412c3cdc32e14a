//! One value for each thing that happens. It becomes a log line and a metric, so that the two
//! cannot disagree.
//!
//! Callers build an [`Activity`] with struct update syntax and emit it; they never pass a secret.
//! Lines are flat (lists are comma-joined by [`joined`]) and emitted outside any span, because
//! `tracing-bunyan-formatter` adds the fields of spans. Nothing here waits for the disk: see
//! [`log`].

pub mod counters;
mod escape;
mod file;
mod kind;
pub mod log;
pub mod log_path;
#[cfg(test)]
mod tests;
mod touched;
mod writer;

pub use counters::counters;
pub use kind::{ActivityKind, Level};
pub use touched::Touched;

/// Bytes of one text field: lines stay readable, and a hostile value cannot fill the disk.
pub const FIELD_BYTES_MAX: usize = 1024;

/// Bytes that [`joined`] reserves for `…+N more`.
const MORE_BYTES: usize = 32;

/// The `tracing` target of our lines. The log accepts no other.
const TARGET: &str = "cache";

/// One thing that happened. Fields that are `None` do not appear in the line.
///
/// ```
/// use cache_mirror::activity::{Activity, ActivityKind, Level};
///
/// Activity {
///     level: Level::Warn,
///     event: ActivityKind::Mirror,
///     msg: "mirror failed",
///     peer: Some("eu.example.org"),
///     status: Some("retrying"),
///     http_status: Some(503),
///     ..Activity::default()
/// }
/// .emit();
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct Activity<'a> {
    /// The severity.
    pub level: Level,
    /// What happened, as a kind.
    pub event: ActivityKind,
    /// The sentence for the operator.
    pub msg: &'a str,
    /// The event it belongs to.
    pub event_id: Option<&'a str>,
    /// The events it belongs to, joined.
    pub event_ids: Option<&'a str>,
    /// The instance that accepted it from outside.
    pub origin: Option<&'a str>,
    /// The principal who asked for it.
    pub principal: Option<&'a str>,
    /// Where the invalidation came from.
    pub source: Option<&'a str>,
    /// `mirrored` or `local`.
    pub scope: Option<&'a str>,
    /// `hard` or `soft`.
    pub mode: Option<&'a str>,
    /// What was done to the entity.
    pub action: Option<&'a str>,
    /// Types, joined.
    pub types: Option<&'a str>,
    /// Ids, joined; as `type/id` if they are of several types.
    pub ids: Option<&'a str>,
    /// Tags, joined.
    pub tags: Option<&'a str>,
    /// Paths, joined.
    pub paths: Option<&'a str>,
    /// Keys, joined.
    pub keys: Option<&'a str>,
    /// Types of the cascade, joined.
    pub cascade: Option<&'a str>,
    /// The peer's name.
    pub peer: Option<&'a str>,
    /// The outcome.
    pub status: Option<&'a str>,
    /// The status of an HTTP answer.
    pub http_status: Option<u64>,
    /// Number of the attempt, from 1.
    pub attempt: Option<u64>,
    /// How long it took, in milliseconds; written to the microsecond.
    pub duration_ms: Option<f64>,
    /// Time since the oldest event was accepted, in milliseconds.
    pub propagation_ms: Option<u64>,
    /// Cache entries.
    pub entries: Option<u64>,
    /// How many events (or lines).
    pub events: Option<u64>,
    /// Position in the journal.
    pub seq: Option<u64>,
    /// Version counter.
    pub version: Option<u64>,
    /// When anything was last cleared, as RFC 3339.
    pub last_clear: Option<&'a str>,
    /// Events applied in an hour, by the recent rate.
    pub updates_per_hour: Option<f64>,
    /// The part of lookups that were hits, from 0 to 1.
    pub hit_rate: Option<f64>,
    /// Time until the next attempt, in milliseconds.
    pub wait_ms: Option<u64>,
    /// The reason; for [`ActivityKind::Loop`] the wall that stopped the loop ([`counters::WALLS`]).
    pub reason: Option<&'a str>,
    /// What went wrong.
    pub error: Option<&'a str>,
    /// The address of the other end.
    pub address: Option<&'a str>,
    /// A URL without its query.
    pub url: Option<&'a str>,
    /// Whether a secret was given.
    pub has_secret: Option<bool>,
    /// The beginning of an acknowledging answer's body, without secrets.
    pub response: Option<&'a str>,
    /// The beginning of any other answer's body, without secrets.
    pub body: Option<&'a str>,
}

/// One `tracing` event with all fields. The level of an event is static metadata, so each level
/// needs an expansion of its own.
macro_rules! line {
    ($it:ident, $level:ident) => {
        tracing::event!(
            target: TARGET,
            tracing::Level::$level,
            message = bound($it.msg),
            event = $it.event.as_str(),
            event_id = $it.event_id.map(bound),
            event_ids = $it.event_ids.map(bound),
            origin = $it.origin.map(bound),
            principal = $it.principal.map(bound),
            source = $it.source.map(bound),
            scope = $it.scope.map(bound),
            mode = $it.mode.map(bound),
            action = $it.action.map(bound),
            types = $it.types.map(bound),
            ids = $it.ids.map(bound),
            tags = $it.tags.map(bound),
            paths = $it.paths.map(bound),
            keys = $it.keys.map(bound),
            cascade = $it.cascade.map(bound),
            peer = $it.peer.map(bound),
            status = $it.status.map(bound),
            http_status = $it.http_status,
            attempt = $it.attempt,
            duration_ms = $it.duration_ms.map(to_thousandths),
            propagation_ms = $it.propagation_ms,
            entries = $it.entries,
            events = $it.events,
            seq = $it.seq,
            version = $it.version,
            last_clear = $it.last_clear.map(bound),
            updates_per_hour = $it.updates_per_hour.map(to_thousandths),
            hit_rate = $it.hit_rate.map(to_thousandths),
            wait_ms = $it.wait_ms,
            reason = $it.reason.map(bound),
            error = $it.error.map(bound),
            address = $it.address.map(bound),
            url = $it.url.map(bound),
            has_secret = $it.has_secret,
            response = $it.response.map(bound),
            body = $it.body.map(bound),
        )
    };
}

impl Activity<'_> {
    /// Counts it and passes the line to the log. Never blocks, never fails.
    pub fn emit(self) {
        counters().note(&self);
        match self.level {
            Level::Trace => line!(self, TRACE),
            Level::Debug => line!(self, DEBUG),
            Level::Info => line!(self, INFO),
            Level::Warn => line!(self, WARN),
            Level::Error => line!(self, ERROR),
        }
    }
}

/// A list as one field: comma-joined, at most [`FIELD_BYTES_MAX`] bytes, with the number of items
/// that did not fit.
pub fn joined<T: std::fmt::Display>(items: impl IntoIterator<Item = T>) -> String {
    let mut out = String::new();
    let mut left_out = 0_usize;
    for item in items {
        let item = item.to_string();
        let separator = usize::from(!out.is_empty());
        let space_left = (FIELD_BYTES_MAX - MORE_BYTES).saturating_sub(out.len() + separator);
        if left_out > 0 || (item.len() > space_left && !out.is_empty()) {
            left_out += 1;
            continue;
        }
        out.push_str(if separator == 1 { "," } else { "" });
        out.push_str(&item[..item.floor_char_boundary(space_left)]);
        if item.len() > space_left {
            left_out += 1;
        }
    }
    if left_out > 0 {
        out.push_str(&format!("…+{left_out} more"));
    }
    out
}

fn bound(text: &str) -> &str {
    &text[..text.floor_char_boundary(FIELD_BYTES_MAX)]
}

fn to_thousandths(number: f64) -> f64 {
    (number * 1000.0).round() / 1000.0
}
