//! One destination: what it was sent, who is watched because of that, and which copies are held.
//! Callers and selectors are hashes, and there are so many of each at most: what is forgotten is
//! not held.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};
use std::time::Duration;

use super::track::{Kin, Limits, Send, Track, Verdict};
use crate::domain::EventId;

/// Sends remembered of one destination.
const SENDS_MAX: usize = 4096;
/// Callers and selectors watched of one destination.
const TRACKS_MAX: usize = 2048;
/// Suspects of other selectors that an arrival is compared with.
const COUPLED_MAX: usize = 64;
/// Copies held of one destination; past it all of them go.
const HELD_MAX: usize = 4096;

/// A set of selectors, as a hash.
pub type Key = u64;
/// A caller and its door, as a hash: names are long, and there are many.
pub type Name = u64;

/// A map by key, which is a hash already.
pub type ByKey<T> = HashMap<Key, T, BuildHasherDefault<Hashed>>;

/// The hash of a key is the key.
#[derive(Default)]
pub struct Hashed(u64);

impl Hasher for Hashed {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, key: u64) {
        self.0 = key;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// An unmarked submission.
#[derive(Debug, Clone, Copy)]
pub struct Arrival {
    /// The event that it becomes.
    pub id: EventId,
    /// Who sends it, through which door.
    pub caller: Name,
    /// What it names.
    pub key: Key,
}

/// What an arrival means for one destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The journal's name of the destination.
    pub destination: String,
    /// How long its copy is held; `None` where it goes at once.
    pub wait: Option<Duration>,
    /// Whether that hold begins here.
    pub is_new: bool,
    /// Whether earlier copies go now.
    pub releases: bool,
    /// Whether it is reported as echoing from now on.
    pub begins: bool,
}

/// What is known of an arrival beside its timing.
#[derive(Debug, Clone, Copy)]
pub struct Context {
    pub(super) kin: Kin,
    /// Another destination explains it.
    pub(super) is_explained: bool,
    /// The caller had learnt of its last delivery.
    pub(super) is_attended: bool,
    /// Suspects whose holds end before.
    pub(super) staggered: u32,
}

/// A copy that is held.
#[derive(Debug)]
pub struct Held {
    pub(super) until: Duration,
    pub(super) caller: Name,
    pub(super) key: Key,
}

/// Everything that is remembered of one destination.
#[derive(Debug, Default)]
pub struct Link {
    pub(super) sent: ByKey<(Duration, u64)>,
    pub(super) order: VecDeque<(Duration, Key)>,
    /// When the attempt in flight began.
    pub(super) open: Option<Duration>,
    pub(super) tracks: BTreeMap<(Key, Name), Track>,
    pub(super) held: BTreeMap<EventId, Held>,
    /// Those of the callers that are under test or proven.
    pub(super) suspects: BTreeSet<(Key, Name)>,
    pub(super) is_echoing: bool,
    pub(super) returns: u64,
}

/// The newest send of a key.
pub fn send_of(sent: &ByKey<(Duration, u64)>, open: Option<Duration>, key: Key) -> Option<Send> {
    let (at, number) = *sent.get(&key)?;
    Some(Send { at, number, is_open: open.is_some_and(|since| since <= at) })
}

impl Link {
    pub(super) fn forget(&mut self, now: Duration, limits: &Limits) {
        while let Some((at, key)) = self.order.front().copied()
            && (self.order.len() > SENDS_MAX || now.saturating_sub(at) > limits.window)
        {
            self.order.pop_front();
            if self.sent.get(&key).is_some_and(|sent| sent.0 == at) {
                self.sent.remove(&key);
            }
        }
    }

    /// Whether these were sent there lately, or anybody is watched for them.
    pub(super) fn knows(&self, key: Key) -> bool {
        let mut tracks = self.tracks.range((key, 0)..);
        self.sent.contains_key(&key) || tracks.next().is_some_and(|(at, _)| at.0 == key)
    }

    /// Whether this destination is known to echo, and the arrival is within reach of a send to it.
    pub(super) fn explains(&self, now: Duration, at: &(Key, Name), limits: &Limits) -> bool {
        let Some(send) = send_of(&self.sent, self.open, at.0) else { return false };
        let Some(track) = self.tracks.get(at).filter(|track| track.is_proven()) else {
            return false;
        };
        now.saturating_sub(send.at) <= track.reach(limits)
    }

    /// `None` where nothing of it was sent there lately.
    pub(super) fn judge(
        &mut self,
        now: Duration,
        at: &(Key, Name),
        limits: &Limits,
        Context { kin, is_explained, is_attended, staggered }: Context,
    ) -> Option<Verdict> {
        let send = send_of(&self.sent, self.open, at.0);
        if !self.tracks.contains_key(at) {
            send?;
            self.make_room();
            let mut track = Track::new(kin, now);
            let mut others = self.tracks.iter().filter(|(other, _)| other.1 == at.1);
            if self.is_echoing && others.any(|(_, track)| track.is_confirmed()) {
                track.suspect();
            }
            self.tracks.insert(*at, track);
        }
        let reach = self.tracks.get(at)?.reach(limits);
        let prompt = send.filter(|send| now.saturating_sub(send.at) <= reach);
        let is_alone = prompt.is_some() || self.is_alone(at);
        let is_coupled = self.is_coupled(now, at, limits);
        let of_others = self.test_of_others(now, at, limits);
        let track = self.tracks.get_mut(at)?;
        if is_coupled && let Some(verdict) = track.coupled(now, prompt.as_ref(), limits) {
            return Some(verdict);
        }
        Some(match prompt {
            Some(send) => {
                let stagger = track.stagger(limits) * staggered;
                let verdict = track.matched(now, &send, limits, stagger, is_attended);
                match of_others.and_then(|until| track.end_with(now, until)) {
                    Some(joined) => joined,
                    None => verdict,
                }
            }
            None => {
                let about = (is_explained, is_attended, is_alone);
                track.unmatched(now, send.as_ref(), limits, about)
            }
        })
    }

    /// Suspects of other selectors: a destination that calls back may name all of them each time,
    /// whichever it was sent.
    fn others(&self, key: Key) -> impl Iterator<Item = (Key, &Track)> {
        let others = self.suspects.iter().filter(move |other| other.0 != key).take(COUPLED_MAX);
        let tracks = others.filter_map(|other| Some((other.0, self.tracks.get(other)?)));
        tracks.filter(|(_, track)| track.is_suspect())
    }

    /// Whether a moment before, and since a copy is held, it was sent what another suspect names.
    fn is_coupled(&self, now: Duration, at: &(Key, Name), limits: &Limits) -> bool {
        let since = self.tracks.get(at).and_then(|track| track.held_since(now)).unwrap_or_default();
        self.others(at.0).any(|(key, track)| {
            let sent = self.sent.get(&key).filter(|(sent, _)| *sent > since);
            sent.is_some_and(|(sent, _)| now.saturating_sub(*sent) <= track.reach(limits))
        })
    }

    /// Until when a test of other selectors runs that this caller has to take part in.
    pub(super) fn test_of_others(
        &self,
        now: Duration,
        at: &(Key, Name),
        limits: &Limits,
    ) -> Option<Duration> {
        self.tracks.get(at).filter(|track| track.is_near_test())?;
        self.others(at.0).filter_map(|(_, track)| track.fresh_test(now, limits)).max()
    }

    /// Whether nobody else named the same since this caller did.
    pub(super) fn is_alone(&self, at: &(Key, Name)) -> bool {
        let since = self.tracks.get(at).map_or(Duration::ZERO, |track| track.touched);
        let mut same = self.tracks.range((at.0, 0)..).take_while(|(other, _)| other.0 == at.0);
        same.all(|(other, track)| other == at || track.touched <= since)
    }

    /// Drops the half of the tracks that matters least, those that hold nothing and the oldest
    /// first: a half, so that the search for it costs little for each of them.
    pub(super) fn make_room(&mut self) {
        if self.tracks.len() < TRACKS_MAX {
            return;
        }
        let order = |track: &Track| (track.is_proven(), track.touched);
        let mut orders: Vec<_> = self.tracks.values().map(order).collect();
        let (_, middle, _) = orders.select_nth_unstable(TRACKS_MAX / 2);
        let middle = *middle;
        self.tracks.retain(|_, track| order(track) > middle);
        let tracks = &self.tracks;
        self.held.retain(|_, held| tracks.contains_key(&(held.key, held.caller)));
    }

    /// Lets the held copies go that it is true of; says whether there were any.
    pub(super) fn release(&mut self, is_meant: impl Fn(&Held) -> bool) -> bool {
        let before = self.held.len();
        self.held.retain(|_, held| !is_meant(held));
        self.held.len() < before
    }

    /// Takes the verdict into the held copies.
    pub(super) fn settle(
        &mut self,
        now: Duration,
        arrival: &Arrival,
        destination: String,
        verdict: Verdict,
        is_explained: bool,
    ) -> Finding {
        let key = arrival.key;
        let (until, is_new) = match verdict {
            Verdict::Free => (None, false),
            Verdict::Join(until) => (Some(until), false),
            Verdict::Hold(wait) => (Some(now + wait), true),
        };
        let mut releases = false;
        if let Some(until) = until {
            if self.held.len() >= HELD_MAX {
                releases = self.release(|_| true);
            }
            let caller = arrival.caller;
            self.held.insert(arrival.id, Held { until, caller, key });
        } else if !is_explained {
            // It is sent at once, and the earlier copies of the same with it.
            releases = self.release(|held| held.key == key && held.until > now);
            let others = self.tracks.range_mut((key, 0)..);
            let others = others.take_while(|(at, _)| at.0 == key);
            others.for_each(|(_, track)| track.cut(now));
        }
        let at = (key, arrival.caller);
        let track = self.tracks.get(&at);
        match track.is_some_and(Track::is_suspect) {
            true => self.suspects.insert(at),
            false => self.suspects.remove(&at),
        };
        let begins = !self.is_echoing && track.is_some_and(Track::is_confirmed);
        self.is_echoing |= begins;
        let wait = until.map(|until| until.saturating_sub(now));
        Finding { destination, wait, is_new, releases, begins }
    }
}
