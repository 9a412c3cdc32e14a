//! Callers that learn the state of their deliveries: by a submission with `wait`, or by requesting
//! their own event.
//!
//! Such a caller has a reason to call again right after a delivery. Each delivery that it learned
//! of explains one later arrival of the same selectors. No clock, no I/O; bounded memory.

use std::collections::BTreeMap;

use super::link::{CallerKey, SelectorKey};
use crate::domain::EventId;

/// Maximum of pairs of caller and selectors. Beyond it all are forgotten, which only loses
/// evidence.
const CALLERS_MAX: usize = 4096;
/// Maximum of deliveries of one caller that explain an arrival each.
const COUNT_MAX: u32 = 8;

#[derive(Debug)]
struct LearnedDelivery {
    count: u32,
    /// The last event that it learned of. Asking again for the same event adds nothing.
    last: EventId,
}

/// The callers that learned of a delivery since their last arrival.
#[derive(Debug, Default)]
pub struct Attention(BTreeMap<(SelectorKey, CallerKey), LearnedDelivery>);

impl Attention {
    /// Records that a caller learned the delivery state of its event.
    pub fn learned(&mut self, of: (SelectorKey, CallerKey), id: EventId) {
        if let Some(learned) = self.0.get_mut(&of) {
            if learned.last != id {
                learned.count = (learned.count + 1).min(COUNT_MAX);
                learned.last = id;
            }
            return;
        }
        if self.0.len() >= CALLERS_MAX {
            self.0.clear();
        }
        self.0.insert(of, LearnedDelivery { count: 1, last: id });
    }

    /// Whether a delivery explains an arrival; uses up that delivery.
    pub fn explains(&mut self, of: (SelectorKey, CallerKey)) -> bool {
        let Some(learned) = self.0.get_mut(&of).filter(|learned| learned.count > 0) else {
            return false;
        };
        learned.count -= 1;
        true
    }
}
