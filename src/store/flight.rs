//! Waiting for another caller's fill.
//!
//! The first caller that misses leads. Others may sleep until the leader's fill arrives, is refused
//! or withdrawn, or its lease expires; then they look up the key again. A waiter never gets the
//! leader's body: its own lookup checks every stamp. The lease uses tokio's clock.

use std::collections::HashMap;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Semaphore, SemaphorePermit, watch};
use tokio::time::Instant;

/// How long a leader may take before another caller may lead; equal to the lease of a refresh.
const LEASE: Duration = Duration::from_millis(super::entry::LEASE_MS);

/// Keys that can be waited for: far more than a site has slow pages. Past it no caller waits.
pub(super) const KEYS_MAX: usize = 4096;

/// Waiting lookups: as many as the control listener has connections by default.
pub(super) const WAITERS_MAX: usize = 16_384;

/// The running fills that callers may wait for.
pub(super) struct Flights {
    by_key: Mutex<HashMap<Box<str>, Flight>>,
    places: Semaphore,
}

struct Flight {
    lease_until: Instant,
    /// Dropped with the flight; this wakes the waiters.
    landed: watch::Sender<()>,
}

/// What a caller that missed must do.
pub(super) enum FlightRole<'a> {
    /// Fill the entry.
    Lead,
    /// Sleep, then look up again.
    Wait(FlightWait<'a>),
}

/// A place among the waiters.
pub(super) struct FlightWait<'a> {
    landed: watch::Receiver<()>,
    lease_until: Instant,
    _place: SemaphorePermit<'a>,
}

impl FlightWait<'_> {
    /// Returns when the flight has ended, its lease has expired, or at `deadline`.
    pub async fn over(mut self, deadline: Instant) {
        // No value is ever sent: `changed` ends when the sender is dropped. The caller looks up the
        // key again, whatever ended the sleep.
        let _ =
            tokio::time::timeout_at(self.lease_until.min(deadline), self.landed.changed()).await;
    }
}

impl Flights {
    pub fn new() -> Self {
        Self { by_key: Mutex::default(), places: Semaphore::new(WAITERS_MAX) }
    }

    /// Joins the flight of a key or begins one. Past the limits every caller leads.
    pub fn join(&self, key: &str) -> FlightRole<'_> {
        let now = Instant::now();
        let mut by_key = self.by_key.lock();
        if let Some(flight) = by_key.get(key).filter(|flight| flight.lease_until > now) {
            return match self.places.try_acquire() {
                Ok(place) => FlightRole::Wait(FlightWait {
                    landed: flight.landed.subscribe(),
                    lease_until: flight.lease_until,
                    _place: place,
                }),
                Err(_) => FlightRole::Lead,
            };
        }
        if by_key.len() < KEYS_MAX || by_key.contains_key(key) {
            let (landed, _) = watch::channel(());
            by_key.insert(Box::from(key), Flight { lease_until: now + LEASE, landed });
        }
        FlightRole::Lead
    }

    /// Ends the flight of a key and wakes its waiters.
    pub fn finish(&self, key: &str) {
        drop(self.by_key.lock().remove(key));
    }

    /// Drops the flights whose lease has expired.
    pub fn sweep(&self) {
        let now = Instant::now();
        self.by_key.lock().retain(|_, flight| flight.lease_until > now);
    }

    /// The number of flights.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.by_key.lock().len()
    }
}
