//! Builds the book from the files: either everything that was accepted, or the certainty that
//! something is missing.
//!
//! The newest valid checkpoint is the state; older segments only supply the events that it has not
//! folded. These must be complete. A file may be invalid if nothing depends on it (a segment that
//! failed while it was created); anything else is damage. Damage means `all` for every destination,
//! and counters that jump past every number in use. A tail that is valid but older than the end
//! mark is damage too. This file only reads.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::domain::{Event, Source};
use crate::support::clock;

use super::book::{Book, Reconciled};
use super::layout::{Format, Layout};
use super::mark;
use super::segment::{self, SegmentEntry, SegmentScan};
use super::slot::{self, Slot, SlotFound};
use super::state::JournalState;
use super::{Config, Destination, Disk, OpenError};

/// How far sequence numbers and versions jump over a gap: more than the events that can be lost
/// between two surviving records (a segment has far fewer).
const JUMP: u64 = 1_000_000;

/// What was found when the journal was opened.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recovered {
    /// The damage, if any. Every destination is sent `all` for it.
    pub damaged: Option<String>,
    /// Events available for replay.
    pub events: usize,
    /// The newest sequence number.
    pub head: u64,
    /// New destinations; they start at the head.
    pub added: Vec<String>,
    /// How the list of destinations differs from that of the last run.
    pub reconciled: Reconciled,
}

/// The journal as it was read, from which the writer continues.
pub(super) struct RecoveredJournal {
    pub book: Book,
    pub recovered: Recovered,
    pub slot: SlotFound,
    pub epoch: u64,
    /// Segment files as found: number, last event in it, bytes.
    pub files: BTreeMap<u64, (u64, u64)>,
    /// The number of the next segment file.
    pub next_number: u64,
}

/// What the segments contain.
#[derive(Default)]
struct FoundRecords {
    state: Option<JournalState>,
    /// Events before the newest checkpoint that it has not folded; `replay` is what comes after it.
    older: Vec<SizedEvent>,
    replay: Vec<ReplayStep>,
    files: BTreeMap<u64, (u64, u64)>,
    epoch: u64,
    damage: Option<String>,
}

type SizedEvent = (Event, usize);

enum ReplayStep {
    Event(Box<SizedEvent>),
    Ack(segment::AckRecord),
    Reset(segment::ResetRecord),
}

/// Reads all files and builds the book.
pub(super) fn recover(
    config: &Config,
    disk: &dyn Disk,
    layout: &Layout,
    format: Format,
    destinations: &[Destination],
) -> Result<RecoveredJournal, OpenError> {
    let found = slot::read(disk, layout).map_err(OpenError::at(&layout.slot()))?;
    let mark = mark::read(disk, layout).map_err(OpenError::at(&layout.mark()))?;
    let numbers = layout.numbers(disk)?;
    let slot = match &found {
        SlotFound::Whole(slot) => *slot,
        SlotFound::Missing | SlotFound::Damaged => Slot::default(),
    };
    let mut records = FoundRecords { epoch: slot.epoch, ..FoundRecords::default() };
    records.read_segments(disk, layout, &numbers, slot.segment)?;
    let had_journal = format != Format::Absent || !numbers.is_empty();
    if had_journal && !matches!(found, SlotFound::Whole(_)) {
        records.damage("the overflow slot is missing or damaged".to_owned());
    }
    if slot.all {
        records.damage("the disk refused records before the last stop".to_owned());
    }
    // The last event that was acknowledged to a caller, as far as the end mark knows it.
    let end = if let mark::MarkFound::Through(end) = mark { end } else { 0 };
    let head = records.head();
    if end > head {
        records.damage(format!("events {} to {end} were recorded and are missing", head + 1));
    } else if mark == mark::MarkFound::Missing && format == Format::Present {
        records.damage("the end mark is missing".to_owned());
    }
    let next_number = numbers.last().copied().unwrap_or(0).max(slot.segment) + 1;
    let (epoch, files) = (records.epoch, std::mem::take(&mut records.files));
    let (book, recovered) = records.into_book(config, slot.seq.max(end), destinations);
    let epoch = clock::wall_ms().max(epoch + 1);
    Ok(RecoveredJournal { book, recovered, slot: found, epoch, files, next_number })
}

impl FoundRecords {
    /// Notes damage; the first one is reported.
    fn damage(&mut self, what: String) {
        self.damage.get_or_insert(what);
    }

    fn read_segments(
        &mut self,
        disk: &dyn Disk,
        layout: &Layout,
        numbers: &[u64],
        newest: u64,
    ) -> Result<(), OpenError> {
        // The newest valid segment: its number, and what is wrong with its end.
        let mut last = (0, None);
        for &number in numbers {
            let path = layout.segment(number);
            let bytes = disk.read(&path).map_err(OpenError::at(&path))?.unwrap_or_default();
            let size = bytes.len() as u64;
            match segment::scan(number, &bytes) {
                Ok(scan) => {
                    let (events_through, broken) = self.take(scan);
                    self.files.insert(number, (events_through, size));
                    last = (number, broken);
                }
                // A segment that the slot does not name contains no accepted event.
                Err(_) => drop(self.files.insert(number, (0, size))),
            }
        }
        let (number, broken) = last;
        if number < newest {
            self.damage(format!("segment {newest} is missing or cannot be read"));
        }
        if let Some(reason) = broken {
            self.damage(format!("segment {number}: {reason}"));
        }
        self.check_older();
        Ok(())
    }

    /// Takes the next segment; returns its last event, and what is wrong with its end.
    fn take(&mut self, scan: SegmentScan<'_>) -> (u64, Option<String>) {
        let SegmentScan { header, state, entries, mut broken } = scan;
        self.epoch = self.epoch.max(header.epoch);
        let earlier = std::mem::take(&mut self.replay).into_iter().filter_map(|step| match step {
            ReplayStep::Event(kept) => Some(*kept),
            ReplayStep::Ack(_) | ReplayStep::Reset(_) => None,
        });
        self.older.extend(earlier);
        self.older.retain(|(event, _)| {
            event.seq > state.folded_through && event.seq <= header.previous_seq
        });
        // Counted forwards from each checkpoint, because a reset may lie before the next one.
        let mut version = state.version;
        self.state = Some(state);
        let mut through = 0;
        for entry in entries {
            match entry {
                SegmentEntry::Ack(ack) => self.replay.push(ReplayStep::Ack(ack)),
                SegmentEntry::Reset(reset) => {
                    version = 0;
                    self.replay.push(ReplayStep::Reset(reset));
                }
                SegmentEntry::Event(seq, json) => match serde_json::from_slice::<Event>(json) {
                    Ok(event) => {
                        version += u64::from(event.source != Source::Quench);
                        let event = Event { seq, epoch: header.epoch, version, ..event };
                        self.replay.push(ReplayStep::Event(Box::new((event, json.len()))));
                        through = seq;
                    }
                    Err(error) => {
                        broken = Some(format!("event {seq} does not parse: {error}"));
                        break;
                    }
                },
            }
        }
        (through, broken)
    }

    /// Events that the newest checkpoint has not folded must be complete.
    fn check_older(&mut self) {
        let Some(state) = &self.state else { return };
        let needed = state.folded_through + 1..=state.head;
        if !self.older.iter().map(|(event, _)| event.seq).eq(needed.clone()) {
            self.damage(format!("events of {} to {} are missing", needed.start(), needed.end()));
        }
    }

    /// The newest event in the segments.
    fn head(&self) -> u64 {
        let replayed = self.replay.iter().rev().find_map(|step| match step {
            ReplayStep::Event(kept) => Some(kept.0.seq),
            ReplayStep::Ack(_) | ReplayStep::Reset(_) => None,
        });
        replayed.or(self.state.as_ref().map(|state| state.head)).unwrap_or(0)
    }

    fn into_book(
        self,
        config: &Config,
        known_seq: u64,
        destinations: &[Destination],
    ) -> (Book, Recovered) {
        let Self { state, older, replay, damage, .. } = self;
        let is_sound = damage.is_none();
        let older = if is_sound { older } else { Vec::new() };
        let state = state.unwrap_or_default();
        let older = older.into_iter().map(|(event, bytes)| (Arc::new(event), bytes)).collect();
        let mut book = Book::new(config, state, older);
        for step in replay {
            match step {
                ReplayStep::Event(kept) => {
                    let (mut event, bytes) = *kept;
                    event.version = JournalState::version_after(book.state.version, &event);
                    book.apply(Arc::new(event), bytes);
                }
                ReplayStep::Reset(reset) => book.state.reset_versions(reset.at_ms),
                ReplayStep::Ack(ack) => drop(book.ack(&ack.destination, &[], ack.through)),
            }
        }
        let reconciled = book.reconcile(destinations, clock::wall_ms());
        let added = reconciled.added.clone();
        book.state.send_quenched(config.backlog_members_max, clock::wall_ms());
        if !is_sound {
            let head = book.state.head.max(known_seq);
            book.state.widen_all(head, JUMP, clock::wall_ms());
            book = Book::new(config, book.state, Vec::new());
        }
        let (events, head) = (book.ring.len(), book.state.head);
        (book, Recovered { damaged: damage, events, head, added, reconciled })
    }
}
