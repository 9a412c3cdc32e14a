//! Asking who is at the other end: when, and what the answers come to.
//! Nothing is decided here about an event; what is not known yet is asked again.

use std::time::Duration;

use tokio::time::Instant;

use super::identity::{self, ParsedIdentity, ProbeResult};
use super::peer::{ONESELF_AFTER, PeerKind, PeerState};
use super::worker::Worker;
use super::{ConfiguredKind, log};
use crate::net::FailureKind;

/// A probe is a small question: it may not hold deliveries as long as a delivery may.
const PROBE_TIME_MAX: Duration = Duration::from_secs(3);

impl Worker {
    /// Asks who the peer is and logs in ahead of the first event, so that it need not wait for
    /// either. Failures count for nothing here: the first attempt repeats them and tells.
    pub(super) async fn probe_and_log_in(&self) {
        tokio::select! {
            () = self.stop.cancelled() => {}
            () = async {
                if !self.peer.config.class.is_probed() {
                    return;
                }
                let is_known = self.probe().await.is_ok();
                let is_other = !matches!(self.peer.kind(), PeerKind::Oneself);
                if is_known && is_other && self.peer.is_mirror() {
                    drop(self.token().await);
                }
            } => {}
        }
    }

    pub(super) fn is_probe_due(&self) -> bool {
        self.peer.config.class.is_probed() && self.next_probe() <= Instant::now()
    }

    pub(super) fn next_probe(&self) -> Instant {
        self.peer.next_probe(self.shared.config.get().probe_every)
    }

    /// Asks before the first send; false where the peer cannot be reached at all, which counts as
    /// the failed attempt that it is.
    pub(super) async fn probe_before_sending(&self) -> bool {
        match self.probe().await {
            Err(failure) if matches!(failure.kind, FailureKind::Connect | FailureKind::Address) => {
                if let Some(backlog) = self.take().or_else(|| self.take_from(0)) {
                    self.not_reached(&backlog, &failure);
                }
                false
            }
            _ => true,
        }
    }

    /// Says once what is odd about an identity.
    fn warn_of(&self, said: &ParsedIdentity) {
        let is_legacy = self.peer.config.kind == Some(ConfiguredKind::Legacy);
        let is_new = |flag: fn(&mut PeerState) -> &mut bool| {
            self.peer.with(|state| !std::mem::replace(flag(state), true))
        };
        if said.has_bad_paths && is_new(|state| &mut state.has_logged_bad_paths) {
            log::bad_paths(&self.peer);
        }
        if is_legacy && is_new(|state| &mut state.has_logged_other_kind) {
            log::other_kind(&self.peer);
        }
    }

    /// Asks who the peer is. Where ourselves answer, asks again at once: behind a balanced name
    /// somebody else may.
    pub(super) async fn probe(&self) -> Result<(), crate::net::Failure> {
        for _ in 0..ONESELF_AFTER {
            let timeout = self.shared.config.get().timeout.min(PROBE_TIME_MAX);
            let base = &self.peer.config.base;
            let over = self.transport();
            let probed = identity::probe(base, &self.shared.own, timeout, over).await;
            let (answered, address) = match probed {
                Ok(probed) => probed,
                // An endless answer is an answer, and not a cache-mirror's.
                Err(failure) if failure.kind == FailureKind::TooLarge => {
                    (ProbeResult::Unclear { is_another: true }, None)
                }
                Err(failure) => {
                    self.peer.not_identified(failure.kind == FailureKind::Timeout);
                    return Err(failure);
                }
            };
            self.peer.note_address(address);
            let is_oneself = matches!(answered, ProbeResult::Oneself);
            let is_cache_mirror = matches!(answered, ProbeResult::CacheMirror(_));
            if let ProbeResult::CacheMirror(said) = &answered {
                self.warn_of(said);
            }
            let is_news = self.peer.identified(answered);
            if is_news {
                log::identified(&self.peer);
                // What was held may be sent or skipped now, and outcomes are others.
                self.peer.wake.notify_one();
                self.shared.journal.wake_waiters();
            }
            if is_cache_mirror && self.peer.is_mirror() {
                self.shared.kinds.note(&self.peer);
            }
            if !is_oneself {
                break;
            }
        }
        Ok(())
    }
}
