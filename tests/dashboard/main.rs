//! A real browser in front of real instances: what an operator sees and does on the dashboard, and
//! what a visitor's page is told.
//!
//! `CACHE_MIRROR_SCREENSHOTS=DIR` keeps pictures of it.

#[path = "../it/support/mod.rs"]
mod support;

mod browser;
mod scenes;
mod shape;
mod visitor;
