//! Other mirrors, and other settings for those that stay, while everything runs.
//!
//! A mirror is known by its name, as its cursor in the journal is. One that stays where it is goes
//! on undisturbed: its limit and its account are exchanged under its worker, which keeps what it
//! has in hand. One that moved to another URL gets a worker anew, once the old one's send in flight
//! has ended, and keeps its cursor, as over a restart. One that is new starts at the head. What one
//! that is gone is owed is kept for a while: it may be gone by mistake, or have another name now.

use std::sync::Arc;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::peer::{PauseReason, Peer};
use super::{Config, Delivery, PeerConfig, log};
use crate::journal::WriteRefusal;

/// The mirrors to be, and what becomes of the workers.
#[derive(Default)]
struct PeerChanges {
    peers: Vec<Arc<Peer>>,
    /// Each with the end of its predecessor, where it has one.
    starting: Vec<(Arc<Peer>, Option<CancellationToken>)>,
    stopping: Vec<Arc<Peer>>,
}

impl Delivery {
    /// Goes on with this configuration; workers of new mirrors run on `tasks`.
    ///
    /// # Errors
    /// [`WriteRefusal::Closed`] where the journal is closed: the instance is stopping.
    pub async fn adopt(&self, config: Config, tasks: &mut JoinSet<()>) -> Result<(), WriteRefusal> {
        self.shared.kinds.configure(&config.peers);
        let change = self.compare(&config);
        let names: Vec<_> = config.peers.iter().map(PeerConfig::destination).collect();
        let listed: Vec<_> = config.peers.iter().map(PeerConfig::listed).collect();
        self.shared.journal.forget_after(config.forget_after);
        // A mirror is listed only while the journal knows it: what is accepted meanwhile is owed to
        // it, and nobody is told of a mirror that nothing is owed to.
        self.peers.set(self.without_gone(&names));
        self.shared.echo.keep(&names);
        let reconciled = self.shared.journal.reconfigure(listed).await?;
        self.keep_going(&change, &config);
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
                (Some(peer), Some(known)) if is_same_place(known, wanted) => peer,
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

    /// Hands their limits and accounts to the mirrors that stay where they are. One that moved must
    /// not see a new password at its old place.
    fn keep_going(&self, change: &PeerChanges, config: &Config) {
        let before = self.shared.config.get();
        for wanted in &config.peers {
            let Some(peer) = self.find(&wanted.name) else { continue };
            if !change.peers.iter().any(|stays| Arc::ptr_eq(stays, &peer)) {
                continue;
            }
            let configured = before.peers.iter().find(|known| known.name == wanted.name);
            peer.relimit(wanted, configured);
            if peer.account.adopt(wanted.login.clone(), config.mint.clone(), config.timeout) {
                // Whatever held it for its credentials is to be tried anew.
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

    /// The configured limit, also over one that an operator set.
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

    /// An operator's pause is about the mirror, wherever it is.
    fn take_over(&self, old: &Self) {
        if old.with(|state| state.pause) == Some(PauseReason::Operator) {
            self.pause();
        }
    }
}

/// Whether nothing differs but what can be exchanged under a running worker.
fn is_same_place(known: &PeerConfig, wanted: &PeerConfig) -> bool {
    let exchanged = PeerConfig {
        rate_per_second: wanted.rate_per_second,
        burst: wanted.burst,
        login: wanted.login.clone(),
        ..known.clone()
    };
    exchanged == *wanted
}
