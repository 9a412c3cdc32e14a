//! What one mirror has settled of a backlog whose cursor cannot move yet.
//!
//! A mirror that gets the legacy form settles each request alone. What it refused, and what cannot
//! be sent before its kind is known, stays owed; the journal's cursor stays in front of it, and
//! this memory says what of the rest was acknowledged, so that nothing is sent twice and nothing
//! else waits. It is kept in memory only: a restart sends everything after the cursor once more.
//! It holds at most [`PENDING_MAX`] words; past that, the backlog itself is kept instead.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::domain::{Selector, Selectors, TypeName};
use crate::journal::Backlog;

/// Words that one mirror may owe: far above any real schema.
pub const PENDING_MAX: usize = 4096;
/// A refused request is sent again after this time.
pub const PARKED_RETRY: Duration = Duration::from_secs(3600);
/// A new event for a refused type sends it again, at most once in this time.
pub const PARKED_RETRY_ON_NEWS: Duration = Duration::from_secs(60);

/// A request that can be owed by itself.
pub trait RequestKey: Ord + Clone {
    /// Whether an acknowledgement of this one settles another.
    fn covers(&self, other: &Self) -> bool;

    /// Whether this one waits with another that was refused, because it would be refused as well.
    fn is_refused_with(&self, other: &Self) -> bool;

    /// What stands for it and its siblings where several of them are owed, if anything does.
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

/// The events that something is owed for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// The oldest of them.
    pub first: u64,
    /// The newest of them.
    pub last: u64,
    /// How many they are.
    pub events: u64,
    /// When the oldest was accepted, milliseconds since 1970.
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

/// How the events of one backlog spread over the types.
pub struct EventsByType {
    whole: Span,
    merged: u64,
    all: u64,
    types: BTreeMap<TypeName, u64>,
}

impl EventsByType {
    /// Of a backlog.
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

    /// The events that one word is for.
    pub fn span(&self, word: &Selector) -> Span {
        let named = name_of(word).and_then(|name| self.types.get(name)).copied();
        Span { events: self.merged + self.all + named.unwrap_or_default(), ..self.whole }
    }

    /// This many of its events.
    pub fn part(&self, events: u64) -> Span {
        Span { events, ..self.whole }
    }
}

/// One request that is still owed.
#[derive(Debug, Clone)]
pub struct PendingRequest {
    /// The events that it is for.
    pub span: Span,
    /// Attempts that failed, in a row.
    pub attempts: u32,
    /// Whether the mirror refused it for what it is.
    pub is_parked: bool,
    /// The last failure in words.
    pub error: Option<String>,
    /// Not before this.
    pub not_before: Option<Instant>,
    tried_at: Option<Instant>,
}

impl PendingRequest {
    fn is_due(&self, now: Instant) -> bool {
        self.not_before.is_none_or(|at| at <= now)
    }
}

/// Where an event stands that the cursor has not passed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EventPlace {
    /// Nothing is known of it here.
    Ahead,
    /// Every part of it was acknowledged.
    Settled,
    /// A part cannot be sent before the mirror's kind is known.
    Held,
    /// A part waits, with the number of failed attempts and the last failure.
    Waiting {
        /// Failed attempts in a row.
        attempts: u32,
        /// Whether it is refused for what it is.
        is_parked: bool,
        /// The last failure.
        error: Option<String>,
    },
}

/// What was settled, and what of it was not.
#[derive(Debug, Clone)]
pub struct Partial<K> {
    /// Everything at or below is settled, but for what follows.
    pub through: u64,
    pending: BTreeMap<K, PendingRequest>,
    held: Option<Span>,
    /// What the last attempt failed with, where it took nothing: it goes last next time.
    pub suspect: Option<K>,
}

impl<K> Default for Partial<K> {
    fn default() -> Self {
        Self { through: 0, pending: BTreeMap::new(), held: None, suspect: None }
    }
}

impl<K: RequestKey> Partial<K> {
    /// Forgets everything: the cursor says all there is to say.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// Whether nothing at or below `through` is owed.
    pub fn is_whole(&self) -> bool {
        self.pending.is_empty() && self.held.is_none()
    }

    /// Whether the cursor may move although nothing is due.
    pub fn is_stale(&self) -> bool {
        self.through > 0 && (self.is_whole() || self.is_holding())
    }

    /// Whether something cannot be sent before the mirror's kind is known.
    pub fn is_holding(&self) -> bool {
        self.held.is_some()
    }

    /// What is owed at or below `through`, by word.
    pub fn pending(&self) -> &BTreeMap<K, PendingRequest> {
        &self.pending
    }

    /// The events that cannot be sent before the mirror's kind is known.
    pub fn held(&self) -> Option<Span> {
        self.held
    }

    /// What was held is owed no more.
    pub fn release(&mut self) -> Option<Span> {
        self.held.take()
    }

    /// The cursor may move up to here.
    pub fn floor(&self) -> u64 {
        let words = self.pending.values().map(|word| word.span.first);
        let first = words.chain(self.held.map(|held| held.first)).min();
        first.map_or(self.through, |first| first.saturating_sub(1))
    }

    /// When the next word is due.
    pub fn next_due(&self, now: Instant) -> Option<Instant> {
        self.pending.values().map(|word| word.not_before.unwrap_or(now)).min()
    }

    /// Everything that waits is due now.
    pub fn retry_now(&mut self) {
        self.pending.values_mut().for_each(|word| word.not_before = None);
    }

    /// Nothing that waits is due before this.
    pub fn postpone(&mut self, until: Instant) {
        for word in self.pending.values_mut() {
            word.not_before = Some(word.not_before.map_or(until, |at| at.max(until)));
        }
    }

    /// The words to send now: the fresh ones, then those whose time has come. A fresh one that is
    /// refused already waits with the refused one.
    pub fn begin(&mut self, fresh: Vec<K>, span: impl Fn(&K) -> Span, now: Instant) -> Vec<K> {
        let mut words = Vec::new();
        for word in fresh {
            match self.pending.iter_mut().find(|(waiting, _)| word.is_refused_with(waiting)) {
                Some((_, waiting)) if waiting.is_parked || !waiting.is_due(now) => {
                    waiting.span.join(span(&word));
                    let soon = waiting.tried_at.map_or(now, |at| at + PARKED_RETRY_ON_NEWS);
                    waiting.not_before = waiting.not_before.map(|at| at.min(soon));
                }
                _ => words.push(word),
            }
        }
        let due = self.pending.iter().filter(|(word, waiting)| {
            waiting.is_due(now) && !words.iter().any(|fresh| fresh.covers(word))
        });
        let due: Vec<_> = due.map(|(word, _)| word.clone()).collect();
        words.extend(due);
        let suspect = self.suspect.take();
        if let Some(at) = words.iter().position(|word| Some(word) == suspect.as_ref()) {
            let last = words.remove(at);
            words.push(last);
        }
        words
    }

    /// A word was acknowledged: what it covers is owed no more. Gives the number of events, and
    /// whether a refused word was among it.
    pub fn acknowledge(&mut self, word: &K) -> (u64, bool) {
        let mut done = (0, false);
        self.pending.retain(|waiting, state| {
            let is_done = word.covers(waiting);
            if is_done {
                done = (done.0 + state.span.events, done.1 | state.is_parked);
            }
            !is_done
        });
        done
    }

    /// A word stays owed. Gives false where there is no room for another.
    pub fn owe(
        &mut self,
        word: &K,
        fresh: Option<Span>,
        error: Option<&str>,
        (is_parked, wait): (bool, Option<Duration>),
    ) -> bool {
        if !self.pending.contains_key(word) && self.pending.len() >= PENDING_MAX {
            return false;
        }
        let Some(span) = fresh.or_else(|| self.span_of(word)) else { return true };
        let now = Instant::now();
        // One word for each type, so that memory is bounded by the types.
        let (word, narrower) = self.merge_narrower(word);
        let known = self.pending.remove(&word);
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
        self.pending.insert(word, state);
        true
    }

    pub fn span_of(&self, word: &K) -> Option<Span> {
        self.pending.get(word).map(|word| word.span)
    }

    /// The word that stands for this one and the other entities of its type that wait.
    fn merge_narrower(&mut self, word: &K) -> (K, Vec<Span>) {
        let Some(whole) = word.whole() else { return (word.clone(), vec![]) };
        let is_sibling = |other: &K| other != word && other.whole().as_ref() == Some(&whole);
        let others: Vec<K> =
            self.pending.keys().filter(|other| is_sibling(other)).cloned().collect();
        let spans = others.iter().filter_map(|other| self.pending.remove(other));
        let spans: Vec<Span> = spans.map(|other| other.span).collect();
        let whole = if spans.is_empty() { word.clone() } else { whole };
        (whole, spans)
    }

    /// Takes one that waits out, to be owed in parts.
    pub fn take_out(&mut self, word: &K) -> Option<Span> {
        self.pending.remove(word).map(|word| word.span)
    }

    /// Events that cannot be sent before the mirror's kind is known.
    pub fn hold(&mut self, span: Span) {
        match &mut self.held {
            Some(held) => held.join(span),
            None => self.held = Some(span),
        }
    }

    /// Where an event stands that asks for these words; `is_sayable` where words say all of it.
    pub fn place(
        &self,
        seq: u64,
        is_asked_for: impl Fn(&K) -> bool,
        is_sayable: impl Fn() -> bool,
    ) -> EventPlace {
        if seq > self.through {
            return EventPlace::Ahead;
        }
        let waits =
            self.pending.iter().find(|(word, state)| state.span.has(seq) && is_asked_for(word));
        if let Some((_, state)) = waits {
            let (attempts, is_parked) = (state.attempts, state.is_parked);
            return EventPlace::Waiting { attempts, is_parked, error: state.error.clone() };
        }
        match self.held {
            Some(held) if held.has(seq) && !is_sayable() => EventPlace::Held,
            _ => EventPlace::Settled,
        }
    }

    /// Events that are owed at or below `through`, and when the oldest was accepted.
    pub fn owed(&self) -> (u64, Option<u64>) {
        let spans = self.pending.values().map(|word| word.span).chain(self.held);
        spans.fold((0, None), |(events, oldest), span| {
            let at = span.oldest_at_ms;
            (events + span.events.max(1), Some(oldest.map_or(at, |oldest: u64| oldest.min(at))))
        })
    }
}

fn name_of(word: &Selector) -> Option<&TypeName> {
    match word {
        Selector::Type(name) | Selector::Entity(name, _) => Some(name),
        _ => None,
    }
}

/// Whether an event with these selectors asks for a word of the legacy form.
pub fn is_asked_for(word: &Selector, selectors: &Selectors) -> bool {
    selectors.covers_one(word)
        || match word {
            Selector::Type(name) => selectors.named_types().any(|named| named == name),
            _ => false,
        }
}
