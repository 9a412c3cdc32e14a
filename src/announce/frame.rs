//! What readers are told, in no form yet: `form` makes bytes of it.
//!
//! An event of the journal becomes one `app-update` for each type it names or cascades to, or one
//! of type null for tags, paths, keys and all. The last frame of an event has the id `epoch-seq`,
//! the ones before it `epoch-seq.1`, `epoch-seq.2`, ...: a reader that was cut off between two of
//! them gets just the rest.

use serde_json::{Value, json};

use super::Config;
use crate::domain::{Action, Event, Selectors, TypeName};

/// Types named as the cause of one cascade, and bytes of their names.
const CAUSES_MAX: usize = 32;
const CAUSE_BYTES_MAX: usize = 1024;

/// One thing that readers are told.
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
    let updates = updates(event);
    let last = updates.len();
    updates
        .into_iter()
        .enumerate()
        .map(|(at, data)| {
            let part = if at + 1 == last { String::new() } else { format!(".{}", at + 1) };
            let id = format!("{}-{}{part}", event.epoch, event.seq);
            Frame { id: Some(id), ..frame("app-update", &data) }
        })
        .collect()
}

fn updates(event: &Event) -> Vec<Value> {
    let selectors = event.demand.selectors();
    let mut updates: Vec<Value> = vec![];
    let update = |name: Option<&TypeName>, ids: Vec<&str>, cause: &[String]| {
        // What the graph brought was neither made nor deleted: it shows something else now.
        let action = if cause.is_empty() { event.action } else { Action::Update };
        json!({
            "type": name.map(TypeName::as_str),
            "id": if let [one] = ids[..] { Some(one) } else { None },
            "ids": ids,
            "action": action.as_str(),
            "tags": [],
            "paths": [],
            "cause": cause,
            "version": event.version,
            "origin": event.origin,
        })
    };
    for name in selectors.types() {
        updates.push(update(Some(name), vec![], &[]));
    }
    for (name, ids) in selectors.ids() {
        let ids = ids.iter().map(crate::domain::Label::as_str).collect();
        updates.push(update(Some(name), ids, &[]));
    }
    if let Some(untyped) = untyped(&selectors, update(None, vec![], &[])) {
        updates.push(untyped);
    }
    let cause = causes(&selectors);
    for name in event.cascade.types() {
        updates.push(update(Some(name), vec![], &cause));
    }
    if event.cascade.is_all() && !selectors.is_all() {
        updates.extend(untyped(&Selectors::all(), update(None, vec![], &cause)));
    }
    updates
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

/// The update of what names no type, if there is any.
fn untyped(selectors: &Selectors, mut update: Value) -> Option<Value> {
    let prefixes = selectors.prefixes().iter().map(|prefix| format!("{prefix}*"));
    let paths: Vec<String> =
        selectors.paths().iter().map(ToString::to_string).chain(prefixes).collect();
    let patterns = selectors.patterns().iter().map(ToString::to_string);
    let keys: Vec<String> =
        selectors.keys().iter().map(ToString::to_string).chain(patterns).collect();
    if !selectors.is_all() && selectors.tags().is_empty() && paths.is_empty() && keys.is_empty() {
        return None;
    }
    update["tags"] = json!(selectors.tags());
    update["paths"] = json!(paths);
    update["keys"] = json!(keys);
    update["all"] = json!(selectors.is_all());
    Some(update)
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
