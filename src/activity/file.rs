//! The file on disk: opened for append, followed when it is moved, rotated by size.
//!
//! Nothing that was handed in is lost by rotation or by a failed write: what could not be written
//! stays in the [`Pending`] bytes, from the start of the first line that is not whole in the file.
//! This file decides nothing about time or retries.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Lines on their way into the file.
#[derive(Default)]
pub(super) struct Pending {
    bytes: Vec<u8>,
    /// How many of `bytes` are in the file already: part of the first line, after a failure.
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

    /// Lines that are not whole in the file.
    pub(super) fn lines(&self) -> u64 {
        self.bytes.iter().map(|byte| u64::from(*byte == b'\n')).sum()
    }

    /// Forgets the lines that are whole in the file.
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
    /// `None` after an open that failed.
    open: Option<File>,
    /// Its size, counting what was there when it was opened.
    bytes: u64,
    rotate_bytes: u64,
    rotate_count: usize,
}

impl LogFile {
    /// Opens or creates it, and its directory.
    ///
    /// # Errors
    /// Either cannot be created.
    pub(super) fn open(
        path: PathBuf,
        rotate_bytes: u64,
        rotate_count: usize,
    ) -> Result<Self, io::Error> {
        let (file, bytes) = open_append(&path)?;
        Ok(Self { path, open: Some(file), bytes, rotate_bytes, rotate_count })
    }

    /// Whether another line of this size belongs into the next file.
    pub(super) fn is_full(&self, pending: usize, line: usize) -> bool {
        let before = self.bytes + pending as u64;
        self.rotate_bytes > 0 && before > 0 && before + line as u64 > self.rotate_bytes
    }

    /// Writes all of it, or keeps what remains.
    ///
    /// # Errors
    /// As the system's; whole lines that got through are not kept.
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
                Err(error) => return Err(error),
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

    /// Opens the path anew. A line of which the old file has only a part is written whole again.
    ///
    /// # Errors
    /// It cannot be opened; the old file is closed all the same, for nobody reads it any more.
    pub(super) fn reopen(&mut self, pending: &mut Pending) -> io::Result<()> {
        self.open = None;
        pending.settle();
        pending.done = 0;
        let (file, bytes) = open_append(&self.path)?;
        (self.open, self.bytes) = (Some(file), bytes);
        Ok(())
    }

    /// `cache.json` becomes `cache.json.1`, that one `.2`, and so on; the last is replaced.
    ///
    /// # Errors
    /// A rename or the opening failed. The next attempt comes a file's size later, so a directory
    /// that refuses renames costs a large file and no lines.
    pub(super) fn rotate(&mut self, pending: &mut Pending) -> io::Result<()> {
        self.bytes = 0;
        if self.rotate_count == 0 {
            return self.open.as_ref().map_or(Ok(()), |file| file.set_len(0));
        }
        for number in (1..self.rotate_count).rev() {
            match fs::rename(self.numbered(number), self.numbered(number + 1)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        fs::rename(&self.path, self.numbered(1))?;
        self.reopen(pending)
    }

    fn numbered(&self, number: usize) -> PathBuf {
        let mut path = self.path.clone().into_os_string();
        path.push(format!(".{number}"));
        path.into()
    }
}

fn open_append(path: &Path) -> io::Result<(File, u64)> {
    if let Some(dir) = path.parent().filter(|dir| !dir.as_os_str().is_empty()) {
        DirBuilder::new().recursive(true).mode(0o755).create(dir)?;
    }
    let file = OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
    let bytes = file.metadata()?.len();
    Ok((file, bytes))
}
