//! cache-mirror: a multi-instance cache mirroring gateway with loop prevention.
//!
//! The map, from the ground up (`docs/ARCHITECTURE.md` tells it with two walkthroughs):
//!
//! - [`domain`]: the nouns, and the algebra that makes merging lossless; [`support`]: small things.
//! - [`resolve`]: names and the dependency graph, pure; [`activity`]: what happened, as log lines;
//!   [`net`]: outgoing HTTP; [`wire`]: the JSON contract of the control API.
//! - [`store`]: the cache, cleared by generations; [`journal`]: the durable log and its cursors.
//! - [`gate`]: who may; [`announce`]: to listeners; [`deliver`]: to mirrors.
//! - [`pipeline`]: THE invalidation path; [`ingest`]: what leads into it.
//! - [`server`]: the control listener; [`config`]: from what is written to what is true.
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
