//! Counts and logs refused callers, so that an operator notices them.
//!
//! Every refusal is counted. The log gets the first one of a kind (who, where, why) at once, and
//! after that one line a minute with their number, so that a flood of calls is no flood of lines.
//! The last hour is kept in memory, for `GET /api/cache/stats` and `doctor`.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use hyper::StatusCode;
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::activity::{Activity, ActivityKind, Level, counters};
use crate::gate::ClientAddress;
use crate::wire::{RefusedBy, RefusedCalls};

/// Between two lines about one kind of refusal.
const SAID_EVERY: Duration = Duration::from_secs(60);
/// How long refusals are remembered, in minutes.
const MINUTES_KEPT: u64 = 60;
/// Kinds of refusals counted separately; further ones count as `others`.
const KINDS_MAX: usize = 256;
/// Kinds shown, those with most refusals first.
const SHOWN_MAX: usize = 20;
/// Who calls where no credential held.
pub const ANONYMOUS: &str = "anonymous";
/// Who calls past [`KINDS_MAX`].
const OTHERS: &str = "others";

/// Who was refused, where and why.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct What {
    principal: String,
    route: String,
    reason: &'static str,
}

struct Kept {
    /// The minute, and how many in it.
    minutes: VecDeque<(u64, u64)>,
    said_at: Instant,
    /// Since the last line.
    unlogged: u64,
    address: ClientAddress,
}

/// The refusals of this process.
pub struct Refusals {
    started: Instant,
    kept: Arc<Mutex<BTreeMap<What, Kept>>>,
}

impl Default for Refusals {
    fn default() -> Self {
        Self { started: Instant::now(), kept: Arc::default() }
    }
}

/// The reason in the metric and the log; `None` for an answer that refuses nobody. `code` is that
/// of the problem, where the answer is one.
pub fn reason(status: StatusCode, code: Option<&str>) -> Option<&'static str> {
    let of_status = match status {
        StatusCode::UNAUTHORIZED => "invalid",
        StatusCode::FORBIDDEN => "forbidden",
        StatusCode::TOO_MANY_REQUESTS => "too_many",
        StatusCode::MISDIRECTED_REQUEST => "host",
        _ => return None,
    };
    Some(match code {
        Some("unauthenticated") => "missing",
        Some("address_not_allowed") => "address",
        Some("https_required") => "https",
        Some("origin_not_allowed") => "origin",
        _ => of_status,
    })
}

impl Refusals {
    /// Counts one call of `principal` (where known) that was refused.
    pub fn note(
        &self,
        principal: Option<&str>,
        (method, path): (&str, &str),
        reason: &'static str,
        address: ClientAddress,
    ) {
        counters().note_refused(reason);
        let mut what = What {
            principal: principal.unwrap_or(ANONYMOUS).to_owned(),
            route: format!("{method} {path}"),
            reason,
        };
        let now = Instant::now();
        let minute = self.minute(now);
        let mut kept = self.kept.lock();
        if kept.len() >= KINDS_MAX && !kept.contains_key(&what) {
            kept.retain(|_, it| it.unlogged > 0 || it.last_minute() + MINUTES_KEPT > minute);
            if kept.len() >= KINDS_MAX {
                what = What { principal: OTHERS.into(), route: "any".into(), ..what };
            }
        }
        let is_first = !kept.contains_key(&what);
        let it = kept.entry(what.clone()).or_insert_with(|| Kept {
            minutes: VecDeque::new(),
            said_at: now,
            unlogged: 0,
            address,
        });
        it.count(minute);
        it.address = address;
        if is_first || (it.unlogged == 0 && now >= it.said_at + SAID_EVERY) {
            it.said_at = now;
            drop(kept);
            log_refusal(&what, 1, address);
            return;
        }
        it.unlogged += 1;
        // The first of those that wait for a line sets the time for it.
        if it.unlogged == 1 {
            let (at, kept) = (it.said_at + SAID_EVERY, Arc::clone(&self.kept));
            tokio::spawn(async move {
                tokio::time::sleep_until(at).await;
                let unlogged = kept.lock().get_mut(&what).map(|it| {
                    it.said_at = Instant::now();
                    (std::mem::take(&mut it.unlogged), it.address)
                });
                if let Some((count, address)) = unlogged {
                    log_refusal(&what, count, address);
                }
            });
        }
    }

    /// The last hour.
    pub fn view(&self) -> RefusedCalls {
        let minute = self.minute(Instant::now());
        let kept = self.kept.lock();
        let counted = kept.iter().map(|(what, it)| RefusedBy {
            principal: what.principal.clone(),
            route: what.route.clone(),
            reason: what.reason.to_owned(),
            count: it.since(minute),
            address: it.address.to_string(),
        });
        let mut by: Vec<_> = counted.filter(|it| it.count > 0).collect();
        by.sort_by_key(|it| std::cmp::Reverse(it.count));
        let last_hour = by.iter().map(|it| it.count).sum();
        by.truncate(SHOWN_MAX);
        RefusedCalls { last_hour, by }
    }

    fn minute(&self, at: Instant) -> u64 {
        at.duration_since(self.started).as_secs() / 60
    }
}

impl Kept {
    fn count(&mut self, minute: u64) {
        while self.minutes.front().is_some_and(|(at, _)| at + MINUTES_KEPT <= minute) {
            self.minutes.pop_front();
        }
        match self.minutes.back_mut() {
            Some((at, count)) if *at == minute => *count += 1,
            _ => self.minutes.push_back((minute, 1)),
        }
    }

    fn last_minute(&self) -> u64 {
        self.minutes.back().map_or(0, |(at, _)| *at)
    }

    fn since(&self, minute: u64) -> u64 {
        let recent = self.minutes.iter().filter(|(at, _)| at + MINUTES_KEPT > minute);
        recent.map(|(_, count)| count).sum()
    }
}

fn log_refusal(what: &What, count: u64, address: ClientAddress) {
    Activity {
        level: Level::Warn,
        event: ActivityKind::Refused,
        msg: "calls refused",
        principal: Some(&what.principal),
        source: Some(&what.route),
        reason: Some(what.reason),
        events: Some(count),
        address: Some(&address.to_string()),
        ..Activity::default()
    }
    .emit();
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROUTE: (&str, &str) = ("POST", "/api/cache/invalidate");
    const FROM: ClientAddress = ClientAddress::Unreadable;

    #[tokio::test(start_paused = true)]
    async fn the_last_hour_is_counted_by_caller_route_and_reason() {
        let refusals = Refusals::default();
        for _ in 0..300 {
            refusals.note(None, ROUTE, "invalid", FROM);
        }
        refusals.note(Some("ann@x.example"), ROUTE, "forbidden", FROM);
        let view = refusals.view();
        assert_eq!(view.last_hour, 301);
        let first = &view.by[0];
        let of_first = (first.principal.as_str(), first.reason.as_str(), first.count);
        assert_eq!(of_first, (ANONYMOUS, "invalid", 300));
        assert_eq!(first.address, "unreadable");
        tokio::time::advance(Duration::from_secs(61 * 60)).await;
        assert_eq!(refusals.view().last_hour, 0);
    }

    /// Lines are those that were not counted as waiting for one.
    #[tokio::test(start_paused = true)]
    async fn a_flood_is_one_line_at_once_and_one_a_minute() {
        let refusals = Refusals::default();
        let unlogged = || refusals.kept.lock().values().map(|it| it.unlogged).sum::<u64>();
        for _ in 0..300 {
            refusals.note(None, ROUTE, "invalid", FROM);
        }
        assert_eq!(unlogged(), 299);
        tokio::time::sleep(SAID_EVERY + Duration::from_millis(1)).await;
        assert_eq!(unlogged(), 0, "the rest is logged without another call");
        refusals.note(None, ROUTE, "invalid", FROM);
        assert_eq!(unlogged(), 1, "a minute has not passed since");
        tokio::time::sleep(2 * SAID_EVERY).await;
        refusals.note(None, ROUTE, "invalid", FROM);
        assert_eq!(unlogged(), 0, "logged at once");
    }

    #[tokio::test(start_paused = true)]
    async fn memory_is_bounded() {
        let refusals = Refusals::default();
        for at in 0..3 * KINDS_MAX {
            refusals.note(Some(&format!("p{at}")), ROUTE, "too_many", FROM);
        }
        assert!(refusals.kept.lock().len() <= KINDS_MAX + 1);
        let view = refusals.view();
        assert_eq!((view.last_hour, view.by.len()), (3 * KINDS_MAX as u64, SHOWN_MAX));
        assert_eq!(view.by[0].principal, OTHERS);
    }

    #[test]
    fn every_reason_is_a_label_of_the_metric() {
        let codes =
            ["unauthenticated", "address_not_allowed", "https_required", "origin_not_allowed"];
        let statuses = [401, 403, 421, 429].map(|it| StatusCode::from_u16(it).expect("a status"));
        for status in statuses {
            for code in codes.into_iter().map(Some).chain([None]) {
                let reason = reason(status, code).expect("refused");
                assert!(counters::REFUSALS.contains(&reason), "{reason}");
            }
        }
        assert_eq!(reason(StatusCode::NOT_FOUND, None), None);
    }
}
