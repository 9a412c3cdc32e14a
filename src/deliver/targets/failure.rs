//! A failed call to a target, classified by the status of its answers.
//! The status alone decides whether the call or the target is at fault.

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
    /// The status of the answer. With several addresses, the one least likely caused by the call;
    /// `None` if an address did not answer.
    pub(super) status: Option<u16>,
    pub(super) error: String,
    pub(super) wait: Option<Duration>,
}

impl CallFailure {
    pub(super) fn of(owed: OwedCall, about: Arc<CallEvents>, tried: Vec<CallResult>) -> Self {
        let failed = || tried.iter().filter(|one| one.error().is_some());
        let errors = failed().map(|one| {
            let prefix = one.address.map(|address| format!("{}: ", address.ip()));
            format!("{}{}", prefix.unwrap_or_default(), one.error().unwrap_or_default())
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
        // `None` (no answer) sorts first, a temporary status last.
        let status = match statuses.first() {
            Some(Some(_)) => statuses.last().copied().flatten(),
            _ => None,
        };
        Self { owed, about, tried, status, error, wait }
    }

    pub(super) fn is_malformed(&self) -> bool {
        self.status.is_some_and(|status| MALFORMED.contains(&status))
    }

    /// Whether the target refuses our credentials.
    pub(super) fn is_unauthorized(&self) -> bool {
        matches!(self.status, Some(401 | 403))
    }

    /// Whether the target as a whole is unavailable.
    pub(super) fn is_down(&self) -> bool {
        self.status.is_none_or(is_temporary)
    }
}

/// Whether a status depends on the time of the call and not on its content.
fn is_temporary(status: u16) -> bool {
    matches!(status, 407 | 408 | 425 | 429 | 502..=504)
}

/// How long the target asks us to wait, if it throttles and no address failed otherwise.
pub(super) fn throttle_wait(tried: &[CallResult]) -> Option<Duration> {
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
