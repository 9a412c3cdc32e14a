//! Schedules, as an operator sees them.
//! A snapshot: a run may be under way while it is shown.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Text;

/// Every schedule.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(!default)]
pub struct Schedules {
    pub schedules: Vec<ScheduleView>,
}

/// A schedule is held, or goes on.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(!default)]
pub struct Held {
    pub success: bool,
    pub schedule: Option<ScheduleView>,
}

/// One schedule.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(rename = "Schedule", !default)]
pub struct ScheduleView {
    /// Its name for good.
    pub id: String,
    /// Five fields of cron.
    pub cron: String,
    /// The zone that they are read in.
    pub tz: String,
    /// What it clears, as `POST /api/cache/invalidate` takes it.
    pub invalidate: Value,
    /// `active` or `paused`.
    pub state: Text,
    /// When it fires next, at most five times; none while it is paused.
    pub next: Vec<String>,
    /// How the last run went.
    pub last_run: Option<RunView>,
    /// How often it ran.
    pub runs: u64,
}

/// A run, or an attempt at one.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(!default)]
pub struct RunView {
    /// The time it was for; `null` for a run that was requested.
    pub due: Option<String>,
    /// When it was done.
    pub at: String,
    /// Its event.
    pub event_id: Option<String>,
    /// `applied`, `degraded` or `failed`; what failed is tried again.
    pub outcome: String,
    /// Why it failed.
    pub error: Option<String>,
}
