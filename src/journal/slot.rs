//! The overflow slot: one preallocated 4 KiB file that is overwritten in place.
//!
//! It needs no new space, so it can record "every destination needs `all`" when the disk accepts
//! nothing else. It also names the newest segment in use, so that the loss of that file is
//! detected; a segment is used only after the slot names it. There is one copy with a checksum: a
//! slot torn by a power cut is damage, and damage means `all`.

use std::io;

use serde::{Deserialize, Serialize};

use crate::support::random;

use super::Disk;
use super::layout::Layout;
use super::record::{self, RecordKind};

/// One page: the disks in use write it as a whole.
const SLOT_BYTES: usize = 4096;

/// The content of the slot.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Slot {
    /// Whether every destination needs `all`.
    pub all: bool,
    /// The newest segment in use; 0 before the first.
    pub segment: u64,
    /// The epoch (process start) that wrote it.
    pub epoch: u64,
    /// The newest sequence number in use when it was written.
    pub seq: u64,
    /// A random number of the process that wrote it; 0 before its first segment.
    #[serde(default)]
    pub owner: u64,
}

/// The result of reading the slot file.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum SlotFound {
    Missing,
    Damaged,
    Whole(Slot),
}

/// Reads the slot file.
pub(super) fn read(disk: &dyn Disk, layout: &Layout) -> io::Result<SlotFound> {
    let Some(bytes) = disk.read(&layout.slot())? else {
        return Ok(SlotFound::Missing);
    };
    let slot = match record::read(&bytes, 0) {
        Ok(Some(record)) if record.kind == RecordKind::Slot && bytes.len() == SLOT_BYTES => {
            match record::read(&bytes, record.end) {
                Ok(None) => serde_json::from_slice(record.payload).ok(),
                _ => None,
            }
        }
        _ => None,
    };
    Ok(slot.map_or(SlotFound::Damaged, SlotFound::Whole))
}

/// Overwrites the slot, or creates it if it is missing; durable on `Ok`. After an error its content
/// is unknown until the next `Ok`.
pub(super) fn write(disk: &dyn Disk, layout: &Layout, slot: Slot) -> io::Result<()> {
    if disk.read(&layout.slot())?.is_none() {
        let mut file = disk.create(&layout.slot())?;
        file.write_at(0, &encode(slot))?;
        file.sync_data()?;
        return disk.sync_dir(layout.dir());
    }
    overwrite(disk, layout, slot)
}

fn overwrite(disk: &dyn Disk, layout: &Layout, slot: Slot) -> io::Result<()> {
    // Opened for each write: an error of an earlier sync must be neither reported nor hidden here.
    let mut file = disk.open(&layout.slot())?;
    file.write_at(0, &encode(slot))?;
    file.sync_data()
}

/// A number for [`Slot::owner`]; never 0, which means "no owner".
pub(super) fn draw_owner() -> u64 {
    let mut bytes = [0; 8];
    // Without random bytes, only the recognition of our own directory is less certain.
    let _ = random::fill(&mut bytes);
    u64::from_le_bytes(bytes) | 1
}

fn encode(slot: Slot) -> Vec<u8> {
    let payload = serde_json::to_vec(&slot).expect("a struct of numbers serialises");
    let mut bytes = Vec::with_capacity(SLOT_BYTES);
    record::write(&mut bytes, RecordKind::Slot, slot.seq, &payload);
    bytes.resize(SLOT_BYTES, 0);
    bytes
}
