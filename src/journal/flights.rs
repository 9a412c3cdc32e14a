//! Recognises events that come again.
//!
//! While the first copy of an event is being made durable, a second one must wait: answering
//! "known" would acknowledge what may still be lost. Afterwards the journal answers what was done
//! under an id. An event is a repetition only if that is durable and covers everything that is
//! asked now.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use super::Journal;
use crate::domain::{Demand, EventId};

/// How much of what is asked was done here before under the same ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KnownPart {
    /// Nothing, as far as the journal remembers.
    Nothing,
    /// Something else was done under these ids, or it is not durable.
    Part,
    /// Everything, durably: this is a repetition.
    All,
}

/// The events that are being applied and recorded, by each of their ids. A second copy of an event
/// waits here until the first one is durable, and then finds it in the journal.
#[derive(Default)]
pub struct Flights {
    shared: Arc<Mutex<Airborne>>,
}

#[derive(Default)]
struct Airborne {
    at_work: HashMap<EventId, CancellationToken>,
    /// Events that could not be made durable, since the last one that could. The journal shows them
    /// to readers, but they do not count as known.
    lost: HashSet<EventId>,
}

/// The events of one call, released when it is dropped.
pub struct Flight {
    shared: Arc<Mutex<Airborne>>,
    ids: Vec<EventId>,
    done: CancellationToken,
}

impl Flights {
    /// Waits until no other call works on any of these events. It takes all of them at once or
    /// none, so that two calls never wait for each other.
    pub async fn enter(&self, ids: impl IntoIterator<Item = EventId>) -> Flight {
        let ids: BTreeSet<EventId> = ids.into_iter().collect();
        let done = CancellationToken::new();
        loop {
            let busy = {
                let mut airborne = self.shared.lock();
                let busy = ids.iter().find_map(|id| airborne.at_work.get(id).cloned());
                if busy.is_none() {
                    airborne.at_work.extend(ids.iter().map(|id| (*id, done.clone())));
                }
                busy
            };
            match busy {
                Some(busy) => busy.cancelled().await,
                None => break,
            }
        }
        Flight { shared: Arc::clone(&self.shared), ids: ids.into_iter().collect(), done }
    }

    /// How much of these events was done here before, under one set of ids. `asked` gives what the
    /// caller asks for now, in canonical spelling; it is evaluated only if an id is known.
    pub fn known(
        &self,
        journal: &Journal,
        ids: &[EventId],
        asked: impl FnOnce() -> Demand,
    ) -> KnownPart {
        if !ids.iter().any(|id| journal.event(*id).is_some()) {
            return KnownPart::Nothing;
        }
        let is_durable = !ids.iter().any(|id| self.is_lost(*id));
        match is_durable && journal.has_done(ids, &asked()) {
            true => KnownPart::All,
            false => KnownPart::Part,
        }
    }

    /// Whether this event could not be made durable, although the journal shows it.
    fn is_lost(&self, id: EventId) -> bool {
        let airborne = self.shared.lock();
        !airborne.lost.is_empty() && airborne.lost.contains(&id)
    }

    /// An event became durable. The checkpoint before it holds what the disk had refused.
    pub fn landed(&self) {
        self.shared.lock().lost.clear();
    }

    /// These events could not be made durable.
    pub fn lost(&self, ids: impl IntoIterator<Item = EventId>) {
        self.shared.lock().lost.extend(ids);
    }

    /// Ids in progress.
    #[cfg(test)]
    pub fn at_work(&self) -> usize {
        self.shared.lock().at_work.len()
    }
}

impl Flight {
    /// Adds the id that the event got here: a new one, or one of this call's own.
    pub fn add(&mut self, id: EventId) {
        let mut airborne = self.shared.lock();
        if airborne.at_work.insert(id, self.done.clone()).is_none() {
            self.ids.push(id);
        }
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        let mut airborne = self.shared.lock();
        for id in &self.ids {
            airborne.at_work.remove(id);
        }
        drop(airborne);
        self.done.cancel();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Calls about the same event go one after the other, others go in parallel. An event that
    /// could not be made durable is not known until another one is.
    #[tokio::test(start_paused = true)]
    async fn a_second_copy_of_an_event_waits_for_the_first() {
        let flights = Arc::new(Flights::default());
        let ids: Vec<EventId> = (0..3).map(|_| EventId::fresh()).collect();
        let mut first = flights.enter([ids[0]]).await;
        first.add(ids[1]);
        let second = tokio::spawn({
            let (flights, both) = (Arc::clone(&flights), [ids[2], ids[1]]);
            async move { drop(flights.enter(both).await) }
        });
        drop(flights.enter([ids[2], ids[2]]).await);
        tokio::task::yield_now().await;
        assert!(!second.is_finished());
        drop(first);
        second.await.expect("gets in");
        assert_eq!(flights.at_work(), 0, "what is done is forgotten");

        flights.lost([ids[0]]);
        assert!(flights.is_lost(ids[0]) && !flights.is_lost(ids[1]));
        flights.landed();
        assert!(!flights.is_lost(ids[0]));
    }
}
