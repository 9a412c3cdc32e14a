//! `serve`: run an instance until it is told to stop.
//!
//! Once everything accepts, one line on stdout says where; scripts wait for it, and systemd is told
//! (`service`). A second signal ends the process at once.

use std::io::Read;

use clap::Args as ClapArgs;
use serde_json::json;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Notify, oneshot};

use super::settings::SettingsArgs;
use super::{Exit, print, service};
use crate::app::{Again, Instance};
use crate::config::Settings;

pub const EXAMPLES: &str = "\
Examples:
  cache-mirror serve
  CACHE_MIRRORS=https://eu.example.org,https://us.example.org cache-mirror serve
  cache-mirror serve --set control.listen=127.0.0.1:0 --set graph.preset=polymech";

/// Arguments of `serve`.
#[derive(Debug, ClapArgs)]
pub struct Args {
    #[command(flatten)]
    settings: SettingsArgs,
    /// Stop when stdin ends: with it dies whoever holds its other end
    #[arg(long, hide = true)]
    stop_with_stdin: bool,
}

/// Runs the instance.
pub fn run(args: &Args, is_json: bool) -> Result<(), Exit> {
    let again = Again { sources: args.settings.sources()?, complain };
    let mut settings = args.settings.settings()?;
    settings.complete().map_err(|problem| Exit::Config(vec![problem.to_string()]))?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Exit::Failed(format!("cannot start the runtime: {error}")))?;
    runtime.block_on(serve(settings, again, args.stop_with_stdin, is_json))
}

/// The same words as at a start.
fn complain(problem: &str) {
    print::talk(problem);
}

async fn serve(
    settings: Settings,
    again: Again,
    stop_with_stdin: bool,
    is_json: bool,
) -> Result<(), Exit> {
    let mut signals = Signals::new().map_err(|error| Exit::Failed(error.to_string()))?;
    let instance = Instance::start(settings, again).await?;
    let control = format!("http://{}", instance.address());
    // Nobody may be left to read it; that is no reason to stop.
    drop(match is_json {
        true => print::json_line(&json!({ "listening": { "control": control } })),
        false => print::line(format_args!("listening control={control}")),
    });
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
        // Whoever asks twice means it.
        () = signals.until_stop(|| ()) => Err(Exit::Failed("stopped at once".into())),
    }
}

/// Reads the settings again whenever told to. Several tellings while it reads are one.
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

/// Resolves when stdin ends, or never where nobody asked. A thread of its own reads it: the runtime
/// would wait for one of its own at shutdown, for as long as stdin stays open.
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
