//! Noticing that the settings file changed.
//!
//! Editors write beside a file and rename, and a ConfigMap is a symlink that is turned elsewhere;
//! so the directory is watched, whatever stirs in it makes us look, and what counts is whether the
//! bytes that the path leads to are others than before. It looks only once it is quiet, so that a
//! file half written is not taken for a whole one.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use crate::activity::{Activity, ActivityKind, Level};
use crate::config::{self, Watched};
use crate::server::Reloads;

/// Quiet for so long, and the writing is over.
const QUIET: Duration = Duration::from_millis(200);

/// A directory that is never quiet does not keep us from looking.
const UNQUIET_MAX: Duration = Duration::from_secs(2);

/// Watches a file and requests a reload whenever its content changed, until it is stopped.
pub(super) async fn run(watched: Watched, reloads: Reloads, stop: CancellationToken) {
    let Watched { path: file, mut seen } = watched;
    let stirred = Arc::new(Notify::new());
    let mut watcher = match watcher(&stirred) {
        Ok(watcher) => watcher,
        Err(error) => return log_blind(&file, &error),
    };
    let directory = file.parent().unwrap_or(Path::new("."));
    if let Err(error) = watcher.watch(directory, RecursiveMode::NonRecursive) {
        return log_blind(&file, &error);
    }
    // What changed before we watched.
    stirred.notify_one();
    loop {
        watch_target(&mut watcher, &file, directory);
        let quiet = async {
            stirred.notified().await;
            let until = Instant::now() + UNQUIET_MAX;
            while Instant::now() < until && timeout(QUIET, stirred.notified()).await.is_ok() {}
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = quiet => {}
        }
        let now = content(&file).await;
        // A file that is gone for a moment is no wish to change anything.
        if now.is_some() && now != seen {
            seen = now;
            reloads.ask_soon("file");
        }
    }
}

fn watcher(stirred: &Arc<Notify>) -> notify::Result<RecommendedWatcher> {
    let stirred = Arc::clone(stirred);
    notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        // Our own reading of the file is no news of it.
        if !matches!(event, Ok(notify::Event { kind: EventKind::Access(_), .. })) {
            stirred.notify_one();
        }
    })
}

/// Where the path is a symlink to elsewhere, the file there may be written to as well. After every
/// change anew, for the link may lead to another place by then; best effort.
fn watch_target(watcher: &mut RecommendedWatcher, file: &Path, directory: &Path) {
    let Ok(target) = file.canonicalize() else { return };
    let is_here = directory.canonicalize().ok().as_deref() == target.parent();
    if let (Some(elsewhere), false) = (target.parent(), is_here) {
        drop(watcher.watch(elsewhere, RecursiveMode::NonRecursive));
    }
}

async fn content(file: &Path) -> Option<[u8; 32]> {
    let file = file.to_owned();
    tokio::task::spawn_blocking(move || config::look(&file)).await.ok().flatten()
}

fn log_blind(file: &Path, error: &notify::Error) {
    Activity {
        level: Level::Warn,
        event: ActivityKind::Config,
        msg: "the settings file cannot be watched: reload by SIGHUP or POST /api/reload",
        error: Some(&format!("{}: {error}", file.display())),
        ..Activity::default()
    }
    .emit();
}
