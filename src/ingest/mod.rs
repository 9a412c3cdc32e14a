//! Sources of invalidations. Every one of them ends in [`crate::pipeline::Pipeline::submit`].

pub mod body;
pub mod depth;
