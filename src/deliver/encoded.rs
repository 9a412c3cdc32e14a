//! The encoded form of a backlog, made once for all mirrors that have the same backlog.
//!
//! The mirrors of one instance mostly get the same events at the same time. Without this, each
//! worker would encode the batch and its log line itself. Only backlogs whose events are all named
//! are shared: sequence numbers are unique, so they identify the events.

use std::collections::VecDeque;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use parking_lot::Mutex;

use super::echo::{self, SelectorKey};
use crate::activity::{Touched, joined};
use crate::domain::Selectors;
use crate::journal::Backlog;

/// Encoded backlogs that are kept: under load, mirrors differ by a batch or two.
const KEPT: usize = 4;

/// The encoded form of one backlog.
pub struct EncodedBacklog {
    /// The union of all selectors of both modes.
    pub selectors: Selectors,
    /// The selectors as log fields.
    pub touched: Touched,
    /// The events' ids as one log field.
    pub ids: String,
    body: OnceLock<Bytes>,
    keys: OnceLock<Vec<SelectorKey>>,
}

impl EncodedBacklog {
    /// Encodes any backlog.
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

    /// The keys of its events for the detection of echoes.
    pub fn keys(&self, backlog: &Backlog) -> &[SelectorKey] {
        self.keys.get_or_init(|| echo::keys_of(backlog))
    }

    /// The batch, encoded for the first mirror that needs it.
    pub fn body(&self, make: impl FnOnce() -> Bytes) -> Bytes {
        self.body.get_or_init(make).clone()
    }
}

/// The events, the watermark and the graph of an encoded backlog.
type BacklogKey = (Vec<u64>, u64, String);

/// The last encoded backlogs.
#[derive(Default)]
pub struct EncodedBacklogs(Mutex<VecDeque<(BacklogKey, Arc<EncodedBacklog>)>>);

impl EncodedBacklogs {
    /// The encoded form of a backlog, under the graph with this hash.
    pub fn get(&self, backlog: &Backlog, graph: impl FnOnce() -> String) -> Arc<EncodedBacklog> {
        if backlog.events.is_empty() || !backlog.merged.is_empty() {
            return Arc::new(EncodedBacklog::of(backlog));
        }
        // All numbers are compared: if an event is held for a destination, the first and the last
        // do not identify the backlog.
        let events = backlog.events.iter().map(|event| event.seq).collect();
        let key = (events, backlog.through, graph());
        let mut kept = self.0.lock();
        if let Some((_, encoded)) = kept.iter().find(|(kept, _)| *kept == key) {
            return Arc::clone(encoded);
        }
        let encoded = Arc::new(EncodedBacklog::of(backlog));
        kept.truncate(KEPT - 1);
        kept.push_front((key, Arc::clone(&encoded)));
        encoded
    }
}
