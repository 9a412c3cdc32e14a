//! Making the calls of one backlog: in order, each held by the limiter, until one fails.
//!
//! Only when all are acknowledged does the cursor move; a backlog that failed half-way is called
//! for from its beginning, which costs the neighbour a repetition and nothing else.

use std::time::Duration;

use tokio::time::Instant;

use super::{Call, Neighbour};
use crate::activity::{Activity, Kind, joined};
use crate::deliver::verdict::Verdict;
use crate::deliver::worker::{EVENT_IDS, Ended, VIA, Worker, event_ids};
use crate::domain::Status;
use crate::journal::Backlog;
use crate::net::Outgoing;

/// A 429 without `Retry-After`.
const THROTTLE_DEFAULT: Duration = Duration::from_secs(1);

impl Worker {
    /// Makes every call that a backlog asks for.
    pub(in crate::deliver) async fn call(&self, backlog: &Backlog, neighbour: &Neighbour) -> Ended {
        let ids = event_ids(backlog);
        for (at, call) in neighbour.calls(backlog).into_iter().enumerate() {
            if at > 0 {
                tokio::select! {
                    () = self.stop.cancelled() => return Ended::Later,
                    _ = self.peer.limiter.turn() => {}
                }
            }
            if !self.make(backlog, neighbour, call, ids.as_deref()).await {
                return Ended::Later;
            }
        }
        Ended::Acknowledged
    }

    /// One call; whether it was acknowledged.
    async fn make(
        &self,
        backlog: &Backlog,
        neighbour: &Neighbour,
        call: Call,
        ids: Option<&str>,
    ) -> bool {
        let begun = Instant::now();
        self.peer.with(|state| state.requests += 1);
        let Call { method, url, mut headers, body, timeout, paths, tags } = call;
        headers.push((VIA, self.shared.sender.instance.clone()));
        headers.extend(ids.map(|ids| (EVENT_IDS, ids.to_owned())));
        let request = Outgoing { method, url, headers, body, timeout };
        let answered = self.transport().send(request).await;
        let (verdict, status) = match &answered {
            Ok(answer) => (neighbour.judge(answer), Some(u64::from(answer.status))),
            Err(failure) => (Verdict::Refused(failure.to_string(), None), None),
        };
        match verdict {
            Verdict::Acknowledged => {
                let (paths, tags) = (joined(&paths), joined(&tags));
                Activity {
                    event: Kind::Revalidate,
                    msg: "revalidated",
                    event_ids: ids,
                    peer: Some(&self.peer.config.name),
                    status: Some(Status::Delivered.as_str()),
                    http_status: status,
                    duration_ms: Some(begun.elapsed().as_secs_f64() * 1e3),
                    paths: (!paths.is_empty()).then_some(&paths),
                    tags: (!tags.is_empty()).then_some(&tags),
                    ..Activity::default()
                }
                .emit();
                return true;
            }
            Verdict::Throttled(wait) => {
                self.peer.throttled(wait.unwrap_or(THROTTLE_DEFAULT));
            }
            Verdict::Unauthorized => self.fail(backlog, "http 401", None, status),
            Verdict::Refused(reason, wait) => self.fail(backlog, &reason, wait, status),
        }
        false
    }
}
