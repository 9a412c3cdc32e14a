//! The race between fills, invalidations and readers, in every interleaving of their steps.
//!
//! An origin has a version. An invalidation writes a new version, then applies. No lookup that
//! starts after an application returned may yield an older version than that application's.

use std::panic::AssertUnwindSafe;

use super::*;

/// One actor's next move.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Move {
    /// Reader: what does the store say?
    Look,
    /// Filler: takes a ticket, reads the origin, admits.
    Ticket,
    Read,
    Admit,
    /// Writer: changes the origin, then invalidates.
    Write,
    Apply,
    /// Background.
    Sweep,
}

use Move::{Admit, Apply, Look, Read, Sweep, Ticket as Take, Write};

/// Every way to merge the actors' moves, each kept in its order.
fn interleavings(actors: &[&[Move]]) -> Vec<Vec<(usize, Move)>> {
    fn go(
        actors: &[&[Move]],
        at: &mut Vec<usize>,
        path: &mut Vec<(usize, Move)>,
        out: &mut Vec<Vec<(usize, Move)>>,
    ) {
        if path.len() == actors.iter().map(|moves| moves.len()).sum::<usize>() {
            out.push(path.clone());
            return;
        }
        for actor in 0..actors.len() {
            if let Some(next) = actors[actor].get(at[actor]) {
                at[actor] += 1;
                path.push((actor, *next));
                go(actors, at, path, out);
                path.pop();
                at[actor] -= 1;
            }
        }
    }
    let mut out = Vec::new();
    go(actors, &mut vec![0; actors.len()], &mut Vec::new(), &mut out);
    out
}

fn page(version: u8) -> Fill {
    Fill {
        body: Bytes::from(vec![version]),
        type_name: Some(type_name("posts")),
        id: Some(label("1")),
        path: Some(url_path("/p")),
        ..tagged("k", "t")
    }
}

/// The same page as a list: any entity of its type may be on it.
fn list_page(version: u8) -> Fill {
    Fill { id: None, ..page(version) }
}

fn covering() -> Vec<Selector> {
    vec![
        Selector::All,
        Selector::Type(type_name("post")),
        Selector::Entity(type_name("posts"), label("1")),
        tag("t"),
        Selector::Path(url_path("/p")),
        Selector::PathPrefix(url_path("/")),
        Selector::Key(label("k")),
        pattern("k*"),
    ]
}

/// Plays one interleaving; says how many fills were taken and how many refused.
fn play(store: &Memory, demand: &Demand, moves: &[(usize, Move)]) -> (u32, u32) {
    let (mut origin, mut acknowledged) = (1_u8, 1_u8);
    let mut hands = [(store.ticket(), 0_u8); 4];
    let (mut taken, mut refused) = (0, 0);
    for (actor, step) in moves {
        let hand = &mut hands[*actor];
        match step {
            Take => hand.0 = store.ticket(),
            Read => hand.1 = origin,
            Admit => match store.admit(page(hand.1), hand.0) {
                Ok(_) => taken += 1,
                Err(error) => {
                    assert_eq!(error, FillRefusal::Overtaken, "{moves:?}");
                    refused += 1;
                }
            },
            Write => {
                origin += 1;
                hand.1 = origin;
            }
            Apply => {
                store.apply(demand);
                acknowledged = acknowledged.max(hand.1);
            }
            Look => {
                if let Lookup::Hit(found) = store.lookup("k") {
                    assert!(found.body[0] >= acknowledged, "stale: {demand:?} {moves:?}");
                }
            }
            Sweep => drop(store.sweep(secs(1))),
        }
    }
    (taken, refused)
}

/// Plays all interleavings for every kind of selector, with and without time for counting.
fn play_all(actors: &[&[Move]]) {
    let all = interleavings(actors);
    for count_time_max in [Duration::ZERO, secs(60)] {
        for demand in covering().into_iter().flat_map(|one| [hard(one.clone()), soft(one)]) {
            let mut sums = (0, 0);
            for moves in &all {
                let (store, _) = store_of(Config { count_time_max, ..config() });
                let (taken, refused) = play(&store, &demand, moves);
                sums = (sums.0 + taken, sums.1 + refused);
            }
            assert!(sums.0 > 0 && sums.1 > 0, "both happen, or the race was not raced: {sums:?}");
        }
    }
}

const FILL: &[Move] = &[Take, Read, Admit];

#[test]
fn a_fill_against_an_invalidation() {
    play_all(&[FILL, &[Write, Apply], &[Look, Look]]);
}

#[test]
fn two_fills_against_an_invalidation() {
    play_all(&[FILL, FILL, &[Write, Apply, Look]]);
}

#[test]
fn a_fill_against_two_invalidations() {
    play_all(&[FILL, &[Write, Apply], &[Write, Apply, Look]]);
}

#[test]
fn the_sweep_may_come_at_any_time() {
    play_all(&[FILL, &[Write, Apply, Look], &[Sweep, Sweep]]);
}

#[test]
fn a_fill_without_a_fence_would_be_stale_and_the_play_would_notice() {
    // Reading before the ticket is the bug that tickets prevent: it has to show.
    let wrong: &[Move] = &[Read, Take, Admit];
    let all = interleavings(&[wrong, &[Write, Apply, Look]]);
    let stale = all.iter().filter(|moves| {
        let (store, _) = store();
        let demand = hard(tag("t"));
        let mut moves = (*moves).clone();
        moves.push((3, Look));
        let played = AssertUnwindSafe(|| play(&store, &demand, &moves));
        std::panic::catch_unwind(played).is_err()
    });
    assert!(stale.count() > 0);
}

#[test]
fn an_invalidation_of_something_else_overtakes_nobody() {
    let (store, _) = store();
    let ticket = store.ticket();
    for other in [
        Selector::Type(type_name("feed")),
        Selector::Entity(type_name("posts"), label("2")),
        tag("k"),
        Selector::Path(url_path("/p2")),
        Selector::PathPrefix(url_path("/q")),
        Selector::Key(label("t")),
        pattern("?k"),
    ] {
        assert_eq!(store.apply(&hard(other)).entries, 0);
    }
    store.admit(page(1), ticket).expect("nothing of it was invalidated");
}

#[test]
fn a_key_that_is_a_path_is_fenced_as_one() {
    for selector in [Selector::Path(url_path("/k")), Selector::PathPrefix(url_path("/"))] {
        let (store, _) = store();
        let ticket = store.ticket();
        assert_eq!(store.apply(&hard(selector)).entries, 0);
        assert_eq!(store.admit(fill("/k"), ticket), Err(FillRefusal::Overtaken));
    }
}

#[test]
fn the_fill_of_a_list_is_overtaken_by_any_entity_of_its_type() {
    for demand in [hard, soft] {
        for count_time_max in [Duration::ZERO, secs(60)] {
            let (store, _) = store_of(Config { count_time_max, ..config() });
            let entity = |of: &str, id: &str| Selector::Entity(type_name(of), label(id));
            let ticket = store.ticket();
            store.apply(&demand(entity("feed", "7")));
            store.admit(list_page(1), ticket).expect("a list of another type");
            // Never cached before, so nothing but the stamp is there to refuse it.
            let ticket = store.ticket();
            store.apply(&demand(entity("post", "7")));
            let list = Fill { key: label("k2"), ..list_page(1) };
            assert_eq!(store.admit(list.clone(), ticket), Err(FillRefusal::Overtaken));
            assert_eq!(store.admit(Fill { id: Some(label("7")), ..list.clone() }, ticket).err(), {
                Some(FillRefusal::Overtaken)
            });
            store
                .admit(Fill { id: Some(label("8")), ..list }, ticket)
                .expect("another entity is not touched");
        }
    }
}
