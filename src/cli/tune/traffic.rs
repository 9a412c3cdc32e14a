//! The traffic in a log: when mirrored events were accepted, and how long sends took.
//!
//! Memory is bounded however long the log: of events and of sends the newest are kept, and what is
//! left out is counted and reported. Lines that are no JSON are skipped and counted too.

use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use serde::Deserialize;

use super::replay::Arrival;
use crate::activity::ActivityKind;
use crate::cli::logs::Tail;
use crate::domain::{Scope, Status};

/// Invalidations that are replayed, at most.
pub const ARRIVALS_MAX: usize = 1_000_000;
/// Sends to one mirror that its median is taken of.
const SENDS_MAX: usize = 10_000;
/// Mirrors that are counted separately; no instance has as many at once.
const NAMES_MAX: usize = 1000;

/// What matters of a line.
#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow)]
    event: Option<Cow<'a, str>>,
    #[serde(borrow)]
    time: Option<Cow<'a, str>>,
    scope: Option<Cow<'a, str>>,
    status: Option<Cow<'a, str>>,
    peer: Option<Cow<'a, str>>,
    events: Option<u32>,
    duration_ms: Option<f64>,
}

/// What is known of the sends to one mirror.
#[derive(Debug, Default)]
struct Sends {
    durations_ms: VecDeque<f64>,
    is_legacy: bool,
}

/// One mirror as it is replayed.
#[derive(Debug, Clone)]
pub struct Mirror {
    pub name: String,
    /// The median of its acknowledged sends.
    pub send: Duration,
    /// It knows no batches.
    pub is_legacy: bool,
}

/// All that is replayed.
#[derive(Debug, Default)]
pub struct Traffic {
    /// In order; times count from the first.
    pub arrivals: Vec<Arrival>,
    /// When the first and the last were accepted.
    pub span: Option<(Timestamp, Timestamp)>,
    sends: BTreeMap<String, Sends>,
    lines: u64,
    malformed: u64,
    left_out: u64,
}

impl Traffic {
    /// Reads a log and its rotated files.
    ///
    /// # Errors
    /// The system's.
    pub fn read(path: &Path) -> io::Result<Self> {
        let mut tail = Tail::open_since(path, SystemTime::UNIX_EPOCH)?;
        let lines = std::iter::from_fn(|| tail.next_line().transpose());
        Self::of(lines, ARRIVALS_MAX)
    }

    /// Reads lines; of what arrives the newest `arrivals_max` are kept.
    ///
    /// # Errors
    /// As of `lines`.
    fn of(
        lines: impl Iterator<Item = io::Result<String>>,
        arrivals_max: usize,
    ) -> io::Result<Self> {
        let mut traffic = Self::default();
        let mut accepted: VecDeque<(Timestamp, u32)> = VecDeque::new();
        for line in lines {
            let line = line?;
            traffic.lines += 1;
            let Ok(line) = serde_json::from_str::<Line<'_>>(&line) else {
                traffic.malformed += 1;
                continue;
            };
            let Some(arrival) = traffic.take(&line) else { continue };
            if accepted.len() == arrivals_max {
                let (_, events) = accepted.pop_front().unwrap_or_default();
                traffic.left_out += u64::from(events);
            }
            accepted.push_back(arrival);
        }
        let mut accepted = Vec::from(accepted);
        // Several tasks write to one log: lines may be slightly out of order.
        accepted.sort_by_key(|(time, _)| *time);
        if let (Some((first, _)), Some((last, _))) = (accepted.first(), accepted.last()) {
            traffic.span = Some((*first, *last));
            let since = |time: Timestamp| time.duration_since(*first).unsigned_abs();
            let arrival =
                |(time, events): &(Timestamp, u32)| Arrival { at: since(*time), events: *events };
            traffic.arrivals = accepted.iter().map(arrival).collect();
        }
        Ok(traffic)
    }

    /// Reads a line; returns when a mirrored invalidation was accepted, and its number of events,
    /// if the line is about one.
    fn take(&mut self, line: &Line<'_>) -> Option<(Timestamp, u32)> {
        let event = line.event.as_deref()?;
        if event == ActivityKind::Invalidate.as_str() {
            let is_mirrored = line.scope.as_deref() == Some(Scope::Mirrored.as_str());
            let time = line.time.as_ref().filter(|_| is_mirrored)?.parse().ok()?;
            return Some((time, line.events.unwrap_or(1).max(1)));
        }
        let (peer, status) = (line.peer.as_deref()?, line.status.as_deref()?);
        if !self.sends.contains_key(peer) && self.sends.len() == NAMES_MAX {
            return None;
        }
        if event == ActivityKind::Mirror.as_str() && status == Status::Delivered.as_str() {
            let duration_ms = line.duration_ms.filter(|ms| ms.is_finite() && *ms >= 0.0)?;
            let sends = self.sends.entry(peer.to_owned()).or_default();
            if sends.durations_ms.len() == SENDS_MAX {
                sends.durations_ms.pop_front();
            }
            sends.durations_ms.push_back(duration_ms);
        } else if event == ActivityKind::Identity.as_str() {
            self.sends.entry(peer.to_owned()).or_default().is_legacy = status == "legacy";
        }
        None
    }

    /// The mirrors that took something, by name.
    pub fn mirrors(&self) -> Vec<Mirror> {
        let mirror = |(name, sends): (&String, &Sends)| {
            let mut durations_ms: Vec<f64> = sends.durations_ms.iter().copied().collect();
            durations_ms.sort_by(f64::total_cmp);
            let median_ms = *durations_ms.get(durations_ms.len() / 2)?;
            let send = Duration::try_from_secs_f64(median_ms / 1e3).ok()?;
            Some(Mirror { name: name.clone(), send, is_legacy: sends.is_legacy })
        };
        self.sends.iter().filter_map(mirror).collect()
    }

    /// Events in all arrivals.
    pub fn events(&self) -> u64 {
        self.arrivals.iter().map(|arrival| u64::from(arrival.events)).sum()
    }

    /// Lines that could not be read.
    pub fn malformed(&self) -> u64 {
        self.malformed
    }

    /// What is not in it, for people.
    pub fn remarks(&self) -> Vec<String> {
        let mut remarks = Vec::new();
        if self.malformed > 0 {
            let lines = self.lines;
            remarks
                .push(format!("{} of {lines} lines are no JSON and were left out", self.malformed));
        }
        if self.left_out > 0 {
            remarks.push(format!(
                "only the newest {ARRIVALS_MAX} invalidations are replayed: {} older events were \
                 left out",
                self.left_out
            ));
        }
        remarks
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(lines: &[String], arrivals_max: usize) -> Traffic {
        Traffic::of(lines.iter().map(|line| Ok(line.clone())), arrivals_max).expect("no file")
    }

    fn accepted(second: u32, scope: &str, events: &str) -> String {
        let time = format!("2026-01-02T03:04:{second:02}.500Z");
        format!(r#"{{"event":"invalidate","time":"{time}","scope":"{scope}"{events}}}"#)
    }

    fn took(peer: &str, status: &str, ms: f64) -> String {
        format!(r#"{{"event":"mirror","peer":"{peer}","status":"{status}","duration_ms":{ms}}}"#)
    }

    #[test]
    fn mirrored_events_and_acknowledged_sends_are_read_and_the_rest_is_not() {
        let lines = [
            accepted(7, "mirrored", r#","events":3"#),
            "a panic of another program".into(),
            accepted(5, "mirrored", ""),
            accepted(6, "local", ""),
            took("eu", "delivered", 30.0),
            took("eu", "delivered", 10.0),
            took("eu", "delivered", 20.0),
            took("eu", "failed", 5000.0),
            took("us", "failed", 5000.0),
            r#"{"event":"identity","peer":"eu","status":"legacy"}"#.into(),
            r#"{"event":"invalidate","scope":"mirrored","time":"yesterday"}"#.into(),
        ];
        let traffic = read(&lines, 10);
        let at = |seconds, events| Arrival { at: Duration::from_secs(seconds), events };
        assert_eq!(traffic.arrivals, [at(0, 1), at(2, 3)], "in the order of their times");
        let [eu] = &traffic.mirrors()[..] else { panic!("one took something") };
        assert_eq!((eu.name.as_str(), eu.send), ("eu", Duration::from_millis(20)));
        assert!(eu.is_legacy);
        assert_eq!(traffic.remarks(), ["1 of 11 lines are no JSON and were left out"]);
    }

    #[test]
    fn of_a_long_log_the_newest_is_kept_and_the_rest_told() {
        let lines: Vec<String> = (0..9).map(|at| accepted(at, "mirrored", "")).collect();
        let traffic = read(&lines, 4);
        assert_eq!((traffic.arrivals.len(), traffic.left_out), (4, 5));
        assert_eq!(
            traffic.span.map(|(first, _)| first.to_string()),
            Some("2026-01-02T03:04:05.5Z".into())
        );
        assert!(traffic.remarks()[0].contains("5 older events"), "{:?}", traffic.remarks());
    }
}
