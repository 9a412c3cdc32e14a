//! The overflow slot: one preallocated 4 KiB file that is overwritten in place.
//!
//! It can say "every destination needs `all`" when the disk takes nothing else, because it needs no
//! new space. It also names the newest segment that records were accepted into, so that the loss of
//! that file is seen; a segment is used only after the slot names it. One copy, checksummed: a slot
//! that a power cut tore reads as damage, and damage is `all`.

use std::io;

use serde::{Deserialize, Serialize};

use crate::support::random;

use super::Disk;
use super::layout::Layout;
use super::record::{self, RecordKind};

/// One page: written in one piece by every disk in use.
const SLOT_BYTES: usize = 4096;

/// What the slot says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Slot {
    /// Whether every destination needs `all`.
    pub all: bool,
    /// The newest segment in use; 0 before the first.
    pub segment: u64,
    /// The process start that wrote it.
    pub epoch: u64,
    /// The newest sequence number given when it was written.
    pub seq: u64,
    /// A random number of the process that wrote it; 0 before its first segment.
    #[serde(default)]
    pub owner: u64,
}

/// What was found where the slot should be.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum SlotFound {
    Missing,
    Damaged,
    Whole(Slot),
}

/// Reads it.
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

/// Overwrites it, or makes it where it is missing; durable on `Ok`. After an error its content is
/// unknown until the next `Ok`.
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
    // Opened anew each time: an error of an earlier sync must not be reported, or swallowed, here.
    let mut file = disk.open(&layout.slot())?;
    file.write_at(0, &encode(slot))?;
    file.sync_data()
}

/// A number for [`Slot::owner`]; never 0, which stands for nobody.
pub(super) fn draw_owner() -> u64 {
    let mut bytes = [0; 8];
    // Without random bytes a directory of our own is only recognised less surely.
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
