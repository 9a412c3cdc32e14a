//! The line `Cache metrics`, every few minutes: figures of the cache for operators with the log and
//! nothing else. Its figures are of the time since the line before, or of the last hour; those
//! since the start are in `/metrics`. A period of zero means none.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::activity::{Activity, ActivityKind};
use crate::pipeline::Pipeline;
use crate::support::clock;

/// How far back the pace of updates looks.
const PACE_TIME: Duration = Duration::from_secs(3600);

/// Writes the line until `stop`, at a period that may change.
pub(super) async fn run(
    pipeline: Arc<Pipeline>,
    mut every: watch::Receiver<Duration>,
    stop: CancellationToken,
) {
    let mut tally = Tally::from(Counted::of(&pipeline, Instant::now()));
    loop {
        let period = *every.borrow_and_update();
        tokio::select! {
            () = stop.cancelled() => return,
            changed = every.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(period), if !period.is_zero() => log(&pipeline, &mut tally),
        }
    }
}

fn log(pipeline: &Pipeline, tally: &mut Tally) {
    let (updates_per_hour, hit_rate) = tally.take(Counted::of(pipeline, Instant::now()));
    let versions = pipeline.journal.versions();
    let last_clear = versions.last_clear_ms.map(clock::rfc3339);
    Activity {
        event: ActivityKind::Store,
        msg: "Cache metrics",
        version: Some(versions.version),
        last_clear: last_clear.as_deref(),
        updates_per_hour: Some(updates_per_hour),
        entries: Some(pipeline.store.stats().entries),
        hit_rate,
        ..Activity::default()
    }
    .emit();
}

/// What has been counted at one time.
#[derive(Debug, Clone, Copy)]
struct Counted {
    at: Instant,
    version: u64,
    answered: u64,
    looked_up: u64,
}

impl Counted {
    fn of(pipeline: &Pipeline, at: Instant) -> Self {
        let stats = pipeline.store.stats();
        let answered = stats.hits + stats.stale_hits;
        let version = pipeline.journal.versions().version;
        Self { at, version, answered, looked_up: answered + stats.misses }
    }
}

/// What was counted within the last hour, oldest first; never empty.
struct Tally(VecDeque<Counted>);

impl From<Counted> for Tally {
    fn from(first: Counted) -> Self {
        Self(VecDeque::from([first]))
    }
}

impl Tally {
    /// Takes what is counted now; gives the updates of an hour at the pace of the last one, and the
    /// part of the lookups since the last time that was answered, where there were any.
    fn take(&mut self, now: Counted) -> (f64, Option<f64>) {
        let last = *self.0.back().expect("it is never empty");
        if now.version < last.version {
            // Somebody set the versions back to 0 in between.
            self.0 = VecDeque::from([Counted { version: 0, ..last }]);
        }
        while self.0.get(1).is_some_and(|next| now.at - next.at >= PACE_TIME) {
            self.0.pop_front();
        }
        let oldest = *self.0.front().expect("it is never empty");
        self.0.push_back(now);
        let hours = (now.at - oldest.at).as_secs_f64() / PACE_TIME.as_secs_f64();
        let updates = (now.version - oldest.version) as f64;
        let pace = if hours > 0.0 { updates / hours } else { 0.0 };
        let (answered, asked) = (now.answered - last.answered, now.looked_up - last.looked_up);
        (pace, (asked > 0).then(|| answered as f64 / asked as f64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// S1 1.35.
    #[test]
    fn the_pace_is_that_of_the_last_hour_and_the_hits_those_since_the_last_line() {
        let begun = Instant::now();
        let counted = |minutes: u64, version, answered, looked_up| Counted {
            at: begun + Duration::from_secs(60 * minutes),
            version,
            answered,
            looked_up,
        };
        let mut tally = Tally::from(counted(0, 100, 0, 0));
        assert_eq!(tally.take(counted(5, 101, 3, 4)), (12.0, Some(0.75)));
        assert_eq!(tally.take(counted(30, 101, 3, 4)), (2.0, None));
        assert_eq!(tally.take(counted(60, 121, 3, 8)), (21.0, Some(0.0)));
        assert_eq!(tally.take(counted(65, 131, 4, 9)), (30.0, Some(1.0)), "since minute 5");
        assert_eq!(tally.take(counted(95, 1, 4, 9)), (2.0, None), "a reset, then one");
    }
}
