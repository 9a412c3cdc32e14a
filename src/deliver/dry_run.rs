//! What a dry run reports for each destination: whether an event would queue there, and the
//! destination's present state. Nothing is sent or written.

use super::Delivery;
use super::peer::{Peer, PeerKind};
use super::targets::PARTLY_UNSUPPORTED;
use crate::domain::{Event, Scope, Status};
use crate::wire::{DeliveryOutcome, DestinationView, Text};

impl Delivery {
    /// The outcome of an event at every mirror, then at every target.
    pub fn dry_run(&self, event: &Event) -> (Vec<DeliveryOutcome>, Vec<DeliveryOutcome>) {
        let peers = self.peers.get();
        let (mirrors, others): (Vec<_>, Vec<_>) = peers.iter().partition(|peer| peer.is_mirror());
        let of = |peers: Vec<&std::sync::Arc<Peer>>| {
            peers.into_iter().map(|peer| self.dry_run_at(peer, event)).collect()
        };
        (of(mirrors), of(others))
    }

    fn dry_run_at(&self, peer: &Peer, event: &Event) -> DeliveryOutcome {
        let kind = peer.kind();
        let target = peer.config.class.target();
        let reason = match target {
            _ if matches!(kind, PeerKind::Oneself) => {
                return outcome(peer, Status::Oneself, None, None);
            }
            None if event.scope == Scope::Local => Some("local"),
            None if matches!(kind, PeerKind::Legacy) => {
                self.shared.legacy_gap(&event.demand.selectors())
            }
            None => None,
            Some(_) if !event.is_for_targets() => Some("ends_here"),
            Some(target) => target
                .reason_skipped(event)
                .or_else(|| target.omits_part(event).then_some(PARTLY_UNSUPPORTED)),
        };
        let state = DestinationView::of(peer, &self.shared).state;
        let status = match reason {
            None | Some(PARTLY_UNSUPPORTED) => Status::WouldQueue,
            Some(_) => Status::Skipped,
        };
        outcome(peer, status, reason, Some(state))
    }
}

fn outcome(
    peer: &Peer,
    status: Status,
    reason: Option<&str>,
    state: Option<Text>,
) -> DeliveryOutcome {
    DeliveryOutcome {
        peer: peer.config.name.clone(),
        status,
        reason: reason.map(str::to_owned),
        state,
        attempts: None,
        last_error: None,
        addresses: vec![],
    }
}
