//! What may be said again only after a while, so that a caller in a loop does not fill the log.
//! Each text is said once a minute; what was not said is counted and told the next time.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// Texts that are remembered; past it none is said until some are old enough.
const TEXTS_MAX: usize = 256;
/// How long a text is not said again.
const PAUSE: Duration = Duration::from_secs(60);

/// Remembers what was said lately.
#[derive(Debug, Default)]
pub struct LogThrottle(Mutex<HashMap<String, LastLogged>>);

#[derive(Debug)]
struct LastLogged {
    at: Instant,
    unsaid: u64,
}

impl LogThrottle {
    /// Whether this is to be said now, and how often it was not said since the last time.
    pub fn is_due(&self, text: &str, now: Instant) -> Option<u64> {
        let mut said = self.0.lock();
        if let Some(before) = said.get_mut(text) {
            if now.duration_since(before.at) < PAUSE {
                before.unsaid += 1;
                return None;
            }
            before.at = now;
            return Some(std::mem::take(&mut before.unsaid));
        }
        if said.len() >= TEXTS_MAX {
            said.retain(|_, before| now.duration_since(before.at) < PAUSE);
        }
        if said.len() >= TEXTS_MAX {
            return None;
        }
        said.insert(text.to_owned(), LastLogged { at: now, unsaid: 0 });
        Some(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_said_once_a_minute_and_the_rest_is_counted() {
        let (seldom, start) = (LogThrottle::default(), Instant::now());
        assert_eq!(seldom.is_due("a", start), Some(0));
        for _ in 0..3 {
            assert_eq!(seldom.is_due("a", start), None);
        }
        assert_eq!(seldom.is_due("b", start), Some(0));
        assert_eq!(seldom.is_due("a", start + PAUSE), Some(3));
    }

    #[test]
    fn it_is_bounded() {
        let (seldom, start) = (LogThrottle::default(), Instant::now());
        for now in [start, start + PAUSE] {
            let texts = (0..1000).map(|n| format!("{n} {now:?}"));
            let said = texts.filter(|text| seldom.is_due(text, now).is_some());
            assert_eq!(said.count(), TEXTS_MAX);
        }
    }
}
