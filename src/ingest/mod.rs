//! Sources of invalidations. Each one parses its input and calls
//! [`crate::pipeline::Pipeline::submit`]; it decides nothing.

pub mod body;
pub mod damaged_json;
pub mod depth;
pub mod fields;
pub mod revalidation;
pub mod schedule;
pub mod webhook;
