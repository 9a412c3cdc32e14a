//! Turns at checking passwords, shared fairly.
//!
//! A check costs tens of milliseconds and 19 MiB by design. So few run at once, one for each
//! address; addresses take turns, and so do the accounts that one address names. An address whose
//! failures passed their limit is still served, because its next attempt may be the right one, but
//! all such addresses share one place and leave the other free. Every queue is bounded: what does
//! not fit is asked to come again.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio::time::Instant;

/// Checks at once: the machine has other work, and each takes 19 MiB.
const CHECKS_AT_ONCE: usize = 2;
/// Attempts of one address that may wait.
const WAITING_EACH_MAX: usize = 32;
/// Attempts that may wait in all.
const WAITING_MAX: usize = 1024;
/// Addresses remembered as limited.
const LIMITED_MAX: usize = 10_000;
/// When to come again where no place is free.
const COME_AGAIN: Duration = Duration::from_secs(2);

/// Turns at checking passwords.
#[derive(Default)]
pub(super) struct Turns {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// Addresses whose attempt is being checked, and whether each was limited when it began.
    running: HashMap<String, bool>,
    waiting: usize,
    queues: HashMap<String, Queue>,
    /// Addresses with attempts that wait; the next one first.
    order: VecDeque<String>,
    limited_until: HashMap<String, Instant>,
    arrivals: u64,
}

/// What one address waits for. Accounts take turns by tags: an attempt is tagged one past the last
/// one that waits for its account, and the smallest tag is next (fair queueing).
#[derive(Default)]
struct Queue {
    served: u64,
    waiters: Vec<Waiter>,
}

struct Waiter {
    account: String,
    /// Its tag, then the order of arrival.
    place: (u64, u64),
    turn: oneshot::Sender<Turn>,
}

/// A turn; over when it is dropped.
pub(super) struct Turn {
    state: Arc<Mutex<State>>,
    address: String,
}

impl Turns {
    /// Waits for a turn of `address` to check a password of `account`.
    ///
    /// # Errors
    /// The time after which to come again, where no place to wait is free.
    pub(super) async fn take(&self, address: &str, account: &str) -> Result<Turn, Duration> {
        let (turn, mine) = oneshot::channel();
        self.state.lock().join(address, account, turn)?;
        dispatch(&self.state);
        mine.await.map_err(|_| COME_AGAIN)
    }

    /// Notes that the failures of `address` are past their limit for so long.
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
        self.state.lock().waiting
    }
}

impl State {
    fn join(
        &mut self,
        address: &str,
        account: &str,
        turn: oneshot::Sender<Turn>,
    ) -> Result<(), Duration> {
        self.forget_gone(address);
        if self.waiting >= WAITING_MAX {
            let addresses: Vec<String> = self.queues.keys().cloned().collect();
            addresses.iter().for_each(|address| self.forget_gone(address));
        }
        self.arrivals += 1;
        let queue = self.queues.entry(address.to_owned()).or_default();
        let last = queue.waiters.iter().filter(|it| it.account == account).map(|it| it.place.0);
        let tag = last.max().unwrap_or(0).max(queue.served) + 1;
        if queue.waiters.is_empty() {
            self.order.push_back(address.to_owned());
        }
        let place = (tag, self.arrivals);
        queue.waiters.push(Waiter { account: account.to_owned(), place, turn });
        self.waiting += 1;
        if queue.waiters.len() > WAITING_EACH_MAX {
            self.drop_last(address);
        } else if self.waiting > WAITING_MAX {
            // The address that waits for most gives way; of equals, the newcomer.
            let own = self.queues.get(address).map_or(0, |queue| queue.waiters.len());
            let longest = self.queues.iter().max_by_key(|(_, queue)| queue.waiters.len());
            let longer = longest.filter(|(_, queue)| queue.waiters.len() > own);
            let gives_way = longer.map_or(address, |(address, _)| address).to_owned();
            self.drop_last(&gives_way);
        }
        Ok(())
    }

    /// Takes out attempts whose caller has gone.
    fn forget_gone(&mut self, address: &str) {
        let Some(queue) = self.queues.get_mut(address) else { return };
        let before = queue.waiters.len();
        queue.waiters.retain(|waiter| !waiter.turn.is_closed());
        self.waiting -= before - queue.waiters.len();
        self.clear_up(address);
    }

    /// Drops the attempt of an address that would be served last.
    fn drop_last(&mut self, address: &str) {
        let Some(queue) = self.queues.get_mut(address) else { return };
        let last = (0..queue.waiters.len()).max_by_key(|at| queue.waiters[*at].place);
        if let Some(at) = last {
            queue.waiters.swap_remove(at);
            self.waiting -= 1;
        }
        self.clear_up(address);
    }

    fn clear_up(&mut self, address: &str) {
        if self.queues.get(address).is_some_and(|queue| queue.waiters.is_empty()) {
            self.queues.remove(address);
            self.order.retain(|other| other != address);
        }
    }

    /// The next attempt that may be checked now.
    fn next(&mut self) -> Option<(String, oneshot::Sender<Turn>)> {
        if self.running.len() >= CHECKS_AT_ONCE {
            return None;
        }
        let now = Instant::now();
        let is_limited =
            |address: &String| self.limited_until.get(address).is_some_and(|until| now < *until);
        let is_limited_running = self.running.values().any(|is_limited| *is_limited);
        let at = self.order.iter().position(|address| {
            let is_busy = self.running.contains_key(address);
            !(is_busy || is_limited_running && is_limited(address))
        })?;
        let address = self.order.remove(at)?;
        let is_limited = is_limited(&address);
        let queue = self.queues.get_mut(&address)?;
        let first = (0..queue.waiters.len()).min_by_key(|at| queue.waiters[*at].place)?;
        let waiter = queue.waiters.swap_remove(first);
        queue.served = waiter.place.0;
        self.waiting -= 1;
        self.order.push_back(address.clone());
        self.clear_up(&address);
        self.running.insert(address.clone(), is_limited);
        Some((address, waiter.turn))
    }
}

/// Gives out every turn that is free. A caller that has gone gives its own back when it is dropped.
fn dispatch(state: &Arc<Mutex<State>>) {
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
        turns.take(address, account).now_or_never().and_then(Result::ok)
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

    /// Hundreds of attempts wait; another address waits for none of them.
    #[tokio::test]
    async fn a_flood_delays_no_other_address() {
        let turns = Arc::new(Turns::default());
        let held = at_once(&turns, ATTACKER, "a").expect("the first");
        let flood: Vec<_> = (0..300)
            .map(|at| {
                let turns = Arc::clone(&turns);
                tokio::spawn(async move { turns.take(ATTACKER, &format!("{at}")).await.err() })
            })
            .collect();
        settle().await;
        assert_eq!(turns.waiting(), WAITING_EACH_MAX);
        assert!(at_once(&turns, "198.51.100.1", "a").is_some());
        drop(held);
        let mut refused = 0;
        for one in flood {
            refused += usize::from(one.await.expect("ends") == Some(COME_AGAIN));
        }
        assert_eq!(refused, 300 - WAITING_EACH_MAX, "past the queue: come again");
        assert_eq!(turns.waiting(), 0);
        let state = turns.state.lock();
        assert!(state.running.is_empty() && state.queues.is_empty() && state.order.is_empty());
    }

    /// One account is guessed at; the other account of the same address comes next.
    #[tokio::test]
    async fn accounts_of_one_address_take_turns() {
        let turns = Arc::new(Turns::default());
        let held = at_once(&turns, ATTACKER, "guessed").expect("the first");
        for _ in 0..WAITING_EACH_MAX + 10 {
            let turns = Arc::clone(&turns);
            tokio::spawn(async move { drop(turns.take(ATTACKER, "guessed").await) });
        }
        settle().await;
        let own = tokio::spawn({
            let turns = Arc::clone(&turns);
            async move { turns.take(ATTACKER, "mine").await.map(|_| turns.waiting()) }
        });
        settle().await;
        drop(held);
        let waiting = own.await.expect("ends").expect("a turn");
        assert!(waiting >= WAITING_EACH_MAX - 3, "{waiting} wait behind it");
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

    /// Many addresses fill the queue; one more finds room, at the cost of the longest.
    #[tokio::test]
    async fn the_longest_queue_gives_way_where_all_is_full() {
        let turns = Arc::new(Turns::default());
        let held: Vec<_> = ["a", "b"].map(|it| at_once(&turns, it, "x").expect("free")).into();
        let addresses = WAITING_MAX / WAITING_EACH_MAX;
        for at in 0..WAITING_MAX {
            let turns = Arc::clone(&turns);
            let address = format!("203.0.113.{}", at % addresses);
            tokio::spawn(async move { drop(turns.take(&address, "x").await) });
        }
        settle().await;
        assert_eq!(turns.waiting(), WAITING_MAX);
        let own = tokio::spawn({
            let turns = Arc::clone(&turns);
            async move { turns.take("198.51.100.1", "x").await.is_ok() }
        });
        settle().await;
        assert_eq!(turns.waiting(), WAITING_MAX);
        drop(held);
        assert!(own.await.expect("ends"));
    }

    #[tokio::test]
    async fn a_caller_that_has_gone_holds_no_place() {
        let turns = Turns::default();
        let held = at_once(&turns, ATTACKER, "a").expect("the first");
        for _ in 0..3 * WAITING_EACH_MAX {
            assert!(at_once(&turns, ATTACKER, "a").is_none());
        }
        assert!(turns.waiting() <= WAITING_EACH_MAX);
        drop(held);
        assert!(at_once(&turns, ATTACKER, "a").is_some());
    }
}
