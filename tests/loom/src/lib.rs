//! `src/store/generation.rs` with loom's atomics in the place of the standard ones.
//!
//! The wrong orders are tried too, and have to be caught: a model that finds nothing proves
//! nothing.
#![cfg(all(test, loom))]

/// What the included file imports from its parent.
mod atomic {
    pub(super) use loom::sync::atomic::{AtomicBool, AtomicU64, Ordering};
}

#[path = "../../../src/store/generation.rs"]
#[allow(dead_code)]
mod generation;

mod models;
