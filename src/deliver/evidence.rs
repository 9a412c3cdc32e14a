//! Decides the kind of a peer, by definite answers only.
//!
//! An identity makes it a cache-mirror for good. A missing identity path, repeatedly and while its
//! invalidate route acknowledges, makes it a legacy server. Answers that a proxy may give in its
//! place decide nothing.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::PeerConfig;
use super::identity::Identity;
use super::peer::{PeerKind, PeerState, WIDEST_AFTER};

/// Answers of 404 or 405 at the identity path that prove a legacy server.
const LEGACY_AFTER: u32 = 3;
/// The minimum time between the first and the last of them.
const LEGACY_AFTER_TIME: Duration = Duration::from_secs(30);

impl PeerState {
    /// Records its identity: it is a cache-mirror.
    pub(super) fn set_cache_mirror(&mut self, identity: Identity) {
        match &self.kind {
            PeerKind::CacheMirror(Some(known)) if known.version == identity.version => {}
            // Another version answers. It may accept what the previous one refused.
            PeerKind::CacheMirror(_) => {
                self.refused_all = None;
                if std::mem::take(&mut self.refusals) > 0 {
                    self.not_before = None;
                }
            }
            // Everything after the cursor is sent again as a batch, although a part was sent in the
            // legacy form.
            _ => self.partial.clear(),
        }
        self.kind = PeerKind::CacheMirror(Some(Arc::new(identity)));
    }

    /// Records an answer without an identity. One such answer decides about a target. A mirror
    /// becomes a legacy server by proof only, and never if it is known as a cache-mirror.
    pub(super) fn set_not_cache_mirror(&mut self, is_proved: bool, config: &PeerConfig) {
        let is_target = config.class.target().is_some();
        match self.kind {
            PeerKind::CacheMirror(_) => {}
            PeerKind::Oneself if !self.was_another => {}
            // Another process now answers under the name.
            PeerKind::Oneself => self.kind = PeerKind::Unknown,
            _ if is_target || (is_proved && config.kind.is_none()) => self.kind = PeerKind::Legacy,
            _ => {}
        }
    }

    /// Whether it refused even the widest form, which is then retried hourly.
    pub(super) fn is_refusing_all(&self) -> bool {
        self.refusals >= WIDEST_AFTER + 2
    }

    /// Records an acknowledgement of the legacy form.
    pub(super) fn note_legacy_ack(&mut self) {
        self.evidence.has_ack |= self.evidence.first_absent.is_some();
    }
}

/// The evidence for a legacy server: no identity path, often enough and for long enough, while its
/// invalidate route acknowledges.
#[derive(Debug, Default)]
pub struct LegacyEvidence {
    first_absent: Option<Instant>,
    absent: u32,
    /// Whether it acknowledged a request since the first of these answers.
    has_ack: bool,
}

impl LegacyEvidence {
    /// Records another answer without an identity path. Returns whether it is now proved.
    pub(super) fn note_absent(&mut self, now: Instant) -> bool {
        let first = *self.first_absent.get_or_insert(now);
        self.absent = self.absent.saturating_add(1);
        self.has_ack && self.absent >= LEGACY_AFTER && now - first >= LEGACY_AFTER_TIME
    }

    /// Whether further probes may prove it.
    pub(super) fn is_open(&self) -> bool {
        self.has_ack
    }
}
