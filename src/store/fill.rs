//! What goes into the store, and how the store may refuse it.
//! Only plain data: the check against invalidations is in `memory`, under the fence.

use std::time::Duration;

use bytes::Bytes;

use crate::domain::{Label, TypeName, UrlPath};

/// A body to be kept, and everything it may later be cleared by.
#[derive(Debug, Clone)]
pub struct Fill {
    /// Where it is found again, byte by byte. A key that begins with `/` is also a path of the
    /// entry, in any spelling.
    pub key: Label,
    /// Opaque bytes.
    pub body: Bytes,
    /// Given back with the body.
    pub content_type: Option<String>,
    /// The entity type.
    pub type_name: Option<TypeName>,
    /// The entity; counts together with `type_name` only.
    pub id: Option<Label>,
    /// Custom tags.
    pub tags: Vec<Label>,
    /// A path besides the key.
    pub path: Option<UrlPath>,
    /// Time to live. None or zero means the configured default; a longer one than the configured
    /// maximum is cut.
    pub ttl: Option<Duration>,
    /// How long after its life it may be served while it is refreshed; cut like `ttl`.
    pub swr: Option<Duration>,
}

/// A fill that was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Admitted {
    /// Whether another entry was under the key.
    pub replaced: bool,
    /// The life it was given.
    pub ttl: Duration,
    /// How long it may be served stale after that.
    pub swr: Duration,
    /// Whether something that covers it was invalidated within [`super::Config::fill_time_max`], so
    /// that it would have been refused had its ticket been that old. Asked of fills without one.
    pub is_doubtful: bool,
}

/// Why a fill was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FillRefusal {
    /// Of another process start, or no ticket at all.
    #[error("the ticket was not issued by this process; read the entry again for a new one")]
    ForeignTicket,
    /// The invalidations since then are no longer known one by one.
    #[error("the ticket is too old to be checked; read the entry again for a new one")]
    TicketExpired,
    /// An invalidation came after the ticket.
    #[error("an invalidation has overtaken this fill; read the entry again for a new ticket")]
    Overtaken,
    /// More than one shard of the store can hold.
    #[error("the entry weighs {bytes} bytes; at most {bytes_max} fit")]
    TooLarge {
        /// Body, names and overhead.
        bytes: u64,
        /// The most for one entry.
        bytes_max: u64,
    },
}

impl FillRefusal {
    /// The stable code for answers, lines and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ForeignTicket => "foreign_ticket",
            Self::TicketExpired => "ticket_expired",
            Self::Overtaken => "overtaken",
            Self::TooLarge { .. } => "too_large",
        }
    }
}
