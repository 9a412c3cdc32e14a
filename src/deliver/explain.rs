//! What each mirror would get for an event, and in which form: the answer of `explain`. Nothing is
//! sent, and the answer describes the present state of the mirrors.

use super::Delivery;
use super::mirror::{batch_body, legacy_body, legacy_form};
use super::peer::{Peer, PeerKind};
use crate::domain::{Demand, Event, Selectors};
use crate::wire::{DestinationView, MirrorExplanation};

impl Delivery {
    /// What every mirror would get for an event.
    pub fn explain(&self, event: &Event) -> Vec<MirrorExplanation> {
        let peers = self.peers.get();
        let mirrors = peers.iter().filter(|peer| peer.is_mirror());
        mirrors.map(|peer| self.explain_one(peer, event)).collect()
    }

    /// The names of all targets. How many calls they get is known only when the calls are made.
    pub fn targets(&self) -> Vec<String> {
        let peers = self.peers.get();
        let targets = peers.iter().filter(|peer| !peer.is_mirror());
        targets.map(|peer| peer.config.name.clone()).collect()
    }

    fn explain_one(&self, peer: &Peer, event: &Event) -> MirrorExplanation {
        let view = DestinationView::of(peer, &self.shared);
        let rules = self.shared.sender.rules.get();
        let ours = rules.graph().hash();
        let equal = |hash: &String| if hash == ours { "equal" } else { "differs" }.into();
        let mut explanation = MirrorExplanation {
            peer: view.name,
            kind: view.kind,
            state: view.state,
            form: "none".into(),
            graph: view.graph.as_ref().map(equal),
            waiting: view.backlog_events,
            ..MirrorExplanation::default()
        };
        match peer.kind() {
            PeerKind::Oneself => explanation.reason = Some("it is this instance".into()),
            PeerKind::CacheMirror(_) => self.as_batch(&mut explanation, event),
            PeerKind::Legacy => self.as_legacy(&mut explanation, event),
            PeerKind::Unknown => {
                self.as_legacy(&mut explanation, event);
                // Selectors that the legacy form cannot express are held, not skipped.
                let is_held = !std::mem::take(&mut explanation.skipped).is_empty();
                let reason = match is_held || event.demand.selectors().is_all() {
                    true => "unknown_kind",
                    false => "its kind is not known yet; a cache-mirror gets a batch",
                };
                explanation.reason = Some(reason.into());
            }
        }
        explanation
    }

    fn as_batch(&self, explanation: &mut MirrorExplanation, event: &Event) {
        let (merged, cascade) = (Demand::default(), Selectors::default());
        let events = std::iter::once(event);
        let body = batch_body(&self.shared.sender, event.seq, events, merged, &cascade);
        (explanation.form, explanation.requests, explanation.bytes) =
            ("batch".into(), 1, body.len());
    }

    fn as_legacy(&self, explanation: &mut MirrorExplanation, event: &Event) {
        let types = self.shared.sender.known_types();
        let form = legacy_form(&event.demand.selectors(), &types);
        let bodies: Vec<String> = form.requests.iter().map(legacy_body).collect();
        explanation.form = if bodies.is_empty() { "none" } else { "legacy" }.into();
        explanation.requests = bodies.len();
        explanation.bytes = bodies.iter().map(String::len).sum();
        let parsed = bodies.iter().filter_map(|body| serde_json::from_str(body).ok());
        explanation.bodies = parsed.collect();
        explanation.skipped = form.unsupported.iter().map(ToString::to_string).collect();
        if !explanation.skipped.is_empty() {
            explanation.reason = Some("unsupported".into());
        }
    }
}
