//! Checks the places of the log and the journal: writable, enough free space, and complete.
//!
//! Whether a directory can be written is found out by making an empty file in it and taking it away
//! again: modes, owners and read-only mounts show less. Only files of this host are checked.

use std::fs::{self, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use super::Case;
use super::answering::Instance;
use super::check::Check;
use crate::activity::log::LogConfig;
use crate::activity::log_path::{self, LogPathKind};
use crate::cli::print;
use crate::config::Ground;
use crate::support::plain_file::{self, Origin};
use crate::wire::JournalStats;

/// The text of `format` in a data directory that this version reads and writes.
const FORMAT: &str = "cache-mirror data 2";
/// The one before it, which is read and upgraded.
const FORMAT_BEFORE: &str = "cache-mirror data 1";
/// Bytes of it that are looked at.
const FORMAT_BYTES_MAX: u64 = 256;

/// A log this many times larger than it should be was not rotated.
const OVERSIZE: u64 = 2;
/// Segments that must fit on the disk: the one that is being replaced, and the next.
const SEGMENTS_MIN: u64 = 2;
/// Segments that should fit on the disk.
const SEGMENTS_WANTED: u64 = 16;

/// The log file, its directory, its rotation, and the lines that were lost.
pub fn log(case: &Case) -> Vec<Check> {
    let mut found = Vec::new();
    if let Instance::Running(running) = &case.instance {
        found.extend(dropped(running.stats.log.dropped));
        if !running.is_here {
            found.push(elsewhere("log"));
            return found;
        }
    }
    let has_findings = !found.is_empty();
    found.extend(case.of_shell(log_file(&case.settings.log, has_findings)));
    found
}

/// Checks the file that the settings name. It reports "ok" only if nothing was found before.
fn log_file(config: &LogConfig, has_findings: bool) -> Vec<Check> {
    let mut found = Vec::new();
    let (place, file) = (LogPathKind::of(&config.file), config.file.display());
    if !place.is_rotated() {
        // Opening it could wait for a reader, or write to a terminal.
        let detail = format!("{file} is {}", place.note().unwrap_or_default());
        found.push(match place {
            LogPathKind::Pipe => {
                Check::warn("log", detail, "see that something reads it all the time")
            }
            _ => Check::ok("log", detail),
        });
        return found;
    }
    if let Some(blocked) = log_path::blocked(&config.file, config.rotate_count) {
        let detail = format!("{file} cannot be rotated: {} is a directory", blocked.display());
        found.push(Check::warn("log", detail, "remove or rename the directory"));
    }
    found.extend(match appendable(&config.file) {
        Ok(()) => rotation(config),
        Err(error) => {
            let detail = format!("{} cannot be written: {error}", config.file.display());
            let remedy = "give the service's user its directory, or set log.file to a path that \
                          it may write";
            vec![Check::fail("log", detail, remedy)]
        }
    });
    if found.is_empty() && !has_findings {
        let note = place.note().map(|note| format!(" ({note})")).unwrap_or_default();
        found.push(Check::ok("log", format!("{file} can be written{note}")));
    }
    found
}

fn dropped(lines: u64) -> Option<Check> {
    (lines > 0).then(|| {
        let detail = format!("{} since the start", print::count(lines, "line lost", "lines lost"));
        let remedy = "free its disk or give it a faster one; what was cleared is not affected";
        Check::warn("log", detail, remedy)
    })
}

/// Rotation needs the directory, writing needs the file.
fn appendable(file: &Path) -> io::Result<()> {
    if file.exists() {
        OpenOptions::new().append(true).open(file)?;
    }
    writable(&nearest(file.parent().unwrap_or(file)))
}

fn rotation(config: &LogConfig) -> Vec<Check> {
    let bytes = fs::metadata(&config.file).map_or(0, |meta| meta.len());
    let size = print::bytes(bytes);
    match config.rotate_bytes {
        0 => {
            let detail = format!("never rotated (log.rotate_bytes = 0), {size} now");
            let remedy = "set log.rotate_bytes, or have logrotate send SIGHUP";
            vec![Check::warn("log", detail, remedy)]
        }
        most if bytes / OVERSIZE > most => {
            let detail = format!("{size}, more than log.rotate_bytes = {most}: rotation fails");
            let remedy = "the instance must be able to rename files in its directory";
            vec![Check::warn("log", detail, remedy)]
        }
        _ => vec![],
    }
}

/// Checks the data directory, its free space, and the health that the journal reports.
pub fn journal(case: &Case) -> Vec<Check> {
    let mut found = Vec::new();
    if let Instance::Running(running) = &case.instance {
        found.extend(health(&running.stats.journal));
        if !running.is_here {
            found.push(elsewhere("journal"));
            return found;
        }
    }
    let mut of_files = Vec::new();
    let dir = nearest(&case.settings.instance.data_dir);
    let shown = case.settings.instance.data_dir.display();
    if let Err(error) = writable(&dir) {
        let detail = format!("{shown} cannot be written: {error}");
        let remedy = "give the service's user the directory of instance.data_dir, mode 0700";
        of_files.push(Check::fail("journal", detail, remedy));
    }
    of_files.extend(foreign(&case.settings.instance.data_dir));
    of_files.extend(ground(&case.settings.ground()));
    let segment_bytes = case.settings.journal.segment_bytes;
    of_files.extend(free(&dir).and_then(|free| free_space(free, segment_bytes)));
    found.extend(case.of_shell(of_files));
    if found.is_empty() {
        let free =
            free(&dir).map_or(String::new(), |free| format!(", {} free", print::bytes(free)));
        let fine = Check::ok("journal", format!("{shown} can be written{free}"));
        found.push(fine.labelled(case.label()));
    }
    found
}

/// Whether the data directory can be trusted: the same messages as of `serve`.
fn ground(ground: &Ground) -> Vec<Check> {
    let refused = ground.refused.iter().map(|problem| {
        let remedy = "serve refuses it (exit code 78): move away what was found, or name another \
                      directory in instance.data_dir";
        Check::fail("journal", problem.to_string(), remedy)
    });
    let warnings = ground.warnings.iter().map(|warning| {
        let remedy = "a user who can write there can set the admin token: change owner or mode; \
                      see docs/TROUBLESHOOTING.md";
        Check::warn("journal", warning, remedy)
    });
    refused.chain(warnings).collect()
}

fn health(journal: &JournalStats) -> Vec<Check> {
    let mut found = Vec::new();
    let error = print::optional(journal.last_error.as_deref());
    if journal.degraded {
        let is_away = error.starts_with("the data directory ");
        let detail = if is_away {
            format!("degraded: {error}")
        } else {
            format!("degraded, the disk refuses events: {error}")
        };
        let remedy = if is_away {
            "put the directory back, or make an empty one in its place: the journal goes on by \
             itself and writes everything it still knows"
        } else {
            "free or repair the disk of instance.data_dir: the journal goes on by itself, and \
             every mirror is sent a clear of everything"
        };
        found.push(Check::fail("journal", detail, remedy));
    } else if !error.is_empty() {
        let detail = format!("the disk refused something since the start: {error}");
        let remedy = "look after the disk of instance.data_dir; see: cache-mirror logs --event gap";
        found.push(Check::warn("journal", detail, remedy));
    }
    if let Some(damage) = &journal.damaged {
        let damage = print::safe(damage);
        let detail = format!(
            "damaged when it was opened ({damage}); every mirror was sent a clear of everything"
        );
        let remedy = "nothing is missing at the mirrors: look for the cause (a full disk, a copied \
                      or edited data directory); it is whole since";
        found.push(Check::warn("journal", detail, remedy));
    }
    found
}

/// A data directory of another version's, which `serve` refuses.
fn foreign(data_dir: &Path) -> Option<Check> {
    let path = data_dir.join("format");
    let bytes = plain_file::read(&path, FORMAT_BYTES_MAX, Origin::Own).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    // One that was cut off by a power cut counts as not written yet.
    let text = text.trim_end_matches(['\0', '\n']);
    (!FORMAT.starts_with(text) && text != FORMAT_BEFORE).then(|| {
        let shown: String = print::safe(text).chars().take(64).collect();
        let detail =
            format!("{} contains {shown:?}; this version reads {FORMAT:?}", path.display());
        let remedy = "run the version that wrote it, or name an empty directory in \
                      instance.data_dir: serve refuses this one";
        Check::fail("journal", detail, remedy)
    })
}

fn free_space(free: u64, segment_bytes: u64) -> Option<Check> {
    let remedy = "free the disk of instance.data_dir: a full one degrades the journal, and then \
                  every mirror is sent a clear of everything";
    let detail = format!("{} free on its disk", print::bytes(free));
    match free / segment_bytes.max(1) {
        0..SEGMENTS_MIN => Some(Check::fail("journal", detail, remedy)),
        SEGMENTS_MIN..SEGMENTS_WANTED => Some(Check::warn("journal", detail, remedy)),
        _ => None,
    }
}

fn elsewhere(name: &str) -> Check {
    let remedy = "run doctor on the instance's own host";
    Check::skip(name, "its files are on another host", remedy)
}

/// The directory itself, or the nearest above it that is there.
fn nearest(dir: &Path) -> PathBuf {
    let found = dir.ancestors().find(|path| path.exists());
    found.filter(|path| !path.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_owned()
}

fn writable(dir: &Path) -> io::Result<()> {
    let path = dir.join(format!(".cache-mirror-doctor-{}", std::process::id()));
    OpenOptions::new().write(true).create_new(true).open(&path)?;
    fs::remove_file(&path)
}

/// Bytes that we may still write there.
fn free(dir: &Path) -> Option<u64> {
    let found = rustix::fs::statvfs(dir).ok()?;
    Some(found.f_bavail.saturating_mul(found.f_frsize))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::check::Status;
    use super::*;
    use crate::cli::client::parse;

    #[test]
    fn a_journal_that_is_not_well_says_what_follows() {
        let status = |journal: Value| -> Vec<Status> {
            health(&parse(&journal).expect("numbers"))
                .into_iter()
                .map(|check| check.status)
                .collect()
        };
        assert_eq!(status(json!({ "degraded": false, "last_error": null })), []);
        let degraded = json!({ "degraded": true, "last_error": "no space left" });
        assert_eq!(status(degraded), [Status::Fail]);
        let healed = json!({ "degraded": false, "last_error": "x", "damaged": "a torn record" });
        assert_eq!(status(healed), [Status::Warn, Status::Warn]);
    }

    #[test]
    fn free_space_is_judged_by_segments() {
        let status = |free| free_space(free, 1024).map(|check| check.status);
        assert_eq!(status(1024), Some(Status::Fail));
        assert_eq!(status(4096), Some(Status::Warn));
        assert_eq!(status(65_536), None);
    }

    #[test]
    fn a_directory_is_tried_and_left_as_it_was() {
        let dir = tempfile::tempdir().expect("a directory");
        let missing = dir.path().join("a/b/c");
        assert_eq!(nearest(&missing), dir.path());
        writable(dir.path()).expect("writable");
        assert_eq!(fs::read_dir(dir.path()).expect("readable").count(), 0);
        writable(Path::new("/proc")).expect_err("not writable");
        assert!(free(dir.path()) > Some(0));
    }
}
