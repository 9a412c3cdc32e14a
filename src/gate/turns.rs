//! Turns at checking passwords, shared fairly.
//!
//! A check costs tens of milliseconds and 19 MiB by design. So few run at once, at most one for
//! each address. Addresses take turns, and so do the accounts that one address names. An address
//! whose failures exceed their limit is still served, because its next attempt may be valid, but
//! all such addresses share one slot and leave the other free. No attempt is refused: each one
//! waits on a connection of its own, so the connection limits bound the queue. Of one address,
//! three turns of four go to the newest attempt, so that a valid login does not wait for a whole
//! flood before it. The fourth goes in order, so that every attempt gets a turn.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio::time::Instant;

/// Checks that run at once: each takes a core and 19 MiB.
const CHECKS_AT_ONCE: usize = 2;
/// One turn of so many goes to the attempt that is next in order, the others to the newest one.
const ORDERLY_ONE_OF: u64 = 4;
/// Addresses remembered as limited.
const LIMITED_MAX: usize = 10_000;

/// Turns at checking passwords.
#[derive(Default)]
pub(super) struct Turns {
    state: Arc<Mutex<TurnState>>,
}

#[derive(Default)]
struct TurnState {
    /// Addresses with a running check, and whether each was limited when the check began.
    running: HashMap<String, bool>,
    queues: HashMap<String, AddressQueue>,
    /// Addresses with waiting attempts, by the number of their round; the first is next.
    rounds: BTreeMap<u64, String>,
    limited_until: HashMap<String, Instant>,
    /// The last number given to an attempt or a round.
    numbers: u64,
}

/// The waiting attempts of one address. Accounts take turns by tags: an attempt gets the tag after
/// the last one that waits for its account, and the smallest tag is next (fair queueing).
#[derive(Default)]
struct AddressQueue {
    round: u64,
    /// The last tag that was served in order.
    served: u64,
    turns: u64,
    waiters: BTreeMap<QueuePlace, Waiter>,
    /// Tags by the order of arrival.
    arrivals: BTreeMap<u64, u64>,
    accounts: HashMap<String, AccountQueue>,
}

/// A tag, then the order of arrival.
type QueuePlace = (u64, u64);

struct Waiter {
    account: String,
    turn: oneshot::Sender<Turn>,
}

/// The waiting attempts for one account.
#[derive(Default)]
struct AccountQueue {
    waiting: usize,
    last_tag: u64,
}

impl AddressQueue {
    fn push(&mut self, arrival: u64, waiter: Waiter) -> QueuePlace {
        let account = self.accounts.entry(waiter.account.clone()).or_default();
        account.last_tag = account.last_tag.max(self.served) + 1;
        account.waiting += 1;
        let place = (account.last_tag, arrival);
        self.arrivals.insert(arrival, place.0);
        self.waiters.insert(place, waiter);
        place
    }

    fn take(&mut self, place: QueuePlace) -> Option<Waiter> {
        let waiter = self.waiters.remove(&place)?;
        self.arrivals.remove(&place.1);
        if let Some(account) = self.accounts.get_mut(&waiter.account) {
            account.waiting -= 1;
            if account.waiting == 0 {
                self.accounts.remove(&waiter.account);
            }
        }
        Some(waiter)
    }

    fn next(&mut self) -> Option<Waiter> {
        self.turns += 1;
        let newest = self.arrivals.last_key_value().map(|(arrival, tag)| (*tag, *arrival));
        let place = if self.turns.is_multiple_of(ORDERLY_ONE_OF) {
            let first = *self.waiters.first_key_value()?.0;
            self.served = first.0;
            first
        } else {
            newest?
        };
        self.take(place)
    }
}

/// The right to check one password, released when it is dropped.
pub(super) struct Turn {
    state: Arc<Mutex<TurnState>>,
    address: String,
}

/// A waiting attempt. It leaves the queue when its caller disconnects.
struct Waiting<'a> {
    state: &'a Mutex<TurnState>,
    address: &'a str,
    place: QueuePlace,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.state.lock().leave(self.address, self.place);
    }
}

impl Turns {
    /// Waits for a turn of `address` to check a password of `account`.
    pub(super) async fn take(&self, address: &str, account: &str) -> Turn {
        let (turn, mine) = oneshot::channel();
        let waiter = Waiter { account: account.to_owned(), turn };
        let place = self.state.lock().join(address, waiter);
        let _waiting = Waiting { state: &self.state, address, place };
        dispatch(&self.state);
        mine.await.expect("an attempt stays in the queue until its turn is sent")
    }

    /// Notes that the failures of `address` exceed their limit for this time.
    pub(super) fn limit(&self, address: &str, time: Duration) {
        let now = Instant::now();
        let mut state = self.state.lock();
        if state.limited_until.len() >= LIMITED_MAX {
            state.limited_until.retain(|_, until| now < *until);
        }
        if state.limited_until.len() < LIMITED_MAX {
            state.limited_until.insert(address.to_owned(), now + time);
        }
    }

    /// Attempts that wait.
    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        self.state.lock().queues.values().map(|queue| queue.waiters.len()).sum()
    }
}

impl TurnState {
    fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    fn join(&mut self, address: &str, waiter: Waiter) -> QueuePlace {
        let arrival = self.number();
        let queue = self.queues.entry(address.to_owned()).or_default();
        if queue.waiters.is_empty() {
            queue.round = arrival;
            self.rounds.insert(arrival, address.to_owned());
        }
        queue.push(arrival, waiter)
    }

    /// Removes an attempt whose caller disconnected, unless it got its turn before.
    fn leave(&mut self, address: &str, place: QueuePlace) {
        if let Some(queue) = self.queues.get_mut(address)
            && queue.take(place).is_some()
            && queue.waiters.is_empty()
        {
            self.rounds.remove(&queue.round);
            self.queues.remove(address);
        }
    }

    /// The next attempt that may run now.
    fn next(&mut self) -> Option<(String, oneshot::Sender<Turn>)> {
        if self.running.len() >= CHECKS_AT_ONCE {
            return None;
        }
        let now = Instant::now();
        let is_limited =
            |address: &String| self.limited_until.get(address).is_some_and(|until| now < *until);
        let is_limited_running = self.running.values().any(|is_limited| *is_limited);
        let (&round, _) = self.rounds.iter().find(|(_, address)| {
            let is_busy = self.running.contains_key(*address);
            !(is_busy || is_limited_running && is_limited(address))
        })?;
        let address = self.rounds.remove(&round)?;
        let is_limited = is_limited(&address);
        let again = self.number();
        let queue = self.queues.get_mut(&address)?;
        let waiter = queue.next()?;
        if queue.waiters.is_empty() {
            self.queues.remove(&address);
        } else {
            queue.round = again;
            self.rounds.insert(again, address.clone());
        }
        self.running.insert(address.clone(), is_limited);
        Some((address, waiter.turn))
    }
}

/// Gives out every free turn. If a caller has disconnected, its turn is released as it is dropped.
fn dispatch(state: &Arc<Mutex<TurnState>>) {
    loop {
        let next = state.lock().next();
        let Some((address, turn)) = next else { return };
        drop(turn.send(Turn { state: Arc::clone(state), address }));
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.state.lock().running.remove(&self.address);
        dispatch(&self.state);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    const ATTACKER: &str = "203.0.113.7";

    /// Lets every other task get as far as it can.
    async fn settle() {
        for _ in 0..1_000 {
            tokio::task::yield_now().await;
        }
    }

    /// Polls once: whether a turn was had at once.
    fn at_once(turns: &Turns, address: &str, account: &str) -> Option<Turn> {
        turns.take(address, account).now_or_never()
    }

    /// Lets attempts wait, each of which gives its turn back at once and notes its account.
    async fn join(
        turns: &Arc<Turns>,
        served: &Arc<Mutex<Vec<String>>>,
        accounts: impl IntoIterator<Item = String>,
    ) {
        for account in accounts {
            let (turns, served) = (Arc::clone(turns), Arc::clone(served));
            tokio::spawn(async move {
                let turn = turns.take(ATTACKER, &account).await;
                served.lock().push(account);
                drop(turn);
            });
        }
        settle().await;
    }

    /// How many were served before this one.
    fn before(served: &Mutex<Vec<String>>, account: &str) -> usize {
        served.lock().iter().position(|it| it == account).expect("served")
    }

    #[tokio::test]
    async fn one_address_holds_one_place_and_leaves_the_other_free() {
        let turns = Turns::default();
        let held = at_once(&turns, ATTACKER, "a").expect("the first");
        assert!(at_once(&turns, ATTACKER, "b").is_none());
        let other = at_once(&turns, "198.51.100.1", "a").expect("another address");
        assert!(at_once(&turns, "198.51.100.2", "a").is_none(), "both places are taken");
        drop(held);
        assert!(at_once(&turns, "198.51.100.2", "a").is_some());
        drop(other);
    }

    /// Hundreds of attempts wait; another address waits for none of them, and all have a turn.
    #[tokio::test]
    async fn a_flood_delays_no_other_address_and_none_of_it_is_sent_away() {
        let turns = Arc::new(Turns::default());
        let held = at_once(&turns, ATTACKER, "a").expect("the first");
        let served = Arc::default();
        join(&turns, &served, (0..300).map(|at| at.to_string())).await;
        assert_eq!(turns.waiting(), 300);
        assert!(at_once(&turns, "198.51.100.1", "a").is_some());
        drop(held);
        settle().await;
        assert_eq!((served.lock().len(), turns.waiting()), (300, 0));
        let state = turns.state.lock();
        assert!(state.running.is_empty() && state.queues.is_empty() && state.rounds.is_empty());
    }

    /// A valid login from the address of a flood, for the account that is guessed at.
    #[tokio::test]
    async fn the_newest_attempt_of_a_flood_comes_soon_and_the_oldest_does_not_starve() {
        let turns = Arc::new(Turns::default());
        for turns_before in 0..ORDERLY_ONE_OF {
            let held = at_once(&turns, ATTACKER, "guessed").expect("the first");
            let served = Arc::default();
            join(&turns, &served, (0..300).map(|at| at.to_string())).await;
            if let Some(queue) = turns.state.lock().queues.get_mut(ATTACKER) {
                queue.turns = turns_before;
            }
            join(&turns, &served, ["mine".to_owned()]).await;
            drop(held);
            settle().await;
            assert!(before(&served, "mine") <= 1, "{}", before(&served, "mine"));
            assert!(before(&served, "0") <= ORDERLY_ONE_OF as usize, "{}", before(&served, "0"));
            assert_eq!(served.lock().len(), 301);
        }
    }

    /// One account is guessed at by ever newer attempts; another one of the address comes next in
    /// order.
    #[tokio::test]
    async fn accounts_of_one_address_take_turns() {
        let turns = Arc::new(Turns::default());
        let held = at_once(&turns, ATTACKER, "guessed").expect("the first");
        let guesses = || (0..40).map(|_| "guessed".to_owned());
        let served = Arc::default();
        join(&turns, &served, guesses()).await;
        join(&turns, &served, ["mine".to_owned()]).await;
        join(&turns, &served, guesses()).await;
        drop(held);
        settle().await;
        let before = before(&served, "mine");
        assert!(before <= 2 * ORDERLY_ONE_OF as usize, "{before} came before it");
    }

    #[tokio::test(start_paused = true)]
    async fn limited_addresses_share_one_place_for_their_time() {
        let turns = Turns::default();
        for address in ["203.0.113.7", "203.0.113.8"] {
            turns.limit(address, Duration::from_secs(10));
        }
        let held = at_once(&turns, "203.0.113.7", "a").expect("it is still served");
        assert!(at_once(&turns, "203.0.113.8", "a").is_none());
        assert!(at_once(&turns, "198.51.100.1", "a").is_some());
        tokio::time::advance(Duration::from_secs(10)).await;
        assert!(at_once(&turns, "203.0.113.8", "a").is_some());
        drop(held);
    }

    #[tokio::test]
    async fn a_caller_that_has_gone_holds_no_place() {
        let turns = Turns::default();
        let held = at_once(&turns, ATTACKER, "a").expect("the first");
        for _ in 0..100 {
            assert!(at_once(&turns, ATTACKER, "a").is_none());
        }
        assert_eq!(turns.waiting(), 0);
        assert!(turns.state.lock().queues.is_empty() && turns.state.lock().rounds.is_empty());
        drop(held);
        assert!(at_once(&turns, ATTACKER, "a").is_some());
    }

    /// The work of a flood grows with its size, not with its square.
    #[tokio::test]
    async fn ten_thousand_attempts_join_and_leave_in_no_time() {
        let turns = Turns::default();
        let held = at_once(&turns, ATTACKER, "a").expect("the first");
        let begun = std::time::Instant::now();
        let attempts: Vec<_> = (0..20_000)
            .map(|at| {
                let address = if at % 2 == 0 { ATTACKER.to_owned() } else { format!("n{at}") };
                let turns = &turns;
                let mut attempt = Box::pin(async move { turns.take(&address, "a").await });
                (attempt.as_mut().now_or_never().is_none(), attempt)
            })
            .collect();
        assert!(turns.waiting() > 15_000, "{}", turns.waiting());
        drop(attempts);
        assert_eq!(turns.waiting(), 0);
        assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
        drop(held);
    }
}
