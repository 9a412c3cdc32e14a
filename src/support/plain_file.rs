//! Reads a file that another program may have put there: never waits, never reads without a bound.
//!
//! A pipe without a writer would block the open call, a link may lead anywhere, and a device may
//! have no end. So the kind of the opened file is checked before it is read.

use std::fs::{File, FileType, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _};
use std::path::Path;

use rustix::fs::OFlags;
use rustix::io::Errno;

/// Whose file it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// Ours, in the data directory: a plain file, and no link.
    Own,
    /// One that was named in the settings: links are followed (mounted secrets are links), and the
    /// devices and open descriptors of the process may be read.
    Named,
}

/// Flags for opening a file of the data directory: no link is followed, nothing is waited for.
pub fn flags() -> i32 {
    (OFlags::NONBLOCK | OFlags::NOFOLLOW).bits().cast_signed()
}

/// What a file is, in words.
pub fn kind(of: FileType) -> &'static str {
    match of {
        of if of.is_symlink() => "a link",
        of if of.is_dir() => "a directory",
        of if of.is_fifo() => "a named pipe",
        of if of.is_socket() => "a socket",
        of if of.is_file() => "a plain file",
        _ => "a device",
    }
}

/// All that a file holds.
///
/// # Errors
/// The system's, or what was found instead of a file of at most `bytes_max` bytes.
pub fn read(path: &Path, bytes_max: u64, origin: Origin) -> io::Result<Vec<u8>> {
    let file = open(path, origin)?;
    let mut bytes = Vec::new();
    file.take(bytes_max.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > bytes_max {
        return Err(io::Error::other(format!("larger than {bytes_max} bytes")));
    }
    Ok(bytes)
}

/// The same as text.
///
/// # Errors
/// As [`read`], and where it is not UTF-8.
pub fn read_text(path: &Path, bytes_max: u64, origin: Origin) -> io::Result<String> {
    let bytes = read(path, bytes_max, origin)?;
    let is_utf16 = bytes.starts_with(&[0xFF, 0xFE]) || bytes.starts_with(&[0xFE, 0xFF]);
    let found = if is_utf16 { "UTF-16, expected UTF-8" } else { "not UTF-8" };
    String::from_utf8(bytes).map_err(|_| io::Error::new(io::ErrorKind::InvalidData, found))
}

/// Opens it for reading.
///
/// # Errors
/// The system's, or what was found instead of a plain file.
pub fn open(path: &Path, origin: Origin) -> io::Result<File> {
    // `<(command)` of a shell: its pipe is open already, and has a writer.
    let is_descriptor =
        ["/dev/fd", "/dev/stdin", "/proc/self/fd"].iter().any(|it| path.starts_with(it));
    if origin == Origin::Named && is_descriptor {
        return File::open(path);
    }
    let flags = match origin {
        Origin::Own => flags(),
        Origin::Named => OFlags::NONBLOCK.bits().cast_signed(),
    };
    let opened = OpenOptions::new().read(true).custom_flags(flags).open(path);
    let is = |error: &io::Error, errno: Errno| error.raw_os_error() == Some(errno.raw_os_error());
    let file = match opened {
        Err(error) if origin == Origin::Own && is(&error, Errno::LOOP) => {
            return Err(found("a link"));
        }
        Err(error) if is(&error, Errno::NXIO) => return Err(found("a socket")),
        opened => opened?,
    };
    let is_of = file.metadata()?.file_type();
    let is_device = is_of.is_char_device() && origin == Origin::Named;
    if is_of.is_file() || is_device { Ok(file) } else { Err(found(kind(is_of))) }
}

fn found(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, format!("expected a plain file, found {what}"))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;
    use std::process::Command;

    use super::*;

    #[test]
    fn what_is_no_plain_file_is_named_and_never_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::write(at("plain"), "12345678").unwrap();
        fs::write(at("utf16"), b"\xFF\xFEA\0=\x001\0").unwrap();
        fs::create_dir(at("dir")).unwrap();
        assert!(Command::new("mkfifo").arg(at("pipe")).status().unwrap().success());
        let _socket = UnixListener::bind(at("socket")).unwrap();
        symlink("plain", at("link")).unwrap();
        symlink("pipe", at("to-pipe")).unwrap();
        for (name, own, named) in [
            ("plain", "12345678", "12345678"),
            ("utf16", "UTF-16, expected UTF-8", "UTF-16, expected UTF-8"),
            ("link", "found a link", "12345678"),
            ("to-pipe", "found a link", "found a named pipe"),
            ("pipe", "found a named pipe", "found a named pipe"),
            ("dir", "found a directory", "found a directory"),
            ("socket", "found a socket", "found a socket"),
            ("/dev/null", "found a device", ""),
            ("/dev/zero", "found a device", "larger than 8 bytes"),
            ("nothing", "No such file", "No such file"),
        ] {
            for (origin, expected) in [(Origin::Own, own), (Origin::Named, named)] {
                let text = read_text(&at(name), 8, origin).unwrap_or_else(|it| it.to_string());
                assert!(text.contains(expected), "{name} {origin:?}: {text}");
            }
        }
        let long = read(&at("plain"), 7, Origin::Own).unwrap_err().to_string();
        assert_eq!(long, "larger than 7 bytes");
    }
}
