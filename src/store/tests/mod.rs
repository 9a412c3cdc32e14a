//! Scenes of the store, on a clock that is moved by hand.
//! What several files of this room share stands here.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;

use super::*;
use crate::domain::{Demand, Glob, Label, Mode, Selector, Selectors, TypeName, UrlPath};

mod flights;
mod laws;
mod lives;
mod races;
mod stress;
mod sweeps;

/// Time that stands still until it is told to go on.
#[derive(Default)]
struct HandClock(AtomicU64);

impl HandClock {
    fn advance(&self, by: Duration) {
        let by = u64::try_from(by.as_millis()).expect("short");
        self.0.fetch_add(by, Ordering::Relaxed);
    }
}

impl MonotonicClock for HandClock {
    fn now_ms(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

fn config() -> Config {
    Config {
        bytes_max: 64 << 20,
        count_time_max: Duration::from_secs(60),
        ttl: secs(300),
        ttl_max: secs(604_800),
        soft_time_max: secs(60),
        fill_time_max: secs(30),
        ticket_time_max: secs(600),
        bans_max: 1024,
        stamps_max: 1_000_000,
    }
}

fn store() -> (Memory, Arc<HandClock>) {
    store_of(config())
}

fn store_of(config: Config) -> (Memory, Arc<HandClock>) {
    let clock = Arc::new(HandClock::default());
    (Memory::with_clock(config, clock.clone()), clock)
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn label(text: &str) -> Label {
    Label::parse(text).expect("label")
}

fn url_path(text: &str) -> UrlPath {
    UrlPath::parse(text).expect("path")
}

fn type_name(text: &str) -> TypeName {
    TypeName::parse(text).expect("type")
}

/// A fill of `key` with its key as body.
fn fill(key: &str) -> Fill {
    Fill {
        key: label(key),
        body: Bytes::copy_from_slice(key.as_bytes()),
        content_type: None,
        type_name: None,
        id: None,
        tags: Vec::new(),
        path: None,
        ttl: None,
        swr: None,
    }
}

fn tagged(key: &str, tag: &str) -> Fill {
    Fill { tags: vec![label(tag)], ..fill(key) }
}

fn put(store: &Memory, fill: Fill) {
    store.admit(fill, store.ticket()).expect("admitted");
}

fn hard(selector: Selector) -> Demand {
    Demand::new(Mode::Hard, Selectors::one(selector))
}

fn soft(selector: Selector) -> Demand {
    Demand::new(Mode::Soft, Selectors::one(selector))
}

fn tag(text: &str) -> Selector {
    Selector::Tag(label(text))
}

fn pattern(text: &str) -> Selector {
    Selector::Pattern(Glob::parse(text).expect("glob"))
}

fn is_miss(store: &Memory, key: &str) -> bool {
    matches!(store.lookup(key), Lookup::Miss { .. })
}
