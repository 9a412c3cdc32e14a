//! A fill, and the reasons to refuse one.
//! Plain data: the check against invalidations is in `memory`.

use std::time::Duration;

use bytes::Bytes;

use crate::domain::{Label, TypeName, UrlPath};

/// A body to store, and everything that can later clear it.
#[derive(Debug, Clone)]
pub struct Fill {
    /// Finds the entry by exact bytes. A key that begins with `/` is also a path of the entry, in
    /// any spelling.
    pub key: Label,
    /// Opaque bytes.
    pub body: Bytes,
    /// Returned with the body.
    pub content_type: Option<String>,
    /// The entity type.
    pub type_name: Option<TypeName>,
    /// The id of the entity; used only together with `type_name`.
    pub id: Option<Label>,
    /// Custom tags.
    pub tags: Vec<Label>,
    /// A path, apart from the key.
    pub path: Option<UrlPath>,
    /// Time to live. None or zero means the configured default; a longer one than the configured
    /// maximum is cut.
    pub ttl: Option<Duration>,
    /// How long it may be served stale after its time to live; cut like `ttl`.
    pub swr: Option<Duration>,
}

/// An accepted fill.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Admitted {
    /// Whether it replaced an entry with the same key.
    pub replaced: bool,
    /// Its time to live.
    pub ttl: Duration,
    /// How long it may be served stale after that.
    pub swr: Duration,
    /// Only for fills without a ticket: whether an invalidation that covers it came within the last
    /// [`super::Config::fill_time_max`]. A ticket of that age would have been refused.
    pub is_doubtful: bool,
}

/// Why a fill was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FillRefusal {
    /// The ticket is from another process start, or it is not a ticket.
    #[error("the ticket was not issued by this process; read the entry again for a new one")]
    ForeignTicket,
    /// The invalidations since the ticket are no longer known one by one.
    #[error("the ticket is too old to be checked; read the entry again for a new one")]
    TicketExpired,
    /// An invalidation came after the ticket.
    #[error("an invalidation has overtaken this fill; read the entry again for a new ticket")]
    Overtaken,
    /// Larger than one shard of the store.
    #[error("the entry weighs {bytes} bytes; at most {bytes_max} fit")]
    TooLarge {
        /// Body, names and overhead.
        bytes: u64,
        /// The maximum for one entry.
        bytes_max: u64,
    },
}

impl FillRefusal {
    /// The stable code in answers, log lines and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ForeignTicket => "foreign_ticket",
            Self::TicketExpired => "ticket_expired",
            Self::Overtaken => "overtaken",
            Self::TooLarge { .. } => "too_large",
        }
    }
}
