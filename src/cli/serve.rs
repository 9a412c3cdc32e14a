//! `serve`: run an instance until it is told to stop.
//! One line on stdout says when everything accepts; whatever happens after that is in the log. It
//! assembles nothing: `app` does.

use std::path::PathBuf;

use clap::Args as ClapArgs;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::Exit;
use crate::app::Instance;
use crate::config::{self, Settings, Sources};

/// Arguments of `serve`, shared by every command that reads the configuration.
#[derive(Debug, ClapArgs)]
pub struct Args {
    /// Configuration file [default: config/cache-mirror.toml, if there]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// One setting, over everything else; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Read no file and no .env: defaults, environment and flags only
    #[arg(long)]
    pub isolated: bool,
}

impl Args {
    /// Where settings come from, with these flags on top.
    ///
    /// # Errors
    /// [`Exit::Usage`] for a `--set` without `=`, [`Exit::Failed`] where there is no working
    /// directory.
    pub fn sources(&self) -> Result<Sources, Exit> {
        let pair = |text: &String| match text.split_once('=') {
            Some((key, value)) => Ok((key.trim().to_owned(), value.to_owned())),
            None => Err(Exit::Usage(format!("--set {text}: expected KEY=VALUE"))),
        };
        Ok(Sources {
            file: self.config.clone(),
            workdir: std::env::current_dir().map_err(|e| Exit::Failed(e.to_string()))?,
            // A variable that is no text is nobody's setting.
            env: std::env::vars_os()
                .filter_map(|(name, value)| {
                    Some((name.into_string().ok()?, value.into_string().ok()?))
                })
                .collect(),
            overrides: self.set.iter().map(pair).collect::<Result<_, _>>()?,
            is_isolated: self.isolated,
        })
    }

    /// The checked settings.
    ///
    /// # Errors
    /// [`Exit::Config`] with one line for each problem.
    pub fn settings(&self) -> Result<Settings, Exit> {
        config::load(&self.sources()?)
            .map_err(|problems| Exit::Config(problems.iter().map(ToString::to_string).collect()))
    }
}

/// Runs the instance.
pub fn run(args: &Args) -> Result<(), Exit> {
    let mut settings = args.settings()?;
    settings.complete().map_err(|problem| Exit::Config(vec![problem.to_string()]))?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Exit::Failed(format!("cannot start the runtime: {error}")))?;
    runtime.block_on(serve(settings))
}

async fn serve(settings: Settings) -> Result<(), Exit> {
    let mut signals = Signals::new().map_err(|error| Exit::Failed(error.to_string()))?;
    let instance = Instance::start(settings).await?;
    anstream::println!("listening control=http://{}", instance.address());
    signals.until_stop(|| instance.reopen_log()).await;
    tokio::select! {
        () = instance.stop() => Ok(()),
        // Whoever asks twice means it.
        () = signals.until_stop(|| ()) => Err(Exit::Failed("stopped at once".into())),
    }
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
