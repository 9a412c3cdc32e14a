//! The end mark: how far records were acknowledged, in a small file of its own.
//!
//! If a segment was replaced by an older copy of itself, it is valid but too short. Only something
//! outside the segment can show that. The mark is written after each commit and not synced: it
//! survives `kill -9`, and after a power cut it may be behind, never ahead. Two cells in two
//! sectors are written alternately, so a torn write leaves the older cell intact. An unreadable
//! mark proves nothing; a missing one is damage, because this program never removes it.

use std::io;

use super::Disk;
use super::disk::{DiskFile, PathState};
use super::layout::Layout;
use super::record::{self, RecordKind};

/// One sector for each cell: a disk writes a sector whole or not at all.
const CELL_BYTES: usize = 512;

/// Cells in the file.
const CELLS: u64 = 2;

/// The content of the mark file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MarkFound {
    Missing,
    /// No cell is valid.
    Unreadable,
    /// Events up to this one were acknowledged.
    Through(u64),
}

/// Reads the mark file.
pub(super) fn read(disk: &dyn Disk, layout: &Layout) -> io::Result<MarkFound> {
    let Some(bytes) = disk.read(&layout.mark())? else { return Ok(MarkFound::Missing) };
    let seq = |cell: &[u8]| match record::read(cell, 0) {
        Ok(Some(record)) if record.kind == RecordKind::Mark => Some(record.seq),
        _ => None,
    };
    let newest = bytes.chunks(CELL_BYTES).take(CELLS as usize).filter_map(seq).max();
    Ok(newest.map_or(MarkFound::Unreadable, MarkFound::Through))
}

/// The open mark file.
pub(super) struct Mark {
    file: Box<dyn DiskFile>,
    /// Cells written so far; the next write replaces the older of the two.
    written: u64,
    through: u64,
}

impl Mark {
    /// Opens the file, or creates it; durable on `Ok`.
    pub(super) fn open(disk: &dyn Disk, layout: &Layout, through: u64) -> io::Result<Self> {
        let path = layout.mark();
        let is_new = disk.read(&path)?.is_none();
        let file = if is_new { disk.create(&path)? } else { disk.open(&path)? };
        let mut mark = Self { file, written: 0, through };
        for _ in 0..CELLS {
            mark.put(through)?;
        }
        mark.file.sync_data()?;
        if is_new {
            disk.sync_dir(layout.dir())?;
        }
        Ok(mark)
    }

    /// Notes that events up to this one are durable. Not synced: see the top of this file.
    pub(super) fn advance(&mut self, through: u64) -> io::Result<()> {
        if through > self.through { self.put(through) } else { Ok(()) }
    }

    fn put(&mut self, through: u64) -> io::Result<()> {
        let mut cell = Vec::with_capacity(CELL_BYTES);
        record::write(&mut cell, RecordKind::Mark, through, &[]);
        cell.resize(CELL_BYTES, 0);
        self.file.write_at(self.written % CELLS * CELL_BYTES as u64, &cell)?;
        self.written += 1;
        self.through = through;
        Ok(())
    }

    /// Called at an orderly stop, so that the mark is exact even after a power cut.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        self.file.sync_data()
    }

    /// Whether the path still leads to the open file.
    pub(super) fn is_in_place(&self) -> bool {
        self.file.path_state() == PathState::Ours
    }
}
