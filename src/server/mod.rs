//! The control listener: from a connection to an answer.
//!
//! `listen` accepts and drains, `guard` refuses what hyper lets through, `routes` is the one
//! readable table of who may call what, `respond` the only place where errors become HTTP. The
//! handlers in `api` translate and decide nothing.

mod api;
mod body;
mod call;
mod config;
mod crowd;
mod dashboard;
mod forwarded;
mod guard;
mod heads;
mod hosts;
mod https;
mod line;
mod listen;
pub mod openapi;
mod refusals;
mod reload;
mod respond;
mod routes;
mod sse;
mod timing;
mod websocket;
mod wire;

use std::sync::Arc;
use std::time::{Duration, Instant};

pub use config::Config;
pub use hosts::Hosts;
pub use listen::Listener;
pub use refusals::Refusals;
pub use reload::{ReloadOutcome, ReloadRequest, Reloads};
pub use timing::Timings;

use crate::announce::Tickets;
use crate::deliver::identity::BootNonce;
use crate::ingest::schedule::Schedules;
use crate::ingest::webhook::Hooks;
use crate::pipeline::Pipeline;
use crate::support::Live;

/// What the handlers work with.
pub struct Control {
    /// The listener's settings.
    pub config: Config,
    /// The invalidation path, and all it leads through.
    pub pipeline: Arc<Pipeline>,
    /// This process start.
    pub own: Arc<BootNonce>,
    /// Tickets for the stream.
    pub tickets: Tickets,
    /// Webhooks of other systems.
    pub hooks: Arc<Hooks>,
    /// Invalidations by the clock.
    pub schedules: Arc<Schedules>,
    /// Longest `?wait`: the one limit of the listener that changes while it runs.
    pub wait_time_max: Live<Duration>,
    /// Reads the settings again.
    pub reloads: Reloads,
    /// Callers that were refused.
    pub refusals: Refusals,
    /// How long answers took.
    pub timings: Timings,
    /// For the uptime.
    pub started: Instant,
}
