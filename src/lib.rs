//! cache-mirror: a multi-instance cache mirroring gateway with loop prevention.
//!
//! The modules from the lowest layer up (`docs/ARCHITECTURE.md` has two walkthroughs):
//!
//! - [`domain`]: the basic types and the algebra that makes merging lossless; [`support`]: small
//!   general-purpose modules.
//! - [`resolve`]: names and the dependency graph, pure; [`activity`]: events as log lines and
//!   metrics; [`net`]: outgoing HTTP; [`wire`]: the JSON contract of the control API.
//! - [`store`]: the cache, cleared by generations; [`journal`]: the durable log and its cursors.
//! - [`gate`]: authentication and limits; [`announce`]: listeners; [`deliver`]: destinations.
//! - [`pipeline`]: the path of every invalidation; [`ingest`]: the sources.
//! - [`server`]: the control API; [`config`]: reads and validates settings.
//! - [`app`]: assembly, start and stop; [`cli`]: the commands.
#![warn(missing_docs)]

pub mod activity;
pub mod announce;
pub mod app;
pub mod cli;
pub mod config;
pub mod deliver;
pub mod domain;
pub mod gate;
pub mod ingest;
pub mod journal;
pub mod net;
pub mod pipeline;
pub mod resolve;
pub mod server;
pub mod store;
pub mod support;
pub mod wire;
