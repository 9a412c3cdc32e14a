//! The requests that one destination still has to acknowledge while its cursor cannot move.
//!
//! A mirror that gets the legacy form settles each request separately, and so does a target. The
//! journal's cursor stays before the oldest pending request. This state records which later
//! requests were acknowledged, so that nothing is sent twice and no request waits for another. It
//! is kept in memory only: after a restart everything after the cursor is sent again. It holds at
//! most [`PENDING_MAX`] requests; beyond that the backlog itself is kept instead.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::domain::{Selector, Selectors, TypeName};
use crate::journal::Backlog;

/// Pending requests of one destination: far above any real schema.
pub const PENDING_MAX: usize = 4096;
/// A parked request is retried after this time.
pub const PARKED_RETRY: Duration = Duration::from_secs(3600);
/// A new event for a parked type brings its retry forward, at most once in this time.
pub const PARKED_RETRY_ON_NEWS: Duration = Duration::from_secs(60);

/// Identifies a request that settles separately.
pub trait RequestKey: Ord + Clone {
    /// Whether an acknowledgement of this request settles the other.
    fn covers(&self, other: &Self) -> bool;

    /// Whether this request waits with a refused one, because it would be refused as well.
    fn is_refused_with(&self, other: &Self) -> bool;

    /// The request that replaces this one and its siblings if several of them are pending.
    fn whole(&self) -> Option<Self>;
}

impl RequestKey for Selector {
    fn covers(&self, other: &Self) -> bool {
        Self::covers(self, other)
    }

    fn is_refused_with(&self, other: &Self) -> bool {
        Self::covers(other, self)
    }

    fn whole(&self) -> Option<Self> {
        name_of(self).cloned().map(Self::Type)
    }
}

/// The events that a pending request covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// The sequence number of the oldest.
    pub first: u64,
    /// The sequence number of the newest.
    pub last: u64,
    /// Their number.
    pub events: u64,
    /// When the oldest was accepted, in milliseconds since 1970.
    pub oldest_at_ms: u64,
}

impl Span {
    fn join(&mut self, other: Self) {
        self.first = self.first.min(other.first);
        self.last = self.last.max(other.last);
        self.events += other.events;
        self.oldest_at_ms = self.oldest_at_ms.min(other.oldest_at_ms);
    }

    fn has(&self, seq: u64) -> bool {
        (self.first..=self.last).contains(&seq)
    }
}

/// Counts the events of one backlog by type.
pub struct EventsByType {
    whole: Span,
    merged: u64,
    all: u64,
    types: BTreeMap<TypeName, u64>,
}

impl EventsByType {
    /// Counts the events of a backlog.
    pub fn of(backlog: &Backlog) -> Self {
        let mut types = BTreeMap::new();
        let mut all = 0;
        for event in &backlog.events {
            let selectors = event.demand.selectors();
            all += u64::from(selectors.is_all());
            for name in selectors.named_types() {
                *types.entry(name.clone()).or_default() += 1;
            }
        }
        let merged = if backlog.merged.is_empty() { 0 } else { backlog.merged_count.max(1) };
        let whole = Span {
            first: backlog.first_seq,
            last: backlog.through,
            events: backlog.events.len() as u64 + merged,
            oldest_at_ms: backlog.oldest_at_ms,
        };
        Self { whole, merged, all, types }
    }

    /// The events that one request covers.
    pub fn span(&self, request: &Selector) -> Span {
        let named = name_of(request).and_then(|name| self.types.get(name)).copied();
        Span { events: self.merged + self.all + named.unwrap_or_default(), ..self.whole }
    }

    /// A span of the backlog with this many events.
    pub fn part(&self, events: u64) -> Span {
        Span { events, ..self.whole }
    }
}

/// The state of one pending request.
#[derive(Debug, Clone)]
pub struct PendingRequest {
    /// The events that it covers.
    pub span: Span,
    /// Failed attempts in a row.
    pub attempts: u32,
    /// Whether it is parked: the destination refused it as malformed.
    pub is_parked: bool,
    /// The last failure.
    pub error: Option<String>,
    /// The earliest time of the next attempt.
    pub not_before: Option<Instant>,
    tried_at: Option<Instant>,
}

impl PendingRequest {
    fn is_due(&self, now: Instant) -> bool {
        self.not_before.is_none_or(|at| at <= now)
    }
}

/// The state of an event that the cursor has not passed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EventProgress {
    /// It is after `through`: nothing is recorded about it.
    Ahead,
    /// All its requests were acknowledged.
    Settled,
    /// A part is held until the mirror's kind is known.
    Held,
    /// A request for it is pending.
    Waiting {
        /// Failed attempts in a row.
        attempts: u32,
        /// Whether it is parked.
        is_parked: bool,
        /// The last failure.
        error: Option<String>,
    },
}

/// The requests that are pending although later events are settled.
#[derive(Debug, Clone)]
pub struct PendingRequests<K> {
    /// Events up to this number are settled, except for the pending and held parts.
    pub through: u64,
    pending: BTreeMap<K, PendingRequest>,
    held: Option<Span>,
    /// The request that failed first in an attempt without any acknowledgement. It is sent last
    /// next time.
    pub suspect: Option<K>,
}

impl<K> Default for PendingRequests<K> {
    fn default() -> Self {
        Self { through: 0, pending: BTreeMap::new(), held: None, suspect: None }
    }
}

impl<K: RequestKey> PendingRequests<K> {
    /// Forgets everything. Then only the cursor counts.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// Whether everything up to `through` is settled.
    pub fn is_whole(&self) -> bool {
        self.pending.is_empty() && self.held.is_none()
    }

    /// Whether the cursor may move although no request is due.
    pub fn is_stale(&self) -> bool {
        self.through > 0 && (self.is_whole() || self.is_holding())
    }

    /// Whether a part is held until the mirror's kind is known.
    pub fn is_holding(&self) -> bool {
        self.held.is_some()
    }

    /// The pending requests.
    pub fn pending(&self) -> &BTreeMap<K, PendingRequest> {
        &self.pending
    }

    /// The events that are held until the mirror's kind is known.
    pub fn held(&self) -> Option<Span> {
        self.held
    }

    /// Releases the held events and returns them.
    pub fn release(&mut self) -> Option<Span> {
        self.held.take()
    }

    /// The number up to which the cursor may move.
    pub fn floor(&self) -> u64 {
        let requests = self.pending.values().map(|request| request.span.first);
        let first = requests.chain(self.held.map(|held| held.first)).min();
        first.map_or(self.through, |first| first.saturating_sub(1))
    }

    /// When the next pending request is due.
    pub fn next_due(&self, now: Instant) -> Option<Instant> {
        self.pending.values().map(|request| request.not_before.unwrap_or(now)).min()
    }

    /// Makes all pending requests due now.
    pub fn retry_now(&mut self) {
        self.pending.values_mut().for_each(|request| request.not_before = None);
    }

    /// Makes no pending request due before this time.
    pub fn postpone(&mut self, until: Instant) {
        for request in self.pending.values_mut() {
            request.not_before = Some(request.not_before.map_or(until, |at| at.max(until)));
        }
    }

    /// The requests to send now: the new ones, then the pending ones that are due. A new one that a
    /// parked request covers waits with it.
    pub fn begin(&mut self, fresh: Vec<K>, span: impl Fn(&K) -> Span, now: Instant) -> Vec<K> {
        let mut requests = Vec::new();
        for request in fresh {
            match self.pending.iter_mut().find(|(waiting, _)| request.is_refused_with(waiting)) {
                Some((_, waiting)) if waiting.is_parked || !waiting.is_due(now) => {
                    waiting.span.join(span(&request));
                    let soon = waiting.tried_at.map_or(now, |at| at + PARKED_RETRY_ON_NEWS);
                    waiting.not_before = waiting.not_before.map(|at| at.min(soon));
                }
                _ => requests.push(request),
            }
        }
        let due = self.pending.iter().filter(|(request, waiting)| {
            waiting.is_due(now) && !requests.iter().any(|fresh| fresh.covers(request))
        });
        let due: Vec<_> = due.map(|(request, _)| request.clone()).collect();
        requests.extend(due);
        let suspect = self.suspect.take();
        if let Some(at) = requests.iter().position(|request| Some(request) == suspect.as_ref()) {
            let last = requests.remove(at);
            requests.push(last);
        }
        requests
    }

    /// Removes the pending requests that an acknowledged one covers. Returns the number of their
    /// events, and whether one of them was parked.
    pub fn acknowledge(&mut self, request: &K) -> (u64, bool) {
        let mut done = (0, false);
        self.pending.retain(|waiting, state| {
            let is_done = request.covers(waiting);
            if is_done {
                done = (done.0 + state.span.events, done.1 | state.is_parked);
            }
            !is_done
        });
        done
    }

    /// Records that a request is still pending. Returns false if the limit is reached.
    pub fn keep_pending(
        &mut self,
        request: &K,
        fresh: Option<Span>,
        error: Option<&str>,
        (is_parked, wait): (bool, Option<Duration>),
    ) -> bool {
        if !self.pending.contains_key(request) && self.pending.len() >= PENDING_MAX {
            return false;
        }
        let Some(span) = fresh.or_else(|| self.span_of(request)) else { return true };
        let now = Instant::now();
        // One request for each type, so that the number of types bounds the memory.
        let (request, narrower) = self.merge_narrower(request);
        let known = self.pending.remove(&request);
        let attempts = known.as_ref().map_or(0, |known| known.attempts);
        let mut span = known.map_or(span, |known| {
            let mut span = known.span;
            if let Some(fresh) = fresh {
                span.join(fresh);
            }
            span
        });
        narrower.into_iter().for_each(|other| span.join(other));
        let state = PendingRequest {
            span,
            attempts: attempts + u32::from(error.is_some()),
            is_parked,
            error: error.map(str::to_owned),
            not_before: wait.map(|wait| now + wait),
            tried_at: error.map(|_| now),
        };
        self.pending.insert(request, state);
        true
    }

    pub fn span_of(&self, request: &K) -> Option<Span> {
        self.pending.get(request).map(|request| request.span)
    }

    /// The request that replaces this one and the other pending entities of its type.
    fn merge_narrower(&mut self, request: &K) -> (K, Vec<Span>) {
        let Some(whole) = request.whole() else { return (request.clone(), vec![]) };
        let is_sibling = |other: &K| other != request && other.whole().as_ref() == Some(&whole);
        let others: Vec<K> =
            self.pending.keys().filter(|other| is_sibling(other)).cloned().collect();
        let spans = others.iter().filter_map(|other| self.pending.remove(other));
        let spans: Vec<Span> = spans.map(|other| other.span).collect();
        let whole = if spans.is_empty() { request.clone() } else { whole };
        (whole, spans)
    }

    /// Removes a pending request, so that it can be split.
    pub fn take_out(&mut self, request: &K) -> Option<Span> {
        self.pending.remove(request).map(|request| request.span)
    }

    /// Holds events until the mirror's kind is known.
    pub fn hold(&mut self, span: Span) {
        match &mut self.held {
            Some(held) => held.join(span),
            None => self.held = Some(span),
        }
    }

    /// The state of an event. `is_expressible` returns whether requests can express all of it.
    pub fn progress(
        &self,
        seq: u64,
        is_asked_for: impl Fn(&K) -> bool,
        is_expressible: impl Fn() -> bool,
    ) -> EventProgress {
        if seq > self.through {
            return EventProgress::Ahead;
        }
        let waits = self
            .pending
            .iter()
            .find(|(request, state)| state.span.has(seq) && is_asked_for(request));
        if let Some((_, state)) = waits {
            let (attempts, is_parked) = (state.attempts, state.is_parked);
            return EventProgress::Waiting { attempts, is_parked, error: state.error.clone() };
        }
        match self.held {
            Some(held) if held.has(seq) && !is_expressible() => EventProgress::Held,
            _ => EventProgress::Settled,
        }
    }

    /// The number of events with a pending or held part, and when the oldest was accepted.
    pub fn pending_events(&self) -> (u64, Option<u64>) {
        let spans = self.pending.values().map(|request| request.span).chain(self.held);
        spans.fold((0, None), |(events, oldest), span| {
            let at = span.oldest_at_ms;
            (events + span.events.max(1), Some(oldest.map_or(at, |oldest: u64| oldest.min(at))))
        })
    }
}

fn name_of(request: &Selector) -> Option<&TypeName> {
    match request {
        Selector::Type(name) | Selector::Entity(name, _) => Some(name),
        _ => None,
    }
}

/// Whether an event with these selectors needs a request of the legacy form.
pub fn is_asked_for(request: &Selector, selectors: &Selectors) -> bool {
    selectors.covers_one(request)
        || match request {
            Selector::Type(name) => selectors.named_types().any(|named| named == name),
            _ => false,
        }
}
