//! A real browser with real instances: what an operator sees and does on the dashboard, and which
//! events the page of a visitor receives.
//!
//! `CACHE_MIRROR_SCREENSHOTS=DIR` keeps pictures of it.

#[path = "../it/support/mod.rs"]
mod support;

mod browser;
mod scenes;
mod shape;
mod visitor;
