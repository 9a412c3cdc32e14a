//! One thing to tell: as a line of the log, which also sets the gauge, and as the JSON that the
//! webhook gets. The words are chosen here and nowhere else; none of them is a secret.

use serde_json::{Value, json};
use uuid::Uuid;

use super::Alert;
use super::judge::Sight;
use crate::activity::{Activity, ActivityKind, Level};
use crate::support::clock;

/// Why an alert is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The destination answers again, or is owed nothing.
    Recovered,
    /// The threshold is another.
    Threshold,
    /// The destination is gone from the settings.
    Removed,
}

impl End {
    fn as_str(self) -> &'static str {
        match self {
            Self::Recovered => "recovered",
            Self::Threshold => "threshold",
            Self::Removed => "removed",
        }
    }
}

/// One thing to tell.
#[derive(Debug)]
pub struct Notice {
    pub id: Uuid,
    alert: Alert,
    end: Option<End>,
    sight: Sight,
    threshold: u64,
    since_ms: u64,
    at_ms: u64,
}

impl Notice {
    /// Of an alert that fires.
    pub fn new(alert: Alert, sight: &Sight, threshold: u64, since_ms: u64, at_ms: u64) -> Self {
        let (id, sight) = (Uuid::now_v7(), sight.clone());
        Self { id, alert, end: None, sight, threshold, since_ms, at_ms }
    }

    /// Of one that is over.
    pub fn over(self, end: End) -> Self {
        Self { end: Some(end), ..self }
    }

    fn status(&self) -> &'static str {
        if self.end.is_none() { "firing" } else { "resolved" }
    }

    /// The sentence for people.
    fn text(&self) -> String {
        let Sight { name, failures, backlog_events, is_refused, .. } = &self.sight;
        let age_s = self.sight.backlog_age.as_secs();
        match (self.end, self.alert) {
            (Some(End::Recovered), _) => format!("{name} is well again"),
            (Some(End::Threshold), _) => format!("{name} is within its limits: they changed"),
            (Some(End::Removed), _) => format!("{name} is no destination any more"),
            (None, Alert::Failures) if *is_refused => format!("{name} refuses our credentials"),
            (None, Alert::Failures) => format!("{name} failed {failures} times in a row"),
            (None, Alert::Echo) => {
                format!(
                    "{name} calls back with what it is sent: what goes round waits up to a minute \
                     for it, nothing else does"
                )
            }
            (None, Alert::Backlog) => {
                let events = if *backlog_events == 1 { "event" } else { "events, the oldest" };
                format!("{name} is owed {backlog_events} {events} for {age_s} s")
            }
        }
    }

    /// Writes the line and sets the gauge.
    pub fn log(&self) {
        let sight = &self.sight;
        let age_ms = u64::try_from(sight.backlog_age.as_millis()).unwrap_or(u64::MAX);
        Activity {
            level: if self.end.is_none() { Level::Error } else { Level::Info },
            event: ActivityKind::Alert,
            msg: &self.text(),
            peer: Some(&sight.name),
            status: Some(self.status()),
            reason: Some(self.alert.as_str()),
            attempt: Some(u64::from(sight.failures)),
            events: Some(sight.backlog_events),
            wait_ms: Some(age_ms),
            error: sight.last_error.as_deref(),
            ..Activity::default()
        }
        .emit();
    }

    /// The webhook took it.
    pub fn log_sent(&self, attempt: u32, http_status: u16) {
        Activity {
            level: Level::Debug,
            event: ActivityKind::Alert,
            msg: "the webhook was told",
            peer: Some(&self.sight.name),
            status: Some("sent"),
            attempt: Some(u64::from(attempt)),
            http_status: Some(u64::from(http_status)),
            ..Activity::default()
        }
        .emit();
    }

    /// The webhook was not told, and will not be.
    pub fn log_unsent(&self, error: &str, attempt: u32) {
        Activity {
            level: Level::Warn,
            event: ActivityKind::Alert,
            msg: "the webhook was not told",
            peer: Some(&self.sight.name),
            status: Some("unsent"),
            reason: Some(self.alert.as_str()),
            attempt: Some(u64::from(attempt)),
            error: Some(error),
            ..Activity::default()
        }
        .emit();
    }

    /// What the webhook gets; `docs/METRICS.md` describes it.
    pub fn body(&self, instance: &str) -> Value {
        let sight = &self.sight;
        json!({
            "id": self.id,
            "alert": self.alert.as_str(),
            "status": self.status(),
            "reason": self.end.map(End::as_str),
            "text": self.text(),
            "instance": instance,
            "destination": sight.name,
            "kind": if sight.is_mirror { "mirror" } else { "beside" },
            "threshold": self.threshold,
            "failures": sight.failures,
            "credentials_refused": sight.is_refused,
            "backlog_events": sight.backlog_events,
            "backlog_oldest_s": sight.backlog_age.as_secs(),
            "last_error": sight.last_error,
            "since": clock::rfc3339(self.since_ms),
            "at": clock::rfc3339(self.at_ms),
        })
    }

    /// For tests: what is told, without the circumstances.
    #[cfg(test)]
    pub fn in_short(&self) -> String {
        let end = self.end.map(End::as_str).unwrap_or_default();
        format!("{} {} {end}", self.alert.as_str(), self.status()).trim_end().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn one_event_is_one() {
        let text = |backlog_events| {
            let backlog_age = Duration::from_secs(90);
            let sight = Sight { name: "b".into(), backlog_events, backlog_age, ..Sight::default() };
            Notice::new(Alert::Backlog, &sight, 60, 0, 0).text()
        };
        assert_eq!(text(1), "b is owed 1 event for 90 s");
        assert_eq!(text(2), "b is owed 2 events, the oldest for 90 s");
    }
}
