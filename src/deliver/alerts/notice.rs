//! One notice of an alert: its log line, which also sets the gauge, and the JSON for the webhook.
//! No text here contains a secret.

use serde_json::{Value, json};
use uuid::Uuid;

use super::AlertKind;
use super::judge::DestinationHealth;
use crate::activity::{Activity, ActivityKind, Level};
use crate::support::clock;

/// Why an alert is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AlertEnd {
    /// The destination acknowledged an event, or its backlog is empty.
    Recovered,
    /// The threshold changed.
    Threshold,
    /// The destination was removed from the settings.
    Removed,
}

impl AlertEnd {
    fn as_str(self) -> &'static str {
        match self {
            Self::Recovered => "recovered",
            Self::Threshold => "threshold",
            Self::Removed => "removed",
        }
    }
}

/// The begin, repetition or end of an alert.
#[derive(Debug)]
pub struct Notice {
    pub id: Uuid,
    alert: AlertKind,
    end: Option<AlertEnd>,
    health: DestinationHealth,
    threshold: u64,
    since_ms: u64,
    at_ms: u64,
}

impl Notice {
    /// A notice of a firing alert.
    pub fn new(
        alert: AlertKind,
        health: &DestinationHealth,
        threshold: u64,
        since_ms: u64,
        at_ms: u64,
    ) -> Self {
        let (id, health) = (Uuid::now_v7(), health.clone());
        Self { id, alert, end: None, health, threshold, since_ms, at_ms }
    }

    /// A notice that the alert ended.
    pub fn over(self, end: AlertEnd) -> Self {
        Self { end: Some(end), ..self }
    }

    fn status(&self) -> &'static str {
        if self.end.is_none() { "firing" } else { "resolved" }
    }

    /// The sentence for humans.
    fn text(&self) -> String {
        let DestinationHealth { name, failures, backlog_events, is_refused, .. } = &self.health;
        let age_s = self.health.backlog_age.as_secs();
        match (self.end, self.alert) {
            (Some(AlertEnd::Recovered), _) => format!("{name} has recovered"),
            (Some(AlertEnd::Threshold), _) => format!("{name} is within the changed limits"),
            (Some(AlertEnd::Removed), _) => format!("{name} was removed from the settings"),
            (None, AlertKind::Failures) if *is_refused => format!("{name} refuses our credentials"),
            (None, AlertKind::Failures) => format!("{name} failed {failures} times in a row"),
            (None, AlertKind::Echo) => {
                format!(
                    "{name} calls back with what it is sent: repeated events wait up to a minute, \
                     all others are sent at once"
                )
            }
            (None, AlertKind::Backlog) => {
                let events = if *backlog_events == 1 { "event waits" } else { "events wait" };
                format!("{backlog_events} {events} for {name}, the oldest for {age_s} s")
            }
        }
    }

    /// Writes the log line and sets the gauge.
    pub fn log(&self) {
        let health = &self.health;
        let age_ms = u64::try_from(health.backlog_age.as_millis()).unwrap_or(u64::MAX);
        Activity {
            level: if self.end.is_none() { Level::Error } else { Level::Info },
            event: ActivityKind::Alert,
            msg: &self.text(),
            peer: Some(&health.name),
            status: Some(self.status()),
            reason: Some(self.alert.as_str()),
            attempt: Some(u64::from(health.failures)),
            events: Some(health.backlog_events),
            wait_ms: Some(age_ms),
            error: health.last_error.as_deref(),
            ..Activity::default()
        }
        .emit();
    }

    /// Logs that the webhook accepted the notice.
    pub fn log_sent(&self, attempt: u32, http_status: u16) {
        Activity {
            level: Level::Debug,
            event: ActivityKind::Alert,
            msg: "alert webhook notified",
            peer: Some(&self.health.name),
            status: Some("sent"),
            attempt: Some(u64::from(attempt)),
            http_status: Some(u64::from(http_status)),
            ..Activity::default()
        }
        .emit();
    }

    /// Logs that the notice did not reach the webhook and is given up.
    pub fn log_unsent(&self, error: &str, attempt: u32) {
        Activity {
            level: Level::Warn,
            event: ActivityKind::Alert,
            msg: "alert webhook not notified",
            peer: Some(&self.health.name),
            status: Some("unsent"),
            reason: Some(self.alert.as_str()),
            attempt: Some(u64::from(attempt)),
            error: Some(error),
            ..Activity::default()
        }
        .emit();
    }

    /// The JSON for the webhook; `docs/METRICS.md` describes it.
    pub fn body(&self, instance: &str) -> Value {
        let health = &self.health;
        json!({
            "id": self.id,
            "alert": self.alert.as_str(),
            "status": self.status(),
            "reason": self.end.map(AlertEnd::as_str),
            "text": self.text(),
            "instance": instance,
            "destination": health.name,
            "kind": if health.is_mirror { "mirror" } else { "beside" },
            "threshold": self.threshold,
            "failures": health.failures,
            "credentials_refused": health.is_refused,
            "backlog_events": health.backlog_events,
            "backlog_oldest_s": health.backlog_age.as_secs(),
            "last_error": health.last_error,
            "since": clock::rfc3339(self.since_ms),
            "at": clock::rfc3339(self.at_ms),
        })
    }

    /// For tests: alert, status and reason.
    #[cfg(test)]
    pub fn summary(&self) -> String {
        let end = self.end.map(AlertEnd::as_str).unwrap_or_default();
        format!("{} {} {end}", self.alert.as_str(), self.status()).trim_end().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_text_counts_one_event_and_several() {
        let text = |backlog_events| {
            let backlog_age = Duration::from_secs(90);
            let health = DestinationHealth {
                name: "b".into(),
                backlog_events,
                backlog_age,
                ..DestinationHealth::default()
            };
            Notice::new(AlertKind::Backlog, &health, 60, 0, 0).text()
        };
        assert_eq!(text(1), "1 event waits for b, the oldest for 90 s");
        assert_eq!(text(2), "2 events wait for b, the oldest for 90 s");
    }
}
