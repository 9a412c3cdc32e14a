//! What is said to a mirror: a batch to a cache-mirror, exactly the old JSON to a legacy peer.
//!
//! The wire form of batches is `docs/PROTOCOL.md`. A legacy peer knows types only, in the plural,
//! with at most one id; what cannot be said to it is named, so that it can be logged as skipped.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::identity::PROTOCOL;
use crate::domain::submission::{PeerBatch, PeerEvent};
use crate::domain::{Action, Demand, Event, EventId, Label, Mode, Selector, Selectors, TypeName};
use crate::resolve::Rules;
use crate::support::Live;

/// A batch on the wire.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Batch<'a> {
    /// Protocol of the sender.
    pub protocol: u32,
    /// `instance.name` of the sender, whose events these are.
    pub origin: String,
    /// The sender's epoch.
    pub epoch: u64,
    /// The sender's graph hash.
    pub graph: String,
    /// The sender's newest seq that this batch settles.
    pub watermark: u64,
    /// Events one by one.
    #[serde(default)]
    pub events: Vec<WireEvent<'a>>,
    /// What was merged past naming.
    #[serde(default, skip_serializing_if = "Demand::is_empty")]
    pub merged: Demand,
    /// What the sender's graph added.
    #[serde(default, skip_serializing_if = "Selectors::is_empty")]
    pub cascade: Selectors,
}

/// One event on the wire.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct WireEvent<'a> {
    /// Its id.
    pub id: EventId,
    /// Its place in the sender's journal.
    pub seq: u64,
    /// What it clears, in the sender's canonical spelling.
    pub selectors: Cow<'a, Selectors>,
    /// How. One event of both modes travels as hard.
    #[serde(default)]
    pub mode: Mode,
    /// What happened.
    #[serde(default)]
    pub action: Action,
    /// Names of the fields that changed.
    #[serde(default, skip_serializing_if = "no_names")]
    pub changed: Cow<'a, [String]>,
    /// What else was said of the entity.
    #[serde(default, skip_serializing_if = "no_fields")]
    pub fields: Cow<'a, BTreeMap<String, String>>,
    /// Routes that the caller named.
    #[serde(default, skip_serializing_if = "no_routes")]
    pub routes: Cow<'a, [Label]>,
}

fn no_routes(routes: &[Label]) -> bool {
    routes.is_empty()
}

fn no_names(names: &[String]) -> bool {
    names.is_empty()
}

fn no_fields(fields: &BTreeMap<String, String>) -> bool {
    fields.is_empty()
}

impl From<Batch<'_>> for PeerBatch {
    fn from(batch: Batch<'_>) -> Self {
        let told = |event: WireEvent<'_>| PeerEvent {
            id: event.id,
            selectors: event.selectors.into_owned(),
            mode: event.mode,
            action: event.action,
            changed: event.changed.into_owned(),
            fields: event.fields.into_owned(),
            routes: event.routes.into_owned(),
        };
        Self {
            origin: batch.origin,
            events: batch.events.into_iter().map(told).collect(),
            merged: batch.merged,
            cascade: batch.cascade,
            graph: batch.graph,
        }
    }
}

/// Who sends.
#[derive(Clone)]
pub struct Sender {
    /// `instance.name`.
    pub instance: String,
    /// The epoch of its journal.
    pub epoch: u64,
    /// Its rules: the graph's hash, its types, and the cascade of what was merged past naming.
    pub rules: Arc<Live<Rules>>,
}

impl Sender {
    /// The graph's types, for telling legacy peers to clear all.
    pub fn known_types(&self) -> Vec<TypeName> {
        self.rules.with(|rules| rules.graph().types().cloned().collect())
    }
}

/// A batch as a request body.
pub fn batch_body<'a>(
    sender: &Sender,
    watermark: u64,
    events: impl Iterator<Item = &'a Event>,
    merged: Demand,
    merged_cascade: &Selectors,
) -> Bytes {
    let rules = sender.rules.get();
    let graph = rules.graph();
    let mut cascade = graph.cascade(&merged.selectors());
    cascade.join(merged_cascade);
    let events = events
        .map(|event| {
            cascade.join(&event.cascade);
            WireEvent {
                id: event.id,
                seq: event.seq,
                selectors: match event.demand.soft.is_empty() {
                    true => Cow::Borrowed(&event.demand.hard),
                    false => Cow::Owned(event.demand.selectors()),
                },
                mode: event.mode(),
                action: event.action,
                changed: Cow::Borrowed(&event.changed),
                fields: Cow::Borrowed(&event.fields),
                routes: Cow::Borrowed(&event.routes),
            }
        })
        .collect();
    let batch = Batch {
        protocol: PROTOCOL,
        origin: sender.instance.clone(),
        epoch: sender.epoch,
        graph: graph.hash().to_owned(),
        watermark,
        events,
        merged,
        cascade,
    };
    let body = serde_json::to_vec(&Request { mirror: false, batch });
    Bytes::from(body.expect("a batch is plain data with text keys"))
}

/// What is posted.
#[derive(Serialize)]
struct Request<'a> {
    mirror: bool,
    batch: Batch<'a>,
}

/// What a legacy peer is told, and what it cannot be told.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct LegacyForm {
    /// One request each: a type, or one entity of it.
    pub words: Vec<Selector>,
    /// Selectors it has no words for.
    pub unsupported: Vec<Selector>,
}

/// The legacy form of some selectors: `{"type":"posts","mirror":false}`, with `"id"` where there is
/// exactly one; several ids of one type go as the type.
pub fn legacy_form(selectors: &Selectors, known_types: &[TypeName]) -> LegacyForm {
    let mut form = LegacyForm::default();
    let mut whole: BTreeSet<&TypeName> = selectors.types().iter().collect();
    if selectors.is_all() {
        whole.extend(known_types);
        if known_types.is_empty() {
            form.unsupported.push(Selector::All);
        }
    }
    for (name, ids) in selectors.ids() {
        match ids.iter().next() {
            Some(id) if ids.len() == 1 => {
                form.words.push(Selector::Entity(name.clone(), id.clone()));
            }
            _ => {
                whole.insert(name);
            }
        }
    }
    form.words.extend(whole.into_iter().cloned().map(Selector::Type));
    let speechless =
        |one: &Selector| !matches!(one, Selector::All | Selector::Type(_) | Selector::Entity(..));
    form.unsupported.extend(selectors.iter().filter(speechless));
    form
}

/// The body for one word, written by hand, because the order of the members is part of what old
/// peers were tested with.
pub fn legacy_body(word: &Selector) -> String {
    let quoted = |text: &str| json!(text);
    match word {
        Selector::Entity(name, id) => {
            let (name, id) = (quoted(name.as_str()), quoted(id.as_str()));
            format!(r#"{{"type":{name},"id":{id},"mirror":false}}"#)
        }
        Selector::Type(name) => format!(r#"{{"type":{},"mirror":false}}"#, quoted(name.as_str())),
        // Nothing else is a word of a legacy form; an empty body clears nothing and is refused.
        _ => "{}".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Label;

    fn name(text: &str) -> TypeName {
        TypeName::parse(text).expect("type")
    }

    fn bodies(selectors: &Selectors, known: &[TypeName]) -> Vec<String> {
        legacy_form(selectors, known).words.iter().map(legacy_body).collect()
    }

    fn entity(of: &str, id: &str) -> Selector {
        Selector::Entity(name(of), Label::parse(id).expect("id"))
    }

    /// Acceptance 3.5: exactly the old JSON.
    #[test]
    fn a_legacy_peer_gets_exactly_the_old_json() {
        let one = Selectors::one(Selector::Type(name("posts")));
        assert_eq!(bodies(&one, &[]), [r#"{"type":"posts","mirror":false}"#]);
        let id = Selectors::one(entity("posts", "4\"2"));
        assert_eq!(bodies(&id, &[]), [r#"{"type":"posts","id":"4\"2","mirror":false}"#]);
        let two: Selectors = [entity("posts", "1"), entity("posts", "2")].into_iter().collect();
        assert_eq!(bodies(&two, &[]), [r#"{"type":"posts","mirror":false}"#]);
    }

    #[test]
    fn all_is_one_post_per_known_type_and_tags_are_unsupported() {
        assert_eq!(
            bodies(&Selectors::all(), &[name("feed"), name("posts")]),
            [r#"{"type":"feed","mirror":false}"#, r#"{"type":"posts","mirror":false}"#]
        );
        assert_eq!(legacy_form(&Selectors::all(), &[]).unsupported, [Selector::All]);
        let tag = Selector::Tag(Label::parse("x").expect("tag"));
        let form = legacy_form(&Selectors::one(tag.clone()), &[]);
        assert_eq!((form.words.len(), form.unsupported), (0, vec![tag]));
    }
}
