//! A simulated instance with some destinations. Each arrival is sent to every destination at once,
//! or when its hold ends; an echoing destination calls back after its own delay; a script saves
//! again when its last save was delivered.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::deliver::echo::caller_key;
use crate::deliver::echo::machine::{Arrival, EchoMachine, SelectorKey};
use crate::deliver::echo::track::{CallerMatch, EchoLimits};
use crate::domain::EventId;
use crate::support::backoff::Backoff;

pub const POST: SelectorKey = 42;
pub const LIMITS: EchoLimits = EchoLimits {
    window: Duration::from_secs(120),
    waits: Backoff { min: Duration::from_secs(1), max: Duration::from_secs(60) },
};

pub fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

/// How a destination calls back.
#[derive(Debug, Clone)]
pub struct Echoer {
    pub caller: &'static str,
    pub kin: CallerMatch,
    /// Delays of the returns of one send, in milliseconds.
    pub returns: Vec<u64>,
    /// Whether it answers the call only after it called back.
    pub is_inside: bool,
    /// Whether its calls wait for their delivery.
    pub waits: bool,
    pub until: Duration,
    /// Caller and selectors of each call back; empty: the selectors that it was sent.
    pub names: Vec<(&'static str, SelectorKey)>,
    /// How long each send takes, in milliseconds.
    pub pace: u64,
}

/// A caller that saves again when its last save was delivered everywhere.
#[derive(Debug, Clone)]
pub struct Script {
    pub caller: &'static str,
    pub key: SelectorKey,
    /// Whether the instance knows that it waits: by `wait`, or because it requests its event.
    pub is_seen: bool,
    /// Remaining saves.
    pub count: u64,
    /// Pauses after a delivery, in turn, in milliseconds.
    pub pauses: Vec<u64>,
}

pub fn echoer(caller: &'static str, delay: u64) -> Echoer {
    let (kin, returns) = (CallerMatch::Unrelated, vec![delay]);
    let (until, names) = (Duration::MAX, vec![]);
    Echoer { caller, kin, returns, is_inside: true, waits: false, until, names, pace: 2 }
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Occurrence {
    Arrives { caller: &'static str, key: SelectorKey, is_honest: bool, after: After },
    Answers { to: String, ids: Vec<EventId> },
}

/// What follows the delivery of an arrival to all destinations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum After {
    Nothing,
    /// The caller learns of the delivery.
    Learns,
    /// This script saves again.
    Script(usize),
}

/// An event whose caller waits for its delivery.
struct Awaited {
    left: usize,
    caller: &'static str,
    key: SelectorKey,
    since: Duration,
    after: After,
}

/// One copy that waits for a destination.
struct Waiting {
    id: EventId,
    key: SelectorKey,
    since: Duration,
    /// Whether a person made it, not an echo.
    is_honest: bool,
}

pub struct World {
    pub machine: EchoMachine,
    now: Duration,
    coming: BTreeSet<(Duration, u64, Occurrence)>,
    number: u64,
    destinations: BTreeMap<String, Option<Echoer>>,
    waiting: BTreeMap<String, Vec<Waiting>>,
    busy: BTreeSet<String>,
    calls: BTreeMap<String, Vec<(Duration, SelectorKey)>>,
    /// For each destination: how long honest copies waited.
    pub waits: BTreeMap<String, Vec<Duration>>,
    pub began: Vec<String>,
    pub ended: Vec<String>,
    scripts: Vec<Script>,
    awaited: BTreeMap<EventId, Awaited>,
}

impl World {
    pub fn new(destinations: &[(&str, Option<Echoer>)]) -> Self {
        let named = destinations.iter().map(|(name, it)| ((*name).to_owned(), it.clone()));
        Self {
            machine: EchoMachine::default(),
            now: ms(0),
            coming: BTreeSet::new(),
            number: 0,
            destinations: named.collect(),
            waiting: BTreeMap::new(),
            busy: BTreeSet::new(),
            calls: BTreeMap::new(),
            waits: BTreeMap::new(),
            began: vec![],
            ended: vec![],
            scripts: vec![],
            awaited: BTreeMap::new(),
        }
    }

    fn plan(&mut self, at: Duration, what: Occurrence) {
        self.number += 1;
        self.coming.insert((at, self.number, what));
    }

    pub fn save(&mut self, at: u64, caller: &'static str, key: SelectorKey) {
        let after = After::Nothing;
        self.plan(ms(at), Occurrence::Arrives { caller, key, is_honest: true, after });
    }

    pub fn start(&mut self, at: u64, script: Script) {
        self.scripts.push(script);
        self.next_of(self.scripts.len() - 1, ms(at));
    }

    fn next_of(&mut self, at: usize, from: Duration) {
        let script = &mut self.scripts[at];
        if script.count == 0 {
            return;
        }
        script.count -= 1;
        let pause = ms(script.pauses[script.count as usize % script.pauses.len()]);
        let (caller, key, after) = (script.caller, script.key, After::Script(at));
        self.plan(from + pause, Occurrence::Arrives { caller, key, is_honest: true, after });
    }

    /// Records that a destination received these events.
    fn delivered(&mut self, ids: &[EventId]) {
        for id in ids {
            let Some(awaited) = self.awaited.get_mut(id) else { continue };
            awaited.left -= 1;
            if awaited.left > 0 {
                continue;
            }
            let Some(awaited) = self.awaited.remove(id) else { continue };
            let is_in_time = self.now - awaited.since <= ms(5_000);
            let is_seen = match awaited.after {
                After::Script(at) => self.scripts[at].is_seen,
                After::Learns => is_in_time,
                After::Nothing => false,
            };
            if is_seen {
                self.machine.learned(caller_key(awaited.caller), awaited.key, *id);
            }
            if let After::Script(at) = awaited.after {
                self.next_of(at, self.now);
            }
        }
    }

    pub fn run(&mut self, until: Duration) {
        let mut look_at = self.now + ms(1000);
        loop {
            let names: Vec<String> = self.destinations.keys().cloned().collect();
            names.iter().for_each(|name| self.send(name));
            let next = self.coming.first().map(|(at, ..)| *at);
            let releases =
                names.iter().filter_map(|name| self.machine.next_release(self.now, name));
            let at = releases.chain(next).chain([look_at]).min().unwrap_or(until);
            if at > until {
                self.now = until;
                return;
            }
            self.now = at;
            if at == look_at {
                look_at += ms(1000);
                let ended = self.machine.expire(self.now, &LIMITS);
                self.ended.extend(ended.into_iter().map(|ended| ended.destination));
            }
            while let Some((at, _, what)) = self.coming.first().cloned()
                && at <= self.now
            {
                self.coming.pop_first();
                self.handle(what);
            }
        }
    }

    fn handle(&mut self, what: Occurrence) {
        match what {
            Occurrence::Answers { to, ids } => {
                self.busy.remove(&to);
                self.machine.sent(&to);
                self.delivered(&ids);
            }
            Occurrence::Arrives { caller, key, is_honest, after } => {
                let id = EventId::fresh();
                if after != After::Nothing {
                    let (left, since) = (self.destinations.len(), self.now);
                    self.awaited.insert(id, Awaited { left, caller, key, since, after });
                }
                let kin = |it: &Option<Echoer>| {
                    it.as_ref()
                        .filter(|it| it.caller == caller)
                        .map_or(CallerMatch::Unrelated, |it| it.kin)
                };
                let to: Vec<(&str, CallerMatch)> =
                    self.destinations.iter().map(|(name, it)| (&**name, kin(it))).collect();
                let arrival = Arrival { id, caller: caller_key(caller), key };
                let findings = self.machine.arrived(self.now, &arrival, &to, &LIMITS);
                let begins = findings.into_iter().filter(|finding| finding.begins);
                self.began.extend(begins.map(|finding| finding.destination));
                for name in self.destinations.keys() {
                    let waiting = Waiting { id, key, since: self.now, is_honest };
                    self.waiting.entry(name.clone()).or_default().push(waiting);
                }
            }
        }
    }

    /// Acts as a worker: sends the waiting copies that are not held.
    fn send(&mut self, name: &str) {
        if self.busy.contains(name) {
            return;
        }
        self.machine.settle(self.now, &LIMITS);
        let held = self.machine.held(self.now, name);
        let waiting = self.waiting.entry(name.to_owned()).or_default();
        let due: Vec<Waiting> = waiting.extract_if(.., |it| !held.contains(&it.id)).collect();
        if due.is_empty() {
            return;
        }
        let keys: BTreeSet<SelectorKey> = due.iter().map(|it| it.key).collect();
        let keys: Vec<SelectorKey> = keys.into_iter().collect();
        self.machine.sending(self.now, name, &keys, &LIMITS);
        let waits = self.waits.entry(name.to_owned()).or_default();
        waits.extend(due.iter().filter(|it| it.is_honest).map(|it| self.now - it.since));
        let ids = due.iter().map(|it| it.id).collect();
        let mut answers_after = ms(2);
        for key in keys {
            self.calls.entry(name.to_owned()).or_default().push((self.now, key));
            let Some(Some(echo)) = self.destinations.get(name).cloned() else { continue };
            if self.now >= echo.until {
                continue;
            }
            answers_after = answers_after.max(ms(echo.pace));
            for delay in &echo.returns {
                if echo.is_inside {
                    answers_after = answers_after.max(ms(delay + 1));
                }
                let after = if echo.waits { After::Learns } else { After::Nothing };
                let same = [(echo.caller, key)];
                let names = if echo.names.is_empty() { &same[..] } else { &echo.names };
                for (nth, (caller, key)) in (0..).zip(names.iter().copied()) {
                    let what = Occurrence::Arrives { caller, key, is_honest: false, after };
                    self.plan(self.now + ms(delay + nth), what);
                }
            }
        }
        self.busy.insert(name.to_owned());
        self.plan(self.now + answers_after, Occurrence::Answers { to: name.to_owned(), ids });
    }

    pub fn calls_between(&self, name: &str, from: u64, to: u64) -> usize {
        let calls = self.calls.get(name).into_iter().flatten();
        calls.filter(|(at, _)| (ms(from)..ms(to)).contains(at)).count()
    }

    /// The total wait of honest copies, without short waits for a send in flight.
    pub fn waited(&self, name: &str) -> Duration {
        let waits = self.waits.get(name).into_iter().flatten();
        waits.filter(|wait| **wait > ms(50)).sum()
    }

    /// The longest wait of an honest copy.
    pub fn waited_longest(&self, name: &str) -> Duration {
        self.waits.get(name).into_iter().flatten().max().copied().unwrap_or_default()
    }
}
