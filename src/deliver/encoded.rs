//! What a backlog is to the mirrors that have it, made once for all of them.
//!
//! Mirrors of one instance are mostly told the same at the same time; each would otherwise write
//! out the batch, and the log line about it, for itself. Only backlogs that are named event by
//! event are shared: numbers are never given twice, so they say which events they are.

use std::collections::VecDeque;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use parking_lot::Mutex;

use super::echo::{self, Key};
use crate::activity::{Touched, joined};
use crate::domain::Selectors;
use crate::journal::Backlog;

/// Tellings that are remembered: mirrors drift apart by a batch or two under load.
const KEPT: usize = 4;

/// One backlog, as it is told and logged.
pub struct EncodedBacklog {
    /// Everything it is about, both modes as one union.
    pub selectors: Selectors,
    /// The same as log fields.
    pub touched: Touched,
    /// The events' ids as one log field.
    pub ids: String,
    body: OnceLock<Bytes>,
    keys: OnceLock<Vec<Key>>,
}

impl EncodedBacklog {
    /// Of any backlog.
    pub fn of(backlog: &Backlog) -> Self {
        let mut selectors = backlog.merged.selectors();
        for event in &backlog.events {
            selectors.join(&event.demand.hard);
            selectors.join(&event.demand.soft);
        }
        Self {
            touched: Touched::of(&selectors),
            ids: joined(backlog.events.iter().map(|event| event.id)),
            selectors,
            body: OnceLock::new(),
            keys: OnceLock::new(),
        }
    }

    /// What the memory of echoes knows its events by.
    pub fn keys(&self, backlog: &Backlog) -> &[Key] {
        self.keys.get_or_init(|| echo::keys_of(backlog))
    }

    /// The batch, as it was made for the first mirror that needed it.
    pub fn body(&self, make: impl FnOnce() -> Bytes) -> Bytes {
        self.body.get_or_init(make).clone()
    }
}

/// Which events, what their acknowledgement settles, and under which graph they are told.
type Of = (Vec<u64>, u64, String);

/// The last tellings.
#[derive(Default)]
pub struct EncodedBacklogs(Mutex<VecDeque<(Of, Arc<EncodedBacklog>)>>);

impl EncodedBacklogs {
    /// The telling of a backlog, under the graph with this hash.
    pub fn get(&self, backlog: &Backlog, graph: impl FnOnce() -> String) -> Arc<EncodedBacklog> {
        if backlog.events.is_empty() || !backlog.merged.is_empty() {
            return Arc::new(EncodedBacklog::of(backlog));
        }
        // All of them: where an event is held for a destination, the first and the last are not
        // enough.
        let events = backlog.events.iter().map(|event| event.seq).collect();
        let of = (events, backlog.through, graph());
        let mut kept = self.0.lock();
        if let Some((_, encoded)) = kept.iter().find(|(kept, _)| *kept == of) {
            return Arc::clone(encoded);
        }
        let encoded = Arc::new(EncodedBacklog::of(backlog));
        kept.truncate(KEPT - 1);
        kept.push_front((of, Arc::clone(&encoded)));
        encoded
    }
}
