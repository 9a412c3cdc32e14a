//! Attacks on the control listener, over raw sockets against a real process, and the log that they
//! leave.
//!
//! The scenes also check what must not happen: no second request is smuggled, no secret is shown.

mod access;
mod bodies;
mod by_hand;
mod canary;
mod compat;
mod crowds;
mod curl;
mod dashboard;
mod entries;
mod framing;
mod groups;
mod idempotency;
mod metrics;
mod monitoring;
mod oldest;
mod openapi;
mod pretty;
mod raw;
mod stream;
mod timeouts;
mod webhooks;
mod websocket;
mod work;
