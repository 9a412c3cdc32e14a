//! The lines of a file that grows, is moved away for a new one, or is cut.
//!
//! A file that was rotated is read to its end before its successor; where several rotations lie
//! between two looks, the files in between (`.1`, `.2`, ...) are read too. A line without its
//! newline is still being written and waits. A file that was cut and grew beyond the read position
//! looks like one that only grew.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::support::plain_file::{self, Origin};

/// Rotated files that are looked through for the one that is open.
const ROTATED_MAX: usize = 100;
/// Bytes read at a time.
const CHUNK_BYTES: usize = 64 * 1024;
/// Longest line kept; beyond it lines are cut, for nothing we write is as long.
const LINE_BYTES_MAX: usize = 1024 * 1024;

/// A reader at a place in a file.
pub struct Tail {
    path: PathBuf,
    file: File,
    read: u64,
    /// Read and not handed out yet, from `start`.
    buffer: Vec<u8>,
    start: usize,
}

impl Tail {
    /// Opens the file at its beginning.
    ///
    /// # Errors
    /// The system's.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = plain_file::open(path, Origin::Named)?;
        Ok(Self { path: path.to_owned(), file, read: 0, buffer: Vec::new(), start: 0 })
    }

    /// Opens the oldest of the file and its rotated predecessors that was written to since then;
    /// from there it reads on into the newer ones.
    ///
    /// # Errors
    /// The system's.
    pub fn open_since(path: &Path, since: SystemTime) -> io::Result<Self> {
        let mut tail = Self::open(path)?;
        for number in 1..=ROTATED_MAX {
            let Ok(older) = plain_file::open(&rotated(path, number), Origin::Named) else { break };
            if older.metadata()?.modified()? < since {
                break;
            }
            tail.file = older;
        }
        Ok(tail)
    }

    /// The next whole line without its newline; `None` where there is none yet.
    ///
    /// # Errors
    /// The system's.
    pub fn next_line(&mut self) -> io::Result<Option<String>> {
        loop {
            if let Some(line) = self.take_line() {
                return Ok(Some(line));
            }
            // Whether it was moved is asked before its end is met: what is written in between would
            // be lost the other way round.
            let successor = self.successor();
            if self.fill()? > 0 {
                continue;
            }
            let Some(successor) = successor else { return Ok(None) };
            self.file = successor;
            self.read = 0;
            self.buffer.drain(..self.start);
            self.start = 0;
        }
    }

    fn take_line(&mut self) -> Option<String> {
        let rest = &self.buffer[self.start..];
        let end = match rest.iter().position(|byte| *byte == b'\n') {
            Some(end) => end,
            None if rest.len() >= LINE_BYTES_MAX => rest.len() - 1,
            None => return None,
        };
        let line = String::from_utf8_lossy(&rest[..end]).into_owned();
        self.start += end + 1;
        Some(line)
    }

    fn fill(&mut self) -> io::Result<usize> {
        self.buffer.drain(..self.start);
        self.start = 0;
        if self.file.metadata()?.len() < self.read {
            // It was cut: it starts again, and so does the line.
            self.file.seek(SeekFrom::Start(0))?;
            self.read = 0;
            self.buffer.clear();
        }
        let before = self.buffer.len();
        let taken = (&self.file).take(CHUNK_BYTES as u64).read_to_end(&mut self.buffer)?;
        debug_assert_eq!(self.buffer.len(), before + taken);
        self.read += taken as u64;
        Ok(taken)
    }

    /// The file that came after the open one, if the path leads elsewhere by now.
    fn successor(&self) -> Option<File> {
        let open = identity(&self.file)?;
        let newest = plain_file::open(&self.path, Origin::Named).ok()?;
        if identity(&newest) == Some(open) {
            return None;
        }
        let mut after = newest;
        for number in 1..=ROTATED_MAX {
            let Ok(older) = plain_file::open(&rotated(&self.path, number), Origin::Named) else {
                break;
            };
            if identity(&older) == Some(open) {
                return Some(after);
            }
            after = older;
        }
        // Moved to where we cannot see it: the path is all there is.
        plain_file::open(&self.path, Origin::Named).ok()
    }
}

fn rotated(path: &Path, number: usize) -> PathBuf {
    let mut path = path.to_owned().into_os_string();
    path.push(format!(".{number}"));
    path.into()
}

fn identity(file: &File) -> Option<(u64, u64)> {
    file.metadata().ok().map(|there| (there.dev(), there.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn lines(tail: &mut Tail) -> Vec<String> {
        std::iter::from_fn(|| tail.next_line().expect("read")).collect()
    }

    fn append(path: &Path, text: &str) {
        let mut file = fs::OpenOptions::new().append(true).create(true).open(path).expect("open");
        io::Write::write_all(&mut file, text.as_bytes()).expect("write");
    }

    fn numbered(path: &Path, number: u32) -> PathBuf {
        PathBuf::from(format!("{}.{number}", path.display()))
    }

    #[test]
    fn nothing_is_lost_or_told_twice_over_two_rotations_between_looks() {
        let dir = tempfile::tempdir().expect("dir");
        let path = dir.path().join("cache.json");
        append(&path, "1\n2\nhal");
        let mut tail = Tail::open(&path).expect("open");
        assert_eq!(lines(&mut tail), ["1", "2"]);
        append(&path, "f\n");
        fs::rename(&path, numbered(&path, 1)).expect("rotate");
        append(&path, "3\n");
        fs::rename(numbered(&path, 1), numbered(&path, 2)).expect("rotate");
        fs::rename(&path, numbered(&path, 1)).expect("rotate");
        append(&path, "4\n");
        assert_eq!(lines(&mut tail), ["half", "3", "4"]);
        append(&path, "5\n");
        assert_eq!(lines(&mut tail), ["5"]);
    }

    #[test]
    fn a_file_that_was_cut_begins_anew() {
        let dir = tempfile::tempdir().expect("dir");
        let path = dir.path().join("cache.json");
        append(&path, "one\ntwo\n");
        let mut tail = Tail::open(&path).expect("open");
        assert_eq!(lines(&mut tail), ["one", "two"]);
        fs::OpenOptions::new().write(true).open(&path).expect("open").set_len(0).expect("cut");
        append(&path, "new\n");
        assert_eq!(lines(&mut tail), ["new"]);
    }

    #[test]
    fn a_span_begins_in_the_rotated_file_that_reaches_into_it() {
        let dir = tempfile::tempdir().expect("dir");
        let path = dir.path().join("cache.json");
        for (name, text) in [(2, "1\n"), (1, "2\n")] {
            append(&numbered(&path, name), text);
        }
        append(&path, "3\n");
        let hour = SystemTime::now() - std::time::Duration::from_secs(3600);
        let old = File::options().append(true).open(numbered(&path, 2)).expect("open");
        old.set_modified(hour - std::time::Duration::from_secs(1)).expect("a time");
        let mut tail = Tail::open_since(&path, hour).expect("open");
        assert_eq!(lines(&mut tail), ["2", "3"]);
        let mut all = Tail::open_since(&path, SystemTime::UNIX_EPOCH).expect("open");
        assert_eq!(lines(&mut all), ["1", "2", "3"]);
    }
}
