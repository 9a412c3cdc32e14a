//! Caches and frameworks beside this instance: they are called, not told.
//!
//! A mirror is told what was invalidated; a neighbour is asked to forget, in its own words. It is
//! owed everything that was applied here, from wherever it came, and it has a cursor, a worker, a
//! limiter and a breaker like a mirror. Each sort of neighbour only says which calls a backlog is;
//! sending them, judging the answers and trying again are the same for all.

mod attempt;
mod failure;
mod log;
mod owed;
pub mod purge;
pub mod revalidate;
pub mod route;
mod send;
mod settle;
pub mod template;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use reqwest::Method;
use reqwest::header::{HOST, HeaderName};
use url::Url;

use super::Signer;
use super::verdict::{AnswerVerdict, judge};
use crate::activity::ActivityKind;
use crate::domain::{Event, Selector};
use crate::journal::Backlog;
use crate::net::HttpAnswer;

pub use owed::OwedCall;
pub(super) use owed::needed_by;
pub use purge::Purge;
pub use revalidate::{CallReader, Revalidate, RevalidateForm};
pub use send::EVENT_IDS;
pub(super) use send::event_ids;

/// Why a selector is not told where there are no words for it.
pub const UNSUPPORTED: &str = "unsupported";
/// Why only a part of the selectors is told.
pub const PARTLY_UNSUPPORTED: &str = "partly_unsupported";

/// What is beside this instance.
#[derive(Debug, Clone, PartialEq)]
pub enum Target {
    /// A framework with a route that revalidates pages.
    Revalidate(Arc<Revalidate>),
    /// A cache or a CDN that is asked to forget.
    Purge(Arc<Purge>),
}

/// One request to a neighbour.
#[derive(Clone)]
pub struct TargetCall {
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
    /// What it says, in words each of which can be said by itself.
    pub items: Vec<String>,
    /// Whether it makes stale, where the target tells that from taking away.
    pub is_soft: bool,
    /// What else an acknowledgement of it settles.
    pub reach: Reach,
}

/// What an acknowledgement of a call settles besides the call itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Reach {
    /// Nothing.
    #[default]
    Itself,
    /// Every call that is about paths only.
    Paths,
    /// Every call with the same `Host` header.
    Host,
    /// Every call to the same target.
    Everything,
}

impl TargetCall {
    /// The `Host` header, where it is set.
    fn host(&self) -> Option<&str> {
        let host = self.headers.iter().find(|(name, _)| *name == HOST);
        host.map(|(_, host)| host.as_str())
    }
}

impl Target {
    /// The word for it in answers.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Revalidate(_) => "revalidate",
            Self::Purge(_) => "purge",
        }
    }

    /// What its log lines are about.
    pub fn activity(&self) -> ActivityKind {
        match self {
            Self::Revalidate(_) => ActivityKind::Revalidate,
            Self::Purge(_) => ActivityKind::Purge,
        }
    }

    /// Whether it might be a gateway, ourselves even, and is asked who it is.
    pub fn is_probed(&self) -> bool {
        match self {
            Self::Revalidate(_) => true,
            Self::Purge(_) => false,
        }
    }

    /// Whether each address behind its name is called.
    pub fn is_for_all_addresses(&self) -> bool {
        match self {
            Self::Revalidate(revalidate) => revalidate.is_for_all_addresses,
            Self::Purge(_) => false,
        }
    }

    /// What signs its calls, where they are signed.
    pub fn signer(&self) -> Option<&Signer> {
        match self {
            Self::Revalidate(revalidate) => revalidate.signer.as_ref(),
            Self::Purge(_) => None,
        }
    }

    /// The calls that cover a backlog, in order; none where it has nothing for this neighbour. A
    /// cache that refused what it was told is told the same wider (`is_wider`), if it can be.
    pub fn calls(&self, backlog: &Backlog, is_wider: bool, reader: CallReader) -> Vec<TargetCall> {
        match self {
            Self::Revalidate(revalidate) => revalidate.calls_for(backlog, reader),
            Self::Purge(purge) => purge.calls(backlog, is_wider),
        }
    }

    /// Whether the same can be told wider.
    pub fn can_widen(&self) -> bool {
        matches!(self, Self::Purge(_))
    }

    /// The same call as two, where it says several words.
    pub fn halves(&self, call: &TargetCall) -> Vec<TargetCall> {
        match self {
            Self::Revalidate(revalidate) => revalidate.halves(call),
            Self::Purge(purge) => purge.halves(call),
        }
    }

    /// The same calls with these words in calls of their own, last.
    pub fn separate(
        &self,
        calls: Vec<TargetCall>,
        is_apart: impl Fn(&String) -> bool,
    ) -> Vec<TargetCall> {
        let mut last = vec![];
        let mut first = vec![];
        for call in calls {
            let (rest, alone) = match self {
                Self::Revalidate(revalidate) => revalidate.separate(&call, &is_apart),
                Self::Purge(purge) => purge.separate(&call, &is_apart),
            };
            first.extend(rest);
            last.extend(alone);
        }
        first.extend(last);
        first
    }

    /// What of a backlog it has no words for, as far as it names that.
    pub fn unsupported(&self, backlog: &Backlog) -> Vec<Selector> {
        match self {
            Self::Revalidate(_) => vec![],
            Self::Purge(purge) => purge.unsupported(backlog),
        }
    }

    /// Why it is told nothing of an event, where it is not: it has no word for anything in it.
    pub fn reason_skipped(&self, event: &Event) -> Option<&'static str> {
        match self {
            Self::Revalidate(revalidate) => revalidate.reason_skipped(event),
            Self::Purge(purge) => purge.expresses_nothing(event).then_some(UNSUPPORTED),
        }
    }

    /// Whether it has no words for a part of an event that names it.
    pub fn omits_part(&self, event: &Event) -> bool {
        match self {
            Self::Revalidate(_) => false,
            Self::Purge(purge) => purge.omits_part(event),
        }
    }

    /// What an answer means.
    pub fn judge(&self, answer: &HttpAnswer) -> AnswerVerdict {
        match self {
            Self::Revalidate(_) => judge(answer),
            Self::Purge(purge) => purge.judge(answer),
        }
    }
}
