//! What decides the kind of a peer: definite answers only.
//!
//! An identity makes it a cache-mirror for good. No identity path, again and again while its
//! invalidate route acknowledges, makes it a legacy server. What a proxy may answer in its place
//! decides nothing.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::PeerConfig;
use super::identity::Identity;
use super::peer::{PeerKind, PeerState, WIDEST_AFTER};

/// Answers of 404 or 405 at the identity path that make a legacy server of a peer.
const LEGACY_AFTER: u32 = 3;
/// The time that they must span.
const LEGACY_AFTER_TIME: Duration = Duration::from_secs(30);

impl PeerState {
    /// It said so itself.
    pub(super) fn set_cache_mirror(&mut self, identity: Identity) {
        match &self.kind {
            PeerKind::CacheMirror(Some(known)) if known.version == identity.version => {}
            // Another program answers: it may take what the one before refused.
            PeerKind::CacheMirror(_) => {
                self.refused_all = None;
                if std::mem::take(&mut self.refusals) > 0 {
                    self.not_before = None;
                }
            }
            // What it got in the legacy form goes again as a batch, from the cursor.
            _ => self.partial.clear(),
        }
        self.kind = PeerKind::CacheMirror(Some(Arc::new(identity)));
    }

    /// It gave an answer without an identity. A site beside this instance is judged by one such
    /// answer; a mirror by proof only, and never one that is known as a cache-mirror.
    pub(super) fn set_no_cache_mirror(&mut self, is_proved: bool, config: &PeerConfig) {
        let is_target = config.class.target().is_some();
        match self.kind {
            PeerKind::CacheMirror(_) => {}
            PeerKind::Oneself if !self.was_another => {}
            // Somebody else answers to the name now.
            PeerKind::Oneself => self.kind = PeerKind::Unknown,
            _ if is_target || (is_proved && config.kind.is_none()) => self.kind = PeerKind::Legacy,
            _ => {}
        }
    }

    /// Whether it refused even the widest form, which is then tried once an hour.
    pub(super) fn is_refusing_all(&self) -> bool {
        self.refusals >= WIDEST_AFTER + 2
    }

    /// It acknowledged something in the legacy form.
    pub(super) fn took_legacy_form(&mut self) {
        self.evidence.has_ack |= self.evidence.first_absent.is_some();
    }
}

/// What speaks for a legacy server: no identity path, often and for some time, while its
/// invalidate route acknowledges.
#[derive(Debug, Default)]
pub struct LegacyEvidence {
    first_absent: Option<Instant>,
    absent: u32,
    /// Whether it acknowledged something since the first of these answers.
    has_ack: bool,
}

impl LegacyEvidence {
    /// Another answer without an identity path; says whether that makes it proved.
    pub(super) fn absent(&mut self, now: Instant) -> bool {
        let first = *self.first_absent.get_or_insert(now);
        self.absent = self.absent.saturating_add(1);
        self.has_ack && self.absent >= LEGACY_AFTER && now - first >= LEGACY_AFTER_TIME
    }

    /// Whether further probes may prove it.
    pub(super) fn is_open(&self) -> bool {
        self.has_ack
    }
}
