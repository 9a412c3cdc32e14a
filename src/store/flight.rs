//! Waiting for somebody else's fill.
//!
//! Who misses first leads; others may sleep until the leader's fill came, was refused or withdrawn,
//! or its lease lapsed, and then look again. A waiter is never handed the leader's body: it does a
//! lookup of its own, which every stamp has a say in. The lease runs on tokio's clock.

use std::collections::HashMap;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Semaphore, SemaphorePermit, watch};
use tokio::time::Instant;

/// How long a leader may take before another one may lead: as the lease of a refresh.
const LEASE: Duration = Duration::from_millis(super::entry::LEASE_MS);

/// Keys waited for at once: far more than slow pages a site has; past it nobody is made to wait.
pub(super) const KEYS_MAX: usize = 4096;

/// Lookups that may sleep at once: as many as the control listener has connections by default.
pub(super) const WAITERS_MAX: usize = 16_384;

/// Fills under way that somebody may wait for.
pub(super) struct Flights {
    by_key: Mutex<HashMap<Box<str>, Flight>>,
    places: Semaphore,
}

struct Flight {
    lease_until: Instant,
    /// Dropped with the flight, which is what wakes the waiters.
    landed: watch::Sender<()>,
}

/// What a caller that missed is to do.
pub(super) enum FlightRole<'a> {
    /// Fill it.
    Lead,
    /// Sleep, then look again.
    Wait(FlightWait<'a>),
}

/// A place among the waiters.
pub(super) struct FlightWait<'a> {
    landed: watch::Receiver<()>,
    lease_until: Instant,
    _place: SemaphorePermit<'a>,
}

impl FlightWait<'_> {
    /// Returns when the flight is over, its lease lapsed, or `deadline` came.
    pub async fn over(mut self, deadline: Instant) {
        // No value is ever sent: `changed` ends when the sender is dropped. Which of the two ended
        // the sleep does not matter, the caller looks again.
        let _ =
            tokio::time::timeout_at(self.lease_until.min(deadline), self.landed.changed()).await;
    }
}

impl Flights {
    pub fn new() -> Self {
        Self { by_key: Mutex::default(), places: Semaphore::new(WAITERS_MAX) }
    }

    /// Joins the flight of a key or begins one. Past the limits everybody leads.
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

    /// Forgets flights whose lease lapsed.
    pub fn sweep(&self) {
        let now = Instant::now();
        self.by_key.lock().retain(|_, flight| flight.lease_until > now);
    }

    /// How many keys are waited for.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.by_key.lock().len()
    }
}
