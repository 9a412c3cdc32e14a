//! Targets: sites to revalidate, and caches and CDNs to purge.
//!
//! A mirror receives events; a target receives requests in its own API. It gets everything that was
//! applied here, whatever the source, and has a cursor, a worker, a limiter and a breaker like a
//! mirror. Each kind of target only turns a backlog into calls and judges the answers; sending and
//! retrying are shared.

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

/// The reason why an event is skipped that the target cannot express at all.
pub const UNSUPPORTED: &str = "unsupported";
/// The reason why only a part of an event is sent.
pub const PARTLY_UNSUPPORTED: &str = "partly_unsupported";

/// A site, or a cache or CDN.
#[derive(Debug, Clone, PartialEq)]
pub enum Target {
    /// A site whose framework has a route that revalidates pages.
    Revalidate(Arc<Revalidate>),
    /// A cache or CDN with an API to purge.
    Purge(Arc<Purge>),
}

/// One request to a target.
#[derive(Clone)]
pub struct TargetCall {
    /// `POST`, `GET` or `PURGE`.
    pub method: Method,
    /// The full URL.
    pub url: Url,
    /// Header names and values, without the headers that mark the call as ours and sign it.
    pub headers: Vec<(HeaderName, String)>,
    /// The body as it is sent.
    pub body: Bytes,
    /// Time limit, from connect to the last byte of the answer.
    pub timeout: Duration,
    /// The paths that it names, for the log.
    pub paths: Vec<String>,
    /// The tags that it names, for the log.
    pub tags: Vec<String>,
    /// The keys of the items that it names. Each item can be sent in a call of its own.
    pub items: Vec<String>,
    /// Whether it marks as stale instead of removing, if the target supports both.
    pub is_soft: bool,
    /// Which other calls its acknowledgement settles.
    pub reach: Reach,
}

/// Which other calls the acknowledgement of a call settles.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Reach {
    /// None.
    #[default]
    Itself,
    /// Every call that names only paths.
    Paths,
    /// Every call with the same `Host` header.
    Host,
    /// Every call to the same target.
    Everything,
}

impl TargetCall {
    /// The `Host` header, if it is set.
    fn host(&self) -> Option<&str> {
        let host = self.headers.iter().find(|(name, _)| *name == HOST);
        host.map(|(_, host)| host.as_str())
    }
}

impl Target {
    /// Its kind in answers of the API.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Revalidate(_) => "revalidate",
            Self::Purge(_) => "purge",
        }
    }

    /// The kind of its log lines.
    pub fn activity(&self) -> ActivityKind {
        match self {
            Self::Revalidate(_) => ActivityKind::Revalidate,
            Self::Purge(_) => ActivityKind::Purge,
        }
    }

    /// Whether it may be a gateway or even this instance, so that its identity is checked first.
    pub fn is_probed(&self) -> bool {
        match self {
            Self::Revalidate(_) => true,
            Self::Purge(_) => false,
        }
    }

    /// Whether every address of its host name is called.
    pub fn is_for_all_addresses(&self) -> bool {
        match self {
            Self::Revalidate(revalidate) => revalidate.is_for_all_addresses,
            Self::Purge(_) => false,
        }
    }

    /// Signs its calls, if signing is configured.
    pub fn signer(&self) -> Option<&Signer> {
        match self {
            Self::Revalidate(revalidate) => revalidate.signer.as_ref(),
            Self::Purge(_) => None,
        }
    }

    /// The calls that cover a backlog, in order; none if the backlog has nothing for this target.
    /// With `is_wider`, the calls use wider selectors, for a cache that refused the exact ones.
    pub fn calls(&self, backlog: &Backlog, is_wider: bool, reader: CallReader) -> Vec<TargetCall> {
        match self {
            Self::Revalidate(revalidate) => revalidate.calls_for(backlog, reader),
            Self::Purge(purge) => purge.calls(backlog, is_wider),
        }
    }

    /// Whether refused calls can be replaced by wider ones.
    pub fn can_widen(&self) -> bool {
        matches!(self, Self::Purge(_))
    }

    /// Splits a call with several items into two; empty if it cannot be split.
    pub fn halves(&self, call: &TargetCall) -> Vec<TargetCall> {
        match self {
            Self::Revalidate(revalidate) => revalidate.halves(call),
            Self::Purge(purge) => purge.halves(call),
        }
    }

    /// Moves the items that match into calls of their own, which go last.
    pub fn separate(
        &self,
        calls: Vec<TargetCall>,
        is_separate: impl Fn(&String) -> bool,
    ) -> Vec<TargetCall> {
        let mut last = vec![];
        let mut first = vec![];
        for call in calls {
            let (rest, alone) = match self {
                Self::Revalidate(revalidate) => revalidate.separate(&call, &is_separate),
                Self::Purge(purge) => purge.separate(&call, &is_separate),
            };
            first.extend(rest);
            last.extend(alone);
        }
        first.extend(last);
        first
    }

    /// The selectors of a backlog that a cache cannot express.
    pub fn unsupported(&self, backlog: &Backlog) -> Vec<Selector> {
        match self {
            Self::Revalidate(_) => vec![],
            Self::Purge(purge) => purge.unsupported(backlog),
        }
    }

    /// Why nothing is sent for an event; `None` if something is sent.
    pub fn reason_skipped(&self, event: &Event) -> Option<&'static str> {
        match self {
            Self::Revalidate(revalidate) => revalidate.reason_skipped(event),
            Self::Purge(purge) => purge.expresses_nothing(event).then_some(UNSUPPORTED),
        }
    }

    /// Whether it cannot express a part of an event.
    pub fn omits_part(&self, event: &Event) -> bool {
        match self {
            Self::Revalidate(_) => false,
            Self::Purge(purge) => purge.omits_part(event),
        }
    }

    /// Judges an answer.
    pub fn judge(&self, answer: &HttpAnswer) -> AnswerVerdict {
        match self {
            Self::Revalidate(_) => judge(answer),
            Self::Purge(purge) => purge.judge(answer),
        }
    }
}
