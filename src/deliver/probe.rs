//! Asking who is at the other end: when, and what the answers come to.
//! Nothing is decided here about an event; what is not known yet is asked again.

use std::time::Duration;

use super::identity::{self, Answered};
use super::peer::{Kind, ONESELF_AFTER};
use super::tell;
use super::worker::Worker;
use crate::net::FailureKind;

/// A probe is a small question: it may not hold deliveries as long as a delivery may.
const PROBE_TIME_MAX: Duration = Duration::from_secs(3);

impl Worker {
    /// Asks who the peer is and logs in ahead of the first event, so that it need not wait for
    /// either. Failures count for nothing here: the first attempt repeats them and tells.
    pub(super) async fn introduce(&self) {
        tokio::select! {
            () = self.stop.cancelled() => {}
            () = async {
                if !self.peer.config.errand.is_probed() {
                    return;
                }
                let is_known = self.probe().await.is_ok();
                let is_other = !matches!(self.peer.kind(), Kind::Oneself);
                if is_known && is_other && self.peer.is_mirror() {
                    drop(self.token().await);
                }
            } => {}
        }
    }

    pub(super) fn is_probe_due(&self) -> bool {
        let every = self.shared.config.get().probe_every;
        self.peer.config.errand.is_probed() && self.peer.is_probe_due(every)
    }

    /// Asks before the first send; false where the peer cannot be reached at all, which counts as
    /// the failed attempt that it is.
    pub(super) async fn probe_before_sending(&self) -> bool {
        match self.probe().await {
            Err(failure) if matches!(failure.kind, FailureKind::Connect | FailureKind::Address) => {
                if let Some(backlog) = self.take() {
                    self.not_reached(&backlog, &failure);
                }
                false
            }
            _ => true,
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
                Err(failure) if failure.kind == FailureKind::TooLarge => (Answered::Legacy, None),
                Err(failure) => {
                    self.peer.not_identified(failure.kind == FailureKind::Timeout);
                    return Err(failure);
                }
            };
            self.peer.met(address);
            let is_oneself = matches!(answered, Answered::Oneself);
            if self.peer.identified(answered) {
                tell::identified(&self.peer);
            }
            if !is_oneself {
                break;
            }
        }
        Ok(())
    }
}
