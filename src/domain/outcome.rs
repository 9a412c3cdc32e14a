//! How one event stands at one destination: one vocabulary for answers, lines and metrics.
//! Nothing expires: `Failed` is the last attempt, and the next one is scheduled.

use serde::{Deserialize, Serialize};

/// Where an event stands at a destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Waiting for its turn.
    Queued,
    /// Acknowledged.
    Delivered,
    /// The last attempt failed; the next one is scheduled, nothing expires.
    Failed,
    /// Held by an operator or by refused credentials.
    Paused,
    /// The destination is this instance.
    #[serde(rename = "self")]
    Oneself,
    /// The destination has no form for this (a legacy server knows types only).
    Skipped,
    /// Of a dry run: it would wait for its turn there.
    #[serde(rename = "would_queue")]
    WouldQueue,
    /// Of a newer version, which this one does not know. Never sent.
    #[serde(other)]
    #[schemars(skip)]
    Unknown,
}

impl Status {
    /// Its name in answers, log lines and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Delivered => "delivered",
            Self::Failed => "failed",
            Self::Paused => "paused",
            Self::Oneself => "self",
            Self::Skipped => "skipped",
            Self::WouldQueue => "would_queue",
            Self::Unknown => "unknown",
        }
    }

    /// Whether `?wait` has nothing more to wait for.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Delivered | Self::Oneself | Self::Skipped)
    }
}
