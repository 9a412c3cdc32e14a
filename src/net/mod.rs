//! Outgoing HTTP: one way to build a client, one policy on addresses, and a trait for both, so that
//! a simulated network can replace them.
//!
//! This module knows no cache, peer or journal.

mod addresses;
mod http_date;
mod network;
mod pinned;
mod scheme;
mod tls;
mod transport;

pub use addresses::{CheckedResolver, is_forbidden, reason_against, with_zone};
pub use network::{Config, Network};
pub use pinned::Names;
pub use scheme::{SECURE, is_complaint, other_scheme};
pub use tls::{ClientError, builder, certificates};
pub use transport::{Failure, FailureKind, HttpAnswer, Outgoing, Transport};
