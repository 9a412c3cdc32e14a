//! Honest callers and echoing destinations on a virtual clock: what is held, and how often a
//! destination is called.
//!
//! The world: an instance with some destinations. Whatever arrives is sent to each at once, or when
//! its hold ends; a destination that echoes calls back after its own delay.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::prelude::*;

use super::machine::{Arrival, Key, Machine};
use super::track::{Kin, Limits};
use crate::domain::EventId;
use crate::support::backoff::Backoff;

const POST: Key = 42;
const LIMITS: Limits = Limits {
    window: Duration::from_secs(120),
    waits: Backoff { min: Duration::from_secs(1), max: Duration::from_secs(60) },
};

fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

/// How a destination calls back.
#[derive(Debug, Clone)]
struct Echoer {
    caller: &'static str,
    kin: Kin,
    /// Delays of the returns of one send, in milliseconds.
    returns: Vec<u64>,
    /// Whether it answers the call only after it called back.
    is_inside: bool,
    until: Duration,
}

fn echoer(caller: &'static str, delay: u64) -> Echoer {
    let returns = vec![delay];
    Echoer { caller, kin: Kin::Stranger, returns, is_inside: true, until: Duration::MAX }
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Happens {
    Arrives { caller: &'static str, key: Key, is_honest: bool },
    Answers { to: String },
}

/// One copy that waits for a destination.
struct Waiting {
    id: EventId,
    key: Key,
    since: Duration,
    /// Whether a person made it, not an echo.
    is_honest: bool,
}

struct World {
    machine: Machine,
    now: Duration,
    coming: BTreeSet<(Duration, u64, Happens)>,
    number: u64,
    destinations: BTreeMap<String, Option<Echoer>>,
    waiting: BTreeMap<String, Vec<Waiting>>,
    busy: BTreeSet<String>,
    calls: BTreeMap<String, Vec<(Duration, Key)>>,
    /// For each destination: how long honest copies waited.
    waits: BTreeMap<String, Vec<Duration>>,
    began: Vec<String>,
    ended: Vec<String>,
}

impl World {
    fn new(destinations: &[(&str, Option<Echoer>)]) -> Self {
        let named = destinations.iter().map(|(name, it)| ((*name).to_owned(), it.clone()));
        Self {
            machine: Machine::default(),
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
        }
    }

    fn plan(&mut self, at: Duration, what: Happens) {
        self.number += 1;
        self.coming.insert((at, self.number, what));
    }

    fn save(&mut self, at: u64, caller: &'static str, key: Key) {
        self.plan(ms(at), Happens::Arrives { caller, key, is_honest: true });
    }

    fn run(&mut self, until: Duration) {
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
                self.happen(what);
            }
        }
    }

    fn happen(&mut self, what: Happens) {
        match what {
            Happens::Answers { to } => {
                self.busy.remove(&to);
                self.machine.sent(&to);
            }
            Happens::Arrives { caller, key, is_honest } => {
                let id = EventId::fresh();
                let kin = |it: &Option<Echoer>| {
                    it.as_ref().filter(|it| it.caller == caller).map_or(Kin::Stranger, |it| it.kin)
                };
                let to: Vec<(&str, Kin)> =
                    self.destinations.iter().map(|(name, it)| (&**name, kin(it))).collect();
                let arrival = Arrival { id, caller, key };
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

    /// A worker: sends what waits and is not held.
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
        let keys: BTreeSet<Key> = due.iter().map(|it| it.key).collect();
        self.machine.sending(self.now, name, &keys, &LIMITS);
        let waits = self.waits.entry(name.to_owned()).or_default();
        waits.extend(due.iter().filter(|it| it.is_honest).map(|it| self.now - it.since));
        let mut answers_after = ms(2);
        for key in keys {
            self.calls.entry(name.to_owned()).or_default().push((self.now, key));
            let Some(Some(echo)) = self.destinations.get(name).cloned() else { continue };
            if self.now >= echo.until {
                continue;
            }
            for delay in &echo.returns {
                if echo.is_inside {
                    answers_after = answers_after.max(ms(delay + 1));
                }
                let what = Happens::Arrives { caller: echo.caller, key, is_honest: false };
                self.plan(self.now + ms(*delay), what);
            }
        }
        self.busy.insert(name.to_owned());
        self.plan(self.now + answers_after, Happens::Answers { to: name.to_owned() });
    }

    fn calls_between(&self, name: &str, from: u64, to: u64) -> usize {
        let calls = self.calls.get(name).into_iter().flatten();
        calls.filter(|(at, _)| (ms(from)..ms(to)).contains(at)).count()
    }

    /// How long the honest copies waited in all, their sends in flight aside.
    fn waited(&self, name: &str) -> Duration {
        let waits = self.waits.get(name).into_iter().flatten();
        waits.filter(|wait| **wait > ms(50)).sum()
    }

    /// The same, copies that waited together counted once.
    fn waited_longest(&self, name: &str) -> Duration {
        self.waits.get(name).into_iter().flatten().max().copied().unwrap_or_default()
    }
}

/// S1 1.9: an instance and its mirror on one host; an editor saves one post again and again,
/// as soon as the last save is there.
#[test]
fn an_editor_who_waits_for_each_delivery_is_not_held() {
    let mut world = World::new(&[("b", None)]);
    for at in 0..6 {
        world.save(at * 8, "editor", POST);
    }
    world.run(ms(5_000));
    assert_eq!(world.waits["b"].len(), 6);
    assert!(world.waited_longest("b") < ms(50), "{:?}", world.waits);
    assert!(world.began.is_empty());
}

#[test]
fn a_script_that_saves_at_its_own_pace_waits_at_most_once_for_a_second() {
    for pace in [5, 20, 50, 100, 200, 333, 500, 700, 900, 1100, 1500, 1900, 2500, 10_000] {
        for answer in [true, false] {
            let mut world = World::new(&[("b", None), ("c", None)]);
            let count = 400;
            (0..count).for_each(|at| world.save(1 + at * pace, "editor", POST));
            world.run(ms(count * pace + 5_000));
            let most = world.waited_longest("b");
            assert!(most <= ms(1_000), "pace {pace}: {most:?}");
            let holds = world.waits["b"].iter().filter(|wait| **wait > ms(900)).count();
            assert!(holds <= 1, "pace {pace} {answer}: {holds} copies waited a second");
            assert!(world.began.is_empty(), "pace {pace}");
        }
    }
}

#[test]
fn a_destination_that_calls_back_is_called_once_a_minute_whoever_it_claims_to_be() {
    for kin in [Kin::Stranger, Kin::Address, Kin::Account] {
        for (delay, is_inside) in [(1, true), (20, true), (20, false), (100, false), (900, true)] {
            let echo = Echoer { kin, is_inside, ..echoer("admin", delay) };
            let mut world = World::new(&[("b", Some(echo)), ("c", None)]);
            world.save(1, "admin", POST);
            world.run(ms(3_600_000));
            let case = format!("{kin:?} {delay} {is_inside}");
            let first = world.calls_between("b", 0, 60_000);
            assert!(first <= 32, "{case}: {first} in the first minute");
            let later = world.calls_between("b", 600_000, 3_600_000);
            assert!((48..=51).contains(&later), "{case}: {later} in fifty minutes");
            assert_eq!(world.began, ["b"], "{case}: c is not blamed");
            assert!(world.ended.is_empty(), "{case}");
        }
    }
}

#[test]
fn a_loop_that_stops_is_forgotten_and_the_next_save_goes_at_once() {
    let echo = Echoer { until: ms(100_000), ..echoer("admin", 10) };
    let mut world = World::new(&[("b", Some(echo))]);
    world.save(1, "admin", POST);
    world.run(ms(400_000));
    assert_eq!((&*world.began, &*world.ended), (&["b".to_owned()][..], &["b".to_owned()][..]));
    (0..5).for_each(|at| world.save(400_000 + at * 30, "admin", POST));
    world.run(ms(410_000));
    assert!(world.waited_longest("b") < ms(50), "{:?}", world.waits);
}

/// Others who name the same, or other things, beside a loop.
#[test]
fn an_honest_caller_beside_a_loop_waits_at_most_once_for_a_second() {
    let mut world = World::new(&[("b", Some(echoer("admin", 10)))]);
    world.save(1, "admin", POST);
    for at in 0..600 {
        world.save(20_000 + at * 7_001, "editor", POST);
        world.save(20_500 + at * 7_001, "other", 7 + at % 5);
    }
    world.run(ms(4_300_000));
    let longest = world.waited_longest("b");
    assert!(longest <= ms(1_000), "{longest:?}");
    let waited = world.waits["b"].iter().filter(|wait| **wait > ms(50)).count();
    assert!(waited <= 1, "{waited}");
    let calls = world.calls_between("b", 600_000, 3_600_000);
    assert!(calls <= 3_000_000 / 7_001 * 4 + 500, "{calls}: each save and its echo, no more");
}

/// A person who uses the same credential as the loop.
#[test]
fn a_save_under_the_credential_of_a_loop_is_not_held_with_it() {
    let mut world = World::new(&[("b", Some(echoer("admin", 10)))]);
    world.save(1, "admin", POST);
    (0..20).for_each(|at| world.save(100_000 + at * 13_337, "admin", POST));
    world.run(ms(500_000));
    let waits = &world.waits["b"];
    assert_eq!(waits.len(), 21);
    assert!(waits.iter().all(|wait| *wait < ms(50)), "{waits:?}");
}

/// Two gateways and two sites: each gateway's site calls the other gateway.
#[test]
fn several_returns_and_several_echoing_destinations_come_to_rest() {
    for returns in [vec![5, 6], vec![5, 300], vec![1, 1, 1, 1, 1]] {
        let echo = Echoer { returns: returns.clone(), ..echoer("admin", 5) };
        let other = Echoer { returns: returns.clone(), ..echoer("site", 8) };
        let third = Echoer { returns: returns.clone(), ..echoer("admin", 30) };
        let all = [("b", Some(echo)), ("c", Some(other)), ("d", Some(third)), ("e", None)];
        let mut world = World::new(&all);
        world.save(1, "admin", POST);
        world.run(ms(1_200_000));
        for name in ["b", "c", "d"] {
            let calls = world.calls_between(name, 600_000, 1_200_000);
            assert!(calls <= 40, "{returns:?}: {name} was called {calls} times in ten minutes");
        }
        assert!(!world.began.contains(&"e".to_owned()), "{:?}", world.began);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whatever the delay of an echo and its jitter within reach: at most once a minute.
    #[test]
    fn random_echoes_come_to_rest(
        delay in 1_u64..1_500, is_inside: bool, kin in 0..3, copies in 1_usize..4
    ) {
        let kin = [Kin::Stranger, Kin::Address, Kin::Account][kin as usize];
        let returns = (0..copies as u64).map(|at| delay + at * 7).collect();
        let echo = Echoer { kin, is_inside, returns, ..echoer("x", delay) };
        let mut world = World::new(&[("b", Some(echo)), ("c", None)]);
        world.save(1, "x", POST);
        world.run(ms(3_600_000));
        let late = world.calls_between("b", 1_800_000, 3_600_000);
        prop_assert!(late <= 32, "{} calls in half an hour", late);
        prop_assert!(late >= 25, "nothing is dropped: {}", late);
        prop_assert!(world.began.contains(&"b".to_owned()));
        prop_assert!(copies > 1 || world.began.len() == 1, "{:?}", world.began);
    }

    /// Callers at random times, several of them, one post and others: nobody waits longer than a
    /// second, and nothing is reported.
    #[test]
    fn random_honest_callers_wait_at_most_a_second(
        saves in prop::collection::vec((1_u64..3_000, 0..3, 0..3_u64), 1..300)
    ) {
        let mut world = World::new(&[("b", None), ("c", None)]);
        let mut at = 0;
        for (pause, caller, key) in saves {
            at += pause;
            world.save(at, ["admin", "editor", "other"][caller as usize], key);
        }
        world.run(ms(at + 100_000));
        prop_assert!(world.waited_longest("b") <= ms(1_000));
        prop_assert!(world.waited("b") <= ms(2_000), "{:?}", world.waits);
        prop_assert!(world.began.is_empty());
    }
}
