//! To listeners, best effort: server-sent events, and the same over WebSockets.
//!
//! The hub reads the journal like any destination, so that listeners hear of events in the
//! journal's order and only after they are applied. A reader that is too slow is cut off, never
//! waited for: it comes back with its last id and is replayed from the journal, page by page.

mod config;
mod form;
mod frame;
mod hub;
mod readers;
mod subscription;
mod tickets;

pub use config::Config;
pub use form::{Messages, Sse};
pub use hub::{Hub, StreamRefusal};
pub use subscription::Subscription;
pub use tickets::Tickets;

#[cfg(test)]
mod tests;
