//! The frames of the stream before encoding; `form` encodes them.
//!
//! An event of the journal becomes one `app-update` for each type it names or cascades to, or one
//! of type null for tags, paths, keys and all. The last frame of an event has the id `epoch-seq`,
//! the ones before it `epoch-seq.1`, `epoch-seq.2`, ...: a reader that was cut off between two of
//! them gets just the rest.

use std::borrow::Cow;
use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::Config;
use crate::domain::{Action, Event, Label, Selectors, TypeName};

/// Types named as the cause of one cascade, and bytes of their names.
const CAUSES_MAX: usize = 32;
const CAUSE_BYTES_MAX: usize = 1024;

/// One frame of the stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// What it is; a word.
    pub event: &'static str,
    /// Where a reader that saw it goes on; digits, `-` and `.`.
    pub id: Option<String>,
    /// JSON text.
    pub data: String,
    /// When to come back after the end of the stream.
    pub retry_ms: Option<u64>,
}

/// Where a reader stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// The process start that wrote the event.
    pub epoch: u64,
    /// The event's seq.
    pub seq: u64,
    /// Frames of it already seen; `None` for all.
    pub frames: Option<usize>,
}

impl Position {
    /// Reads `epoch-seq` or `epoch-seq.frames`.
    pub fn parse(text: &str) -> Option<Self> {
        let (epoch, rest) = text.split_once('-')?;
        let (seq, frames) = match rest.split_once('.') {
            Some((seq, frames)) => (seq, Some(frames.parse().ok()?)),
            None => (rest, None),
        };
        Some(Self { epoch: epoch.parse().ok()?, seq: seq.parse().ok()?, frames })
    }
}

/// The frames of one event, in order.
pub fn app_updates(event: &Event) -> Vec<Frame> {
    some_updates(event, 0, usize::MAX).0
}

/// The number of frames of one event; nothing is rendered for it.
pub fn count(event: &Event) -> usize {
    let selectors = union(event);
    parts(&selectors, &event.cascade).count()
}

/// The frames of one event after the first `skipped`, until they take at least `bytes` or the event
/// ends; whether it ends. Work and memory follow what is returned, not the size of the event.
pub fn some_updates(event: &Event, skipped: usize, bytes: usize) -> (Vec<Frame>, bool) {
    let selectors = union(event);
    let cause = causes(&selectors);
    let mut parts = parts(&selectors, &event.cascade).enumerate().skip(skipped).peekable();
    let (mut frames, mut taken) = (vec![], 0);
    while let Some((at, part)) = parts.next_if(|_| taken < bytes) {
        let data = update(event, &selectors, &part, &cause);
        let number = if parts.peek().is_some() { format!(".{}", at + 1) } else { String::new() };
        let id = format!("{}-{}{number}", event.epoch, event.seq);
        let frame = Frame { id: Some(id), ..frame("app-update", &data) };
        taken += frame.data.len();
        frames.push(frame);
    }
    (frames, parts.peek().is_none())
}

/// What an event names, whatever the mode. Few events have both modes, so few are copied.
fn union(event: &Event) -> Cow<'_, Selectors> {
    let (hard, soft) = (&event.demand.hard, &event.demand.soft);
    match (hard.is_empty(), soft.is_empty()) {
        (_, true) => Cow::Borrowed(hard),
        (true, false) => Cow::Borrowed(soft),
        (false, false) => Cow::Owned(event.demand.selectors()),
    }
}

/// What one frame of an event is about.
enum Part<'a> {
    Type(&'a TypeName),
    Ids(&'a TypeName, &'a BTreeSet<Label>),
    Untyped,
    Cascade(&'a TypeName),
    CascadeAll,
}

fn parts<'a>(selectors: &'a Selectors, cascade: &'a Selectors) -> impl Iterator<Item = Part<'a>> {
    let ids = selectors.ids().iter().map(|(name, ids)| Part::Ids(name, ids));
    let is_all = cascade.is_all() && !selectors.is_all();
    (selectors.types().iter().map(Part::Type))
        .chain(ids)
        .chain(names_untyped(selectors).then_some(Part::Untyped))
        .chain(cascade.types().iter().map(Part::Cascade))
        .chain(is_all.then_some(Part::CascadeAll))
}

fn update(event: &Event, selectors: &Selectors, part: &Part<'_>, cause: &[String]) -> Value {
    let update = |name: Option<&TypeName>, ids: &[&str], cause: &[String]| {
        // What the graph brought was neither made nor deleted: it shows something else now.
        let action = if cause.is_empty() { event.action } else { Action::Update };
        json!({
            "type": name.map(TypeName::as_str),
            "id": if let [one] = ids { Some(one) } else { None },
            "ids": ids,
            "action": action.as_str(),
            "tags": [],
            "paths": [],
            "cause": cause,
            "version": event.version,
            "origin": event.origin,
        })
    };
    match part {
        Part::Type(name) => update(Some(name), &[], &[]),
        Part::Ids(name, ids) => {
            let ids: Vec<&str> = ids.iter().map(Label::as_str).collect();
            update(Some(name), &ids, &[])
        }
        Part::Untyped => untyped(selectors, update(None, &[], &[])),
        Part::Cascade(name) => update(Some(name), &[], cause),
        Part::CascadeAll => untyped(&Selectors::all(), update(None, &[], cause)),
    }
}

/// The types that a cascade came from: enough to explain it, and never so many that an event of
/// thousands of types, each cascading to thousands, takes the product of both.
fn causes(selectors: &Selectors) -> Vec<String> {
    let mut room = CAUSE_BYTES_MAX;
    let fits = |name: &&TypeName| {
        room = room.saturating_sub(name.as_str().len());
        room > 0
    };
    let named = selectors.named_types().take(CAUSES_MAX).take_while(fits);
    named.map(ToString::to_string).collect()
}

/// Whether anything is named that is neither a type nor an entity.
fn names_untyped(selectors: &Selectors) -> bool {
    selectors.is_all()
        || !selectors.tags().is_empty()
        || !selectors.paths().is_empty()
        || !selectors.prefixes().is_empty()
        || !selectors.keys().is_empty()
        || !selectors.patterns().is_empty()
}

/// The update of what names no type.
fn untyped(selectors: &Selectors, mut update: Value) -> Value {
    let prefixes = selectors.prefixes().iter().map(|prefix| format!("{prefix}*"));
    let paths: Vec<String> =
        selectors.paths().iter().map(ToString::to_string).chain(prefixes).collect();
    let patterns = selectors.patterns().iter().map(ToString::to_string);
    let keys: Vec<String> =
        selectors.keys().iter().map(ToString::to_string).chain(patterns).collect();
    update["tags"] = json!(selectors.tags());
    update["paths"] = json!(paths);
    update["keys"] = json!(keys);
    update["all"] = json!(selectors.is_all());
    update
}

/// The first frame of every stream.
pub fn hello(
    instance: &str,
    version: u64,
    (replayed, gap): (usize, bool),
    config: &Config,
) -> Frame {
    let mut data = json!({
        "instance": instance, "version": version, "replayed": replayed, "gap": gap,
    });
    if !config.aliases.is_empty() {
        data["aliases"] = json!(config.aliases);
    }
    let retry_ms = u64::try_from(config.retry.as_millis()).unwrap_or(u64::MAX);
    Frame { retry_ms: Some(retry_ms), ..frame("hello", &data) }
}

/// Tells a reader to fetch everything anew.
pub fn resync(id: Option<String>, reason: &str) -> Frame {
    Frame { id, ..frame("resync", &json!({ "reason": reason })) }
}

/// Keeps the line open, visibly to scripts.
pub fn ping() -> Frame {
    frame("ping", &json!({}))
}

/// A parting word: when to come back.
pub fn goodbye(retry_ms: u64) -> Frame {
    Frame { retry_ms: Some(retry_ms), ..frame("goodbye", &json!({})) }
}

fn frame(event: &'static str, data: &Value) -> Frame {
    Frame { event, id: None, data: data.to_string(), retry_ms: None }
}
