//! Destinations that name several sets of selectors in each call back, whichever they were sent.

use super::world::{Echoer, POST, World, echoer, ms};
use crate::deliver::echo::machine::SelectorKey;

fn site(names: &[(&'static str, SelectorKey)], delay: u64, is_inside: bool, pace: u64) -> Echoer {
    Echoer { names: names.to_vec(), is_inside, pace, ..echoer("site", delay) }
}

const THREE: [(&str, SelectorKey); 3] = [("route", 1), ("api", 2), ("hook", 3)];
const SAME_CALLER: [(&str, SelectorKey); 2] = [("api", 1), ("api", 2)];

#[test]
fn a_site_that_names_several_things_in_each_return_comes_to_rest() {
    for names in [&THREE[..], &SAME_CALLER] {
        for (delay, is_inside) in [(5, true), (5, false), (30, false), (300, false)] {
            for pace in [2, 30, 100, 500] {
                let case = format!("{} {delay} {is_inside} {pace}", names.len());
                let echo = site(names, delay, is_inside, pace);
                let mut world = World::new(&[("b", Some(echo)), ("c", None)]);
                world.save(1, "editor", POST);
                world.run(ms(3_600_000));
                let later = world.calls_between("b", 600_000, 3_600_000);
                // Once a minute for each set, and in some rhythms once more.
                let most = 51 * (names.len() + 1);
                assert!(later <= most, "{case}: {later} calls in fifty minutes");
                let (first, others) = world.began.split_first().expect("b is found out");
                let is_b = first == "b" && others.iter().all(|name| name == first);
                assert!(is_b, "{case}: {:?}", world.began);
            }
        }
    }
}

#[test]
fn other_callers_during_such_a_loop_hardly_wait() {
    for pace in [2, 100] {
        let mut world = World::new(&[("b", Some(site(&THREE, 5, false, pace))), ("c", None)]);
        world.save(1, "editor", POST);
        for at in 0..200 {
            world.save(60_000 + at * 7_001, "editor", POST);
            world.save(60_500 + at * 7_001, "other", 7 + at % 5);
        }
        world.run(ms(1_600_000));
        for name in ["b", "c"] {
            let longest = world.waited_longest(name);
            assert!(longest <= ms(1_000), "{pace} {name}: {longest:?}");
            let held = world.waits[name].iter().filter(|wait| **wait > ms(pace + 50)).count();
            assert!(held <= 1, "{pace} {name}: {held} copies were held");
        }
    }
}

/// A job and a script that save different posts at the same pace are not such a site.
#[test]
fn callers_that_save_different_things_together_are_not_blamed() {
    for pace in [5, 50, 200, 700, 1_500] {
        let mut world = World::new(&[("b", None), ("c", None)]);
        for at in 0..400 {
            (0..4).for_each(|key| world.save(1 + at * pace + key, "cron", key));
            world.save(3 + at * pace, "editor", 9);
        }
        world.run(ms(400 * pace + 5_000));
        let longest = world.waited_longest("b");
        assert!(longest <= ms(1_000), "{pace}: {longest:?}");
        assert!(world.began.is_empty(), "{pace}: {:?}", world.began);
        let held = world.waits["b"].iter().filter(|wait| **wait > ms(900)).count();
        assert!(held <= 5, "{pace}: {held} copies waited a second");
    }
}
