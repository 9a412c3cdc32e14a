//! The range of every number. A value out of its range is an error that names the range; the rest
//! of the code may rely on what it gets. Each bound is either what the code below can do, or what
//! nobody can want; none is a matter of taste.

/// Milliseconds in ten minutes, an hour; seconds in a day, a year.
const TEN_MINUTES_MS: i64 = 600_000;
const HOUR_MS: i64 = 3_600_000;
const DAY_S: i64 = 86_400;
const YEAR_S: i64 = 31_536_000;

/// Memory and disk are counted in i64 and added up; 64 TiB leaves room for that.
const BYTES: i64 = 1 << 46;

/// Lists that are allocated or walked at once.
const MANY: i64 = 10_000_000;

/// Integer keys with the least and the greatest value.
pub(super) const INTEGERS: &[(&str, i64, i64)] = &[
    ("control.connections_max", 1, 1_000_000),
    ("control.connections_per_address_max", 0, 1_000_000),
    ("control.header_ms_max", 10, TEN_MINUTES_MS),
    ("control.idle_ms_max", 10, HOUR_MS),
    ("control.body_ms_max", 10, TEN_MINUTES_MS),
    ("control.body_bytes_max", 1024, 1 << 30),
    ("control.drain_ms_max", 0, TEN_MINUTES_MS),
    ("store.max_bytes", 1024, BYTES),
    ("store.count_ms_max", 0, 10_000),
    ("store.ttl_s", 1, YEAR_S),
    ("store.ttl_s_max", 1, YEAR_S),
    ("store.soft_s_max", 0, DAY_S),
    ("store.fill_ms_max", 0, TEN_MINUTES_MS),
    ("store.ticket_s_max", 1, DAY_S),
    ("store.bans_max", 1, 1_000_000),
    ("store.stamps_max", 1, 100_000_000),
    ("auth.token_s", 1, YEAR_S),
    ("auth.leeway_s", 0, 300),
    ("auth.jwks_s", 1, DAY_S),
    ("auth.jwks_refresh_s_min", 1, 3600),
    ("auth.jwks_stale_s_max", 0, YEAR_S),
    ("auth.login_failures_per_minute", 1, 1_000_000),
    ("auth.token_failures_per_minute", 1, 1_000_000),
    ("limits.requests_per_second", 1, MANY),
    ("limits.burst", 1, MANY),
    ("limits.requests_per_second_total", 1, MANY),
    ("limits.selectors_max", 1, 100_000),
    // serde_json itself goes no deeper than 128.
    ("limits.json_depth_max", 2, 128),
    ("limits.wait_ms_max", 0, HOUR_MS),
    ("limits.idempotency_keys_max", 0, MANY),
    ("ingest.delivery_ids_max", 0, MANY),
    ("journal.segment_bytes", 4096, 1 << 30),
    ("journal.events_kept", 1, 100 * MANY),
    ("journal.bytes_kept", 4096, BYTES),
    ("journal.backlog_members_max", 1, MANY),
    ("mirrors.burst", 1, 1_000_000),
    ("mirrors.timeout_ms", 1, TEN_MINUTES_MS),
    ("mirrors.connect_ms_max", 1, TEN_MINUTES_MS),
    ("mirrors.batch_events_max", 1, 100_000),
    ("mirrors.batch_bytes_max", 1024, 1 << 26),
    ("mirrors.backoff_ms_min", 1, HOUR_MS),
    ("mirrors.backoff_ms_max", 1, 24 * HOUR_MS),
    ("mirrors.breaker_failures", 1, 1_000_000),
    ("mirrors.probe_s", 1, DAY_S),
    ("mirrors.answer_bytes_max", 1024, 1 << 26),
    ("mirrors.echo_window_s", 0, DAY_S),
    ("mirrors.echo_ms_min", 1, HOUR_MS),
    ("mirrors.echo_ms_max", 1, HOUR_MS),
    ("alerts.failures", 0, 1_000_000),
    ("alerts.backlog_s_max", 0, YEAR_S),
    ("alerts.repeat_s", 0, YEAR_S),
    ("revalidate.burst", 1, 1_000_000),
    ("revalidate.timeout_ms", 1, TEN_MINUTES_MS),
    ("purge.timeout_ms", 1, TEN_MINUTES_MS),
    ("purge.calls_max", 1, 10_000),
    ("stream.clients_max", 0, MANY),
    ("stream.ping_s", 1, 3600),
    ("stream.queue_events_max", 1, 1_000_000),
    ("stream.queue_bytes_max", 1024, BYTES),
    ("stream.replay_events_max", 0, MANY),
    ("stream.retry_ms", 1, HOUR_MS),
    ("log.rotate_bytes", 0, BYTES),
    ("log.rotate_count", 0, 1000),
    ("log.queue_lines_max", 1, MANY),
    ("log.metrics_every_s", 0, DAY_S),
];

/// Slower than once in three hours is "paused"; faster than a million a second no clock can pace.
pub(super) const RATE: (f64, f64) = (0.0001, 1_000_000.0);

/// The range of an integer key.
pub(super) fn of(key: &str) -> Option<(i64, i64)> {
    INTEGERS.iter().find(|(bounded, ..)| *bounded == key).map(|(_, min, max)| (*min, *max))
}
