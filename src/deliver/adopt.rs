//! Applies new settings to the destinations while everything runs.
//!
//! A destination is identified by its name, as its cursor in the journal is. If its URL stays the
//! same, its limit and its account are replaced and its worker continues. If its URL changed, it
//! gets a new worker after the old one's send in flight has ended, and keeps its cursor, as over a
//! restart. A new destination starts at the head. The backlog of a removed one is kept for a while:
//! it may be removed by mistake, or have another name now.

use std::sync::Arc;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::peer::{PauseReason, Peer};
use super::{Config, Delivery, PeerConfig, log};
use crate::journal::WriteRefusal;

/// The new list of destinations, and the workers to start and to stop.
#[derive(Default)]
struct PeerChanges {
    peers: Vec<Arc<Peer>>,
    /// Each with the end of the previous worker of the same name, if there is one.
    starting: Vec<(Arc<Peer>, Option<CancellationToken>)>,
    stopping: Vec<Arc<Peer>>,
}

impl Delivery {
    /// Applies this configuration. Workers of new destinations run on `tasks`.
    ///
    /// # Errors
    /// [`JournalRefusal::Closed`] if the journal is closed: the instance is stopping.
    pub async fn adopt(&self, config: Config, tasks: &mut JoinSet<()>) -> Result<(), WriteRefusal> {
        self.shared.kinds.configure(&config.peers);
        let change = self.compare(&config);
        let names: Vec<_> = config.peers.iter().map(PeerConfig::destination).collect();
        let listed: Vec<_> = config.peers.iter().map(PeerConfig::listed).collect();
        self.shared.journal.forget_after(config.forget_after);
        // A destination is listed only while the journal knows it. So events that are accepted
        // meanwhile are kept for it, and no destination is listed without its backlog.
        self.peers.set(self.without_gone(&names));
        self.shared.echo.keep(&names);
        let reconciled = self.shared.journal.reconfigure(listed).await?;
        self.update_running(&change, &config);
        self.shared.echo.adopt(config.echo_window, config.echo);
        let forget_after = config.forget_after;
        self.shared.config.set(config);
        self.peers.set(change.peers);
        change.stopping.iter().for_each(|peer| peer.end());
        for (peer, before) in change.starting {
            if before.is_some() {
                log::moved(&peer);
            }
            if let Some(stop) = self.stop.get() {
                self.start_one(&peer, before, tasks, stop);
            }
        }
        self.pause_returned(&reconciled).await;
        self.keep_pauses().await;
        log::reconciled(&reconciled, forget_after);
        Ok(())
    }

    fn without_gone(&self, names: &[String]) -> Vec<Arc<Peer>> {
        let peers = self.peers.get();
        peers.iter().filter(|peer| names.contains(&peer.destination)).cloned().collect()
    }

    fn compare(&self, config: &Config) -> PeerChanges {
        let before = self.shared.config.get();
        let mut change = PeerChanges::default();
        for wanted in &config.peers {
            let known = before.peers.iter().find(|known| known.name == wanted.name);
            let peer = self.find(&wanted.name);
            let peer = match (peer, known) {
                (Some(peer), Some(known)) if is_same_destination(known, wanted) => peer,
                (old, _) => {
                    let new = Arc::new(Peer::new(wanted.clone(), config));
                    self.shared.kinds.recall(&new);
                    change.starting.push((Arc::clone(&new), old.as_ref().map(|o| o.ended.clone())));
                    if let Some(old) = old {
                        new.take_over(&old);
                        change.stopping.push(old);
                    }
                    new
                }
            };
            change.peers.push(peer);
        }
        let is_wanted = |peer: &Peer| config.peers.iter().any(|w| w.name == peer.config.name);
        let peers = self.peers.get();
        change.stopping.extend(peers.iter().filter(|peer| !is_wanted(peer)).cloned());
        change
    }

    /// Applies the limits and accounts to the destinations that stay at their URL. A new password
    /// must not be sent to the old URL of one that moved.
    fn update_running(&self, change: &PeerChanges, config: &Config) {
        let before = self.shared.config.get();
        for wanted in &config.peers {
            let Some(peer) = self.find(&wanted.name) else { continue };
            if !change.peers.iter().any(|stays| Arc::ptr_eq(stays, &peer)) {
                continue;
            }
            let configured = before.peers.iter().find(|known| known.name == wanted.name);
            peer.relimit(wanted, configured);
            if peer.account.adopt(wanted.login.clone(), config.mint.clone(), config.timeout) {
                // A pause because of the old credentials ends.
                peer.retry();
            }
        }
    }
}

impl Peer {
    fn end(&self) {
        if let Some(stop) = self.stop.get() {
            stop.cancel();
        }
    }

    /// Applies the configured limit, also over one that an operator set.
    fn relimit(&self, wanted: &PeerConfig, configured: Option<&PeerConfig>) {
        let now = self.limiter.limit();
        let limit = (wanted.rate_per_second, wanted.burst);
        if now == limit {
            return;
        }
        self.limiter.change(limit.0, limit.1);
        let is_operators = configured.is_none_or(|c| (c.rate_per_second, c.burst) != now);
        log::relimited(&self.config.name, now, limit, is_operators);
    }

    /// Keeps an operator's pause when the URL changes.
    fn take_over(&self, old: &Self) {
        if old.with(|state| state.pause) == Some(PauseReason::Operator) {
            self.pause();
        }
    }
}

/// Whether only settings differ that a running worker can apply.
fn is_same_destination(known: &PeerConfig, wanted: &PeerConfig) -> bool {
    let exchanged = PeerConfig {
        rate_per_second: wanted.rate_per_second,
        burst: wanted.burst,
        login: wanted.login.clone(),
        ..known.clone()
    };
    exchanged == *wanted
}
