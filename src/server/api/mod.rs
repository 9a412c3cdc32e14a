//! The handlers, one file for each resource. They translate between HTTP and the rooms below and
//! decide nothing themselves.

pub mod compat;
pub mod entries;
pub mod events;
pub mod explain;
pub mod hooks;
pub mod identity;
pub mod invalidate;
pub mod jwks;
pub mod login;
pub mod metrics;
pub mod mirrors;
pub mod reload;
pub mod schedules;
pub mod stats;
pub mod stream;
mod wait;
pub mod why;
