//! The file of the book, written atomically.
//! If it cannot be read, every schedule runs once, because it is not known which runs were missed.

use std::io;
use std::path::Path;

use super::book::Book;
use crate::support::small_file;

/// Bytes of the file: far above the largest possible book.
const BYTES_MAX: u64 = 8 * 1024 * 1024;

/// The content of the file.
pub(super) enum BookFile {
    /// A book, or no file yet.
    Whole(Option<Book>),
    /// Why the file cannot be used.
    Damaged(String),
}

/// Reads the book.
pub(super) fn read(path: &Path) -> BookFile {
    small_file::read(path, BYTES_MAX).map_or_else(BookFile::Damaged, BookFile::Whole)
}

/// Replaces the file.
///
/// # Errors
/// That of the system; the old file is then still there.
pub(super) fn write(path: &Path, book: &Book) -> io::Result<()> {
    small_file::write(path, book)
}
