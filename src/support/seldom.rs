//! Limits repeated log lines, so that a caller in a loop does not fill the log.
//! Each text is logged once a minute; suppressed repetitions are counted, and the next line has the
//! number.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// Texts that are kept; past it no new text is logged until some have expired.
const TEXTS_MAX: usize = 256;
/// How long a text is suppressed after it was logged.
const PAUSE: Duration = Duration::from_secs(60);

/// The texts that were logged recently.
#[derive(Debug, Default)]
pub struct LogThrottle(Mutex<HashMap<String, LastLogged>>);

#[derive(Debug)]
struct LastLogged {
    at: Instant,
    suppressed: u64,
}

impl LogThrottle {
    /// `None` if the text must not be logged now; else how often it was suppressed since the last
    /// time.
    pub fn is_due(&self, text: &str, now: Instant) -> Option<u64> {
        let mut logged = self.0.lock();
        if let Some(before) = logged.get_mut(text) {
            if now.duration_since(before.at) < PAUSE {
                before.suppressed += 1;
                return None;
            }
            before.at = now;
            return Some(std::mem::take(&mut before.suppressed));
        }
        if logged.len() >= TEXTS_MAX {
            logged.retain(|_, before| now.duration_since(before.at) < PAUSE);
        }
        if logged.len() >= TEXTS_MAX {
            return None;
        }
        logged.insert(text.to_owned(), LastLogged { at: now, suppressed: 0 });
        Some(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_logged_once_a_minute_and_repetitions_are_counted() {
        let (throttle, start) = (LogThrottle::default(), Instant::now());
        assert_eq!(throttle.is_due("a", start), Some(0));
        for _ in 0..3 {
            assert_eq!(throttle.is_due("a", start), None);
        }
        assert_eq!(throttle.is_due("b", start), Some(0));
        assert_eq!(throttle.is_due("a", start + PAUSE), Some(3));
    }

    #[test]
    fn it_is_bounded() {
        let (throttle, start) = (LogThrottle::default(), Instant::now());
        for now in [start, start + PAUSE] {
            let texts = (0..1000).map(|n| format!("{n} {now:?}"));
            let due = texts.filter(|text| throttle.is_due(text, now).is_some());
            assert_eq!(due.count(), TEXTS_MAX);
        }
    }
}
