//! `GET /metrics`: the OpenMetrics text that Prometheus scrapes; docs/METRICS.md is its table.
//!
//! Counts come from `activity`, where each is fed by the value that also becomes the log line. What
//! is a state rather than a happening is read here, at the scrape, and costs nothing in between.
//! For readers only, unless `control.metrics_public` opens it for scrapers without a token.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use hyper::StatusCode;
use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

use super::stream::admit_reader;
use crate::activity::counters;
use crate::activity::counters::PREFIX;
use crate::server::Control;
use crate::server::call::ControlCall;
use crate::server::respond::{Handled, Problem, bytes};
use crate::support::clock;
use crate::wire::DestinationView;

const MEDIA: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

type PerPeer<N, A> = Family<[(&'static str, String); 1], Gauge<N, A>>;

/// One scrape.
pub async fn get(control: Arc<Control>, call: ControlCall) -> Handled {
    if !control.config.metrics_public {
        admit_reader(&control, &call).await?;
    }
    let text = expose(&control).map_err(|error| {
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", error.to_string())
    })?;
    Ok(bytes(StatusCode::OK, MEDIA, text.into()))
}

fn expose(control: &Control) -> Result<String, fmt::Error> {
    let mirrors = control.pipeline.delivery.view();
    mirrors.iter().for_each(|mirror| counters().expect_peer(&mirror.name));
    let mut states = Registry::with_prefix(PREFIX);
    process(control, &mut states);
    store(control, &mut states);
    journal(control, &mut states);
    backlogs(&mirrors, &mut states);
    let mut text = String::with_capacity(16 * 1024);
    counters().encode(&mut text)?;
    control.timings.encode(&mut text)?;
    encode_registry(&mut text, &states)?;
    encode_eof(&mut text)?;
    Ok(text)
}

fn process(control: &Control, to: &mut Registry) {
    let version = vec![("version", env!("CARGO_PKG_VERSION"))];
    to.register("build", "The version that runs", Info::new(version));
    let started_ms = clock::wall_ms().saturating_sub(millis(control.started.elapsed()));
    let started = ConstGauge::new(started_ms as f64 / 1e3);
    let name = "process_start_time";
    to.register_with_unit(name, "Start of the process, since 1970", Unit::Seconds, started);
    gauge(to, "sse_clients", "Stream readers connected", control.pipeline.hub.readers() as u64);
}

fn store(control: &Control, to: &mut Registry) {
    let stats = control.pipeline.store.stats();
    count(to, "store_hits", "Lookups answered fresh", stats.hits);
    count(to, "store_stale_hits", "Lookups answered stale", stats.stale_hits);
    count(to, "store_misses", "Lookups not answered", stats.misses);
    count(to, "store_evictions", "Entries that had to go for others", stats.evictions);
    gauge(to, "store_entries", "Entries held", stats.entries);
    let held = ConstGauge::new(stats.bytes);
    to.register_with_unit("store", "Bytes charged for entries", Unit::Bytes, held);
}

fn journal(control: &Control, to: &mut Registry) {
    let health = control.pipeline.journal.health();
    let degraded = u64::from(health.is_degraded);
    gauge(to, "journal_degraded", "1 while the disk refuses events", degraded);
    let held = ConstGauge::new(health.bytes);
    to.register_with_unit("journal", "Bytes of the journal's files", Unit::Bytes, held);
}

fn backlogs(mirrors: &[DestinationView], to: &mut Registry) {
    let waiting = PerPeer::<i64, std::sync::atomic::AtomicI64>::default();
    let oldest = PerPeer::<f64, AtomicU64>::default();
    let throttled = PerPeer::<f64, AtomicU64>::default();
    let now = clock::wall_ms();
    for mirror in mirrors {
        let labels = [("peer", mirror.name.clone())];
        let events = i64::try_from(mirror.backlog_events).unwrap_or(i64::MAX);
        waiting.get_or_create(&labels).set(events);
        let age_ms = mirror.backlog_oldest_ms.map_or(0, |at| now.saturating_sub(at));
        oldest.get_or_create(&labels).set(age_ms as f64 / 1e3);
        let left_ms = mirror.next_attempt_ms.filter(|_| mirror.throttled_until.is_some());
        throttled.get_or_create(&labels).set(left_ms.unwrap_or(0) as f64 / 1e3);
    }
    let parked = PerPeer::<i64, std::sync::atomic::AtomicI64>::default();
    let held = PerPeer::<i64, std::sync::atomic::AtomicI64>::default();
    for mirror in mirrors {
        let labels = [("peer", mirror.name.clone())];
        let count = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        parked.get_or_create(&labels).set(count(mirror.parked_count as u64));
        held.get_or_create(&labels).set(count(mirror.held_events));
    }
    to.register("parked_requests", "Requests that a peer refuses, tried once an hour", parked);
    to.register("held_events", "Events held until a peer says what it is", held);
    to.register("backlog_events", "Events that wait for a peer", waiting);
    let what = "Since the acceptance of the oldest event that waits";
    to.register_with_unit("backlog_oldest", what, Unit::Seconds, oldest);
    let what = "Until the peer may be called again, where it asked for a pause";
    to.register_with_unit("throttled", what, Unit::Seconds, throttled);
}

fn count(to: &mut Registry, name: &str, what: &str, value: u64) {
    to.register(name, what, ConstCounter::new(value));
}

fn gauge(to: &mut Registry, name: &str, what: &str, value: u64) {
    to.register(name, what, ConstGauge::new(value));
}

fn millis(time: std::time::Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
