//! cache-mirror: a multi-instance cache mirroring gateway with loop prevention.
//!
//! The map, from the ground up (`docs/ARCHITECTURE.md` tells it with two walkthroughs):
#![warn(missing_docs)]

pub mod activity;
pub mod announce;
pub mod deliver;
pub mod domain;
pub mod gate;
pub mod journal;
pub mod resolve;
pub mod server;
pub mod store;
pub mod support;
