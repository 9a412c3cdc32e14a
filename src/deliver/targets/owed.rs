//! Calls that must still be acknowledged, and which events of a backlog need them.
//! Two calls are equal if they send the same bytes. An event needs a call if they share an item.

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

/// The path that stands for everything that a cache holds.
const EVERYTHING: &str = "*";

/// A call that must still be acknowledged. Two are equal if they send the same bytes.
#[derive(Clone)]
pub struct OwedCall {
    label: String,
    digest: Vec<u8>,
    /// The call to make.
    pub call: Arc<TargetCall>,
}

impl OwedCall {
    /// Computes label and digest of a call.
    pub fn new(call: TargetCall) -> Self {
        let mut hash = digest::Context::new(&digest::SHA256);
        hash.update(format!("{} {}\n", call.method, call.url).as_bytes());
        for (name, value) in &call.headers {
            hash.update(format!("{name}: {value}\n").as_bytes());
        }
        hash.update(&call.body);
        let named = joined(call.paths.iter().chain(&call.tags));
        let label = if named.is_empty() { joined(&call.items) } else { named };
        Self { label, digest: hash.finish().as_ref().to_vec(), call: Arc::new(call) }
    }

    fn is_everything(&self) -> bool {
        self.call.paths.iter().any(|path| path == EVERYTHING)
    }

    fn is_needed_for(&self, items: &BTreeSet<String>) -> bool {
        !items.is_empty()
            && (self.is_everything() || items_of(&self.call).any(|it| items.contains(&it)))
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
        (&self.label, &self.digest).cmp(&(&other.label, &other.digest))
    }
}

impl fmt::Display for OwedCall {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.label)
    }
}

/// Omits the call, which contains secrets.
impl fmt::Debug for OwedCall {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "OwedCall({})", self.label)
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

    /// A target that refuses to clear everything may still accept a path.
    fn is_refused_with(&self, other: &Self) -> bool {
        self == other
    }

    fn whole(&self) -> Option<Self> {
        None
    }
}

/// The items of a call. A path and a tag may have the same text, so each has a prefix.
fn items_of(call: &TargetCall) -> impl Iterator<Item = String> + '_ {
    let paths = call.paths.iter().map(|path| format!("path {path}"));
    let tags = call.tags.iter().map(|tag| format!("tag {tag}"));
    let names = call.items.iter().filter(|_| call.paths.is_empty() && call.tags.is_empty());
    paths.chain(tags).chain(names.cloned())
}

/// The items of one event over all calls that may be made for it: exact and wider, for a site and
/// for a gateway.
fn items_of_event(target: &Target, event: &Arc<Event>) -> BTreeSet<String> {
    let one = Backlog { events: vec![Arc::clone(event)], ..Backlog::default() };
    let mut calls = target.calls(&one, true, CallReader::Site);
    for reader in [CallReader::Site, CallReader::Gateway] {
        calls.extend(target.calls(&one, false, reader));
    }
    calls.iter().flat_map(items_of).collect()
}

/// Returns whether an event needs a call.
pub(in crate::deliver) fn needed_by(
    target: &Target,
    event: &Event,
) -> impl Fn(&OwedCall) -> bool + use<> {
    let items = items_of_event(target, &Arc::new(event.clone()));
    move |owed| owed.is_needed_for(&items)
}

/// Finds which events of a backlog need a call. Built on first use, in time linear in the items of
/// the backlog.
pub(super) struct EventIndex<'a> {
    target: &'a Target,
    backlog: &'a Backlog,
    indexed: OnceCell<IndexedEvents>,
}

struct IndexedEvents {
    /// The items of each event.
    events: Vec<BTreeSet<String>>,
    /// How many events need each item.
    counts: BTreeMap<String, u64>,
}

impl<'a> EventIndex<'a> {
    pub(super) fn new(target: &'a Target, backlog: &'a Backlog) -> Self {
        Self { target, backlog, indexed: OnceCell::new() }
    }

    fn indexed(&self) -> &IndexedEvents {
        self.indexed.get_or_init(|| {
            let events = self.backlog.events.iter().map(|event| items_of_event(self.target, event));
            let events: Vec<BTreeSet<String>> = events.collect();
            let mut counts = BTreeMap::new();
            for item in events.iter().flatten() {
                *counts.entry(item.clone()).or_default() += 1;
            }
            IndexedEvents { events, counts }
        })
    }

    /// The events that need a call. Merged events may need any call.
    pub(super) fn span(&self, owed: &OwedCall) -> Span {
        let Backlog { events, merged, merged_count, .. } = self.backlog;
        let merged = if merged.is_empty() { 0 } else { (*merged_count).max(1) };
        let all = events.len() as u64;
        let needing = match owed.is_everything() {
            true => all,
            false => {
                let counts = &self.indexed().counts;
                items_of(&owed.call).filter_map(|item| counts.get(&item)).sum::<u64>().min(all)
            }
        };
        Span {
            first: self.backlog.first_seq,
            last: self.backlog.through,
            events: needing + merged,
            oldest_at_ms: self.backlog.oldest_at_ms,
        }
    }

    /// The number of events, without merged ones, that need one of these calls.
    pub(super) fn count_waiting(&self, owed: &[OwedCall]) -> u64 {
        if owed.is_empty() {
            return 0;
        }
        let is_everything = owed.iter().any(OwedCall::is_everything);
        let owed: BTreeSet<String> = owed.iter().flat_map(|one| items_of(&one.call)).collect();
        let waits = |items: &&BTreeSet<String>| {
            !items.is_empty() && (is_everything || items.iter().any(|item| owed.contains(item)))
        };
        self.indexed().events.iter().filter(waits).count() as u64
    }
}
