//! Memory is bounded for any number of callers and selectors.

use super::super::machine::{Arrival, EchoMachine};
use super::super::track::CallerMatch;
use super::world::{LIMITS, ms};
use crate::domain::EventId;

#[test]
fn the_memory_of_many_callers_and_selectors_is_bounded() {
    let mut machine = EchoMachine::default();
    let to = [("b", CallerMatch::Unrelated), ("c", CallerMatch::Account)];
    for at in 0..20_000_u64 {
        let (now, key) = (ms(at), at % 7_000);
        for (name, _) in to {
            machine.sending(now, name, &[key], &LIMITS);
            machine.sent(name);
        }
        for nth in 0..2 {
            let caller = at % 5_000 + nth;
            machine.learned(caller, key, EventId::fresh());
            let arrival = Arrival { id: EventId::fresh(), caller, key };
            machine.arrived(now + ms(1), &arrival, &to, &LIMITS);
        }
    }
    let [sends, callers, held, groups, _] = machine.sizes();
    assert!(sends <= 2 * 4096 && callers <= 2 * 2048, "{sends} {callers}");
    assert!(held <= 2 * 4096 && groups <= 4096, "{held} {groups}");
}

/// Many sets of selectors loop at once: the number judged together is limited.
#[test]
fn the_copies_of_many_loops_are_bounded() {
    let mut machine = EchoMachine::default();
    let to = [("b", CallerMatch::Unrelated), ("c", CallerMatch::Unrelated)];
    let mut held_most = 0;
    for at in 0..200_000_u64 {
        // A hundred selectors in turn, each every 100 ms.
        let (now, key) = (ms(at), at % 100);
        let sends = [key];
        to.iter().for_each(|(name, _)| machine.sending(now, name, &sends, &LIMITS));
        let arrival = Arrival { id: EventId::fresh(), caller: at % 3, key };
        machine.arrived(now, &arrival, &to, &LIMITS);
        if at % 1_000 == 0 {
            machine.expire(now, &LIMITS);
        }
        held_most = held_most.max(machine.sizes()[4]);
    }
    assert!(held_most <= 64 * 2 * 512, "{held_most} copies were held");
}
