//! The control listener under attack, over raw sockets against a real process, and the log that it
//! leaves behind.
//!
//! Rows are those of the attack list (A: API and tokens, B: HTTP front). What an answer must not do
//! is as much a part of it as what it says: no second request may be smuggled, no secret shown.

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
