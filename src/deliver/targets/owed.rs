//! A call that is owed by itself, and which events of a backlog ask for it.
//! Two calls are the same where they send the same bytes; an event asks for a call by its words.

use std::cell::OnceCell;
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use aws_lc_rs::digest;

use super::{CallReader, Reach, Target, TargetCall};
use crate::activity::joined;
use crate::deliver::partial::{RequestKey, Span};
use crate::domain::Event;
use crate::journal::Backlog;

/// What stands for all that a cache holds.
const EVERYTHING: &str = "*";

/// One call. Two are the same where they send the same.
#[derive(Clone)]
pub struct OwedCall {
    what: String,
    digest: Vec<u8>,
    /// What is sent.
    pub call: Arc<TargetCall>,
}

impl OwedCall {
    /// Of a call.
    pub fn new(call: TargetCall) -> Self {
        let mut hash = digest::Context::new(&digest::SHA256);
        hash.update(format!("{} {}\n", call.method, call.url).as_bytes());
        for (name, value) in &call.headers {
            hash.update(format!("{name}: {value}\n").as_bytes());
        }
        hash.update(&call.body);
        let named = joined(call.paths.iter().chain(&call.tags));
        let what = if named.is_empty() { joined(&call.items) } else { named };
        Self { what, digest: hash.finish().as_ref().to_vec(), call: Arc::new(call) }
    }

    fn is_everything(&self) -> bool {
        self.call.paths.iter().any(|path| path == EVERYTHING)
    }

    fn is_needed_for(&self, words: &BTreeSet<String>) -> bool {
        !words.is_empty()
            && (self.is_everything() || items_of(&self.call).any(|it| words.contains(&it)))
    }
}

impl PartialEq for OwedCall {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for OwedCall {}

impl PartialOrd for OwedCall {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for OwedCall {
    fn cmp(&self, other: &Self) -> Ordering {
        (&self.what, &self.digest).cmp(&(&other.what, &other.digest))
    }
}

impl fmt::Display for OwedCall {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.what)
    }
}

/// Without the call: it holds secrets.
impl fmt::Debug for OwedCall {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "OwedCall({})", self.what)
    }
}

impl RequestKey for OwedCall {
    fn covers(&self, other: &Self) -> bool {
        let (own, others) = (&self.call, &other.call);
        self == other
            || match own.reach {
                Reach::Itself => false,
                Reach::Paths => others.tags.is_empty() && !others.paths.is_empty(),
                Reach::Host => own.host() == others.host(),
                Reach::Everything => true,
            }
    }

    /// A target that refuses to clear everything may well take a path.
    fn is_refused_with(&self, other: &Self) -> bool {
        self == other
    }

    fn whole(&self) -> Option<Self> {
        None
    }
}

/// A path and a tag may be spelt alike.
fn items_of(call: &TargetCall) -> impl Iterator<Item = String> + '_ {
    let paths = call.paths.iter().map(|path| format!("path {path}"));
    let tags = call.tags.iter().map(|tag| format!("tag {tag}"));
    let names = call.items.iter().filter(|_| call.paths.is_empty() && call.tags.is_empty());
    paths.chain(tags).chain(names.cloned())
}

/// The words of one event, however wide it is told, and to whomever.
fn items_of_event(target: &Target, event: &Arc<Event>) -> BTreeSet<String> {
    let one = Backlog { events: vec![Arc::clone(event)], ..Backlog::default() };
    let mut calls = target.calls(&one, true, CallReader::Site);
    for reader in [CallReader::Site, CallReader::Gateway] {
        calls.extend(target.calls(&one, false, reader));
    }
    calls.iter().flat_map(items_of).collect()
}

/// Whether an event asks for a call, by the words of the event.
pub(in crate::deliver) fn needed_by(
    target: &Target,
    event: &Event,
) -> impl Fn(&OwedCall) -> bool + use<> {
    let words = items_of_event(target, &Arc::new(event.clone()));
    move |owed| owed.is_needed_for(&words)
}

/// Which events of a backlog ask for what. It is found out only where something is owed, in work
/// that is linear in the words of the backlog.
pub(super) struct EventIndex<'a> {
    target: &'a Target,
    backlog: &'a Backlog,
    found: OnceCell<IndexedEvents>,
}

struct IndexedEvents {
    /// The words of each named event.
    events: Vec<BTreeSet<String>>,
    /// Events that ask for a word.
    counts: BTreeMap<String, u64>,
}

impl<'a> EventIndex<'a> {
    pub(super) fn new(target: &'a Target, backlog: &'a Backlog) -> Self {
        Self { target, backlog, found: OnceCell::new() }
    }

    fn found(&self) -> &IndexedEvents {
        self.found.get_or_init(|| {
            let events = self.backlog.events.iter().map(|event| items_of_event(self.target, event));
            let events: Vec<BTreeSet<String>> = events.collect();
            let mut counts = BTreeMap::new();
            for word in events.iter().flatten() {
                *counts.entry(word.clone()).or_default() += 1;
            }
            IndexedEvents { events, counts }
        })
    }

    /// The events that ask for a call. What is past naming may ask for any.
    pub(super) fn span(&self, owed: &OwedCall) -> Span {
        let Backlog { events, merged, merged_count, .. } = self.backlog;
        let merged = if merged.is_empty() { 0 } else { (*merged_count).max(1) };
        let all = events.len() as u64;
        let asking = match owed.is_everything() {
            true => all,
            false => {
                let counts = &self.found().counts;
                items_of(&owed.call).filter_map(|word| counts.get(&word)).sum::<u64>().min(all)
            }
        };
        Span {
            first: self.backlog.first_seq,
            last: self.backlog.through,
            events: asking + merged,
            oldest_at_ms: self.backlog.oldest_at_ms,
        }
    }

    /// Named events that ask for one of these.
    pub(super) fn waiting(&self, owed: &[OwedCall]) -> u64 {
        if owed.is_empty() {
            return 0;
        }
        let is_everything = owed.iter().any(OwedCall::is_everything);
        let owed: BTreeSet<String> = owed.iter().flat_map(|one| items_of(&one.call)).collect();
        let waits = |words: &&BTreeSet<String>| {
            !words.is_empty() && (is_everything || words.iter().any(|word| owed.contains(word)))
        };
        self.found().events.iter().filter(waits).count() as u64
    }
}
