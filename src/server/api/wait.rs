//! `?wait=local|any|all|N` with `&timeout=5s`: how many mirrors must acknowledge before the answer.
//! It waits for acknowledgements only. The local effect is there before, and a time-out takes
//! nothing back.

use std::time::Duration;

use crate::domain::Scope;
use crate::pipeline::SubmitReport;
use crate::server::Control;
use crate::server::call::ControlCall;
use crate::server::respond::Problem;
use crate::support::duration;

/// Wait where `timeout` is not given.
const TIMEOUT_DEFAULT: Duration = Duration::from_secs(5);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Until {
    Local,
    Any,
    All,
    Count(usize),
}

/// What the caller waits for.
#[derive(Debug, Clone, Copy)]
pub struct Wait {
    until: Until,
    timeout: Duration,
}

impl Wait {
    /// Reads `wait` and `timeout` from the query.
    pub fn read(call: &ControlCall, timeout_max: Duration) -> Result<Self, Problem> {
        call.takes_only(&["wait", "timeout"])?;
        let until = match call.query("wait").as_deref() {
            None | Some("local") => Until::Local,
            Some("any") => Until::Any,
            Some("all") => Until::All,
            Some(number) => Until::Count(number.parse().map_err(|_| {
                Problem::bad_request("bad_wait", "wait: local, any, all or a number of mirrors")
            })?),
        };
        let timeout = match call.query("timeout") {
            None => TIMEOUT_DEFAULT,
            Some(text) => duration::parse(&text).ok_or_else(|| {
                Problem::bad_request("bad_timeout", "timeout: like 5s, 500ms or 1.5")
            })?,
        };
        Ok(Self { until, timeout: timeout.min(timeout_max) })
    }

    /// Whether the answer comes only when a mirror has acknowledged.
    pub fn is_for_mirrors(self) -> bool {
        self.until != Until::Local
    }

    /// Waits and updates the outcomes in the report; gives whether they arrived in time.
    pub async fn until(self, control: &Control, report: &mut SubmitReport) -> bool {
        if self.until == Until::Local || report.event.scope == Scope::Local {
            return true;
        }
        let pipeline = &control.pipeline;
        let mut acks = pipeline.journal.acks();
        let deadline = tokio::time::Instant::now() + self.timeout;
        loop {
            acks.borrow_and_update();
            report.mirrors = pipeline.delivery.outcomes(&report.event);
            if self.is_met(report) {
                return true;
            }
            let is_over = tokio::select! {
                changed = acks.changed() => changed.is_err(),
                () = tokio::time::sleep_until(deadline) => true,
            };
            if is_over {
                // A failed attempt wakes no waiter, but its outcome belongs into the answer.
                report.mirrors = pipeline.delivery.outcomes(&report.event);
                return self.is_met(report);
            }
        }
    }

    /// `self` and `skipped` neither count nor are waited for.
    fn is_met(self, report: &SubmitReport) -> bool {
        use crate::domain::Status;
        let has = |status: Status| report.mirrors.iter().filter(|m| m.status == status).count();
        let delivered = has(Status::Delivered);
        let expected = report.mirrors.len() - has(Status::Oneself) - has(Status::Skipped);
        match self.until {
            Until::Local => true,
            Until::Any => delivered >= expected.min(1),
            Until::All => delivered >= expected,
            Until::Count(count) => delivered >= count.min(expected),
        }
    }
}
