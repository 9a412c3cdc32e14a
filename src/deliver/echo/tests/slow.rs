//! Destinations that call back after seconds, and honest jobs that run every few seconds.

use super::super::track::CallerMatch;
use super::world::{Echoer, POST, World, echoer, ms};

#[test]
fn a_destination_that_calls_back_slowly_is_bounded_too() {
    for kin in [CallerMatch::Unrelated, CallerMatch::Address, CallerMatch::Account] {
        for delay in [2_100, 3_000, 5_000, 10_000, 30_000] {
            let echo = Echoer { kin, is_inside: false, ..echoer("admin", delay) };
            let mut world = World::new(&[("b", Some(echo)), ("c", None)]);
            world.save(1, "admin", POST);
            let hours = 8;
            world.run(ms(hours * 3_600_000));
            let calls = world.calls_between("b", (hours - 1) * 3_600_000, hours * 3_600_000);
            assert!((35..=61).contains(&calls), "{kin:?} {delay}: {calls} in an hour");
            assert_eq!(world.began, ["b"], "{kin:?} {delay}");
        }
    }
}

#[test]
fn a_job_that_runs_every_few_seconds_waits_at_most_once_for_a_second() {
    for pace in [2_100, 3_000, 5_000, 10_000, 30_000, 60_000, 110_000] {
        for jitter in [0, 3, 90, 700] {
            let mut world = World::new(&[("b", None), ("c", None)]);
            let count = 2_000;
            (0..count)
                .for_each(|at| world.save(1 + at * pace + at * 7 % (jitter + 1), "cron", POST));
            world.run(ms(count * pace + 5_000));
            let waits = &world.waits["b"];
            assert_eq!(waits.len() as u64, count);
            let longest = world.waited_longest("b");
            assert!(longest <= ms(1_000), "{pace} {jitter}: {longest:?}");
            let held = waits.iter().filter(|wait| **wait > ms(50)).count();
            assert!(held <= 1, "{pace} {jitter}: {held} copies were held");
            assert!(world.began.is_empty(), "{pace} {jitter}");
        }
    }
}

/// Two jobs, and a person who saves occasionally.
#[test]
fn several_slow_callers_are_not_suspected() {
    for callers in [["cron", "other", "editor"], ["cron", "cron", "cron"]] {
        let mut world = World::new(&[("b", None), ("c", None)]);
        for at in 0..500 {
            world.save(1 + at * 5_000, callers[0], POST);
            world.save(2_301 + at * 7_000, callers[1], POST);
            world.save(800 + at * 13_337 + at * at % 4_001, callers[2], POST);
        }
        world.run(ms(8_000_000));
        let longest = world.waited_longest("b");
        assert!(longest <= ms(1_000), "{callers:?}: {longest:?}");
        let held = world.waits["b"].iter().filter(|wait| **wait > ms(50)).count();
        assert!(held <= 3, "{callers:?}: {held} copies were held");
        assert!(world.began.is_empty(), "{callers:?}");
    }
}
