//! Which alerts begin, last and end: what was seen goes in, what is to be told comes out.
//!
//! An alert that fired is over only once something was delivered, nothing is owed, or its threshold
//! changed: an operator's `retry` alone ends nothing. It reads no clock and sends nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use super::notice::{End, Notice};
use super::{Alert, Config};

/// One destination as it is now.
#[derive(Debug, Clone, Default)]
pub struct Sight {
    /// The journal's name of it.
    pub destination: String,
    /// What operators call it.
    pub name: String,
    /// Told, rather than called.
    pub is_mirror: bool,
    /// This very process: it is owed nothing.
    pub is_oneself: bool,
    /// Held back for the sake of its credentials.
    pub is_refused: bool,
    /// Calls back with what it is sent.
    pub is_echoing: bool,
    /// Failures in a row.
    pub failures: u32,
    /// Events acknowledged since the start.
    pub delivered: u64,
    /// Events waiting.
    pub backlog_events: u64,
    /// How long the oldest of them has waited.
    pub backlog_age: Duration,
    /// The last failure in words.
    pub last_error: Option<String>,
}

impl Sight {
    /// Whether it is past the threshold. Refused credentials are not tried often enough to add up
    /// to many failures, and are as good as any number.
    fn crosses(&self, alert: Alert, threshold: u64) -> bool {
        let is_past = match alert {
            Alert::Failures => self.is_refused || u64::from(self.failures) >= threshold,
            Alert::Backlog => self.backlog_events > 0 && self.backlog_age.as_secs() > threshold,
            Alert::Echo => self.is_echoing,
        };
        threshold > 0 && !self.is_oneself && is_past
    }
}

impl Config {
    /// Failures, or seconds; 0 where it is off.
    fn threshold(&self, alert: Alert) -> u64 {
        match alert {
            Alert::Failures => u64::from(self.failures),
            Alert::Backlog => self.backlog_age_max.as_secs(),
            // There is no degree of it.
            Alert::Echo => 1,
        }
    }
}

/// An alert that was told and is not over.
struct Firing {
    since_ms: u64,
    told_at: Instant,
    threshold: u64,
    /// As it was when it began.
    begun: Sight,
}

/// The alerts that are firing, by destination.
#[derive(Default)]
pub struct Judge(BTreeMap<(String, Alert), Firing>);

impl Judge {
    /// Judges all destinations; gives what is to be told now, in order.
    pub fn look(
        &mut self,
        config: &Config,
        sights: &[Sight],
        now: Instant,
        now_ms: u64,
    ) -> Vec<Notice> {
        let mut notices = self.gone(sights, now_ms);
        for sight in sights {
            for alert in Alert::ALL {
                notices.extend(self.judge(alert, config, sight, now, now_ms));
            }
        }
        notices
    }

    fn judge(
        &mut self,
        alert: Alert,
        config: &Config,
        sight: &Sight,
        now: Instant,
        now_ms: u64,
    ) -> Option<Notice> {
        let threshold = config.threshold(alert);
        let crosses = sight.crosses(alert, threshold);
        let key = (sight.destination.clone(), alert);
        let Some(firing) = self.0.get_mut(&key) else {
            if crosses {
                let begun = sight.clone();
                let firing = Firing { since_ms: now_ms, told_at: now, threshold, begun };
                self.0.insert(key, firing);
                return Some(Notice::new(alert, sight, threshold, now_ms, now_ms));
            }
            return None;
        };
        if crosses {
            firing.threshold = threshold;
            let is_due = !config.repeat_every.is_zero()
                && now.duration_since(firing.told_at) >= config.repeat_every;
            if is_due {
                firing.told_at = now;
            }
            return is_due.then(|| Notice::new(alert, sight, threshold, firing.since_ms, now_ms));
        }
        let end = match alert {
            Alert::Echo => End::Recovered,
            Alert::Failures | Alert::Backlog => firing.end(sight, threshold)?,
        };
        let notice = Notice::new(alert, sight, threshold, firing.since_ms, now_ms).over(end);
        self.0.remove(&key);
        Some(notice)
    }

    /// What fires for destinations that are no longer there is over.
    fn gone(&mut self, sights: &[Sight], now_ms: u64) -> Vec<Notice> {
        let is_gone = |name: &str| sights.iter().all(|sight| sight.destination != name);
        let gone = self.0.extract_if(.., |(destination, _), _| is_gone(destination));
        let notice = |((_, alert), firing): ((String, Alert), Firing)| {
            Notice::new(alert, &firing.begun, firing.threshold, firing.since_ms, now_ms)
                .over(End::Removed)
        };
        gone.map(notice).collect()
    }
}

impl Firing {
    /// Why it is over, where it is.
    fn end(&self, sight: &Sight, threshold: u64) -> Option<End> {
        if sight.delivered != self.begun.delivered || sight.backlog_events == 0 {
            return Some(End::Recovered);
        }
        (self.threshold != threshold).then_some(End::Threshold)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: Config = Config {
        failures: 3,
        backlog_age_max: Duration::from_secs(60),
        repeat_every: Duration::from_secs(600),
        webhook: None,
        signer: None,
    };

    /// A destination that owes nothing yet, and a clock in the hand of the test.
    struct Watch {
        judge: Judge,
        config: Config,
        sight: Sight,
        now: Instant,
    }

    impl Watch {
        fn new() -> Self {
            let sight = Sight {
                destination: "mirror:b".into(),
                name: "b".into(),
                is_mirror: true,
                backlog_events: 1,
                ..Sight::default()
            };
            Self { judge: Judge::default(), config: CONFIG, sight, now: Instant::now() }
        }

        /// What is told after so many more seconds.
        fn told(&mut self, seconds: u64, change: impl Fn(&mut Sight)) -> Vec<String> {
            self.now += Duration::from_secs(seconds);
            change(&mut self.sight);
            let sights = [self.sight.clone()];
            let notices = self.judge.look(&self.config, &sights, self.now, 0);
            notices.iter().map(Notice::in_short).collect()
        }
    }

    /// S1 1.26: once when it begins, again at its pace, once when it is over.
    #[test]
    fn failures_are_told_once_and_again_and_their_end_once() {
        let mut watch = Watch::new();
        assert!(watch.told(0, |b| b.failures = 2).is_empty());
        assert_eq!(watch.told(1, |b| b.failures = 3), ["failures firing"]);
        assert!(watch.told(1, |b| b.failures = 4).is_empty());
        assert!(watch.told(598, |_| {}).is_empty());
        assert_eq!(watch.told(1, |_| {}), ["failures firing"]);
        assert!(watch.told(1, |_| {}).is_empty());
        let well = |b: &mut Sight| (b.failures, b.delivered, b.backlog_events) = (0, 1, 0);
        assert_eq!(watch.told(1, well), ["failures resolved recovered"]);
        assert!(watch.told(1, well).is_empty());
    }

    #[test]
    fn an_old_backlog_is_told_and_a_young_one_is_not() {
        let mut watch = Watch::new();
        assert!(watch.told(0, |b| b.backlog_age = Duration::from_secs(60)).is_empty());
        let old = |b: &mut Sight| b.backlog_age = Duration::from_secs(61);
        assert_eq!(watch.told(1, old), ["backlog firing"]);
        // The oldest went, and what is left is young.
        let some = |b: &mut Sight| (b.backlog_age, b.delivered) = (Duration::from_secs(2), 9);
        assert_eq!(watch.told(1, some), ["backlog resolved recovered"]);
    }

    /// A retry lifts the pause until the next refusal, and delivers nothing.
    #[test]
    fn refused_credentials_count_at_once_and_a_retry_is_no_recovery() {
        let mut watch = Watch::new();
        assert_eq!(watch.told(0, |b| b.is_refused = true), ["failures firing"]);
        assert!(watch.told(1, |b| b.is_refused = false).is_empty());
        assert!(watch.told(1, |b| b.is_refused = true).is_empty());
        let well = |b: &mut Sight| (b.is_refused, b.delivered) = (false, 1);
        assert_eq!(watch.told(1, well), ["failures resolved recovered"]);
    }

    #[test]
    fn thresholds_change_while_it_fires_and_zero_is_never() {
        let mut watch = Watch::new();
        watch.config.failures = 0;
        assert!(watch.told(0, |b| (b.failures, b.is_refused) = (100, true)).is_empty());
        watch.config.failures = 100;
        assert_eq!(watch.told(1, |_| {}), ["failures firing"]);
        watch.config.failures = 101;
        let still = |b: &mut Sight| b.is_refused = false;
        assert_eq!(watch.told(1, still), ["failures resolved threshold"]);
        watch.config.failures = 5;
        watch.config.repeat_every = Duration::ZERO;
        assert_eq!(watch.told(1, |_| {}), ["failures firing"]);
        assert!(watch.told(1_000_000, |_| {}).is_empty(), "never again");
    }

    #[test]
    fn a_loop_is_told_once_and_its_end_once() {
        let mut watch = Watch::new();
        assert_eq!(watch.told(0, |b| b.is_echoing = true), ["echo firing"]);
        assert!(watch.told(1, |b| b.delivered = 7).is_empty());
        assert_eq!(watch.told(1, |b| b.is_echoing = false), ["echo resolved recovered"]);
    }

    #[test]
    fn who_is_gone_or_ourselves_needs_nobody() {
        let mut watch = Watch::new();
        assert_eq!(watch.told(0, |b| b.failures = 3), ["failures firing"]);
        let gone = watch.judge.look(&CONFIG, &[], watch.now, 0);
        assert_eq!(
            gone.iter().map(Notice::in_short).collect::<Vec<_>>(),
            ["failures resolved removed"]
        );
        assert!(watch.told(1, |b| b.is_oneself = true).is_empty());
    }
}
