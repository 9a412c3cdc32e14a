//! The values of echo detection: who calls, what was sent, what happens to a copy.
//!
//! All times are measured from the start of the process.

use std::time::Duration;

use crate::support::backoff::Backoff;

/// Evidence, apart from timing, that a caller is the destination itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum CallerMatch {
    /// None.
    Unrelated,
    /// It has the address of the destination, and no other caller was seen there.
    Address,
    /// It uses the account that we use at the destination.
    Account,
}

/// How long sends are remembered and copies are held.
#[derive(Debug, Clone, Copy)]
pub struct EchoLimits {
    /// Sends are remembered for this long.
    pub window: Duration,
    /// The first and the longest hold.
    pub waits: Backoff,
}

/// The newest send of the selectors to the destination.
#[derive(Debug, Clone, Copy)]
pub struct LastSend {
    /// When it began.
    pub at: Duration,
    /// Its number among the sends of these selectors, starting at 1.
    pub number: u64,
    /// Whether it is still in flight.
    pub is_open: bool,
}

/// What happens to the copy to a destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CopyDecision {
    /// It is sent at once, together with the copies held so far.
    Release,
    /// It joins the hold that ends then.
    Join(Duration),
    /// It is held for this long, from now.
    Hold(Duration),
}

/// A hold for one caller and one set of selectors.
#[derive(Debug, Clone, Copy)]
pub struct Hold {
    /// When it ends.
    pub until: Duration,
    /// Its length.
    pub wait: Duration,
    /// Arrivals during the hold that cannot have been under way when it began.
    pub late: u32,
}
