//! What the evidence about echoes is made of: who calls, what was sent, what becomes of a copy.
//!
//! Plain values; times count from the start of the process.

use std::time::Duration;

use crate::support::backoff::Backoff;

/// What speaks for it that a caller is the destination itself, apart from timing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kin {
    /// Nothing.
    Stranger,
    /// It has the destination's address, and nobody else was seen there.
    Address,
    /// It uses the account that we use there.
    Account,
}

/// How far the machine looks back and how long it holds.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Sends are remembered for this long.
    pub window: Duration,
    /// Holds: the first and the longest.
    pub waits: Backoff,
}

/// The newest send of the selectors to the destination.
#[derive(Debug, Clone, Copy)]
pub struct Send {
    /// When it began.
    pub at: Duration,
    /// Its number among the sends of these selectors, from 1.
    pub number: u64,
    /// Whether it is still in flight.
    pub is_open: bool,
}

/// What becomes of the copy to the destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It goes at once, and so does what was held.
    Free,
    /// It joins what is held until then.
    Join(Duration),
    /// It is held for this long, from now on.
    Hold(Duration),
}

/// A copy that is held.
#[derive(Debug, Clone, Copy)]
pub struct Hold {
    /// When it ends.
    pub until: Duration,
    /// How long it is.
    pub wait: Duration,
    /// Arrivals meanwhile that cannot have been on their way when it began.
    pub late: u32,
}
