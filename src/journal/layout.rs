//! Where things lie in the data directory, and the preparation of it: directories, lock, format.
//!
//! The format file is written after the slot and before the first segment: where it is, the slot
//! must be; where it is not, nothing was ever accepted.

use std::path::{Path, PathBuf};

use super::{Disk, OpenError};

/// The text of the format file. Another text is another format, and is refused.
const FORMAT: &str = "cache-mirror data 1\n";

/// Digits of a segment's number: every `u64` fits, so that names sort as numbers do.
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

    fn format(&self) -> PathBuf {
        self.dir.join("format")
    }

    /// Makes the directories and takes the lock.
    pub(super) fn lock(&self, disk: &dyn Disk) -> Result<Box<dyn Send>, OpenError> {
        let segments = self.segments();
        disk.create_dir(&segments).map_err(OpenError::at(&segments))?;
        let path = self.dir.join("lock");
        disk.try_lock(&path)
            .map_err(OpenError::at(&path))?
            .ok_or_else(|| OpenError::Locked { dir: self.dir.clone() })
    }

    /// Whether a format file of ours is there; one of somebody else is an error.
    pub(super) fn has_format(&self, disk: &dyn Disk) -> Result<bool, OpenError> {
        let path = self.format();
        let Some(found) = disk.read(&path).map_err(OpenError::at(&path))? else {
            return Ok(false);
        };
        let found = String::from_utf8_lossy(&found);
        let text = found.trim_end_matches('\0');
        if text == FORMAT {
            Ok(true)
        } else if FORMAT.starts_with(text) {
            // A power cut while it was being written: not there yet.
            Ok(false)
        } else {
            Err(OpenError::UnknownFormat { found: text.trim_end().chars().take(64).collect() })
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
            // The directory's own name. Best effort: where the parent cannot be read, it is not us
            // who made the directory in it.
            let parent = self.dir.parent().filter(|parent| !parent.as_os_str().is_empty());
            let _ = disk.sync_dir(parent.unwrap_or(Path::new(".")));
            Ok(())
        };
        write().map_err(OpenError::at(&path))
    }

    /// The numbers of the segment files that are there, in order.
    pub(super) fn numbers(&self, disk: &dyn Disk) -> Result<Vec<u64>, OpenError> {
        let dir = self.segments();
        let names = disk.list(&dir).map_err(OpenError::at(&dir))?;
        let mut numbers: Vec<u64> = names.iter().filter_map(|name| number(name)).collect();
        numbers.sort_unstable();
        Ok(numbers)
    }
}

fn number(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".seg")?;
    (digits.len() == NUMBER_DIGITS).then(|| digits.parse().ok()).flatten()
}
