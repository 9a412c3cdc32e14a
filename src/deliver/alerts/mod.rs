//! Alerts: a destination keeps failing, has an old backlog, or calls back with what it was sent.
//!
//! One task checks all destinations once a second (`judge`). Each notice becomes a log line, a
//! gauge and, if configured, a message to a webhook (`webhook`). An alert is reported when it
//! begins, then at the configured interval while it lasts, and once when it ends. Deliveries
//! neither wait for alerts nor depend on them.

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
use judge::{AlertJudge, DestinationHealth};
use notice::Notice;
use webhook::Messenger;

/// How often all destinations are checked: far below any threshold, and cheap.
const CHECK_EVERY: Duration = Duration::from_secs(1);
/// Messages that may wait for the webhook; further ones are dropped, and the drop is logged.
const MESSAGES_MAX: usize = 64;

/// Thresholds of the alerts, and where they are sent.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Config {
    /// Consecutive failures of one destination; 0 turns the alert off.
    pub failures: u32,
    /// Age of the oldest event that waits for a destination; zero turns the alert off.
    pub backlog_age_max: Duration,
    /// The interval at which a lasting alert is repeated; zero for never.
    pub repeat_every: Duration,
    /// Where messages are sent, in addition to the log.
    pub webhook: Option<AlertWebhook>,
    /// Signs the messages, so that the receiver can verify their origin.
    pub signer: Option<Signer>,
}

/// A URL that messages are posted to. Its path may be the secret, so it is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct AlertWebhook(Url);

impl AlertWebhook {
    /// Takes a validated URL.
    pub fn new(url: Url) -> Self {
        Self(url)
    }

    /// The part of the URL that may be shown.
    fn host(&self) -> &str {
        self.0.host_str().unwrap_or_default()
    }
}

impl fmt::Debug for AlertWebhook {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "AlertWebhook({})", self.host())
    }
}

/// What an alert is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum AlertKind {
    /// Too many consecutive failures, or refused credentials.
    Failures,
    /// The oldest event has waited too long.
    Backlog,
    /// The destination calls back with what it was sent.
    Echo,
}

impl AlertKind {
    /// All kinds.
    pub const ALL: [Self; 3] = [Self::Failures, Self::Backlog, Self::Echo];

    /// The value in log lines, metrics and messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Failures => "failures",
            Self::Backlog => "backlog",
            Self::Echo => "echo",
        }
    }
}

impl Delivery {
    /// Spawns the alert tasks on `tasks`; they run until `stop`. A change of `config` takes effect
    /// at the next check.
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
        let mut judge = AlertJudge::default();
        // The first check comes later: events that waited while the process was down get time to
        // leave.
        let mut ticks = interval_at(Instant::now() + CHECK_EVERY, CHECK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let config = config.borrow_and_update().clone();
            self.expire_echoes();
            let healths = self.healths();
            for notice in judge.evaluate(&config, &healths, Instant::now(), clock::wall_ms()) {
                notice.log();
                if config.webhook.is_some()
                    && let Err(mpsc::error::TrySendError::Full(notice)) = messages.try_send(notice)
                {
                    notice.log_unsent("too many messages are waiting", 0);
                }
            }
        }
    }

    fn healths(&self) -> Vec<DestinationHealth> {
        self.peers.get().iter().map(|peer| self.health(peer)).collect()
    }

    fn health(&self, peer: &Peer) -> DestinationHealth {
        let backlog = peer.backlog_size(&self.shared.journal);
        let age_ms = backlog.oldest_at_ms.map_or(0, |at| clock::wall_ms().saturating_sub(at));
        peer.with(|state| DestinationHealth {
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
