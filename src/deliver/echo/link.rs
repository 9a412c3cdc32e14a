//! One destination: what it was sent, which callers are watched, and which copies are held.
//! Callers and selectors are stored as hashes, with a maximum of each. A forgotten caller is never
//! held.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};
use std::time::Duration;

use super::track::{CallerMatch, CallerTrack, CopyDecision, EchoLimits, LastSend};
use crate::domain::EventId;

/// Maximum of remembered sends to one destination.
const SENDS_MAX: usize = 4096;
/// Maximum of watched pairs of caller and selectors.
const TRACKS_MAX: usize = 2048;
/// Maximum of suspects with other selectors that an arrival is compared with.
const COUPLED_MAX: usize = 64;
/// Maximum of held copies; beyond it all are released.
const HELD_MAX: usize = 4096;

/// A set of selectors, as a hash.
pub type SelectorKey = u64;
/// A caller with its source and role, as a hash to save memory.
pub type CallerKey = u64;

/// A map by key. The keys are hashes already.
pub type ByKey<T> = HashMap<SelectorKey, T, BuildHasherDefault<KeyHasher>>;

/// Uses the key itself as its hash.
#[derive(Default)]
pub struct KeyHasher(u64);

impl Hasher for KeyHasher {
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

/// A submission that may be an echo.
#[derive(Debug, Clone, Copy)]
pub struct Arrival {
    /// The event that it becomes.
    pub id: EventId,
    /// Its caller.
    pub caller: CallerKey,
    /// Its selectors.
    pub key: SelectorKey,
}

/// What an arrival means for one destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EchoFinding {
    /// The journal's name of the destination.
    pub destination: String,
    /// How long its copy is held; `None` if it is sent at once.
    pub wait: Option<Duration>,
    /// Whether this arrival begins the hold.
    pub is_new: bool,
    /// Whether copies held so far are released now.
    pub releases: bool,
    /// Whether it is reported as echoing from now on.
    pub begins: bool,
}

/// What is known about an arrival apart from its timing.
#[derive(Debug, Clone, Copy)]
pub struct ArrivalContext {
    pub(super) kin: CallerMatch,
    /// Whether it is an echo of another destination.
    pub(super) is_explained: bool,
    /// Whether the caller learned of its last delivery.
    pub(super) is_attended: bool,
    /// The number of suspects whose holds end earlier.
    pub(super) staggered: u32,
}

/// A copy that is held.
#[derive(Debug)]
pub struct HeldCopy {
    pub(super) until: Duration,
    pub(super) caller: CallerKey,
    pub(super) key: SelectorKey,
}

/// Everything that is remembered about one destination.
#[derive(Debug, Default)]
pub struct DestinationLink {
    pub(super) sent: ByKey<(Duration, u64)>,
    pub(super) order: VecDeque<(Duration, SelectorKey)>,
    /// When the attempt in flight began.
    pub(super) open: Option<Duration>,
    pub(super) tracks: BTreeMap<(SelectorKey, CallerKey), CallerTrack>,
    pub(super) held: BTreeMap<EventId, HeldCopy>,
    /// The callers that are under test or proven.
    pub(super) suspects: BTreeSet<(SelectorKey, CallerKey)>,
    pub(super) is_echoing: bool,
    pub(super) returns: u64,
}

/// The newest send of a key.
pub fn send_of(
    sent: &ByKey<(Duration, u64)>,
    open: Option<Duration>,
    key: SelectorKey,
) -> Option<LastSend> {
    let (at, number) = *sent.get(&key)?;
    Some(LastSend { at, number, is_open: open.is_some_and(|since| since <= at) })
}

impl DestinationLink {
    pub(super) fn forget(&mut self, now: Duration, limits: &EchoLimits) {
        while let Some((at, key)) = self.order.front().copied()
            && (self.order.len() > SENDS_MAX || now.saturating_sub(at) > limits.window)
        {
            self.order.pop_front();
            if self.sent.get(&key).is_some_and(|sent| sent.0 == at) {
                self.sent.remove(&key);
            }
        }
    }

    /// Whether these were sent recently, or a caller is watched for them.
    pub(super) fn knows(&self, key: SelectorKey) -> bool {
        let mut tracks = self.tracks.range((key, 0)..);
        self.sent.contains_key(&key) || tracks.next().is_some_and(|(at, _)| at.0 == key)
    }

    /// Whether this destination is known to echo, and the arrival is within reach of a send to it.
    pub(super) fn explains(
        &self,
        now: Duration,
        at: &(SelectorKey, CallerKey),
        limits: &EchoLimits,
    ) -> bool {
        let Some(send) = send_of(&self.sent, self.open, at.0) else { return false };
        let Some(track) = self.tracks.get(at).filter(|track| track.is_proven()) else {
            return false;
        };
        now.saturating_sub(send.at) <= track.reach(limits)
    }

    /// Judges an arrival; `None` if its selectors were not sent to this destination recently.
    pub(super) fn judge(
        &mut self,
        now: Duration,
        at: &(SelectorKey, CallerKey),
        limits: &EchoLimits,
        ArrivalContext { kin, is_explained, is_attended, staggered }: ArrivalContext,
    ) -> Option<CopyDecision> {
        let send = send_of(&self.sent, self.open, at.0);
        if !self.tracks.contains_key(at) {
            send?;
            self.drop_half();
            let mut track = CallerTrack::new(kin, now);
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

    /// Suspects with other selectors. A destination that calls back may name several sets each
    /// time, whichever of them it was sent.
    fn others(&self, key: SelectorKey) -> impl Iterator<Item = (SelectorKey, &CallerTrack)> {
        let others = self.suspects.iter().filter(move |other| other.0 != key).take(COUPLED_MAX);
        let tracks = others.filter_map(|other| Some((other.0, self.tracks.get(other)?)));
        tracks.filter(|(_, track)| track.is_suspect())
    }

    /// Whether the selectors of another suspect were sent within its reach, and since the hold
    /// began.
    fn is_coupled(
        &self,
        now: Duration,
        at: &(SelectorKey, CallerKey),
        limits: &EchoLimits,
    ) -> bool {
        let since = self.tracks.get(at).and_then(|track| track.held_since(now)).unwrap_or_default();
        self.others(at.0).any(|(key, track)| {
            let sent = self.sent.get(&key).filter(|(sent, _)| *sent > since);
            sent.is_some_and(|(sent, _)| now.saturating_sub(*sent) <= track.reach(limits))
        })
    }

    /// The end of a test of other selectors that this caller has to join.
    pub(super) fn test_of_others(
        &self,
        now: Duration,
        at: &(SelectorKey, CallerKey),
        limits: &EchoLimits,
    ) -> Option<Duration> {
        self.tracks.get(at).filter(|track| track.is_near_test())?;
        self.others(at.0).filter_map(|(_, track)| track.fresh_test(now, limits)).max()
    }

    /// Whether no other caller named the same selectors since this one did.
    pub(super) fn is_alone(&self, at: &(SelectorKey, CallerKey)) -> bool {
        let since = self.tracks.get(at).map_or(Duration::ZERO, |track| track.touched);
        let mut same = self.tracks.range((at.0, 0)..).take_while(|(other, _)| other.0 == at.0);
        same.all(|(other, track)| other == at || track.touched <= since)
    }

    /// Drops half of the tracks: unproven and old ones first. Dropping many at once keeps the cost
    /// per track low.
    pub(super) fn drop_half(&mut self) {
        if self.tracks.len() < TRACKS_MAX {
            return;
        }
        let order = |track: &CallerTrack| (track.is_proven(), track.touched);
        let mut orders: Vec<_> = self.tracks.values().map(order).collect();
        let (_, middle, _) = orders.select_nth_unstable(TRACKS_MAX / 2);
        let middle = *middle;
        self.tracks.retain(|_, track| order(track) > middle);
        let tracks = &self.tracks;
        self.held.retain(|_, held| tracks.contains_key(&(held.key, held.caller)));
    }

    /// Releases the held copies that match. Returns whether there were any.
    pub(super) fn release(&mut self, is_selected: impl Fn(&HeldCopy) -> bool) -> bool {
        let before = self.held.len();
        self.held.retain(|_, held| !is_selected(held));
        self.held.len() < before
    }

    /// Applies the decision to the held copies.
    pub(super) fn settle(
        &mut self,
        now: Duration,
        arrival: &Arrival,
        destination: String,
        verdict: CopyDecision,
        is_explained: bool,
    ) -> EchoFinding {
        let key = arrival.key;
        let (until, is_new) = match verdict {
            CopyDecision::Release => (None, false),
            CopyDecision::Join(until) => (Some(until), false),
            CopyDecision::Hold(wait) => (Some(now + wait), true),
        };
        let mut releases = false;
        if let Some(until) = until {
            if self.held.len() >= HELD_MAX {
                releases = self.release(|_| true);
            }
            let caller = arrival.caller;
            self.held.insert(arrival.id, HeldCopy { until, caller, key });
        } else if !is_explained {
            // It is sent at once, together with held copies of the same selectors.
            releases = self.release(|held| held.key == key && held.until > now);
            let others = self.tracks.range_mut((key, 0)..);
            let others = others.take_while(|(at, _)| at.0 == key);
            others.for_each(|(_, track)| track.cut(now));
        }
        let at = (key, arrival.caller);
        let track = self.tracks.get(&at);
        match track.is_some_and(CallerTrack::is_suspect) {
            true => self.suspects.insert(at),
            false => self.suspects.remove(&at),
        };
        let begins = !self.is_echoing && track.is_some_and(CallerTrack::is_confirmed);
        self.is_echoing |= begins;
        let wait = until.map(|until| until.saturating_sub(now));
        EchoFinding { destination, wait, is_new, releases, begins }
    }
}
