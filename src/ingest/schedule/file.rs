//! The file of the book: it appears whole or not at all.
//! Where it cannot be read, every schedule runs once: what was missed is not known.

use std::io;
use std::path::Path;

use super::book::Book;
use crate::support::small_file;

/// Far above the largest book there can be: so many schedules, each with its last error.
const BYTES_MAX: u64 = 8 * 1024 * 1024;

/// What was found.
pub(super) enum BookFile {
    /// A book, or none yet.
    Whole(Option<Book>),
    /// Something else, and why it is of no use.
    Damaged(String),
}

/// Reads the book.
pub(super) fn read(path: &Path) -> BookFile {
    small_file::read(path, BYTES_MAX).map_or_else(BookFile::Damaged, BookFile::Whole)
}

/// Replaces the file.
///
/// # Errors
/// The system's; the old file is then still there.
pub(super) fn write(path: &Path, book: &Book) -> io::Result<()> {
    small_file::write(path, book)
}
