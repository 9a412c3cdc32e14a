//! The same events again, on a clock that only this moves: what a limit would have made of them.
//!
//! The limiter is the real one, and the rule of merging that of `deliver::worker`: a send goes out
//! as soon as something waits and the limiter allows it, and takes all that gathered by then.
//! Nothing is lost, and no event waits longer than one send or one period of the limit, whichever
//! is longer. Failures are not replayed.

use std::time::Duration;

use governor::clock::FakeRelativeClock;

use crate::deliver::Limiter;

/// Events in one batch, the default of `mirrors.batch_events_max`.
const BATCH_EVENTS_MAX: u64 = 1000;

/// One accepted invalidation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arrival {
    /// Since the first.
    pub at: Duration,
    /// Events in it, at least one.
    pub events: u32,
}

/// A limit to try.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    pub rate_per_second: f64,
    pub burst: u32,
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Sent {
    pub requests: u64,
    pub events: u64,
    /// From acceptance to the beginning of the send, and for how many events; shortest first.
    delays: Vec<(Duration, u32)>,
}

impl Sent {
    /// Events that went along with another one.
    pub fn merged(&self) -> u64 {
        self.events - self.requests
    }

    /// The delay that this part of the events did not exceed.
    pub fn delay(&self, part: f64) -> Duration {
        let rank = (self.events as f64 * part).ceil().max(1.0) as u64;
        let mut passed = 0;
        for (delay, events) in &self.delays {
            passed += u64::from(*events);
            if passed >= rank {
                return *delay;
            }
        }
        self.delays.last().map_or(Duration::ZERO, |(delay, _)| *delay)
    }
}

/// Sends arrivals, which are in order, at a pace to a mirror that takes so long for each request.
pub fn replay(arrivals: &[Arrival], pace: Pace, send: Duration) -> Sent {
    let clock = FakeRelativeClock::default();
    let limiter = Limiter::on(clock.clone(), pace.rate_per_second, pace.burst);
    let mut now = Duration::ZERO;
    let mut pass = |time: Duration| {
        clock.advance(time);
        now += time;
        now
    };
    let mut sent = Sent::default();
    let mut waiting = arrivals;
    while let Some(first) = waiting.first() {
        let mut begun = pass(Duration::ZERO);
        begun = pass(first.at.saturating_sub(begun));
        while let Err(wait) = limiter.try_turn() {
            begun = pass(wait.max(Duration::from_nanos(1)));
        }
        let (taken, rest) = waiting.split_at(gathered(waiting, begun));
        sent.requests += 1;
        for arrival in taken {
            sent.events += u64::from(arrival.events);
            sent.delays.push((begun - arrival.at, arrival.events));
        }
        waiting = rest;
        pass(send);
    }
    sent.delays.sort_unstable();
    sent
}

/// How many arrivals one batch takes at that time: the first always, however large it is.
fn gathered(waiting: &[Arrival], now: Duration) -> usize {
    let mut events = 0;
    let fits = |arrival: &&Arrival| {
        events += u64::from(arrival.events);
        arrival.at <= now && events <= BATCH_EVENTS_MAX
    };
    waiting.iter().take_while(fits).count().max(1)
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use proptest::prelude::*;

    use super::*;

    fn at(ms: u64) -> Arrival {
        Arrival { at: Duration::from_millis(ms), events: 1 }
    }

    fn pace(rate_per_second: f64, burst: u32) -> Pace {
        Pace { rate_per_second, burst }
    }

    const SEND: Duration = Duration::from_millis(10);

    #[test]
    fn what_is_alone_goes_at_once_and_what_gathers_goes_together() {
        let apart: Vec<Arrival> = (0..10).map(|n| at(n * 1000)).collect();
        let sent = replay(&apart, pace(5.0, 1), SEND);
        assert_eq!((sent.requests, sent.merged(), sent.delay(1.0)), (10, 0, Duration::ZERO));

        // One goes at once; the nine that come during its send and the wait go together.
        let together: Vec<Arrival> = (0..10).map(at).collect();
        let sent = replay(&together, pace(5.0, 1), SEND);
        assert_eq!((sent.requests, sent.merged()), (2, 8));
        assert_eq!(sent.delay(1.0), Duration::from_millis(199));
        // Without a limit to speak of, only the send in flight holds them.
        let sent = replay(&together, pace(1e6, 1), SEND);
        assert_eq!((sent.requests, sent.delay(1.0)), (2, Duration::from_millis(9)));
    }

    #[test]
    fn a_batch_is_bounded_and_one_that_is_larger_goes_alone() {
        let many = |events| Arrival { at: Duration::ZERO, events };
        let sent = replay(&[many(600), many(600), many(5000), many(1)], pace(1e6, 100), SEND);
        assert_eq!((sent.requests, sent.events), (4, 6201));
    }

    proptest! {
        /// Nothing is lost, and nothing waits longer than one send or one period.
        #[test]
        fn all_is_sent_and_no_wait_is_longer_than_it_must_be(
            gaps in prop::collection::vec((0_u64..400, 1_u32..4), 1..200),
            rate in 0.5_f64..200.0,
            burst in 1_u32..5,
            send_ms in 0_u64..300,
        ) {
            let mut time = 0;
            let arrivals: Vec<Arrival> = gaps
                .iter()
                .map(|(gap, events)| {
                    time += gap;
                    Arrival { events: *events, ..at(time) }
                })
                .collect();
            let send = Duration::from_millis(send_ms);
            let sent = replay(&arrivals, pace(rate, burst), send);
            let events: u64 = arrivals.iter().map(|arrival| u64::from(arrival.events)).sum();
            prop_assert_eq!(sent.events, events);
            prop_assert!(sent.requests >= 1 && sent.requests <= arrivals.len() as u64);
            let period = Duration::from_secs_f64(1.0 / rate) + Duration::from_nanos(1);
            prop_assert!(sent.delay(1.0) <= period.max(send), "{:?}", sent.delay(1.0));
            prop_assert!(sent.delay(0.5) <= sent.delay(0.99));
            // As many as the limit allows in that time, and no more.
            let span = Duration::from_millis(time) + period;
            let allowed = f64::from(burst) + span.as_secs_f64() * rate + 1.0;
            prop_assert!(sent.requests as f64 <= allowed, "{} of {allowed}", sent.requests);
        }
    }

    /// The same arrivals at real pace, through the same limiter and tokio's clock.
    async fn live(arrivals: &[Arrival], pace: Pace, send: Duration) -> (u64, u64) {
        let limiter = Limiter::new(pace.rate_per_second, pace.burst);
        let begun = tokio::time::Instant::now();
        let (mut requests, mut events, mut waiting) = (0, 0, arrivals);
        while let Some(first) = waiting.first() {
            tokio::time::sleep_until(begun + first.at).await;
            limiter.turn().await;
            let (taken, rest) = waiting.split_at(gathered(waiting, begun.elapsed()));
            (requests, waiting) = (requests + 1, rest);
            events += taken.iter().map(|arrival| u64::from(arrival.events)).sum::<u64>();
            tokio::time::sleep(send).await;
        }
        (requests, events)
    }

    /// Counts, not times: a busy machine merges one more or less.
    #[tokio::test]
    async fn a_small_case_at_real_pace_needs_as_many_requests() {
        let arrivals: Vec<Arrival> = (0..60).map(|n| at(n * 15)).collect();
        let pace = pace(8.0, 2);
        let sent = replay(&arrivals, pace, SEND);
        let (requests, events) = live(&arrivals, pace, SEND).await;
        assert_eq!((sent.events, events), (60, 60));
        assert!(
            requests.abs_diff(sent.requests) <= 2,
            "{requests} live, {} replayed",
            sent.requests
        );
        assert!((6..=11).contains(&sent.requests), "{}", sent.requests);
    }

    #[test]
    fn an_hour_of_traffic_is_replayed_in_no_time() {
        let hour: Vec<Arrival> = (0..36_000).map(|n| at(n * 100)).collect();
        let begun = Instant::now();
        let sent = replay(&hour, pace(5.0, 20), SEND);
        assert_eq!(sent.events, 36_000);
        assert!((17_990..=18_021).contains(&sent.requests), "{}", sent.requests);
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    }
}
