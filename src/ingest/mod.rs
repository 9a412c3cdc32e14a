//! Sources of invalidations. Every one of them ends in [`crate::pipeline::Pipeline::submit`].
//! A door only reads what its callers say; it decides nothing.

pub mod body;
pub mod damaged_json;
pub mod depth;
pub mod fields;
pub mod revalidation;
pub mod schedule;
pub mod webhook;
