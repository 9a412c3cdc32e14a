//! Assembly, and the order of start and stop.
//!
//! Start: settings are valid before anything binds; log, journal, rooms from the ground up,
//! listener last. Stop: accepting ends first, streams are told goodbye, running requests are
//! finished, then the sends in flight, then the journal and the log are flushed. What has no end by
//! the deadline is cut off; the journal's cursors make that harmless. In between, `reload` takes
//! other settings over.

mod reload;
mod restore;
mod vitals;
mod watch;

use std::net::SocketAddr;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use tokio::sync::Mutex;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::activity::log::Log;
use crate::activity::{Activity, ActivityKind, Level};
use crate::announce::{Hub, Tickets};
use crate::config::{InUse, Settings};
use crate::deliver::identity::BootNonce;
use crate::deliver::mirror::Sender;
use crate::deliver::{self, Delivery, KINDS_FILE, Mint, PAUSES_FILE, PeerConfig};
use crate::gate::{Gate, TokenRequest};
use crate::ingest::schedule::Schedules;
use crate::ingest::webhook::Hooks;
use crate::journal::{FileDisk, Flights, Journal, Reconciled, Recovered};
use crate::net::{self, Network, Transport};
use crate::pipeline::Pipeline;
use crate::resolve::Rules;
use crate::server::{Control, Listener, Refusals, ReloadRequest, Reloads, Timings};
use crate::store::Memory;
use crate::support::{Live, LogThrottle, Secret};

pub use reload::Again;
use reload::{Dials, Reloader};

/// A running instance.
pub struct Instance {
    log: Arc<Log>,
    control: Arc<Control>,
    address: SocketAddr,
    server: tokio::task::JoinHandle<()>,
    hub: tokio::task::JoinHandle<()>,
    workers: Arc<Mutex<JoinSet<()>>>,
    stop: Stop,
}

/// The two steps of stopping.
struct Stop {
    listening: CancellationToken,
    working: CancellationToken,
}

impl Instance {
    /// Starts everything; on return every listener accepts.
    ///
    /// # Errors
    /// What could not be opened, built or bound, in words for stderr. Nothing is left running.
    pub async fn start(settings: Settings, again: Again) -> anyhow::Result<Self> {
        let log_file = settings.log.file.display().to_string();
        let log = Log::start(settings.log.clone()).with_context(|| format!("log {log_file}"))?;
        let log = Arc::new(log);
        // A second instance in one process (tests) shares the first one's log.
        drop(log.install());
        let rules = Arc::new(Live::new(Rules::new(&settings.resolve)?));
        let (journal, recovered) = open_journal(&settings).await?;
        let own = Arc::new(BootNonce::draw());
        let network = Arc::new(Network::new(network(&settings))?);
        let end = Arc::clone(&network);
        let pipeline = assemble(&settings, rules, journal, end, Arc::clone(&own))?;
        let pauses = settings.instance.data_dir.join(PAUSES_FILE);
        pipeline.delivery.remember_pauses(pauses, &recovered.reconciled).await;
        pipeline.delivery.remember_kinds(settings.instance.data_dir.join(KINDS_FILE)).await;
        let listener = Listener::bind(settings.server.listen)
            .await
            .with_context(|| format!("control.listen = {}", settings.server.listen))?;
        let address = listener.address();
        let (reloads, asked) = Reloads::channel();
        let control = Arc::new(Control {
            wait_time_max: Live::new(settings.server.wait_time_max),
            reloads,
            config: settings.server.clone(),
            pipeline: Arc::clone(&pipeline),
            own,
            tickets: Tickets::default(),
            hooks: Arc::new(Hooks::new(settings.ingest.clone(), &pipeline.journal)),
            schedules: Arc::new(Schedules::open(settings.schedules.clone(), &pipeline.journal)),
            refusals: Refusals::default(),
            timings: Timings::default(),
            started: Instant::now(),
        });
        let stop = Stop { listening: CancellationToken::new(), working: CancellationToken::new() };
        log_start(&settings, &pipeline, &recovered, address);
        note_in_use(&settings).await;
        let dials = Dials::new(&settings);
        let mut workers = start_workers(&pipeline, &network, &dials, &stop.working);
        let (schedules, clocked) = (Arc::clone(&control.schedules), Arc::clone(&pipeline));
        workers.spawn(schedules.run(clocked, stop.listening.clone()));
        let running = dials.running.subscribe();
        workers.spawn(restore::run(Arc::clone(&control), running, stop.working.clone()));
        let hub = tokio::spawn(pipeline.hub.clone().run(stop.listening.clone()));
        let workers = Arc::new(Mutex::new(workers));
        let reloader = Reloader {
            again,
            running: settings,
            log: Arc::clone(&log),
            network,
            control: Arc::clone(&control),
            workers: Arc::clone(&workers),
            dials,
        };
        start_reloading(reloader, asked, &stop.listening);
        let server = tokio::spawn(listener.serve(Arc::clone(&control), stop.listening.clone()));
        Ok(Self { log, control, address, server, hub, workers, stop })
    }

    /// Where the control API listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Reopens the log file, for rotation from outside.
    pub fn reopen_log(&self) {
        self.log.reopen();
    }

    /// Reads the settings again because somebody asked, and gives what is wrong with them, if
    /// anything.
    pub async fn reload(&self, by: &str) -> Vec<String> {
        self.control.reloads.ask(by).await.unwrap_or_default().problems
    }

    /// Stops in order, within `control.drain_ms_max` for requests and the same again for sends.
    pub async fn stop(self) {
        log_stop("stopping");
        self.stop.listening.cancel();
        let deadline = self.control.config.drain_time_max + Duration::from_secs(1);
        drop(tokio::time::timeout(deadline, self.hub).await);
        drop(tokio::time::timeout(deadline, self.server).await);
        self.stop.working.cancel();
        let mut workers = self.workers.lock().await;
        let finished = async { while workers.join_next().await.is_some() {} };
        if tokio::time::timeout(self.control.config.drain_time_max, finished).await.is_err() {
            workers.shutdown().await;
        }
        self.control.pipeline.journal.close().await;
        log_stop("stopped");
        self.log.shutdown();
    }
}

async fn open_journal(settings: &Settings) -> anyhow::Result<(Journal, Recovered)> {
    let config = settings.journal.clone();
    let listed: Vec<_> = settings.deliver.peers.iter().map(PeerConfig::listed).collect();
    let opening =
        tokio::task::spawn_blocking(move || Journal::open(config, Arc::new(FileDisk), &listed));
    let opened = opening.await?;
    let opened =
        opened.with_context(|| format!("data directory {}", settings.journal.dir.display()))?;
    opened.0.forget_after(settings.deliver.forget_after);
    Ok(opened)
}

fn assemble(
    settings: &Settings,
    rules: Arc<Live<Rules>>,
    journal: Journal,
    network: Arc<Network>,
    own: Arc<BootNonce>,
) -> anyhow::Result<Arc<Pipeline>> {
    let instance = settings.instance.name.clone();
    let sender =
        Sender { instance: instance.clone(), epoch: journal.epoch(), rules: Arc::clone(&rules) };
    let gate = Arc::new(gate(settings)?);
    let deliver = deliver::Config { mint: mint(&gate), ..settings.deliver.clone() };
    let delivery = Delivery::new(deliver, journal.clone(), network, sender, own);
    Ok(Arc::new(Pipeline {
        gate,
        store: Memory::new(settings.store.clone()),
        hub: Hub::new(settings.announce.clone(), instance.clone(), journal.clone()),
        rules,
        journal,
        flights: Flights::default(),
        delivery,
        instance,
    }))
}

/// Writes down what tokens are judged by, for commands on this host: false where it failed. It is
/// tried often while the file is gone, so a failure is logged once a minute.
async fn note_in_use(settings: &Settings) -> bool {
    static THROTTLE: LazyLock<LogThrottle> = LazyLock::new(LogThrottle::default);
    let (in_use, dir) = (InUse::of(settings), settings.instance.data_dir.clone());
    let file = InUse::file(&dir).display().to_string();
    let writing = tokio::task::spawn_blocking(move || in_use.write(&dir)).await;
    let Err(error) = writing.map_err(std::io::Error::other).flatten() else { return true };
    if THROTTLE.is_due(&file, Instant::now()).is_none() {
        return false;
    }
    Activity {
        level: Level::Warn,
        event: ActivityKind::Config,
        msg: "what tokens are judged by cannot be written down: `token mint` may make others",
        error: Some(&format!("{file}: {error}")),
        ..Activity::default()
    }
    .emit();
    false
}

/// The background tasks, until they are stopped.
fn start_workers(
    pipeline: &Arc<Pipeline>,
    network: &Arc<Network>,
    dials: &Dials,
    stop: &CancellationToken,
) -> JoinSet<()> {
    let mut workers = JoinSet::new();
    pipeline.delivery.start(&mut workers, stop);
    let transport: Arc<dyn Transport> = Arc::<Network>::clone(network);
    pipeline.delivery.alert(&dials.alerts.subscribe(), transport, &mut workers, stop);
    workers.spawn(pipeline.store.clone().run_sweeper(stop.clone()));
    workers.spawn(vitals::run(Arc::clone(pipeline), dials.metrics_every.subscribe(), stop.clone()));
    workers
}

/// What reloads the settings, and what asks for it when their file changes.
fn start_reloading(
    reloader: Reloader,
    asked: tokio::sync::mpsc::Receiver<ReloadRequest>,
    stop: &CancellationToken,
) {
    if let Some(watched) = reloader.watched() {
        let reloads = reloader.control.reloads.clone();
        tokio::spawn(watch::run(watched.clone(), reloads, stop.clone()));
    }
    tokio::spawn(reloader.run(asked, stop.clone()));
}

fn gate(settings: &Settings) -> anyhow::Result<Gate> {
    let gate = Gate::new(settings.gate.clone());
    Ok(match settings.keys_network() {
        Some(limits) => gate.fetching_over(Arc::new(Network::new(limits)?)),
        None => gate,
    })
}

/// What we log in with where we are our own issuer is what others log in for here.
fn mint(gate: &Arc<Gate>) -> Mint {
    let gate = Arc::clone(gate);
    Mint::new(move |email, audience| {
        let order = TokenRequest { audience: Some(audience), ..TokenRequest::service(email) };
        let (token, seconds) = gate.issue(&order)?;
        Some((Secret::new(token), Duration::from_secs(seconds)))
    })
}

fn network(settings: &Settings) -> net::Config {
    net::Config {
        timeout: settings.deliver.timeout,
        connect_time_max: settings.deliver.connect_time_max,
        answer_bytes_max: settings.deliver.answer_bytes_max,
    }
}

fn log_start(settings: &Settings, pipeline: &Pipeline, recovered: &Recovered, address: SocketAddr) {
    for warning in &settings.warnings {
        Activity {
            level: Level::Warn,
            event: ActivityKind::Config,
            msg: warning,
            ..Activity::default()
        }
        .emit();
    }
    log_not_revalidated(settings);
    if let Some(damage) = &recovered.damaged {
        Activity {
            level: Level::Error,
            event: ActivityKind::Gap,
            msg: "the journal is damaged: every mirror will be told to clear all",
            error: Some(damage),
            ..Activity::default()
        }
        .emit();
    }
    // Everything is new at the first start.
    let reconciled = Reconciled { added: Vec::new(), ..recovered.reconciled.clone() };
    deliver::log_reconciled(&reconciled, settings.deliver.forget_after);
    Activity {
        event: ActivityKind::Server,
        msg: "started",
        status: Some("started"),
        origin: Some(&pipeline.instance),
        address: Some(&address.to_string()),
        seq: Some(recovered.head),
        events: Some(recovered.events as u64),
        ..Activity::default()
    }
    .emit();
}

/// Logs sites with an incomplete configuration, once for each reading of the settings.
fn log_not_revalidated(settings: &Settings) {
    let Some(missing) = &settings.not_revalidated else { return };
    Activity {
        level: Level::Warn,
        event: ActivityKind::Revalidate,
        msg: "Next.js revalidation not configured",
        url: Some(&missing.url),
        has_secret: Some(missing.has_secret),
        ..Activity::default()
    }
    .emit();
}

fn log_stop(status: &str) {
    Activity {
        event: ActivityKind::Server,
        msg: status,
        status: Some(status),
        ..Activity::default()
    }
    .emit();
}
