//! The interface to the file system, so that tests can simulate one.
//!
//! The contract of [`Disk`] is the minimum of POSIX: a write is durable after `sync_data` of the
//! file, a name after `sync_dir` of its directory, and after a failed sync the state of those
//! writes is unknown. Files are created with mode 0600, directories with 0700.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, StatxFlags, statx};
use rustix::path::Arg;

use crate::support::plain_file::{self, Origin};

/// Far above the largest segment that the settings allow.
const SEGMENT_BYTES_MAX: u64 = 4 << 30;
/// Far above the size of the other files, which contain a line or a few numbers.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// A directory tree with files that are written in place.
pub trait Disk: Send + Sync {
    /// Creates a directory and its parents, if they do not exist.
    ///
    /// # Errors
    /// The error of the file system; the same for all methods below.
    fn create_dir(&self, path: &Path) -> io::Result<()>;
    /// The names in a directory, in no order.
    ///
    /// # Errors
    /// See [`Disk::create_dir`].
    fn list(&self, dir: &Path) -> io::Result<Vec<String>>;
    /// Reads a whole file; `None` if it does not exist.
    ///
    /// # Errors
    /// See [`Disk::create_dir`].
    fn read(&self, path: &Path) -> io::Result<Option<Vec<u8>>>;
    /// Creates a file; an error if it exists.
    ///
    /// # Errors
    /// See [`Disk::create_dir`].
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;
    /// Opens an existing file, to overwrite it in place.
    ///
    /// # Errors
    /// See [`Disk::create_dir`].
    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;
    /// Removes a file.
    ///
    /// # Errors
    /// See [`Disk::create_dir`].
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Makes creations and removals in a directory durable.
    ///
    /// # Errors
    /// See [`Disk::create_dir`].
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
    /// Takes the lock until the returned value is dropped; `None` if another process has it.
    ///
    /// # Errors
    /// See [`Disk::create_dir`].
    fn try_lock(&self, path: &Path) -> io::Result<Option<Box<dyn DiskLock>>>;
}

/// Where the path of an open file leads to now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PathState {
    /// To the open file.
    Ours,
    /// To nothing: it was removed, moved away or unmounted.
    Missing,
    /// To something else.
    Replaced,
}

/// A lock; dropping it releases it.
pub trait DiskLock: Send {
    /// Where the lock's path leads to now.
    fn path_state(&self) -> PathState;
}

/// One open file.
pub trait DiskFile: Send {
    /// Writes all bytes at an offset; the file grows if needed.
    ///
    /// # Errors
    /// The error of the file system; some of the bytes may have been written.
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()>;
    /// Makes all writes durable, and the length of the file.
    ///
    /// # Errors
    /// The error of the file system. Never repeat it on this file: see the top of this file.
    fn sync_data(&mut self) -> io::Result<()>;
    /// Where the path of the file leads to now. Writes to a file without a name succeed, and are
    /// lost when it is closed.
    fn path_state(&self) -> PathState;
}

/// A file, and the path it was opened by.
struct OpenFile {
    file: File,
    path: PathBuf,
    /// Which file it is. No other file has this identity while it is open.
    identity: FileIdentity,
    /// How far this process has written, in bytes: a shorter file was cut by another program.
    written: u64,
}

/// Device (major, minor) and inode.
type FileIdentity = (u32, u32, u64);

impl OpenFile {
    fn new(file: File, path: &Path) -> io::Result<Self> {
        let (identity, _) = identity(&file, "", AtFlags::EMPTY_PATH)?;
        Ok(Self { file, path: path.to_owned(), identity, written: 0 })
    }

    fn path_state(&self) -> PathState {
        match identity(CWD, &self.path, AtFlags::empty()) {
            Ok((there, size)) if there == self.identity && size >= self.written => PathState::Ours,
            Ok(_) => PathState::Replaced,
            Err(_) => PathState::Missing,
        }
    }
}

/// Which file it is, and its size in bytes. It must not ask for times: the kernel then gives the
/// next write a new timestamp, so each sync also writes the inode, and an answer takes a third
/// longer.
fn identity(dir: impl AsFd, path: impl Arg, flags: AtFlags) -> io::Result<(FileIdentity, u64)> {
    let found = statx(dir, path, flags, StatxFlags::INO | StatxFlags::SIZE)?;
    Ok(((found.stx_dev_major, found.stx_dev_minor, found.stx_ino), found.stx_size))
}

/// The real file system.
#[derive(Debug, Clone, Copy, Default)]
pub struct FileDisk;

impl Disk for FileDisk {
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        fs::read_dir(dir)?
            .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
            .collect()
    }

    fn read(&self, path: &Path) -> io::Result<Option<Vec<u8>>> {
        let is_segment = path.extension().is_some_and(|name| name == "seg");
        let bytes_max = if is_segment { SEGMENT_BYTES_MAX } else { FILE_BYTES_MAX };
        match plain_file::read(path, bytes_max, Origin::Own) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        Ok(Box::new(OpenFile::new(file, path)?))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let flags = plain_file::flags();
        let file = OpenOptions::new().write(true).custom_flags(flags).open(path)?;
        Ok(Box::new(OpenFile::new(file, path)?))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        File::open(dir)?.sync_all()
    }

    fn try_lock(&self, path: &Path) -> io::Result<Option<Box<dyn DiskLock>>> {
        // Never truncated: the lock is on the file, not on its content.
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false).mode(0o600);
        let file = options.custom_flags(plain_file::flags()).open(path)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Box::new(OpenFile::new(file, path)?))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
}

impl DiskFile for OpenFile {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all_at(bytes, offset)?;
        self.written = self.written.max(offset + bytes.len() as u64);
        Ok(())
    }

    fn sync_data(&mut self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn path_state(&self) -> PathState {
        OpenFile::path_state(self)
    }
}

impl DiskLock for OpenFile {
    fn path_state(&self) -> PathState {
        OpenFile::path_state(self)
    }
}
