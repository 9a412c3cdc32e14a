//! Decides which alerts begin, repeat and end, from the state of each destination.
//!
//! A firing alert ends only when an event was delivered, the backlog is empty or the threshold
//! changed; an operator's `retry` alone does not end it. This module reads no clock and sends
//! nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use super::notice::{AlertEnd, Notice};
use super::{AlertKind, Config};

/// The current state of one destination.
#[derive(Debug, Clone, Default)]
pub struct DestinationHealth {
    /// Its name in the journal.
    pub destination: String,
    /// Its name in the settings.
    pub name: String,
    /// Whether it is a mirror; otherwise it is a target.
    pub is_mirror: bool,
    /// Whether it is this process. Then it receives nothing.
    pub is_oneself: bool,
    /// Whether it is paused because its credentials are refused or missing.
    pub is_refused: bool,
    /// Whether it calls back with what it was sent.
    pub is_echoing: bool,
    /// Failures in a row.
    pub failures: u32,
    /// Events acknowledged since the process started.
    pub delivered: u64,
    /// Events waiting.
    pub backlog_events: u64,
    /// How long the oldest of them has waited.
    pub backlog_age: Duration,
    /// The message of the last failure.
    pub last_error: Option<String>,
}

impl DestinationHealth {
    /// Whether it exceeds the threshold. Refused credentials are retried too rarely to reach a
    /// number of failures, so they count at once.
    fn crosses(&self, alert: AlertKind, threshold: u64) -> bool {
        let is_past = match alert {
            AlertKind::Failures => self.is_refused || u64::from(self.failures) >= threshold,
            AlertKind::Backlog => self.backlog_events > 0 && self.backlog_age.as_secs() > threshold,
            AlertKind::Echo => self.is_echoing,
        };
        threshold > 0 && !self.is_oneself && is_past
    }
}

impl Config {
    /// Failures, or seconds; 0 if this alert is off.
    fn threshold(&self, alert: AlertKind) -> u64 {
        match alert {
            AlertKind::Failures => u64::from(self.failures),
            AlertKind::Backlog => self.backlog_age_max.as_secs(),
            // An echo has no degree.
            AlertKind::Echo => 1,
        }
    }
}

/// An alert that was reported and has not ended.
struct FiringAlert {
    since_ms: u64,
    reported_at: Instant,
    threshold: u64,
    /// The destination when the alert began.
    begun: DestinationHealth,
}

/// The alerts that are firing, by destination.
#[derive(Default)]
pub struct AlertJudge(BTreeMap<(String, AlertKind), FiringAlert>);

impl AlertJudge {
    /// Evaluates all destinations and returns the notices to send now, in order.
    pub fn evaluate(
        &mut self,
        config: &Config,
        healths: &[DestinationHealth],
        now: Instant,
        now_ms: u64,
    ) -> Vec<Notice> {
        let mut notices = self.gone(healths, now_ms);
        for health in healths {
            for alert in AlertKind::ALL {
                notices.extend(self.judge(alert, config, health, now, now_ms));
            }
        }
        notices
    }

    fn judge(
        &mut self,
        alert: AlertKind,
        config: &Config,
        health: &DestinationHealth,
        now: Instant,
        now_ms: u64,
    ) -> Option<Notice> {
        let threshold = config.threshold(alert);
        let crosses = health.crosses(alert, threshold);
        let key = (health.destination.clone(), alert);
        let Some(firing) = self.0.get_mut(&key) else {
            if crosses {
                let begun = health.clone();
                let firing = FiringAlert { since_ms: now_ms, reported_at: now, threshold, begun };
                self.0.insert(key, firing);
                return Some(Notice::new(alert, health, threshold, now_ms, now_ms));
            }
            return None;
        };
        if crosses {
            firing.threshold = threshold;
            let is_due = !config.repeat_every.is_zero()
                && now.duration_since(firing.reported_at) >= config.repeat_every;
            if is_due {
                firing.reported_at = now;
            }
            return is_due.then(|| Notice::new(alert, health, threshold, firing.since_ms, now_ms));
        }
        let end = match alert {
            AlertKind::Echo => AlertEnd::Recovered,
            AlertKind::Failures | AlertKind::Backlog => firing.end(health, threshold)?,
        };
        let notice = Notice::new(alert, health, threshold, firing.since_ms, now_ms).over(end);
        self.0.remove(&key);
        Some(notice)
    }

    /// Ends the alerts of destinations that are no longer configured.
    fn gone(&mut self, healths: &[DestinationHealth], now_ms: u64) -> Vec<Notice> {
        let is_gone = |name: &str| healths.iter().all(|health| health.destination != name);
        let gone = self.0.extract_if(.., |(destination, _), _| is_gone(destination));
        let notice = |((_, alert), firing): ((String, AlertKind), FiringAlert)| {
            Notice::new(alert, &firing.begun, firing.threshold, firing.since_ms, now_ms)
                .over(AlertEnd::Removed)
        };
        gone.map(notice).collect()
    }
}

impl FiringAlert {
    /// Why the alert is over; `None` while it lasts.
    fn end(&self, health: &DestinationHealth, threshold: u64) -> Option<AlertEnd> {
        if health.delivered != self.begun.delivered || health.backlog_events == 0 {
            return Some(AlertEnd::Recovered);
        }
        (self.threshold != threshold).then_some(AlertEnd::Threshold)
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

    /// One destination, and a clock that the test moves.
    struct Watch {
        judge: AlertJudge,
        config: Config,
        health: DestinationHealth,
        now: Instant,
    }

    impl Watch {
        fn new() -> Self {
            let health = DestinationHealth {
                destination: "mirror:b".into(),
                name: "b".into(),
                is_mirror: true,
                backlog_events: 1,
                ..DestinationHealth::default()
            };
            Self { judge: AlertJudge::default(), config: CONFIG, health, now: Instant::now() }
        }

        /// The notices after `seconds` more and a change of the destination.
        fn after(&mut self, seconds: u64, change: impl Fn(&mut DestinationHealth)) -> Vec<String> {
            self.now += Duration::from_secs(seconds);
            change(&mut self.health);
            let healths = [self.health.clone()];
            let notices = self.judge.evaluate(&self.config, &healths, self.now, 0);
            notices.iter().map(Notice::summary).collect()
        }
    }

    /// S1 1.26: reported when it begins, repeated at the configured interval, reported when it
    /// ends.
    #[test]
    fn failures_are_reported_repeated_and_ended_once() {
        let mut watch = Watch::new();
        assert!(watch.after(0, |b| b.failures = 2).is_empty());
        assert_eq!(watch.after(1, |b| b.failures = 3), ["failures firing"]);
        assert!(watch.after(1, |b| b.failures = 4).is_empty());
        assert!(watch.after(598, |_| {}).is_empty());
        assert_eq!(watch.after(1, |_| {}), ["failures firing"]);
        assert!(watch.after(1, |_| {}).is_empty());
        let well =
            |b: &mut DestinationHealth| (b.failures, b.delivered, b.backlog_events) = (0, 1, 0);
        assert_eq!(watch.after(1, well), ["failures resolved recovered"]);
        assert!(watch.after(1, well).is_empty());
    }

    #[test]
    fn an_old_backlog_fires_and_a_recent_one_does_not() {
        let mut watch = Watch::new();
        assert!(watch.after(0, |b| b.backlog_age = Duration::from_secs(60)).is_empty());
        let old = |b: &mut DestinationHealth| b.backlog_age = Duration::from_secs(61);
        assert_eq!(watch.after(1, old), ["backlog firing"]);
        // The oldest event was delivered, and the rest is recent.
        let some =
            |b: &mut DestinationHealth| (b.backlog_age, b.delivered) = (Duration::from_secs(2), 9);
        assert_eq!(watch.after(1, some), ["backlog resolved recovered"]);
    }

    /// A retry ends the pause until the next refusal, but delivers nothing.
    #[test]
    fn refused_credentials_fire_at_once_and_a_retry_is_no_recovery() {
        let mut watch = Watch::new();
        assert_eq!(watch.after(0, |b| b.is_refused = true), ["failures firing"]);
        assert!(watch.after(1, |b| b.is_refused = false).is_empty());
        assert!(watch.after(1, |b| b.is_refused = true).is_empty());
        let well = |b: &mut DestinationHealth| (b.is_refused, b.delivered) = (false, 1);
        assert_eq!(watch.after(1, well), ["failures resolved recovered"]);
    }

    #[test]
    fn a_changed_threshold_ends_an_alert_and_zero_turns_it_off() {
        let mut watch = Watch::new();
        watch.config.failures = 0;
        assert!(watch.after(0, |b| (b.failures, b.is_refused) = (100, true)).is_empty());
        watch.config.failures = 100;
        assert_eq!(watch.after(1, |_| {}), ["failures firing"]);
        watch.config.failures = 101;
        let still = |b: &mut DestinationHealth| b.is_refused = false;
        assert_eq!(watch.after(1, still), ["failures resolved threshold"]);
        watch.config.failures = 5;
        watch.config.repeat_every = Duration::ZERO;
        assert_eq!(watch.after(1, |_| {}), ["failures firing"]);
        assert!(watch.after(1_000_000, |_| {}).is_empty(), "not repeated");
    }

    #[test]
    fn an_echo_is_reported_once_and_its_end_once() {
        let mut watch = Watch::new();
        assert_eq!(watch.after(0, |b| b.is_echoing = true), ["echo firing"]);
        assert!(watch.after(1, |b| b.delivered = 7).is_empty());
        assert_eq!(watch.after(1, |b| b.is_echoing = false), ["echo resolved recovered"]);
    }

    #[test]
    fn a_removed_destination_ends_its_alert_and_this_process_never_fires() {
        let mut watch = Watch::new();
        assert_eq!(watch.after(0, |b| b.failures = 3), ["failures firing"]);
        let gone = watch.judge.evaluate(&CONFIG, &[], watch.now, 0);
        assert_eq!(
            gone.iter().map(Notice::summary).collect::<Vec<_>>(),
            ["failures resolved removed"]
        );
        assert!(watch.after(1, |b| b.is_oneself = true).is_empty());
    }
}
