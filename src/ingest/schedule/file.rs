//! The file of the book: it appears whole or not at all.
//! Where it cannot be read, every schedule runs once: what was missed is not known.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::book::Book;

/// Far above the largest book there can be: so many schedules, each with its last error.
const BYTES_MAX: u64 = 8 * 1024 * 1024;

/// What was found.
pub(super) enum Found {
    /// A book, or none yet.
    Whole(Option<Book>),
    /// Something else, and why it is of no use.
    Damaged(String),
}

/// Reads the book.
pub(super) fn read(path: &Path) -> Found {
    let mut text = String::new();
    let opened = File::open(path).and_then(|file| file.take(BYTES_MAX).read_to_string(&mut text));
    match opened {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Found::Whole(None),
        Err(error) => return Found::Damaged(error.to_string()),
        Ok(_) => {}
    }
    serde_json::from_str(&text)
        .map_or_else(|error| Found::Damaged(error.to_string()), |book| Found::Whole(Some(book)))
}

/// Replaces the file.
///
/// # Errors
/// The system's; the old file is then still there.
pub(super) fn write(path: &Path, book: &Book) -> io::Result<()> {
    let json = serde_json::to_vec(book).map_err(io::Error::other)?;
    let new = path.with_extension("new");
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    file.write_all(&json)?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty());
    File::open(dir.unwrap_or(Path::new(".")))?.sync_all()
}
