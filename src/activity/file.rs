//! The log file: opened for append, reopened when it was moved, rotated by size.
//!
//! Neither rotation nor a failed write loses lines: bytes that were not written stay in
//! [`Pending`], from the start of the first line that is not completely in the file. Time and
//! retries are the writer's concern.
//!
//! The path may also lead to a pipe, a device or a link to stdout. It is opened without blocking: a
//! pipe without a reader loses lines but does not block the start. Only a plain file is rotated,
//! because a rename would remove a device or another program's output. A link to a plain file is
//! followed.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use super::log_path::{LogPathKind, numbered};

/// Lines that are not in the file yet.
#[derive(Default)]
pub(super) struct Pending {
    bytes: Vec<u8>,
    /// How many of `bytes` are in the file already: a part of the first line, after a failure.
    done: usize,
}

impl Pending {
    pub(super) fn push(&mut self, line: &[u8]) {
        self.bytes.extend_from_slice(line);
    }

    /// Bytes that still have to be written.
    pub(super) fn len(&self) -> usize {
        self.bytes.len() - self.done
    }

    /// Lines that are not completely in the file.
    pub(super) fn lines(&self) -> u64 {
        self.bytes.iter().map(|byte| u64::from(*byte == b'\n')).sum()
    }

    /// Removes the lines that are completely in the file.
    fn settle(&mut self) {
        let whole = self.bytes[..self.done].iter().rposition(|byte| *byte == b'\n');
        let whole = whole.map_or(0, |at| at + 1);
        self.bytes.drain(..whole);
        self.done -= whole;
    }
}

/// The open log file.
pub(super) struct LogFile {
    path: PathBuf,
    /// `None` after a failed open.
    open: Option<File>,
    /// The plain file that rotation renames; `None` for anything else.
    plain: Option<PathBuf>,
    /// Its size, including what was there when it was opened.
    bytes: u64,
    rotate_bytes: u64,
    rotate_count: usize,
}

impl LogFile {
    /// Opens the file, or creates it and its directory.
    ///
    /// # Errors
    /// Either cannot be created.
    pub(super) fn open(
        path: PathBuf,
        rotate_bytes: u64,
        rotate_count: usize,
    ) -> Result<Self, io::Error> {
        let (open, bytes) = match open_append(&path) {
            Ok((file, bytes)) => (Some(file), bytes),
            // The reader of a pipe may come later; until then lines count as lost.
            Err(_) if LogPathKind::of(&path) == LogPathKind::Pipe => (None, 0),
            Err(error) => return Err(error),
        };
        let plain = open.as_ref().and_then(|file| plain(file, &path));
        Ok(Self { path, open, plain, bytes, rotate_bytes, rotate_count })
    }

    /// Whether a line of this size belongs into the next file.
    pub(super) fn is_full(&self, pending: usize, line: usize) -> bool {
        let before = self.bytes + pending as u64;
        self.plain.is_some()
            && self.rotate_bytes > 0
            && before > 0
            && before + line as u64 > self.rotate_bytes
    }

    /// Writes all pending bytes, or keeps the rest.
    ///
    /// # Errors
    /// That of the system. Lines that were written completely are not kept.
    pub(super) fn append(&mut self, pending: &mut Pending) -> io::Result<()> {
        let outcome = self.append_bytes(pending);
        pending.settle();
        outcome
    }

    fn append_bytes(&mut self, pending: &mut Pending) -> io::Result<()> {
        if self.open.is_none() {
            self.reopen(pending)?;
        }
        let Some(file) = &mut self.open else { return Ok(()) };
        while pending.len() > 0 {
            match file.write(&pending.bytes[pending.done..]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => {
                    pending.done += written;
                    self.bytes += written as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    // The reader of a pipe is gone: the next one gets whole lines.
                    if error.kind() == io::ErrorKind::BrokenPipe {
                        self.open = None;
                    }
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    pub(super) fn set_rotation(&mut self, rotate_bytes: u64, rotate_count: usize) {
        (self.rotate_bytes, self.rotate_count) = (rotate_bytes, rotate_count);
    }

    /// Whether the path no longer leads to the file that is open.
    pub(super) fn is_moved(&self) -> bool {
        let open = self.open.as_ref().and_then(|file| file.metadata().ok());
        let there = fs::metadata(&self.path).ok();
        match (open, there) {
            (Some(open), Some(there)) => (open.dev(), open.ino()) != (there.dev(), there.ino()),
            _ => true,
        }
    }

    /// Opens the path again. A line that is only partly in the old file is written again.
    ///
    /// # Errors
    /// It cannot be opened. The old file is closed in any case: it is not at the path any more.
    pub(super) fn reopen(&mut self, pending: &mut Pending) -> io::Result<()> {
        self.open = None;
        pending.settle();
        pending.done = 0;
        let (file, bytes) = open_append(&self.path)?;
        self.plain = plain(&file, &self.path);
        (self.open, self.bytes) = (Some(file), bytes);
        Ok(())
    }

    /// Renames `cache.json` to `cache.json.1`, that one to `.2`, and so on; the last is replaced.
    ///
    /// # Errors
    /// A rename or the open failed. The next attempt comes after another `rotate_bytes`, so a
    /// directory that refuses renames costs a large file but no lines.
    pub(super) fn rotate(&mut self, pending: &mut Pending) -> io::Result<()> {
        let Some(plain) = self.plain.clone() else { return Ok(()) };
        self.bytes = 0;
        if self.rotate_count == 0 {
            return self.open.as_ref().map_or(Ok(()), |file| file.set_len(0));
        }
        for number in (1..self.rotate_count).rev() {
            match fs::rename(numbered(&plain, number), numbered(&plain, number + 1)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        fs::rename(&plain, numbered(&plain, 1))?;
        self.reopen(pending)
    }
}

/// The plain file that was opened, if we may rename it: not the one that stdout is redirected to.
fn plain(file: &File, path: &Path) -> Option<PathBuf> {
    let is_plain = file.metadata().is_ok_and(|open| open.is_file());
    match LogPathKind::of(path) {
        LogPathKind::Plain if is_plain => Some(path.to_owned()),
        LogPathKind::Link(_) if is_plain => fs::canonicalize(path).ok(),
        _ => None,
    }
}

/// The output of this process, if its path cannot be opened again (a socket, as under systemd) or
/// must not be: two open files would overwrite each other's lines.
fn output(path: &Path) -> Option<File> {
    let held = match LogPathKind::of(path) {
        LogPathKind::Output(1) => io::stdout().as_fd().try_clone_to_owned(),
        LogPathKind::Output(2) => io::stderr().as_fd().try_clone_to_owned(),
        _ => return None,
    };
    let held = File::from(held.ok()?);
    let kind = held.metadata().ok()?.file_type();
    (kind.is_file() || kind.is_socket()).then_some(held)
}

fn open_append(path: &Path) -> io::Result<(File, u64)> {
    if let Some(held) = output(path) {
        return Ok((held, 0));
    }
    if let Some(dir) = path.parent().filter(|dir| !dir.as_os_str().is_empty()) {
        DirBuilder::new().recursive(true).mode(0o755).create(dir)?;
    }
    let nonblocking = OFlags::NONBLOCK.bits().cast_signed();
    let mut options = OpenOptions::new();
    options.append(true).create(true).mode(0o600).custom_flags(nonblocking);
    let file = options.open(path)?;
    let bytes = file.metadata()?.len();
    Ok((file, bytes))
}
