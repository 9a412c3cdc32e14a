//! The ticket: up to which invalidation a fill is certainly up to date.
//!
//! It is the generation read before the fill began, bound to this process start by a random nonce,
//! because generations restart with the process. It is opaque to callers.

use std::fmt;

use super::FillRefusal;

/// The generation read before a fill began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Ticket {
    pub(super) store: u64,
    pub(super) generation: u64,
}

impl Ticket {
    /// Parses a ticket and checks that this store issued it.
    pub(super) fn parse(text: &str, store: u64) -> Result<Self, FillRefusal> {
        let (nonce, generation) = text.split_once('-').ok_or(FillRefusal::ForeignTicket)?;
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_hexdigit());
        if !digits(nonce) || !digits(generation) {
            return Err(FillRefusal::ForeignTicket);
        }
        let nonce = u64::from_str_radix(nonce, 16).map_err(|_| FillRefusal::ForeignTicket)?;
        let generation = generation.parse().map_err(|_| FillRefusal::ForeignTicket)?;
        if nonce == store {
            Ok(Self { store, generation })
        } else {
            Err(FillRefusal::ForeignTicket)
        }
    }
}

/// `{nonce in hexadecimal}-{generation}`.
impl fmt::Display for Ticket {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:016x}-{}", self.store, self.generation)
    }
}

/// A random number for the store of this process start.
pub(super) fn nonce() -> u64 {
    let mut bytes = [0_u8; 8];
    crate::support::random::fill(&mut bytes).expect("the system's random generator answers");
    u64::from_le_bytes(bytes)
}
