//! Honest callers and echoing destinations on a virtual clock: which copies are held, and how often
//! a destination is called.

mod coupled;
mod growth;
mod scripts;
mod slow;
mod world;

use proptest::prelude::*;

use super::track::CallerMatch;
use world::{Echoer, POST, World, echoer, ms};

/// S1 1.9: an instance and its mirror on one host. An editor saves one post repeatedly, each time
/// as soon as the last save was delivered.
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
fn a_destination_that_calls_back_is_called_once_a_minute_under_any_identity() {
    for kin in [CallerMatch::Unrelated, CallerMatch::Address, CallerMatch::Account] {
        for (delay, is_inside) in [(1, true), (20, true), (20, false), (100, false), (900, true)] {
            let echo = Echoer { kin, is_inside, ..echoer("admin", delay) };
            let mut world = World::new(&[("b", Some(echo)), ("c", None)]);
            world.save(1, "admin", POST);
            world.run(ms(3_600_000));
            let case = format!("{kin:?} {delay} {is_inside}");
            let first = world.calls_between("b", 0, 60_000);
            assert!(first <= 80, "{case}: {first} in the first minute");
            let later = world.calls_between("b", 600_000, 3_600_000);
            assert!((48..=51).contains(&later), "{case}: {later} in fifty minutes");
            assert_eq!(world.began, ["b"], "{case}: c is not blamed");
            assert!(world.ended.is_empty(), "{case}");
        }
    }
}

#[test]
fn after_a_loop_stops_the_next_save_is_sent_at_once() {
    let echo = Echoer { until: ms(100_000), ..echoer("admin", 10) };
    let mut world = World::new(&[("b", Some(echo))]);
    world.save(1, "admin", POST);
    world.run(ms(400_000));
    assert_eq!((&*world.began, &*world.ended), (&["b".to_owned()][..], &["b".to_owned()][..]));
    (0..5).for_each(|at| world.save(400_000 + at * 30, "admin", POST));
    world.run(ms(410_000));
    assert!(world.waited_longest("b") < ms(50), "{:?}", world.waits);
}

/// Other callers with the same or other selectors during a loop.
#[test]
fn an_honest_caller_during_a_loop_waits_at_most_once_for_a_second() {
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

/// A person with the same credential as the loop.
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

/// Two gateways and two sites: the site of each gateway calls the other gateway.
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
    // A loop that never stops is slow to simulate, and so is each step of shrinking it.
    #![proptest_config(ProptestConfig {
        cases: 24, max_shrink_iters: 16, ..ProptestConfig::default()
    })]

    /// With any delay within reach, an echo leads to at most one call a minute.
    #[test]
    fn random_echoes_come_to_rest(
        delay in 1_u64..1_500, is_inside: bool, kin in 0..3, copies in 1_usize..4
    ) {
        let kins = [CallerMatch::Unrelated, CallerMatch::Address, CallerMatch::Account];
        let kin = kins[kin as usize];
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

    /// Several callers at random times, with the same and other posts: no copy waits longer than a
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

/// Three returns for each call, all of them still under way when the quiet time begins: the time
/// that they take is measured from the last send, or the other destination would be blamed.
#[test]
fn returns_that_come_in_bursts_are_blamed_on_their_own_destination() {
    for delay in (500..580).step_by(8) {
        let returns = vec![delay, delay + 7, delay + 14];
        let echo = Echoer { is_inside: false, returns, ..echoer("x", delay) };
        let mut world = World::new(&[("b", Some(echo)), ("c", None)]);
        world.save(1, "x", POST);
        world.run(ms(120_000));
        let late = world.calls_between("b", 60_000, 120_000);
        assert!(late <= 6, "{delay}: {late} calls in a minute");
        assert!(world.began.contains(&"b".to_owned()), "{delay}: {:?}", world.began);
        assert!(!world.machine.is_echoing("c"), "{delay}");
    }
}
