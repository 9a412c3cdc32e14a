//! What the process holds is written again when it is gone from the data directory.
//!
//! The journal writes what it knows by itself. The other files are small: generated secrets,
//! pauses, kinds of mirrors, how far schedules came, and what tokens are judged by. Without them a
//! restart would sign with another secret, and tokens that were handed out would be worth nothing.
//! So it is looked after them when the journal goes on after its directory was away, and every few
//! seconds. Only files that are gone are written, into a directory that is there. The list of
//! application tokens is only reported: an older one could make a revoked token valid.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::activity::{Activity, ActivityKind, Level, joined};
use crate::config::{InUse, Settings};
use crate::deliver::{KINDS_FILE, PAUSES_FILE};
use crate::server::Control;

/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_secs(3);

/// Runs until it is stopped.
pub(super) async fn run(
    control: Arc<Control>,
    running: watch::Receiver<Settings>,
    stop: CancellationToken,
) {
    let mut moves = control.pipeline.journal.moves();
    let mut problem = None;
    let mut is_list_lost = false;
    loop {
        let mut has_moved = false;
        tokio::select! {
            () = stop.cancelled() => return,
            moved = moves.changed() => match moved {
                Ok(()) => has_moved = true,
                Err(_) => return,
            },
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
        let settings = running.borrow().clone();
        // A missing directory may be a mount; the journal reports it.
        if !is_there(&settings.instance.data_dir).await {
            continue;
        }
        let (written, failed) = write_back(&control, &settings, has_moved).await;
        log_written(&written);
        if failed != problem {
            log_problem(failed.as_deref());
            problem = failed;
        }
        let was_lost =
            std::mem::replace(&mut is_list_lost, control.pipeline.gate.lost_app_tokens());
        if is_list_lost && !was_lost {
            log_list();
        }
    }
}

/// Writes what is gone: gives the names of the files, and why secrets could not be written.
async fn write_back(
    control: &Control,
    settings: &Settings,
    has_moved: bool,
) -> (Vec<&'static str>, Option<String>) {
    let held = settings.held();
    let writing = tokio::task::spawn_blocking(move || held.write_back());
    let secrets = writing.await.unwrap_or_else(|error| Err(io::Error::other(error)));
    let problem = secrets.as_ref().err().map(ToString::to_string);
    let mut written = secrets.unwrap_or_default();
    let is_gone = !is_there(&InUse::file(&settings.instance.data_dir)).await;
    let is_noted = (is_gone || has_moved) && super::note_in_use(settings).await;
    let delivery = &control.pipeline.delivery;
    let others = [
        ("in-use.json", is_gone && is_noted),
        (PAUSES_FILE, delivery.write_pauses_back().await),
        (KINDS_FILE, delivery.write_kinds_back().await),
        ("schedules.json", control.schedules.write_back().await),
    ];
    written.extend(others.iter().filter(|(_, is_written)| *is_written).map(|(name, _)| *name));
    (written, problem)
}

/// Where that cannot be told, it is taken to be there.
async fn is_there(path: &Path) -> bool {
    tokio::fs::try_exists(path).await.unwrap_or(true)
}

fn log_written(written: &[&str]) {
    if written.is_empty() {
        return;
    }
    let files = joined(written);
    let msg = format!("files of the data directory were gone: {files} written again");
    warn(ActivityKind::Journal, &msg, Some("recovered"), None);
}

fn log_problem(problem: Option<&str>) {
    match problem {
        Some(_) => {
            let msg = "generated secrets are gone from the data directory and cannot be written \
                       again: it is tried every 3 s";
            warn(ActivityKind::Journal, msg, Some("degraded"), problem);
        }
        None => {
            warn(
                ActivityKind::Journal,
                "generated secrets are in the data directory again",
                None,
                None,
            );
        }
    }
}

fn log_list() {
    let msg = "app-tokens.json is gone from the data directory: the tokens of applications are \
               refused until it is put back or they are minted again";
    warn(ActivityKind::Config, msg, Some("degraded"), None);
}

fn warn(event: ActivityKind, msg: &str, status: Option<&str>, error: Option<&str>) {
    Activity { level: Level::Warn, event, msg, status, error, ..Activity::default() }.emit();
}
