//! One segment file: header, checkpoint, then records, in space that was filled with zeros before.
//!
//! Only one process start writes a segment; no later one appends to it. After the first failed
//! write or sync it is never used again, because it is unknown what that sync left on the disk. At
//! least one frame of zeros follows the last record, so that a cut at the end of a record is
//! detected.

use std::io;

use serde::{Deserialize, Serialize};

use super::Disk;
use super::disk::{DiskFile, PathState};
use super::layout::Layout;
use super::record::{self, FRAME_BYTES, RecordKind};
use super::state::JournalState;

/// A file grows in steps of this size. Between two steps a sync changes no metadata, which makes it
/// cheap. 256 KiB are about a thousand events.
const STEP_BYTES: u64 = 256 * 1024;

/// Version of the record format. A higher one is treated as damage.
const FORMAT: u32 = 1;

/// The first record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SegmentHeader {
    format: u32,
    /// Its own number, as in the file's name.
    pub number: u64,
    /// The process start that writes it.
    pub epoch: u64,
    /// The first sequence number that it may contain.
    pub first_seq: u64,
    /// The last valid event in older segments; later ones in them were never accepted.
    pub previous_seq: u64,
    /// The file's length is a multiple of this.
    step: u64,
}

/// The cursor of a destination moved.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct AckRecord {
    pub destination: String,
    pub through: u64,
}

/// The version counters were set to 0.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct ResetRecord {
    pub at_ms: u64,
}

/// A segment that is being written.
pub(super) struct Segment {
    file: Box<dyn DiskFile>,
    pub number: u64,
    /// Where the first record after the checkpoint begins: the checkpoint does not count as
    /// content.
    begin: u64,
    end: u64,
    pub length: u64,
    step: u64,
}

impl Segment {
    /// Creates the file with header and checkpoint; durable on `Ok`.
    pub(super) fn create(
        disk: &dyn Disk,
        layout: &Layout,
        (number, epoch, previous_seq): (u64, u64, u64),
        segment_bytes: u64,
        state: &JournalState,
    ) -> io::Result<Self> {
        let step = STEP_BYTES.min(segment_bytes).max(FRAME_BYTES as u64);
        let first_seq = state.head + 1;
        let header = SegmentHeader { format: FORMAT, number, epoch, first_seq, previous_seq, step };
        let mut bytes = Vec::new();
        record::write(&mut bytes, RecordKind::Header, state.head, &json(&header));
        record::write(&mut bytes, RecordKind::Checkpoint, state.head, &json(state));
        let file = disk.create(&layout.segment(number))?;
        let mut segment = Self { file, number, begin: 0, end: 0, length: 0, step };
        segment.write(&bytes)?;
        segment.begin = segment.end;
        disk.sync_dir(&layout.segments())?;
        Ok(segment)
    }

    /// Whether records of this size belong into the next segment.
    pub(super) fn is_full(&self, bytes: usize, segment_bytes: u64) -> bool {
        let written = self.end - self.begin;
        written > 0 && written + bytes as u64 > segment_bytes
    }

    /// Where the path of the file leads to now.
    pub(super) fn path_state(&self) -> PathState {
        self.file.path_state()
    }

    /// Appends records with one write and one sync; durable on `Ok`. After an error, drop the
    /// segment.
    pub(super) fn write(&mut self, records: &[u8]) -> io::Result<()> {
        let end = self.end + records.len() as u64;
        let needed = (end + FRAME_BYTES as u64).next_multiple_of(self.step);
        if needed > self.length {
            // Growth would hide that another program cut the file.
            if self.file.path_state() != PathState::Ours {
                return Err(io::Error::other("the segment was removed, replaced or cut"));
            }
            let zeros = vec![0; usize::try_from(needed - self.length).unwrap_or(usize::MAX)];
            self.file.write_at(self.length, &zeros)?;
            self.length = needed;
        }
        self.file.write_at(self.end, records)?;
        self.file.sync_data()?;
        self.end = end;
        Ok(())
    }
}

fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("plain structs with text keys serialise")
}

/// Encodes acknowledgements.
pub(super) fn encode_acks(out: &mut Vec<u8>, head: u64, acks: &[(String, u64)]) {
    for (destination, through) in acks {
        let ack = AckRecord { destination: destination.clone(), through: *through };
        record::write(out, RecordKind::Ack, head, &json(&ack));
    }
}

/// Encodes a reset of the version counters.
pub(super) fn encode_reset(out: &mut Vec<u8>, head: u64, at_ms: u64) {
    record::write(out, RecordKind::Reset, head, &json(&ResetRecord { at_ms }));
}

/// The content of a segment file.
pub(super) struct SegmentScan<'a> {
    pub header: SegmentHeader,
    pub state: JournalState,
    /// Events, acknowledgements and resets, in order.
    pub entries: Vec<SegmentEntry<'a>>,
    /// What is wrong after the last valid record, if anything.
    pub broken: Option<String>,
}

/// A record after the checkpoint.
pub(super) enum SegmentEntry<'a> {
    /// Sequence number, and the event's JSON.
    Event(u64, &'a [u8]),
    Ack(AckRecord),
    Reset(ResetRecord),
}

/// Reads the valid part of a segment.
///
/// # Errors
/// Its header or checkpoint is invalid, so nothing of it can be used.
pub(super) fn scan(number: u64, bytes: &[u8]) -> Result<SegmentScan<'_>, String> {
    let first = expect(bytes, 0, RecordKind::Header)?;
    let header: SegmentHeader = parse(first.payload)?;
    if header.format != FORMAT || header.number != number || header.step == 0 {
        return Err("the header is of another file or version".to_owned());
    }
    let second = expect(bytes, first.end, RecordKind::Checkpoint)?;
    let state: JournalState = parse(second.payload)?;
    let mut scan = SegmentScan { header, state, entries: Vec::new(), broken: None };
    if let Err(reason) = scan.read_entries(bytes, second.end) {
        scan.broken = Some(reason);
    }
    Ok(scan)
}

impl<'a> SegmentScan<'a> {
    fn read_entries(&mut self, bytes: &'a [u8], mut at: usize) -> Result<(), String> {
        let mut next_seq = self.header.first_seq;
        while let Some(record) = record::read(bytes, at)? {
            let entry = match record.kind {
                RecordKind::Event if record.seq == next_seq => {
                    next_seq += 1;
                    SegmentEntry::Event(record.seq, record.payload)
                }
                RecordKind::Ack => SegmentEntry::Ack(parse(record.payload)?),
                RecordKind::Reset => SegmentEntry::Reset(parse(record.payload)?),
                _ => return Err(format!("a record out of place at byte {at}")),
            };
            self.entries.push(entry);
            at = record.end;
        }
        let is_terminated = bytes.len() >= at + FRAME_BYTES;
        if is_terminated && (bytes.len() as u64).is_multiple_of(self.header.step) {
            Ok(())
        } else {
            Err(format!("the file is cut at byte {}", bytes.len()))
        }
    }
}

fn expect(bytes: &[u8], at: usize, kind: RecordKind) -> Result<record::Record<'_>, String> {
    record::read(bytes, at)?
        .filter(|record| record.kind == kind)
        .ok_or_else(|| format!("no {kind:?} at byte {at}"))
}

fn parse<T: for<'de> Deserialize<'de>>(payload: &[u8]) -> Result<T, String> {
    serde_json::from_slice(payload).map_err(|error| format!("a record does not parse: {error}"))
}
