//! Decides when a destination is probed, and applies the results. Nothing is decided about an event
//! here.

use std::time::Duration;

use tokio::time::Instant;

use super::identity::{self, ParsedIdentity, ProbeResult};
use super::peer::{ONESELF_AFTER, PeerKind, PeerState};
use super::worker::Worker;
use super::{ConfiguredKind, log};
use crate::net::FailureKind;

/// The time limit of a probe. It may not delay deliveries as long as a delivery may.
const PROBE_TIME_MAX: Duration = Duration::from_secs(3);

impl Worker {
    /// Probes the peer and logs in before the first event, so that the event does not wait for
    /// either. Failures are ignored here: the first attempt repeats and logs them.
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

    /// Probes before the first send. Returns false if the peer cannot be reached, which counts as a
    /// failed attempt.
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

    /// Logs once what is wrong with an identity.
    fn log_problems_of(&self, parsed: &ParsedIdentity) {
        let is_legacy = self.peer.config.kind == Some(ConfiguredKind::Legacy);
        let is_new = |flag: fn(&mut PeerState) -> &mut bool| {
            self.peer.with(|state| !std::mem::replace(flag(state), true))
        };
        if parsed.has_bad_paths && is_new(|state| &mut state.has_logged_bad_paths) {
            log::bad_paths(&self.peer);
        }
        if is_legacy && is_new(|state| &mut state.has_logged_other_kind) {
            log::other_kind(&self.peer);
        }
    }

    /// Probes the peer. If this instance answers, probes again at once: behind a load-balanced name
    /// another instance may answer.
    pub(super) async fn probe(&self) -> Result<(), crate::net::Failure> {
        for _ in 0..ONESELF_AFTER {
            let timeout = self.shared.config.get().timeout.min(PROBE_TIME_MAX);
            let base = &self.peer.config.base;
            let over = self.transport();
            let probed = identity::probe(base, &self.shared.own, timeout, over).await;
            let (answered, address) = match probed {
                Ok(probed) => probed,
                // An endless answer is an answer, but not from a cache-mirror.
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
            if let ProbeResult::CacheMirror(parsed) = &answered {
                self.log_problems_of(parsed);
            }
            let is_news = self.peer.identified(answered);
            if is_news {
                log::identified(&self.peer);
                // Held events may now be sent or skipped, and outcomes change.
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
