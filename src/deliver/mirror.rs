//! The bodies of requests to mirrors: a batch for a cache-mirror, the old JSON for a legacy peer.
//!
//! `docs/PROTOCOL.md` defines batches. The legacy form knows only types, in the plural, with at
//! most one id. Selectors that it cannot express are listed, so that they can be logged as skipped.

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
    /// The protocol version of the sender.
    pub protocol: u32,
    /// `instance.name` of the sender, whose events these are.
    pub origin: String,
    /// The sender's epoch.
    pub epoch: u64,
    /// The sender's graph hash.
    pub graph: String,
    /// The sender's newest seq that this batch settles.
    pub watermark: u64,
    /// The events that are named one by one.
    #[serde(default)]
    pub events: Vec<WireEvent<'a>>,
    /// The union of the events that are no longer named one by one.
    #[serde(default, skip_serializing_if = "Demand::is_empty")]
    pub merged: Demand,
    /// The types that the sender's graph added.
    #[serde(default, skip_serializing_if = "Selectors::is_empty")]
    pub cascade: Selectors,
}

/// One event on the wire.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct WireEvent<'a> {
    /// The id.
    pub id: EventId,
    /// The sequence number in the sender's journal.
    pub seq: u64,
    /// The selectors, in the sender's canonical spelling.
    pub selectors: Cow<'a, Selectors>,
    /// The mode. An event with selectors of both modes is sent as hard.
    #[serde(default)]
    pub mode: Mode,
    /// The action.
    #[serde(default)]
    pub action: Action,
    /// The names of the changed fields.
    #[serde(default, skip_serializing_if = "no_names")]
    pub changed: Cow<'a, [String]>,
    /// Further fields of the entity.
    #[serde(default, skip_serializing_if = "no_fields")]
    pub fields: Cow<'a, BTreeMap<String, String>>,
    /// The routes that the caller named.
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
        let peer_event = |event: WireEvent<'_>| PeerEvent {
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
            events: batch.events.into_iter().map(peer_event).collect(),
            merged: batch.merged,
            cascade: batch.cascade,
            graph: batch.graph,
        }
    }
}

/// The instance that sends batches.
#[derive(Clone)]
pub struct Sender {
    /// `instance.name`.
    pub instance: String,
    /// The epoch of its journal.
    pub epoch: u64,
    /// The rules: the graph's hash, its types, and the cascade of merged selectors.
    pub rules: Arc<Live<Rules>>,
}

impl Sender {
    /// The types of the graph. A legacy peer gets one request for each in place of `all`.
    pub fn known_types(&self) -> Vec<TypeName> {
        self.rules.with(|rules| rules.graph().types().cloned().collect())
    }
}

/// Encodes a batch as a request body.
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

/// The whole request body.
#[derive(Serialize)]
struct Request<'a> {
    mirror: bool,
    batch: Batch<'a>,
}

/// The legacy form of some selectors.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct LegacyForm {
    /// One request for each: a type, or one entity of it.
    pub requests: Vec<Selector>,
    /// Selectors that the legacy form cannot express.
    pub unsupported: Vec<Selector>,
}

/// The legacy form of some selectors: `{"type":"posts","mirror":false}`, with `"id"` if there is
/// exactly one. Several ids of one type become the type.
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
                form.requests.push(Selector::Entity(name.clone(), id.clone()));
            }
            _ => {
                whole.insert(name);
            }
        }
    }
    form.requests.extend(whole.into_iter().cloned().map(Selector::Type));
    let is_unsupported =
        |one: &Selector| !matches!(one, Selector::All | Selector::Type(_) | Selector::Entity(..));
    form.unsupported.extend(selectors.iter().filter(is_unsupported));
    form
}

/// The body of one legacy request. It is formatted by hand, because old peers were tested with this
/// order of the members.
pub fn legacy_body(request: &Selector) -> String {
    let quoted = |text: &str| json!(text);
    match request {
        Selector::Entity(name, id) => {
            let (name, id) = (quoted(name.as_str()), quoted(id.as_str()));
            format!(r#"{{"type":{name},"id":{id},"mirror":false}}"#)
        }
        Selector::Type(name) => format!(r#"{{"type":{},"mirror":false}}"#, quoted(name.as_str())),
        // A legacy form holds nothing else. An empty body clears nothing and is refused.
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
        legacy_form(selectors, known).requests.iter().map(legacy_body).collect()
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
        assert_eq!((form.requests.len(), form.unsupported), (0, vec![tag]));
    }
}
