//! A call to a site or a cache that failed, and what the answers say about it.
//! Whether the call itself or the target is at fault is judged by the status alone.

use std::sync::Arc;
use std::time::Duration;

use super::log::CallResult;
use super::owed::OwedCall;
use super::send::CallEvents;
use crate::deliver::legacy::MALFORMED;
use crate::deliver::verdict::AnswerVerdict;

/// A call that was not acknowledged.
pub(super) struct CallFailure {
    pub(super) owed: OwedCall,
    pub(super) about: Arc<CallEvents>,
    pub(super) tried: Vec<CallResult>,
    /// What it was answered with; of several addresses the one that is least about the call.
    pub(super) status: Option<u16>,
    pub(super) error: String,
    pub(super) wait: Option<Duration>,
}

impl CallFailure {
    pub(super) fn of(owed: OwedCall, about: Arc<CallEvents>, tried: Vec<CallResult>) -> Self {
        let failed = || tried.iter().filter(|one| one.error().is_some());
        let errors = failed().map(|one| {
            let place = one.address.map(|address| format!("{}: ", address.ip()));
            format!("{}{}", place.unwrap_or_default(), one.error().unwrap_or_default())
        });
        let error = errors.collect::<Vec<_>>().join("; ");
        let wait = tried.iter().filter_map(|one| match &one.verdict {
            AnswerVerdict::Refused(_, wait) | AnswerVerdict::Throttled(wait) => *wait,
            _ => None,
        });
        let wait = wait.max();
        let status = |one: &CallResult| one.answer.as_ref().map(|answer| answer.status);
        let mut statuses: Vec<Option<u16>> = failed().map(status).collect();
        statuses.sort_by_key(|status| status.map(|status| (is_temporary(status), status)));
        // `None`, nobody answered, sorts first; a status of the moment is last.
        let status = match statuses.first() {
            Some(Some(_)) => statuses.last().copied().flatten(),
            _ => None,
        };
        Self { owed, about, tried, status, error, wait }
    }

    pub(super) fn is_malformed(&self) -> bool {
        self.status.is_some_and(|status| MALFORMED.contains(&status))
    }

    /// Whether the answer is about the credentials.
    pub(super) fn is_unauthorized(&self) -> bool {
        matches!(self.status, Some(401 | 403))
    }

    /// Whether the target as a whole is not well.
    pub(super) fn is_down(&self) -> bool {
        self.status.is_none_or(is_temporary)
    }
}

/// Whether a status is about the moment and not about what was said.
fn is_temporary(status: u16) -> bool {
    matches!(status, 407 | 408 | 425 | 429 | 502..=504)
}

/// How long a target asks to be left alone, where none of its addresses says anything worse.
pub(super) fn throttled(tried: &[CallResult]) -> Option<Duration> {
    let mut wait = None;
    for one in tried {
        match &one.verdict {
            AnswerVerdict::Acknowledged => {}
            AnswerVerdict::Throttled(asked) => wait = wait.max(Some(asked.unwrap_or_default())),
            _ => return None,
        }
    }
    wait
}
