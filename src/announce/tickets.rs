//! One-use tickets for the stream, because `EventSource` can send no header and a long-lived token
//! has no business in a URL.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use base64::Engine as _;
use parking_lot::Mutex;

use crate::support::boot::Deadline;

/// Life of a ticket.
const LIFE: Duration = Duration::from_secs(60);
/// Tickets outstanding; the oldest go first.
const TICKETS_MAX: usize = 10_000;

/// Tickets given out and not used yet.
#[derive(Default)]
pub struct Tickets {
    outstanding: Mutex<(HashMap<String, Deadline>, VecDeque<String>)>,
}

impl Tickets {
    /// A fresh ticket and its life in seconds.
    pub fn issue(&self) -> (String, u64) {
        let mut bytes = [0_u8; 24];
        crate::support::random::fill(&mut bytes).expect("the system's random generator answers");
        let ticket = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes);
        let mut guard = self.outstanding.lock();
        let (map, order) = &mut *guard;
        map.insert(ticket.clone(), Deadline::after(LIFE));
        order.push_back(ticket.clone());
        while order.len() > TICKETS_MAX {
            if let Some(oldest) = order.pop_front() {
                map.remove(&oldest);
            }
        }
        (ticket, LIFE.as_secs())
    }

    /// Takes a ticket: true once, and only within its life.
    pub fn redeem(&self, ticket: &str) -> bool {
        let until = self.outstanding.lock().0.remove(ticket);
        until.is_some_and(|until| !until.is_over())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn once_and_within_a_minute() {
        let tickets = Tickets::default();
        let (ticket, _) = tickets.issue();
        assert!(tickets.redeem(&ticket));
        assert!(!tickets.redeem(&ticket));
        let (late, _) = tickets.issue();
        tokio::time::advance(LIFE).await;
        assert!(!tickets.redeem(&late));
    }
}
