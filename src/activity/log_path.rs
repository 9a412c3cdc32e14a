//! What the path of the log leads to, found out without opening it.
//!
//! A plain file is rotated. A pipe, a device and the process's own output are written to without
//! rotation. A directory and a socket cannot hold a log and are refused. Settings, `serve` and
//! `doctor` share these texts.

use std::fs;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

/// Links that are followed from the path of the log to the process's own output.
const LINKS_MAX: usize = 8;

/// What is at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogPathKind {
    /// A plain file, or nothing yet.
    Plain,
    /// A link to a plain file, or to nothing yet.
    Link(PathBuf),
    /// The process's own output with this descriptor, such as `/dev/stdout`.
    Output(u32),
    /// A named pipe.
    Pipe,
    /// A device such as `/dev/null`.
    Device,
    /// A socket.
    Socket,
    /// A directory.
    Directory,
}

impl LogPathKind {
    /// Examines a path.
    pub fn of(path: &Path) -> Self {
        if let Some(number) = output(path) {
            return Self::Output(number);
        }
        let Some(kind) = fs::metadata(path).ok().map(|found| found.file_type()) else {
            return Self::link(path);
        };
        match kind {
            kind if kind.is_dir() => Self::Directory,
            kind if kind.is_socket() => Self::Socket,
            kind if kind.is_fifo() => Self::Pipe,
            kind if kind.is_char_device() || kind.is_block_device() => Self::Device,
            _ => Self::link(path),
        }
    }

    fn link(path: &Path) -> Self {
        fs::read_link(path).map_or(Self::Plain, Self::Link)
    }

    /// Why it cannot hold a log, if so.
    pub fn refusal(&self) -> Option<&'static str> {
        match self {
            Self::Directory => Some("expected a file, found a directory"),
            Self::Socket => Some("expected a file, found a socket"),
            _ => None,
        }
    }

    /// A note for the operator, if it is not a plain file.
    pub fn note(&self) -> Option<String> {
        Some(match self {
            Self::Plain => return None,
            Self::Link(to) => {
                format!("a link to {}, which is the file that is rotated", to.display())
            }
            Self::Output(_) => "the output of this process: not rotated".to_owned(),
            Self::Pipe => {
                "a pipe: not rotated, and lines are lost while it has no reader".to_owned()
            }
            Self::Device => "a device: not rotated".to_owned(),
            Self::Socket => "a socket".to_owned(),
            Self::Directory => "a directory".to_owned(),
        })
    }

    /// Whether this is a usual choice that needs no warning.
    pub fn is_usual(&self, path: &Path) -> bool {
        matches!(self, Self::Plain | Self::Output(_)) || path == Path::new("/dev/null")
    }

    /// Whether it is rotated.
    pub fn is_rotated(&self) -> bool {
        matches!(self, Self::Plain | Self::Link(_))
    }
}

/// The first name that rotation needs but a directory has.
pub fn blocked(path: &Path, rotate_count: usize) -> Option<PathBuf> {
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    (1..=rotate_count).map(|number| numbered(&path, number)).find(|path| path.is_dir())
}

/// The name of a rotated file.
pub(super) fn numbered(plain: &Path, number: usize) -> PathBuf {
    let mut path = plain.as_os_str().to_owned();
    path.push(format!(".{number}"));
    path.into()
}

/// The descriptor of this process that a path names, directly or through links.
fn output(path: &Path) -> Option<u32> {
    let mut path = path.to_owned();
    for _ in 0..LINKS_MAX {
        match path.to_str()? {
            "/dev/stdout" => return Some(1),
            "/dev/stderr" => return Some(2),
            text => {
                let own = format!("/proc/{}/fd/", std::process::id());
                let number = ["/proc/self/fd/", "/dev/fd/", &own]
                    .into_iter()
                    .find_map(|dir| text.strip_prefix(dir));
                if let Some(number) = number {
                    return number.parse().ok();
                }
            }
        }
        let to = fs::read_link(&path).ok()?;
        path = path.parent()?.join(to);
    }
    None
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;
    use std::process::Command;

    use super::*;

    #[test]
    fn every_kind_of_path_is_recognised_without_opening_it() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::write(at("plain"), "").unwrap();
        fs::create_dir(at("dir")).unwrap();
        assert!(Command::new("mkfifo").arg(at("pipe")).status().unwrap().success());
        let _socket = UnixListener::bind(at("socket")).unwrap();
        for (name, to) in
            [("to-plain", "plain"), ("to-nothing", "nothing"), ("to-out", "/dev/stdout")]
        {
            symlink(to, at(name)).unwrap();
        }
        symlink("to-out", at("to-to-out")).unwrap();
        symlink("pipe", at("to-pipe")).unwrap();
        for (name, expected) in [
            ("plain", LogPathKind::Plain),
            ("nothing", LogPathKind::Plain),
            ("dir", LogPathKind::Directory),
            ("pipe", LogPathKind::Pipe),
            ("to-pipe", LogPathKind::Pipe),
            ("socket", LogPathKind::Socket),
            ("to-plain", LogPathKind::Link("plain".into())),
            ("to-nothing", LogPathKind::Link("nothing".into())),
            ("to-out", LogPathKind::Output(1)),
            ("to-to-out", LogPathKind::Output(1)),
            ("/dev/null", LogPathKind::Device),
            ("/dev/stderr", LogPathKind::Output(2)),
            ("/proc/self/fd/1", LogPathKind::Output(1)),
            ("/dev/fd/2", LogPathKind::Output(2)),
        ] {
            assert_eq!(LogPathKind::of(&at(name)), expected, "{name}");
        }
        assert!(
            LogPathKind::Directory.refusal().is_some() && LogPathKind::Socket.refusal().is_some()
        );
        assert!(
            LogPathKind::Pipe.refusal().is_none() && LogPathKind::Output(1).refusal().is_none()
        );
        assert_eq!(blocked(&at("plain"), 3), None);
        fs::create_dir(at("plain.2")).unwrap();
        assert_eq!(blocked(&at("to-plain"), 3), Some(at("plain.2").canonicalize().unwrap()));
    }
}
