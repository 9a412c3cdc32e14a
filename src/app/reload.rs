//! Taking other settings over while everything runs.
//!
//! Settings are read and checked whole before anything is touched; on any problem the instance goes
//! on as it was and says what is wrong. What follows then cannot fail, but for the clients that
//! send, which are therefore built first. One reading at a time, in the order they were asked for.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{mint, network};
use crate::activity::log::Log;
use crate::activity::{Activity, ActivityKind, Level, joined};
use crate::config::{self, Reload, Settings, Sources, Watched};
use crate::deliver;
use crate::net::Network;
use crate::resolve::Rules;
use crate::server::{Control, ReloadOutcome, ReloadRequest};

/// Where settings are read again from, and who receives the problems as text.
#[derive(Clone)]
pub struct Again {
    /// The sources of the first reading.
    pub sources: Sources,
    /// Takes one line for people.
    pub complain: fn(&str),
}

/// What reloading works with.
pub(super) struct Reloader {
    pub again: Again,
    pub running: Settings,
    pub log: Arc<Log>,
    pub network: Arc<Network>,
    pub control: Arc<Control>,
    pub workers: Arc<Mutex<JoinSet<()>>>,
    pub dials: Dials,
}

/// Settings that tasks look at while they run.
pub(super) struct Dials {
    pub alerts: watch::Sender<deliver::alerts::Config>,
    pub metrics_every: watch::Sender<Duration>,
    /// For `restore`.
    pub running: watch::Sender<Settings>,
}

impl Dials {
    pub(super) fn new(settings: &Settings) -> Self {
        let (alerts, _) = watch::channel(settings.alerts.clone());
        let (metrics_every, _) = watch::channel(settings.metrics_every);
        let (running, _) = watch::channel(settings.clone());
        Self { alerts, metrics_every, running }
    }

    fn turn(&self, settings: &Settings) {
        self.alerts.send_replace(settings.alerts.clone());
        self.running.send_replace(settings.clone());
        // A wait that goes on as it was is not begun anew.
        self.metrics_every.send_if_modified(|every| {
            std::mem::replace(every, settings.metrics_every) != settings.metrics_every
        });
    }
}

impl Reloader {
    /// The settings file to be watched, if any.
    pub(super) fn watched(&self) -> Option<&Watched> {
        self.running.instance.watched.as_ref()
    }

    /// Handles reload requests until it is stopped.
    pub(super) async fn run(
        mut self,
        mut asked: mpsc::Receiver<ReloadRequest>,
        stop: CancellationToken,
    ) {
        loop {
            let request = tokio::select! {
                () = stop.cancelled() => return,
                request = asked.recv() => request,
            };
            let Some(ReloadRequest { by, answer }) = request else { return };
            let outcome = self.reload(&by).await;
            drop(answer.send(outcome));
        }
    }

    async fn reload(&mut self, by: &str) -> ReloadOutcome {
        match self.read().await {
            Ok(reload) => self.take_over(reload, by).await,
            Err(problems) => {
                problems.iter().for_each(|problem| self.complain(problem));
                log(
                    Level::Error,
                    "the configuration was not reloaded: all is as it was",
                    by,
                    "refused",
                );
                ReloadOutcome { problems, ..ReloadOutcome::default() }
            }
        }
    }

    /// Everything that can go wrong.
    async fn read(&self) -> Result<(Reload, Rules), Vec<String>> {
        let (sources, running) = (self.again.sources.clone(), self.running.clone());
        let reading = tokio::task::spawn_blocking(move || config::reload(&sources, &running));
        let reload = reading.await.map_err(|error| vec![error.to_string()])?;
        let reload =
            reload.map_err(|all| all.iter().map(ToString::to_string).collect::<Vec<_>>())?;
        let rules = Rules::new(&reload.settings.resolve).map_err(|bad| vec![bad.to_string()])?;
        let wanted = network(&reload.settings);
        if wanted != network(&self.running) {
            self.network.adopt(wanted).map_err(|error| vec![error.to_string()])?;
        }
        Ok((reload, rules))
    }

    async fn take_over(&mut self, (reload, rules): (Reload, Rules), by: &str) -> ReloadOutcome {
        let Reload { settings, changed, needs_restart } = reload;
        let pipeline = &self.control.pipeline;
        self.log.set_level(settings.log.level);
        self.log.set_rotation(settings.log.rotate_bytes, settings.log.rotate_count);
        pipeline.gate.adopt(settings.gate.clone());
        self.control.wait_time_max.set(settings.server.wait_time_max);
        self.control.hooks.adopt(settings.ingest.clone());
        self.control.schedules.adopt(settings.schedules.clone());
        pipeline.hub.adopt(settings.announce.clone());
        if pipeline.adopt_rules(rules) {
            let msg = "names mean other types than before: everything stored here was cleared";
            log(Level::Warn, msg, by, "cleared");
        }
        let mint = mint(&pipeline.gate);
        let deliver = deliver::Config { mint, ..settings.deliver.clone() };
        let mut workers = self.workers.lock().await;
        let adopted = pipeline.delivery.adopt(deliver, &mut workers).await;
        drop(workers);
        if let Err(closed) = adopted {
            log(Level::Warn, &format!("the mirrors stay as they were: {closed}"), by, "stopping");
        }
        self.dials.turn(&settings);
        settings.warnings.iter().for_each(|warning| log(Level::Warn, warning, by, "warning"));
        if settings.not_revalidated != self.running.not_revalidated {
            super::log_not_revalidated(&settings);
        }
        for key in &needs_restart {
            let msg = format!("{key} cannot change while running: restart");
            log(Level::Warn, &msg, by, "needs_restart");
        }
        _ = super::note_in_use(&settings).await;
        log_changed(&changed, by);
        self.running = settings;
        ReloadOutcome { changed, needs_restart, problems: vec![] }
    }

    fn complain(&self, problem: &str) {
        (self.again.complain)(problem);
        Activity {
            level: Level::Error,
            event: ActivityKind::Config,
            msg: problem,
            status: Some("refused"),
            ..Activity::default()
        }
        .emit();
    }
}

fn log_changed(changed: &[String], by: &str) {
    let keys = joined(changed);
    let msg = match changed.len() {
        0 => "configuration read again: nothing changed".to_owned(),
        _ => format!("configuration reloaded: {keys}"),
    };
    log(Level::Info, &msg, by, "reloaded");
}

fn log(level: Level, msg: &str, by: &str, status: &str) {
    Activity {
        level,
        event: ActivityKind::Config,
        msg,
        principal: Some(by),
        status: Some(status),
        ..Activity::default()
    }
    .emit();
}
