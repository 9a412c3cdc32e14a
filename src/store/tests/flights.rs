//! Waiters: who waits for another's fill looks again, and never gets what was overtaken.
//! The fills are gated, so that each interleaving that matters is played on purpose.

use std::pin::pin;

use futures_util::poll;

use super::super::flight::{KEYS_MAX, WAITERS_MAX};
use super::*;

const LONG: Duration = Duration::from_secs(60);

fn ticket_of(answer: &Lookup) -> Ticket {
    match answer {
        Lookup::Miss { ticket } => *ticket,
        other => panic!("{}", other.as_str()),
    }
}

#[tokio::test(start_paused = true)]
async fn waiters_get_the_leaders_fill() {
    let (store, _) = store();
    let ticket = ticket_of(&store.lookup_or_wait("a", LONG).await);
    let mut one = pin!(store.lookup_or_wait("a", LONG));
    let mut two = pin!(store.lookup_or_wait("a", LONG));
    assert!(poll!(&mut one).is_pending() && poll!(&mut two).is_pending());
    store.admit(fill("a"), ticket).expect("admitted");
    assert_eq!((one.await.as_str(), two.await.as_str()), ("hit", "hit"));
    let stats = store.stats();
    assert_eq!((stats.misses, stats.hits), (1, 2), "a wait is one lookup");
}

#[tokio::test(start_paused = true)]
async fn an_overtaken_fill_reaches_no_waiter_and_one_of_them_leads_next() {
    for selector in [Selector::All, tag("t"), Selector::Key(label("a")), pattern("a")] {
        let (store, _) = store();
        let old = ticket_of(&store.lookup_or_wait("a", LONG).await);
        let mut one = pin!(store.lookup_or_wait("a", LONG));
        let mut two = pin!(store.lookup_or_wait("a", LONG));
        assert!(poll!(&mut one).is_pending() && poll!(&mut two).is_pending());
        store.apply(&hard(selector));
        assert_eq!(store.admit(tagged("a", "t"), old), Err(FillRefusal::Overtaken));
        let new = ticket_of(&one.await);
        assert!(new.generation > old.generation, "the next leader has a new ticket");
        assert!(poll!(&mut two).is_pending(), "and only one leads");
        store.admit(tagged("a", "t"), new).expect("admitted");
        assert_eq!(two.await.as_str(), "hit");
    }
}

#[tokio::test(start_paused = true)]
async fn a_fill_cleared_before_the_waiter_woke_is_not_served_to_it() {
    let (store, _) = store();
    let ticket = ticket_of(&store.lookup_or_wait("a", LONG).await);
    let mut waiter = pin!(store.lookup_or_wait("a", LONG));
    assert!(poll!(&mut waiter).is_pending());
    store.admit(tagged("a", "t"), ticket).expect("admitted");
    store.apply(&hard(tag("t")));
    ticket_of(&waiter.await);
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_withdraws_or_vanishes_is_followed_by_another() {
    let (store, _) = store();
    ticket_of(&store.lookup_or_wait("a", LONG).await);
    let mut waiter = pin!(store.lookup_or_wait("a", LONG));
    assert!(poll!(&mut waiter).is_pending());
    store.withdraw("a");
    ticket_of(&waiter.await);
    // That one now leads and never comes back: its lease lapses after 10 s.
    let begun = tokio::time::Instant::now();
    ticket_of(&store.lookup_or_wait("a", LONG).await);
    assert_eq!(begun.elapsed().as_secs(), 10);
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_longer_than_it_is_willing_to() {
    let (store, _) = store();
    ticket_of(&store.lookup_or_wait("a", LONG).await);
    let begun = tokio::time::Instant::now();
    ticket_of(&store.lookup_or_wait("a", secs(2)).await);
    assert_eq!(begun.elapsed().as_secs(), 2);
    ticket_of(&store.lookup_or_wait("a", Duration::ZERO).await);
    assert_eq!(begun.elapsed().as_secs(), 2);
}

#[tokio::test(start_paused = true)]
async fn past_the_limits_nobody_is_made_to_wait() {
    let (store, _) = store();
    for n in 0..KEYS_MAX {
        ticket_of(&store.lookup_or_wait(&format!("k{n}"), LONG).await);
    }
    for _ in 0..2 {
        ticket_of(&store.lookup_or_wait("one too many", LONG).await);
    }
    assert_eq!(store.inner.flights.len(), KEYS_MAX);
    let mut waiters: Vec<_> =
        (0..WAITERS_MAX).map(|_| Box::pin(store.lookup_or_wait("k0", LONG))).collect();
    for waiter in &mut waiters {
        assert!(poll!(waiter).is_pending());
    }
    ticket_of(&store.lookup_or_wait("k0", LONG).await);
    drop(waiters);
    let mut waiter = pin!(store.lookup_or_wait("k0", LONG));
    assert!(poll!(&mut waiter).is_pending(), "places are given back");
    tokio::time::advance(secs(11)).await;
    store.sweep(secs(1));
    assert_eq!(store.inner.flights.len(), 0, "lapsed leases are swept");
}

/// What a waiter does among the moves of a leader and a writer.
#[derive(Debug, Clone, Copy)]
enum Move {
    LeaderReads,
    LeaderAdmits,
    Write,
    Apply,
    Arrive,
    Poll,
}

/// Plays one order: a waiter that arrives after an acknowledgement must not get anything older.
async fn play(demand: &Demand, moves: &[Move]) {
    let (store, _) = store();
    let ticket = ticket_of(&store.lookup_or_wait("a", LONG).await);
    let (mut origin, mut read, mut acknowledged) = (1_u8, 0_u8, 1_u8);
    let page = |version: u8| Fill { body: Bytes::from(vec![version]), ..tagged("a", "t") };
    let mut waiter = None;
    for step in moves {
        match step {
            Move::LeaderReads => read = origin,
            Move::LeaderAdmits => drop(store.admit(page(read), ticket)),
            Move::Write => origin += 1,
            Move::Apply => {
                store.apply(demand);
                acknowledged = origin;
            }
            Move::Arrive => {
                waiter = Some((Box::pin(store.lookup_or_wait("a", LONG)), acknowledged));
            }
            Move::Poll => {}
        }
        // A waiter is woken whenever the runtime likes: here, only at its own moves.
        if let (Move::Arrive | Move::Poll, Some((waiting, at_least))) = (step, &mut waiter)
            && let std::task::Poll::Ready(answer) = poll!(waiting.as_mut())
        {
            if let Lookup::Hit(found) = &answer {
                assert!(found.body[0] >= *at_least, "{demand:?} {moves:?}");
            }
            waiter = None;
        }
    }
}

fn merge(actors: &[&[Move]], path: &mut Vec<Move>, out: &mut Vec<Vec<Move>>) {
    if actors.iter().all(|moves| moves.is_empty()) {
        out.push(path.clone());
    }
    for (at, moves) in actors.iter().enumerate() {
        if let Some((next, rest)) = moves.split_first() {
            let mut left = actors.to_vec();
            left[at] = rest;
            path.push(*next);
            merge(&left, path, out);
            path.pop();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_waiter_in_every_interleaving() {
    let mut orders = Vec::new();
    let leader = [Move::LeaderReads, Move::LeaderAdmits];
    let writer = [Move::Write, Move::Apply];
    let waiter = [Move::Arrive, Move::Poll, Move::Poll];
    merge(&[&leader, &writer, &waiter], &mut Vec::new(), &mut orders);
    assert_eq!(orders.len(), 210);
    for selector in [Selector::All, tag("t"), Selector::Key(label("a")), pattern("a")] {
        for moves in &orders {
            play(&hard(selector.clone()), moves).await;
            play(&soft(selector.clone()), moves).await;
        }
    }
}
