//! One-use tickets for the stream, because `EventSource` can send no header and a long-lived token
//! has no business in a URL.
//!
//! Each principal has a share of its own: whoever takes more loses its own oldest ticket, and where
//! all shares together are too many, the principal that holds most gives way.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use base64::Engine as _;
use parking_lot::Mutex;

use crate::support::boot::Deadline;

/// Life of a ticket.
const LIFE: Duration = Duration::from_secs(60);
/// Tickets outstanding in all.
const TICKETS_MAX: usize = 10_000;
/// Tickets outstanding of one principal.
const TICKETS_EACH_MAX: usize = 1_000;

/// Tickets given out and not used yet.
#[derive(Default)]
pub struct Tickets {
    outstanding: Mutex<Outstanding>,
}

#[derive(Default)]
struct Outstanding {
    /// Each ticket's principal.
    holders: HashMap<String, String>,
    /// The tickets of each principal with their end, the oldest first.
    shares: HashMap<String, VecDeque<(String, Deadline)>>,
}

impl Outstanding {
    /// Takes out a ticket; its end, where it was outstanding.
    fn take(&mut self, ticket: &str) -> Option<Deadline> {
        let holder = self.holders.remove(ticket)?;
        let share = self.shares.get_mut(&holder)?;
        let at = share.iter().position(|(own, _)| own == ticket)?;
        let (_, until) = share.remove(at)?;
        if share.is_empty() {
            self.shares.remove(&holder);
        }
        Some(until)
    }

    fn drop_oldest(&mut self, holder: &str) {
        let oldest = self.shares.get(holder).and_then(|share| share.front()).cloned();
        if let Some((ticket, _)) = oldest {
            self.take(&ticket);
        }
    }

    fn forget_ended(&mut self) {
        for share in self.shares.values_mut() {
            while share.front().is_some_and(|(_, until)| until.is_over()) {
                if let Some((ticket, _)) = share.pop_front() {
                    self.holders.remove(&ticket);
                }
            }
        }
        self.shares.retain(|_, share| !share.is_empty());
    }
}

impl Tickets {
    /// A fresh ticket for a principal, and its life in seconds.
    pub fn issue(&self, holder: &str) -> (String, u64) {
        let mut bytes = [0_u8; 24];
        crate::support::random::fill(&mut bytes).expect("the system's random generator answers");
        let ticket = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes);
        let mut all = self.outstanding.lock();
        if all.shares.get(holder).is_some_and(|share| share.len() >= TICKETS_EACH_MAX) {
            all.drop_oldest(holder);
        }
        if all.holders.len() >= TICKETS_MAX {
            all.forget_ended();
        }
        if all.holders.len() >= TICKETS_MAX {
            let most = all.shares.iter().max_by_key(|(_, share)| share.len());
            let most = most.map(|(holder, _)| holder.clone());
            most.into_iter().for_each(|holder| all.drop_oldest(&holder));
        }
        all.holders.insert(ticket.clone(), holder.to_owned());
        let share = all.shares.entry(holder.to_owned()).or_default();
        share.push_back((ticket.clone(), Deadline::after(LIFE)));
        (ticket, LIFE.as_secs())
    }

    /// Takes a ticket: true once, and only within its life.
    pub fn redeem(&self, ticket: &str) -> bool {
        let until = self.outstanding.lock().take(ticket);
        until.is_some_and(|until| !until.is_over())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn once_and_within_a_minute() {
        let tickets = Tickets::default();
        let (ticket, _) = tickets.issue("ann");
        assert!(tickets.redeem(&ticket));
        assert!(!tickets.redeem(&ticket));
        let (late, _) = tickets.issue("ann");
        tokio::time::advance(LIFE).await;
        assert!(!tickets.redeem(&late));
        assert!(tickets.outstanding.lock().shares.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_uses_up_the_tickets_of_others() {
        let tickets = Tickets::default();
        let (mine, _) = tickets.issue("ann");
        let flood: Vec<String> = (0..3 * TICKETS_MAX).map(|_| tickets.issue("bob").0).collect();
        assert_eq!(tickets.outstanding.lock().holders.len(), TICKETS_EACH_MAX + 1);
        assert!(tickets.redeem(&flood[flood.len() - 1]), "the newest of a share stay");
        assert!(!tickets.redeem(&flood[0]));
        for at in 0..2 * TICKETS_MAX {
            tickets.issue(&format!("many{}", at % 15));
        }
        assert!(tickets.outstanding.lock().holders.len() <= TICKETS_MAX);
        assert!(tickets.redeem(&mine));
    }
}
