//! Caches and frameworks beside this instance: they are called, not told.
//!
//! A mirror is told what was invalidated; a neighbour is asked to forget, in its own words. It is
//! owed everything that was applied here, from wherever it came, and it has a cursor, a worker, a
//! limiter and a breaker like a mirror. Each sort of neighbour only says which calls a backlog is;
//! sending them, judging the answers and trying again are the same for all.

pub mod revalidate;
mod send;
pub mod signature;
mod tell;
pub mod template;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use reqwest::Method;
use reqwest::header::HeaderName;
use url::Url;

use super::verdict::{Verdict, judge};
use crate::journal::Backlog;
use crate::net::Answer;

pub use revalidate::{Form, Revalidate};
pub use send::EVENT_IDS;
pub(super) use send::event_ids;
pub use signature::Signer;

/// What is beside this instance.
#[derive(Debug, Clone, PartialEq)]
pub enum Neighbour {
    /// A framework with a route that revalidates pages.
    Revalidate(Arc<Revalidate>),
}

/// One request to a neighbour.
#[derive(Clone)]
pub struct Call {
    /// `POST`, `GET` or `PURGE`.
    pub method: Method,
    /// Where to.
    pub url: Url,
    /// Header names and values; what marks a call as ours is added to them.
    pub headers: Vec<(HeaderName, String)>,
    /// What is sent.
    pub body: Bytes,
    /// From connect to the last byte of the answer.
    pub timeout: Duration,
    /// The paths it is about, for the log.
    pub paths: Vec<String>,
    /// The tags it is about, for the log.
    pub tags: Vec<String>,
}

impl Neighbour {
    /// The word for it in answers.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Revalidate(_) => "revalidate",
        }
    }

    /// Whether it might be a gateway, ourselves even, and is asked who it is.
    pub fn is_probed(&self) -> bool {
        match self {
            Self::Revalidate(_) => true,
        }
    }

    /// Whether each address behind its name is called.
    pub fn is_for_all_addresses(&self) -> bool {
        match self {
            Self::Revalidate(revalidate) => revalidate.is_for_all_addresses,
        }
    }

    /// What signs its calls, where they are signed.
    pub fn signer(&self) -> Option<&Signer> {
        match self {
            Self::Revalidate(revalidate) => revalidate.signer.as_ref(),
        }
    }

    /// The calls that cover a backlog, in order; none where it has nothing for this neighbour.
    pub fn calls(&self, backlog: &Backlog) -> Vec<Call> {
        match self {
            Self::Revalidate(revalidate) => revalidate.calls(backlog),
        }
    }

    /// What an answer means.
    pub fn judge(&self, answer: &Answer) -> Verdict {
        match self {
            Self::Revalidate(_) => judge(answer),
        }
    }
}
