//! Alerts: somebody is told when a destination keeps failing, or when what it is owed grows old.
//!
//! One task looks at all destinations once a second and judges (`judge`); whatever it finds is a
//! log line, a gauge and, where one is configured, a message to a webhook (`webhook`). Each alert
//! is told once, again at the pace that was asked for while it lasts, and once when it is over.
//! Nothing here is waited for by a delivery, and nothing here changes one.

mod judge;
mod notice;
mod webhook;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use tokio_util::sync::CancellationToken;
use url::Url;

use super::peer::{PauseReason, Peer, PeerKind};
use super::{Delivery, Signer};
use crate::net::Transport;
use crate::support::clock;
use judge::{Judge, Sight};
use notice::Notice;
use webhook::Messenger;

/// How often all destinations are looked at: far below any threshold, and little work.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Messages that may wait for the webhook; further ones are dropped and told in the log.
const MESSAGES_MAX: usize = 64;

/// When somebody is to be told, and where.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Config {
    /// Failures in a row of one destination; 0 for never.
    pub failures: u32,
    /// Age of the oldest event that waits for a destination; zero for never.
    pub backlog_age_max: Duration,
    /// How long after it was told an alert that lasts is told again; zero for never.
    pub repeat_every: Duration,
    /// Where messages go, beside the log.
    pub webhook: Option<Webhook>,
    /// Shows whoever gets them that they are ours.
    pub signer: Option<Signer>,
}

/// A URL that messages are posted to. Its path may be all the secret there is, so it is not shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Webhook(Url);

impl Webhook {
    /// A checked URL.
    pub fn new(url: Url) -> Self {
        Self(url)
    }

    /// The part that may be shown.
    fn host(&self) -> &str {
        self.0.host_str().unwrap_or_default()
    }
}

impl fmt::Debug for Webhook {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Webhook({})", self.host())
    }
}

/// What is told about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Alert {
    /// Too many failures in a row, or credentials that are refused.
    Failures,
    /// The oldest event waits too long.
    Backlog,
    /// It calls back with what it is sent.
    Echo,
}

impl Alert {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Failures, Self::Backlog, Self::Echo];

    /// The word in log lines, metrics and messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Failures => "failures",
            Self::Backlog => "backlog",
            Self::Echo => "echo",
        }
    }
}

impl Delivery {
    /// Watches all destinations on `tasks` until `stop`; what `config` holds counts from the next
    /// look on.
    pub fn alert(
        &self,
        config: &watch::Receiver<Config>,
        transport: Arc<dyn Transport>,
        tasks: &mut JoinSet<()>,
        stop: &CancellationToken,
    ) {
        let (messages, waiting) = mpsc::channel(MESSAGES_MAX);
        let instance = self.shared.sender.instance.clone();
        let messenger = Messenger { config: config.clone(), transport, instance };
        let ended = stop.clone();
        tasks.spawn(async move {
            tokio::select! {
                () = ended.cancelled() => {}
                () = messenger.run(waiting) => {}
            }
        });
        let (delivery, config, stop) = (self.clone(), config.clone(), stop.clone());
        tasks.spawn(async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = delivery.watch_over(config, messages) => {}
            }
        });
    }

    async fn watch_over(self, mut config: watch::Receiver<Config>, messages: mpsc::Sender<Notice>) {
        let mut judge = Judge::default();
        // Not at once: what waited while we were away gets a moment to leave.
        let mut looks = interval_at(Instant::now() + LOOK_EVERY, LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            looks.tick().await;
            let config = config.borrow_and_update().clone();
            self.look_for_echoes();
            let sights = self.sights();
            for notice in judge.look(&config, &sights, Instant::now(), clock::wall_ms()) {
                notice.log();
                if config.webhook.is_some()
                    && let Err(mpsc::error::TrySendError::Full(notice)) = messages.try_send(notice)
                {
                    notice.log_unsent("too many messages wait", 0);
                }
            }
        }
    }

    fn sights(&self) -> Vec<Sight> {
        self.peers.get().iter().map(|peer| self.sight(peer)).collect()
    }

    fn sight(&self, peer: &Peer) -> Sight {
        let backlog = peer.backlog_size(&self.shared.journal);
        let age_ms = backlog.oldest_at_ms.map_or(0, |at| clock::wall_ms().saturating_sub(at));
        peer.with(|state| Sight {
            destination: peer.destination.clone(),
            name: peer.config.name.clone(),
            is_mirror: peer.is_mirror(),
            is_oneself: matches!(state.kind, PeerKind::Oneself),
            is_echoing: self.shared.echo.is_echoing(&peer.destination),
            is_refused: matches!(state.pause, Some(PauseReason::Auth | PauseReason::NoCredentials)),
            failures: state.failures,
            delivered: state.delivered,
            backlog_events: backlog.events,
            backlog_age: Duration::from_millis(age_ms),
            last_error: state.last_error.clone(),
        })
    }
}
