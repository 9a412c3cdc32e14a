//! Callers that learn how their deliveries go: a submission with `wait`, and a look at one's own
//! event.
//!
//! Such a caller explains by itself why it comes again right after a delivery. Each delivery that a
//! caller has learnt of explains one later arrival of the same selectors. Pure and bounded.

use std::collections::BTreeMap;

use super::link::{Key, Name};
use crate::domain::EventId;

/// Callers and selectors remembered; past it all of them are forgotten, which only costs evidence.
const CALLERS_MAX: usize = 4096;
/// Deliveries of one caller that explain an arrival each.
const COUNT_MAX: u32 = 8;

#[derive(Debug)]
struct Learnt {
    count: u32,
    /// The event it learnt of last: one that asks again learns nothing new.
    last: EventId,
}

/// Who has learnt of a delivery since it came last.
#[derive(Debug, Default)]
pub struct Attention(BTreeMap<(Key, Name), Learnt>);

impl Attention {
    /// A caller has learnt how its event fared.
    pub fn learnt(&mut self, of: (Key, Name), id: EventId) {
        if let Some(learnt) = self.0.get_mut(&of) {
            if learnt.last != id {
                learnt.count = (learnt.count + 1).min(COUNT_MAX);
                learnt.last = id;
            }
            return;
        }
        if self.0.len() >= CALLERS_MAX {
            self.0.clear();
        }
        self.0.insert(of, Learnt { count: 1, last: id });
    }

    /// Whether that explains an arrival.
    pub fn explains(&mut self, of: (Key, Name)) -> bool {
        let Some(learnt) = self.0.get_mut(&of).filter(|learnt| learnt.count > 0) else {
            return false;
        };
        learnt.count -= 1;
        true
    }
}
