//! `demo`: three instances on this host, a small site in front of each, one mutation, and the
//! proof.
//!
//! The instances are real processes with real logins on free loopback ports; they see no file and
//! no variable of the user's. Whatever happens, they are stopped and their directory is removed: on
//! the way out, on Ctrl-C, on a failed step, and by the end of their stdin where this process is
//! killed.

mod checks;
mod child;
mod database;
mod front;
mod narrator;
mod readers;
mod scratch;
mod site;
mod stage;
mod story;

use std::time::Duration;

use clap::Args as ClapArgs;
use tokio::signal::unix::{SignalKind, signal};

use self::narrator::Narrator;
use self::stage::Stage;
use super::Exit;

pub const EXAMPLES: &str = "\
Examples:
  cache-mirror demo              shows the steps, then stays up for you to try until Ctrl-C
  cache-mirror demo --once       ends by itself: 0 if every page was fresh and nothing came back";

/// `--once` promises 45 s; this leaves time to stop and clean up.
const STORY_TIME_MAX: Duration = Duration::from_secs(35);

/// Arguments of `demo`.
#[derive(Debug, ClapArgs)]
pub struct Args {
    /// End by itself within 45 s
    #[arg(long)]
    once: bool,
}

/// Runs the demo.
pub fn run(args: &Args, is_json: bool) -> Result<(), Exit> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Exit::Failed(format!("cannot start the runtime: {error}")))?;
    runtime.block_on(play(args.once, is_json))
}

async fn play(is_once: bool, is_json: bool) -> Result<(), Exit> {
    let mut stop_signal = Box::pin(stop_signal()?);
    let narrator = Narrator::new(is_json);
    let mut stage = Stage::new()?;
    let ended = tokio::select! {
        shown = tokio::time::timeout(STORY_TIME_MAX, story::show(&mut stage, &narrator)) => {
            shown.unwrap_or_else(|_| Err(Exit::Failed(format!("not done in {STORY_TIME_MAX:?}"))))
        }
        () = &mut stop_signal => Err(Exit::Failed("stopped before the end".into())),
    };
    let ended = match ended {
        Ok(failures) if is_once => verdict(&failures),
        Ok(failures) => match stay_up(&mut stage, &narrator, stop_signal).await {
            Ok(()) => verdict(&failures),
            trouble => trouble,
        },
        trouble => trouble.map(drop),
    };
    stage.strike().await;
    ended
}

async fn stay_up(
    stage: &mut Stage,
    narrator: &Narrator,
    stop_signal: impl Future<Output = ()>,
) -> Result<(), Exit> {
    story::invite(stage, narrator)?;
    tokio::select! {
        () = stop_signal => Ok(()),
        name = stage.until_one_ends() => Err(Exit::Failed(format!("{name} has ended by itself"))),
    }
}

fn verdict(failures: &[String]) -> Result<(), Exit> {
    match failures {
        [] => Ok(()),
        failures => Err(Exit::Failed(format!("the demo failed:\n  {}", failures.join("\n  ")))),
    }
}

/// Ctrl-C, SIGTERM, or a terminal that is closed.
fn stop_signal() -> Result<impl Future<Output = ()>, Exit> {
    let listen = |kind| signal(kind).map_err(|error| Exit::Failed(error.to_string()));
    let mut interrupt = listen(SignalKind::interrupt())?;
    let mut terminate = listen(SignalKind::terminate())?;
    let mut hangup = listen(SignalKind::hangup())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    })
}
