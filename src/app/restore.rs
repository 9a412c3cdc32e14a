//! What the process holds is written again when its data directory comes back empty.
//!
//! The journal writes what it knows by itself. The other files are small: generated secrets,
//! pauses, how far schedules came, and what tokens are judged by. Without them a restart would
//! sign with another secret, and tokens that were handed out would be worth nothing. Only files
//! that are gone are written; the list of application tokens is not among them, because an older
//! one could make a revoked token valid.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::activity::{Activity, Kind, Level, joined};
use crate::config::Settings;
use crate::server::Control;

/// Between two attempts where the disk refuses.
const RETRY_EVERY: Duration = Duration::from_secs(5);

/// Works until it is told to stop.
pub(super) async fn run(
    control: Arc<Control>,
    running: watch::Receiver<Settings>,
    stop: CancellationToken,
) {
    let mut moves = control.pipeline.journal.moves();
    let mut is_due = false;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            moved = moves.changed() => if moved.is_err() { return },
            () = tokio::time::sleep(RETRY_EVERY), if is_due => {}
        }
        let settings = running.borrow().clone();
        let held = settings.held();
        let writing = tokio::task::spawn_blocking(move || held.write_back());
        let written = writing.await.unwrap_or_else(|error| Err(io::Error::other(error)));
        is_due = written.is_err();
        tell(&written);
        super::note_in_use(&settings).await;
        control.pipeline.delivery.write_pauses_back().await;
        control.schedules.write_back().await;
    }
}

fn tell(written: &io::Result<Vec<&'static str>>) {
    let error = written.as_ref().err().map(ToString::to_string);
    let files = joined(written.as_deref().unwrap_or_default());
    let msg = match written {
        Ok(written) if written.is_empty() => return,
        Ok(_) => format!("the data directory came back without them: {files} written again"),
        Err(_) => "generated secrets cannot be written again: it is tried every 5 s".to_owned(),
    };
    let status = if error.is_none() { "recovered" } else { "degraded" };
    Activity {
        level: Level::Warn,
        event: Kind::Journal,
        msg: &msg,
        status: Some(status),
        error: error.as_deref(),
        ..Activity::default()
    }
    .emit();
}
