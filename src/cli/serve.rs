//! `serve`: runs an instance until it is stopped.
//!
//! When it accepts calls, one line on stdout names the address: scripts wait for it. systemd is
//! notified too (`service`). A second signal ends the process at once.

use std::io::Read;

use clap::Args as ClapArgs;
use serde_json::json;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Notify, oneshot};

use super::settings::SettingsArgs;
use super::{Exit, print, service};
use crate::activity::log_path::LogPathKind;
use crate::app::{Again, Instance};
use crate::config::Settings;
use crate::deliver::PeerConfig;

pub const EXAMPLES: &str = "\
Examples:
  cache-mirror serve
  CACHE_MIRRORS=https://eu.example.org,https://us.example.org cache-mirror serve
  cache-mirror serve --set control.listen=127.0.0.1:0 --set graph.preset=polymech";

/// Names of destinations that a start shows.
const NAMES_MAX: usize = 8;

/// Arguments of `serve`.
#[derive(Debug, ClapArgs)]
pub struct Args {
    #[command(flatten)]
    settings: SettingsArgs,
    /// Stop when stdin ends, which is when the parent process ends
    #[arg(long, hide = true)]
    stop_with_stdin: bool,
}

/// Runs the instance.
pub fn run(args: &Args, is_json: bool) -> Result<(), Exit> {
    let again = Again { sources: args.settings.sources()?, complain };
    let mut settings = args.settings.settings()?;
    let start = Start::of(&settings);
    let ground = settings.ground();
    if !ground.refused.is_empty() {
        return Err(Exit::Config(ground.refused.iter().map(ToString::to_string).collect()));
    }
    for warning in ground.warnings {
        print::talk(format_args!("warning: {}", print::safe(&warning)));
        settings.warnings.push(warning);
    }
    settings.complete().map_err(|problem| Exit::Config(vec![problem.to_string()]))?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Exit::Failed(format!("cannot start the runtime: {error}")))?;
    runtime.block_on(serve(settings, again, start, args.stop_with_stdin, is_json))
}

/// What a person wants to know at a start. It goes to stderr: scripts read the one line of stdout.
struct Start {
    token: String,
    mirrors: String,
    /// Sites and caches.
    others: String,
    log: String,
}

impl Start {
    fn of(settings: &Settings) -> Self {
        let token = match settings.generates_admin_token() {
            true => format!("in {}", settings.instance.admin_token_file().display()),
            false => "as configured (auth.admin_token)".to_owned(),
        };
        let peers = settings.deliver.peers.iter();
        let (mirrors, others): (Vec<_>, Vec<_>) =
            peers.partition(|peer| peer.class.target().is_none());
        let names = |peers: &[&PeerConfig]| {
            let names: Vec<&str> = peers.iter().map(|peer| &*peer.name).collect();
            match names.len() {
                0..=NAMES_MAX => names.join(", "),
                many => format!("{} and {} more", names[..NAMES_MAX].join(", "), many - NAMES_MAX),
            }
        };
        let (mut mirrors, others) = (names(&mirrors), names(&others));
        if mirrors.is_empty() {
            "none; set CACHE_MIRRORS to mirror to other instances".clone_into(&mut mirrors);
        }
        let file = &settings.log.file;
        let note = LogPathKind::of(file).note();
        let note = note.map(|note| format!(" ({note})")).unwrap_or_default();
        Self { token, mirrors, others, log: format!("{}{note}", file.display()) }
    }

    fn report(&self, control: &str) {
        for (what, text) in [
            ("dashboard", &*format!("{control}/dashboard")),
            ("admin token", &self.token),
            ("mirrors", &self.mirrors),
            ("also calls", &self.others),
            ("log", &self.log),
        ] {
            if text.is_empty() {
                continue;
            }
            print::talk(format_args!("{what:<12} {}", print::safe(text)));
        }
    }
}

/// Problems of a reload are printed as those of a start are.
fn complain(problem: &str) {
    print::talk(problem);
}

async fn serve(
    settings: Settings,
    again: Again,
    start: Start,
    stop_with_stdin: bool,
    is_json: bool,
) -> Result<(), Exit> {
    let mut signals = Signals::new().map_err(|error| Exit::Failed(error.to_string()))?;
    let instance = Instance::start(settings, again).await?;
    let control = format!("http://{}", instance.address());
    // A closed stdout is no reason to stop.
    drop(match is_json {
        true => print::json_line(&json!({ "listening": { "control": control } })),
        false => print::line(format_args!("listening control={control}")),
    });
    // A process that starts it through a pipe is a program, which reads stdout.
    if !is_json && !stop_with_stdin {
        start.report(&control);
    }
    service::ready(&format!("control API on {control}"));
    let hung_up = Notify::new();
    let hang_up = || {
        instance.reopen_log();
        hung_up.notify_one();
    };
    tokio::select! {
        () = signals.until_stop(hang_up) => {}
        () = end_of_stdin(stop_with_stdin) => {}
        () = reload_on(&hung_up, &instance) => {}
        () = service::watchdog() => {}
    }
    service::stopping();
    tokio::select! {
        () = instance.stop() => Ok(()),
        // The second signal ends the process at once.
        () = signals.until_stop(|| ()) => Err(Exit::Failed("stopped at once".into())),
    }
}

/// Reads the settings again at each SIGHUP. Several signals while it reads count as one.
async fn reload_on(hung_up: &Notify, instance: &Instance) {
    loop {
        hung_up.notified().await;
        service::reloading();
        let problems = instance.reload("signal").await;
        service::ready(match problems.is_empty() {
            true => "settings read again",
            false => "settings refused, all is as it was: see the log",
        });
    }
}

/// Resolves when stdin ends, or never where it is not wanted. A separate thread reads it: at
/// shutdown the runtime would wait for its own thread for as long as stdin stays open.
async fn end_of_stdin(is_wanted: bool) {
    let (ended, end) = oneshot::channel::<()>();
    let watch = move || {
        let mut ignored = [0; 256];
        while matches!(std::io::stdin().read(&mut ignored), Ok(1..)) {}
        drop(ended);
    };
    if !is_wanted || std::thread::Builder::new().name("stdin".into()).spawn(watch).is_err() {
        std::future::pending::<()>().await;
    }
    drop(end.await);
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for SIGTERM or SIGINT; every SIGHUP on the way is answered.
    async fn until_stop(&mut self, on_hangup: impl Fn()) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return,
                _ = self.interrupt.recv() => return,
                _ = self.hangup.recv() => on_hangup(),
            }
        }
    }
}
