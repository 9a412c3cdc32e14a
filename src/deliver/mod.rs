//! Delivers events to destinations, at least once. A destination is a mirror or a target. Each has
//! one worker, one limiter and one breaker.
//!
//! A delivery reads the journal, never the request. Invariants: a cursor moves only on an
//! acknowledgement; no destination delays another; a destination is skipped as this instance only
//! on proof; a limit, a back-off or a pause drops nothing.

mod adopt;
pub mod alerts;
mod config;
mod credentials;
mod dry_run;
mod echo;
mod encoded;
mod evidence;
mod explain;
mod hello;
pub mod identity;
mod kinds;
mod legacy;
mod limiter;
mod log;
mod lookup;
pub mod mirror;
mod outage;
mod partial;
mod pauses;
mod peer;
mod ping;
mod probe;
mod send;
mod signature;
mod skew;
mod streak;
pub mod targets;
mod throttle;
mod verdict;
mod view;
mod worker;

use std::net::IpAddr;
use std::sync::{Arc, OnceLock};

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub use config::{
    Config, ConfiguredKind, Credentials, DestinationClass, Login, LoginMethod, LoginRequest, Mint,
    PeerConfig, WidenedAll,
};
pub use echo::EchoCaller;
pub use hello::{HELLO_PATH, Hello, HelloAnswer};
pub use kinds::KINDS_FILE;
pub use limiter::Limiter;
pub use log::reconciled as log_reconciled;
pub use pauses::PAUSES_FILE;
pub use ping::Pinger;
pub use signature::Signer;
pub use targets::EVENT_IDS;
pub use worker::{INVALIDATE_PATH, VIA};

use crate::domain::{Event, Selector, Selectors, Status};
use crate::journal::Journal;
use crate::net::Transport;
use crate::support::{Live, Secret};
use crate::wire::{AddressOutcome, DeliveryOutcome, DestinationView, RemovedDestination};
use echo::Echo;
use encoded::EncodedBacklogs;
use identity::BootNonce;
use kinds::Kinds;
use mirror::{Sender, legacy_form};
use partial::{EventProgress, is_asked_for};
use pauses::Pauses;
use peer::{Peer, PeerKind, PeerState};
use targets::Target;
use worker::Worker;

/// The path of the login at every instance.
pub const LOGIN_PATH: &str = "/api/auth/login";

/// What all workers share.
struct Shared {
    config: Live<Config>,
    journal: Journal,
    transport: Arc<dyn Transport>,
    sender: Sender,
    own: Arc<BootNonce>,
    echo: Echo,
    encoded_backlogs: EncodedBacklogs,
    pauses: Pauses,
    pace: outage::CheckPace,
    kinds: Arc<Kinds>,
}

impl Shared {
    /// The client of this peer: its own if it has certificates of its own, else the shared one.
    fn transport_to<'a>(&'a self, peer: &'a Peer) -> &'a dyn Transport {
        match &peer.config.network {
            Some(own) => &**own,
            None => &*self.transport,
        }
    }

    /// Whether the legacy form can express at least one of the selectors.
    fn has_legacy_form(&self, selectors: &Selectors) -> bool {
        let types = self.sender.known_types();
        !legacy_form(selectors, &types).requests.is_empty()
    }

    /// Why a legacy peer gets only a part of the selectors, or nothing; `None` if it gets all.
    fn legacy_gap(&self, selectors: &Selectors) -> Option<&'static str> {
        let form = legacy_form(selectors, &self.sender.known_types());
        match (form.requests.is_empty(), form.unsupported.is_empty()) {
            (true, _) => Some(targets::UNSUPPORTED),
            (false, false) => Some(targets::PARTLY_UNSUPPORTED),
            (false, true) => None,
        }
    }

    /// Whether the legacy form expresses all selectors, for a legacy peer and for a cache-mirror.
    fn fits_legacy_form(&self, selectors: &Selectors) -> bool {
        !selectors.is_all() && legacy_form(selectors, &[]).unsupported.is_empty()
    }
}

impl AddressOutcome {
    fn of((address, error): &(IpAddr, Option<String>)) -> Self {
        let status = if error.is_none() { Status::Delivered } else { Status::Failed };
        Self { address: *address, status, error: error.clone() }
    }
}

/// All destinations.
#[derive(Clone)]
pub struct Delivery {
    shared: Arc<Shared>,
    peers: Arc<Live<Vec<Arc<Peer>>>>,
    /// Stops every worker. Set by [`Delivery::start`].
    stop: Arc<OnceLock<CancellationToken>>,
}

impl Delivery {
    /// Prepares every destination. Nothing is sent before [`Delivery::start`].
    pub fn new(
        config: Config,
        journal: Journal,
        transport: Arc<dyn Transport>,
        sender: Sender,
        own: Arc<BootNonce>,
    ) -> Self {
        let peers: Vec<_> =
            config.peers.iter().map(|peer| Arc::new(Peer::new(peer.clone(), &config))).collect();
        let kinds = Arc::<Kinds>::default();
        kinds.configure(&config.peers);
        let echo = Echo::new(config.echo_window, config.echo);
        let config = Live::new(config);
        let encoded_backlogs = EncodedBacklogs::default();
        let pauses = Pauses::default();
        let pace = outage::CheckPace::default();
        let shared = Shared {
            config,
            journal,
            transport,
            sender,
            own,
            echo,
            encoded_backlogs,
            pauses,
            pace,
            kinds,
        };
        let peers = Arc::new(Live::new(peers));
        Self { shared: Arc::new(shared), peers, stop: Arc::default() }
    }

    /// Starts the workers on `tasks`. Each ends after `stop` and after its send in flight.
    pub fn start(&self, tasks: &mut JoinSet<()>, stop: &CancellationToken) {
        let stop = self.stop.get_or_init(|| stop.clone());
        for peer in self.peers.get().iter() {
            self.start_one(peer, None, tasks, stop);
            if peer.is_mirror() {
                let shared = Arc::clone(&self.shared);
                tasks.spawn(hello::announce(Arc::clone(peer), shared, stop.clone()));
            }
        }
    }

    /// Starts one worker after the previous worker of the same name has ended: two workers would
    /// send the same events.
    fn start_one(
        &self,
        peer: &Arc<Peer>,
        before: Option<CancellationToken>,
        tasks: &mut JoinSet<()>,
        stop: &CancellationToken,
    ) {
        let stop = peer.stop.get_or_init(|| stop.child_token()).clone();
        let transport = Arc::clone(&self.shared.transport);
        let over = skew::WatchedTransport::new(transport, Arc::clone(peer));
        let worker =
            Worker { peer: Arc::clone(peer), shared: Arc::clone(&self.shared), stop, over };
        let ended = peer.ended.clone().drop_guard();
        tasks.spawn(async move {
            let _ended = ended;
            if let Some(before) = before {
                before.cancelled().await;
            }
            worker.run().await;
        });
    }

    /// The state of an event at every mirror.
    pub fn outcomes(&self, event: &Event) -> Vec<DeliveryOutcome> {
        let peers = self.peers.get();
        let mirrors = peers.iter().filter(|peer| peer.is_mirror());
        mirrors.map(|peer| self.outcome(peer, event)).collect()
    }

    /// The state of an event at every target.
    pub fn target_outcomes(&self, event: &Event) -> Vec<DeliveryOutcome> {
        let peers = self.peers.get();
        let targets = peers.iter().filter(|peer| !peer.is_mirror());
        targets.map(|peer| self.outcome(peer, event)).collect()
    }

    fn outcome(&self, peer: &Peer, event: &Event) -> DeliveryOutcome {
        let is_done = self.shared.journal.has(&peer.destination, event.seq);
        let is_held = !is_done && self.is_held(peer, event);
        let target = peer.config.class.target();
        let skip_reason = target.and_then(|target| target.reason_skipped(event));
        peer.with(|state| {
            let progress = match is_done || is_held {
                true => EventProgress::Ahead,
                false => self.progress_of(state, peer, event),
            };
            let is_done = is_done || progress == EventProgress::Settled;
            let is_legacy = peer.is_mirror() && matches!(state.kind, PeerKind::Legacy);
            let (status, reason) = match &state.kind {
                PeerKind::Oneself => (Status::Oneself, None),
                _ if !peer.is_mirror() && !event.is_for_targets() => {
                    (Status::Skipped, Some("ends_here".to_owned()))
                }
                _ if is_done && is_legacy => {
                    let gap = self.shared.legacy_gap(&event.demand.selectors());
                    let status = match gap {
                        Some(targets::UNSUPPORTED) => Status::Skipped,
                        _ => Status::Delivered,
                    };
                    (status, gap.map(str::to_owned))
                }
                _ if is_done && skip_reason.is_some() => {
                    (Status::Skipped, skip_reason.map(str::to_owned))
                }
                _ if is_done => {
                    let is_partly = target.is_some_and(|it| it.omits_part(event));
                    let reason = is_partly.then(|| targets::PARTLY_UNSUPPORTED.to_owned());
                    (Status::Delivered, reason)
                }
                _ => match state.pause {
                    Some(pause) => (Status::Paused, Some(pause.as_str().to_owned())),
                    None if is_held => (Status::Queued, Some("echo".to_owned())),
                    None => waiting_status(&progress, state.failures),
                },
            };
            let is_waiting_alone = matches!(progress, EventProgress::Waiting { attempts: 1.., .. });
            let (attempts, last_error) = match progress {
                EventProgress::Waiting { attempts: attempts @ 1.., error, .. } => (attempts, error),
                EventProgress::Held => (0, None),
                _ => (state.failures, state.last_error.clone()),
            };
            let waits = matches!(status, Status::Failed | Status::Paused | Status::Queued);
            DeliveryOutcome {
                peer: peer.config.name.clone(),
                status,
                reason,
                state: None,
                attempts: (waits && attempts > 0).then(|| match is_waiting_alone {
                    true => attempts,
                    false => state.streak.attempts(event.seq),
                }),
                last_error: last_error.filter(|_| waits),
                addresses: match status {
                    Status::Delivered | Status::Failed => {
                        state.address_errors.iter().map(AddressOutcome::of).collect()
                    }
                    _ => vec![],
                },
            }
        })
    }

    /// Whether the event is held because it looks like an echo of this destination.
    fn is_held(&self, peer: &Peer, event: &Event) -> bool {
        self.shared.echo.is_held(&peer.destination, event.id)
            || self.shared.journal.is_held(&peer.destination, event.seq)
    }

    /// The state of an event at a destination whose requests settle separately.
    fn progress_of(&self, state: &PeerState, peer: &Peer, event: &Event) -> EventProgress {
        match peer.config.class.target() {
            None if matches!(state.kind, PeerKind::Unknown | PeerKind::Legacy) => {
                self.mirror_progress(state, event)
            }
            Some(target) if event.is_for_targets() => target_progress(state, target, event),
            _ => EventProgress::Ahead,
        }
    }

    /// The state of an event at a mirror that gets the legacy form.
    fn mirror_progress(&self, state: &PeerState, event: &Event) -> EventProgress {
        let selectors = event.demand.selectors();
        let is_unknown = matches!(state.kind, PeerKind::Unknown);
        let is_expressible = || !is_unknown || self.shared.fits_legacy_form(&selectors);
        let is_asked = |request: &Selector| is_asked_for(request, &selectors);
        match state.partial.progress(event.seq, is_asked, is_expressible) {
            EventProgress::Ahead if is_unknown && !is_expressible() => EventProgress::Held,
            progress => progress,
        }
    }

    /// Every destination as an operator sees it.
    pub fn view(&self) -> Vec<DestinationView> {
        self.peers.get().iter().map(|peer| DestinationView::of(peer, &self.shared)).collect()
    }

    /// Destinations that the settings no longer name, and the size of the backlog kept for each.
    pub fn removed(&self) -> Vec<RemovedDestination> {
        let forget_after = self.shared.config.get().forget_after;
        let removed = self.shared.journal.removed();
        removed.iter().map(|removed| RemovedDestination::of(removed, forget_after)).collect()
    }

    /// The names of all destinations.
    pub fn names(&self) -> Vec<String> {
        self.peers.get().iter().map(|peer| peer.config.name.clone()).collect()
    }

    /// All known secrets of revalidation routes: those that callers send here, and those that we
    /// send.
    pub fn revalidate_secrets(&self) -> Vec<Secret> {
        self.shared.config.get().known_revalidate_secrets()
    }

    fn find(&self, name: &str) -> Option<Arc<Peer>> {
        self.peers.get().iter().find(|peer| peer.config.name == name).cloned()
    }

    /// Pauses a destination. Returns false if no destination has this name. Call
    /// [`Delivery::keep_pauses`] to keep the pause over a restart.
    pub fn pause(&self, name: &str) -> bool {
        self.find(name).map(|peer| peer.pause()).is_some()
    }

    /// Resumes a destination at once.
    pub fn resume(&self, name: &str) -> bool {
        self.find(name).map(|peer| peer.resume()).is_some()
    }

    /// Tries a destination now.
    pub fn retry(&self, name: &str) -> bool {
        self.find(name).map(|peer| peer.retry()).is_some()
    }

    /// Changes a destination's limit until the next restart or reload. A missing value stays as it
    /// is. Returns the limit that now applies.
    pub fn limit(&self, name: &str, rate: Option<f64>, burst: Option<u32>) -> Option<(f64, u32)> {
        let peer = self.find(name)?;
        let (old_rate, old_burst) = peer.limiter.limit();
        peer.limiter.change(rate.unwrap_or(old_rate), burst.unwrap_or(old_burst));
        Some(peer.limiter.limit())
    }
}

/// The status of a waiting event, and the reason.
fn waiting_status(progress: &EventProgress, failures: u32) -> (Status, Option<String>) {
    match progress {
        EventProgress::Held => (Status::Queued, Some("unknown_kind".to_owned())),
        EventProgress::Waiting { is_parked: true, .. } => {
            (Status::Failed, Some("refused".to_owned()))
        }
        EventProgress::Waiting { attempts: 1.., .. } => (Status::Failed, None),
        _ if failures > 0 => (Status::Failed, None),
        _ => (Status::Queued, None),
    }
}

/// The state of an event at a target, whose calls settle separately.
fn target_progress(state: &PeerState, target: &Target, event: &Event) -> EventProgress {
    if state.calls.pending().is_empty() {
        return state.calls.progress(event.seq, |_| false, || true);
    }
    state.calls.progress(event.seq, targets::needed_by(target, event), || true)
}

#[cfg(test)]
mod tests;
