//! Checks while the process runs that the path of the data directory still leads to our directory.
//!
//! A directory can be deleted, moved or unmounted under an open file, and every write and sync
//! still succeeds. So its path is checked after each sync, before the answer, and once a second.
//! Guaranteed is that the record was reachable by its path at the time of the check. A later
//! removal cannot be prevented: it is detected within a second, and as soon as there is a directory
//! again, everything this process knows is written to it as one full checkpoint.
//!
//! A missing directory is not created again, because it may be a missing mount. Another directory
//! at its path is used if it has no journal, or one that this process wrote. The journal of another
//! process is never touched.

use std::io;

use super::disk::{Disk, DiskLock, PathState};
use super::layout::{Format, Layout};
use super::slot::{self, Slot, SlotFound};

/// The lock file, by which our directory is recognised.
pub(super) struct Home {
    lock: Box<dyn DiskLock>,
}

impl Home {
    pub(super) fn new(lock: Box<dyn DiskLock>) -> Self {
        Self { lock }
    }

    /// Whether the directory at the path is the one whose lock we hold.
    ///
    /// # Errors
    /// What is at the path instead.
    pub(super) fn check(&self, layout: &Layout) -> io::Result<()> {
        let what = match self.lock.path_state() {
            PathState::Ours => return Ok(()),
            PathState::Missing => "is gone: it was deleted, moved or unmounted",
            PathState::Replaced => "was replaced by another directory",
        };
        Err(away(layout, what))
    }

    /// Starts to use the directory that is at the path now, if that is allowed.
    ///
    /// # Errors
    /// Why it is not allowed, or the error of the disk.
    pub(super) fn move_in(
        &mut self,
        disk: &dyn Disk,
        layout: &Layout,
        ours: Slot,
    ) -> io::Result<()> {
        let found = self.check(layout);
        if found.is_ok() {
            return Ok(());
        }
        if let Err(error) = disk.list(layout.dir()) {
            return if error.kind() == io::ErrorKind::NotFound { found } else { Err(error) };
        }
        let slot = slot::read(disk, layout)?;
        let is_empty = slot == SlotFound::Missing
            && layout.read_format(disk).is_ok_and(|format| format == Format::Absent)
            && layout.numbers(disk).is_ok_and(|numbers| numbers.is_empty());
        let is_our_own = matches!(slot, SlotFound::Whole(slot) if slot.owner == ours.owner);
        if !is_empty && !is_our_own {
            let what = "was replaced by one that contains the journal of another process; put the \
                        directory back, or restart to use the other one";
            return Err(away(layout, what));
        }
        self.lock = layout.lock(disk).map_err(io::Error::other)?;
        // Until a checkpoint contains every backlog, a crash leads to `all`.
        slot::write(disk, layout, Slot { all: true, segment: 0, ..ours })?;
        layout.write_format(disk).map_err(io::Error::other)
    }

    /// Whether the slot and the format file are present and valid.
    ///
    /// # Errors
    /// The file that is not.
    pub(super) fn check_files(&self, disk: &dyn Disk, layout: &Layout) -> io::Result<()> {
        self.check(layout)?;
        if !matches!(slot::read(disk, layout)?, SlotFound::Whole(_)) {
            return Err(damaged(&layout.slot()));
        }
        match layout.read_format(disk) {
            Ok(Format::Present) => Ok(()),
            Ok(Format::Before | Format::Absent) => Err(damaged(&layout.format())),
            Err(error) => Err(io::Error::other(error)),
        }
    }
}

fn away(layout: &Layout, what: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::NotFound,
        format!("the data directory {} {what}", layout.dir().display()),
    )
}

fn damaged(path: &std::path::Path) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, format!("{} was removed or changed", path.display()))
}
