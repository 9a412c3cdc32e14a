//! From files to a book: what was accepted, or the certainty that something is missing.
//!
//! The newest sound checkpoint is the state; older segments only give back events that it does not
//! hold folded. They must be there without a hole. A file may be broken where nothing is missed for
//! it (a segment that failed while it was being made); any other breach is damage, and damage means
//! `all` for every destination and counters that jump past whatever was given. A tail that is sound
//! but older than the end mark is such a breach. Writes nothing.

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

/// How far sequence numbers and versions jump over a gap: more than any number of events that can
/// have been given between two things that survive (a segment holds far fewer).
const JUMP: u64 = 1_000_000;

/// What an opening found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recovered {
    /// What is wrong with what was found. Every destination was given `all` for it.
    pub damaged: Option<String>,
    /// Events that are there for replay.
    pub events: usize,
    /// The newest sequence number.
    pub head: u64,
    /// Destinations that are new: they start at the head.
    pub added: Vec<String>,
    /// What else changed among the destinations while nothing ran.
    pub reconciled: Reconciled,
}

/// What the writer goes on from.
pub(super) struct RecoveredJournal {
    pub book: Book,
    pub recovered: Recovered,
    pub slot: SlotFound,
    pub epoch: u64,
    /// Segment files as found: number, last event in it, bytes.
    pub files: BTreeMap<u64, (u64, u64)>,
    /// The number for the next one.
    pub next_number: u64,
}

/// What is gathered from the segments.
#[derive(Default)]
struct FoundRecords {
    state: Option<JournalState>,
    /// What comes after the newest checkpoint is replayed; older events are kept.
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

/// Reads everything and makes the book.
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
    let mut gathered = FoundRecords { epoch: slot.epoch, ..FoundRecords::default() };
    gathered.read_segments(disk, layout, &numbers, slot.segment)?;
    let had_journal = format != Format::Absent || !numbers.is_empty();
    if had_journal && !matches!(found, SlotFound::Whole(_)) {
        gathered.damage("the overflow slot is missing or damaged".to_owned());
    }
    if slot.all {
        gathered.damage("the disk refused records before the last stop".to_owned());
    }
    // The end that was acknowledged, as far as something outside the segments knows it.
    let end = if let mark::MarkFound::Through(end) = mark { end } else { 0 };
    let head = gathered.head();
    if end > head {
        gathered.damage(format!("events {} to {end} were recorded and are missing", head + 1));
    } else if mark == mark::MarkFound::Missing && format == Format::Present {
        gathered.damage("the end mark is missing".to_owned());
    }
    let next_number = numbers.last().copied().unwrap_or(0).max(slot.segment) + 1;
    let (epoch, files) = (gathered.epoch, std::mem::take(&mut gathered.files));
    let (book, recovered) = gathered.into_book(config, slot.seq.max(end), destinations);
    let epoch = clock::wall_ms().max(epoch + 1);
    Ok(RecoveredJournal { book, recovered, slot: found, epoch, files, next_number })
}

impl FoundRecords {
    /// The first damage is the one to tell.
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
        // Of the newest sound segment: its number, and what is wrong with its end.
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
                // A segment that the slot does not name was never accepted into.
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

    /// Goes on to the next segment; answers its last event, and what is wrong with its end.
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
        // Counted here and not back from the newest checkpoint: a reset may lie in between.
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

    /// What the newest checkpoint does not hold folded must be here whole.
    fn check_older(&mut self) {
        let Some(state) = &self.state else { return };
        let needed = state.folded_through + 1..=state.head;
        if !self.older.iter().map(|(event, _)| event.seq).eq(needed.clone()) {
            self.damage(format!("events of {} to {} are missing", needed.start(), needed.end()));
        }
    }

    /// The newest event that the segments hold.
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
