//! The paths in the data directory, and its preparation: directories, lock, format.
//!
//! The format file is written after the slot and before the first segment. If it exists, the slot
//! must exist; if it does not, nothing was ever accepted.

use std::io;
use std::path::{Path, PathBuf};

use super::disk::DiskLock;
use super::{Disk, OpenError};

/// The content of the format file. Any other text is another format and is refused.
const FORMAT: &str = "cache-mirror data 2\n";

/// The format without the end mark and without removed destinations. It is read, and then replaced
/// by the current one, because an older version would not understand what is written from now on.
const FORMAT_BEFORE: &str = "cache-mirror data 1\n";

/// The state of the format file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// No file, or one that was cut off while it was written.
    Absent,
    /// The previous format, to be upgraded.
    Before,
    Present,
}

/// Digits of a segment's number: enough for a `u64`, so that names sort as numbers do.
const NUMBER_DIGITS: usize = 20;

/// The paths of one data directory.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    dir: PathBuf,
}

impl Layout {
    pub(super) fn new(dir: &Path) -> Self {
        Self { dir: dir.to_owned() }
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(super) fn segments(&self) -> PathBuf {
        self.dir.join("journal")
    }

    pub(super) fn segment(&self, number: u64) -> PathBuf {
        self.segments().join(format!("{number:0NUMBER_DIGITS$}.seg"))
    }

    pub(super) fn slot(&self) -> PathBuf {
        self.dir.join("overflow.slot")
    }

    pub(super) fn mark(&self) -> PathBuf {
        self.dir.join("end.mark")
    }

    pub(super) fn format(&self) -> PathBuf {
        self.dir.join("format")
    }

    /// Creates the directories and takes the lock.
    pub(super) fn lock(&self, disk: &dyn Disk) -> Result<Box<dyn DiskLock>, OpenError> {
        let segments = self.segments();
        disk.create_dir(&segments).map_err(OpenError::at(&segments))?;
        let path = self.dir.join("lock");
        disk.try_lock(&path)
            .map_err(OpenError::at(&path))?
            .ok_or_else(|| OpenError::Locked { dir: self.dir.clone() })
    }

    /// Reads the format; one that this version does not know is an error.
    pub(super) fn read_format(&self, disk: &dyn Disk) -> Result<Format, OpenError> {
        let path = self.format();
        let Some(found) = disk.read(&path).map_err(OpenError::at(&path))? else {
            return Ok(Format::Absent);
        };
        let found = String::from_utf8_lossy(&found);
        match found.trim_end_matches('\0') {
            FORMAT => Ok(Format::Present),
            FORMAT_BEFORE => Ok(Format::Before),
            // A power cut while it was written: it counts as absent.
            text if FORMAT.starts_with(text) => Ok(Format::Absent),
            text => {
                Err(OpenError::UnknownFormat { found: text.trim_end().chars().take(64).collect() })
            }
        }
    }

    pub(super) fn write_format(&self, disk: &dyn Disk) -> Result<(), OpenError> {
        let path = self.format();
        let write = || {
            let mut file = match disk.read(&path)? {
                Some(_) => disk.open(&path)?,
                None => disk.create(&path)?,
            };
            file.write_at(0, FORMAT.as_bytes())?;
            file.sync_data()?;
            disk.sync_dir(&self.dir)?;
            // The directory's own name. Best effort: if the parent cannot be read, this program did
            // not create the directory in it.
            let parent = self.dir.parent().filter(|parent| !parent.as_os_str().is_empty());
            let _ = disk.sync_dir(parent.unwrap_or(Path::new(".")));
            Ok(())
        };
        write().map_err(OpenError::at(&path))
    }

    /// The numbers of the segment files, in order.
    pub(super) fn numbers(&self, disk: &dyn Disk) -> Result<Vec<u64>, OpenError> {
        let dir = self.segments();
        let names = match disk.list(&dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            names => names.map_err(OpenError::at(&dir))?,
        };
        let mut numbers: Vec<u64> = names.iter().filter_map(|name| number(name)).collect();
        numbers.sort_unstable();
        Ok(numbers)
    }
}

fn number(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".seg")?;
    (digits.len() == NUMBER_DIGITS).then(|| digits.parse().ok()).flatten()
}
