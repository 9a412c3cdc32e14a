//! Honest scripts that save again when their last save was delivered, and destinations that look
//! like them.

use super::super::track::CallerMatch;
use super::world::{Echoer, POST, Script, World, echoer, ms};

fn script(caller: &'static str, is_seen: bool, count: u64, pauses: &[u64]) -> Script {
    Script { caller, key: POST, is_seen, count, pauses: pauses.to_vec() }
}

/// All copies were sent, none waited longer than a second, and no destination is reported.
fn is_hardly_held(world: &World, name: &str, count: usize, case: &str) {
    let waits = &world.waits[name];
    assert_eq!(waits.len(), count, "{case}");
    let longest = world.waited_longest(name);
    assert!(longest <= ms(1_000), "{case}: {longest:?}");
    let held = waits.iter().filter(|wait| **wait > ms(500)).count();
    assert!(held <= 1, "{case}: {held} copies were held");
    assert!(world.began.is_empty(), "{case}: {:?}", world.began);
}

#[test]
fn a_script_that_waits_or_asks_for_each_delivery_is_not_held() {
    for pauses in [&[0][..], &[1], &[5, 9, 2], &[40], &[200], &[1, 900, 30], &[1_500], &[2_500]] {
        for is_alone in [true, false] {
            let mut world = match is_alone {
                true => World::new(&[("b", None)]),
                false => World::new(&[("b", None), ("c", None), ("d", None)]),
            };
            world.start(1, script("editor", true, 2_000, pauses));
            world.run(ms(8_000_000));
            is_hardly_held(&world, "b", 2_000, &format!("{pauses:?} {is_alone}"));
        }
    }
}

#[test]
fn several_scripts_that_wait_for_the_same_are_not_held() {
    for callers in [["editor", "other"], ["editor", "editor"]] {
        for pauses in [[&[0][..], &[3]], [&[7], &[11, 2, 90]], [&[300], &[1_100]]] {
            let mut world = World::new(&[("b", None), ("c", None)]);
            for (caller, pauses) in callers.into_iter().zip(pauses) {
                world.start(1, script(caller, true, 500, pauses));
            }
            world.run(ms(2_000_000));
            is_hardly_held(&world, "b", 1_000, &format!("{callers:?} {pauses:?}"));
        }
    }
}

/// Two scripts, one that waits for deliveries and one that does not.
#[test]
fn a_waiting_script_and_one_at_its_own_pace_are_hardly_held() {
    for pace in [30, 170, 700, 1_300] {
        let mut world = World::new(&[("b", None), ("c", None)]);
        world.start(1, script("editor", true, 300, &[2, 20]));
        (0..300).for_each(|at| world.save(1 + at * pace, "other", POST));
        world.run(ms(1_000_000));
        assert_eq!(world.waits["b"].len(), 600);
        let longest = world.waited_longest("b");
        assert!(longest <= ms(1_000), "{pace}: {longest:?}");
        assert!(world.began.is_empty(), "{pace}: {:?}", world.began);
    }
}

/// A script that checks the mirror itself, which the instance does not notice.
#[test]
fn a_script_that_waits_unnoticed_is_not_held_for_thirty_rounds() {
    let mut world = World::new(&[("b", None)]);
    world.start(1, script("editor", false, 30, &[5]));
    world.run(ms(100_000));
    is_hardly_held(&world, "b", 30, "looks at the mirror");
    assert!(world.waited_longest("b") < ms(50));
}

/// The account of the destination is no evidence against a caller that waits.
#[test]
fn a_script_under_the_account_of_the_destination_that_waits_is_not_held() {
    let silent = Echoer { kin: CallerMatch::Account, until: ms(0), ..echoer("editor", 1) };
    let mut world = World::new(&[("b", Some(silent))]);
    world.start(1, script("editor", true, 500, &[5]));
    world.run(ms(100_000));
    is_hardly_held(&world, "b", 500, "the account");
}

/// A destination that calls back and waits for the delivery of what it names.
#[test]
fn a_destination_that_calls_back_with_wait_is_bounded_in_the_long_run() {
    for (delay, is_inside) in [(20, false), (100, false), (20, true), (300, false)] {
        let echo = Echoer { is_inside, waits: true, ..echoer("admin", delay) };
        let mut world = World::new(&[("b", Some(echo)), ("c", None)]);
        world.save(1, "admin", POST);
        world.run(ms(7_200_000));
        let calls = world.calls_between("b", 3_600_000, 7_200_000);
        assert!((55..=63).contains(&calls), "{delay} {is_inside}: {calls} in an hour");
        assert_eq!(world.began, ["b"], "{delay} {is_inside}");
    }
}
