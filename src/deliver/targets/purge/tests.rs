//! Tests of the calls to purge targets.

mod addresses;
mod answers;
mod laws;
