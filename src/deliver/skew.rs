//! The difference between a destination's clock and ours, measured by the `Date` of each answer.
//!
//! Clocks decide nothing about events. They decide whether a signed token is valid. A token that is
//! refused because of a clock looks like one with a wrong key, so errors name the difference.

use std::net::SocketAddr;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use url::Url;

use super::log;
use super::peer::Peer;
use crate::net::{Failure, HttpAnswer, Outgoing, Transport};
use crate::support::clock;

/// A difference from this many seconds is logged as a warning: longer than a slow answer, and
/// shorter than the life of any token.
const WARNED_FROM_S: i64 = 30;
/// A difference from this many seconds is named in a refusal of a token: the default tolerance of
/// verifiers.
const NAMED_FROM_S: i64 = 5;

/// The last measured difference.
#[derive(Debug, Default)]
pub struct Skew {
    /// In seconds. It is positive if the destination's clock is ahead.
    seconds: i64,
    is_logged: bool,
}

impl Skew {
    /// Records the `Date` of an answer to a request that was sent at `asked_ms` and answered at
    /// `answered_ms`. Returns whether a large difference is new, and so must be logged.
    fn note(&mut self, date_ms: u64, asked_ms: u64, answered_ms: u64) -> bool {
        self.seconds = seconds(date_ms, asked_ms, answered_ms);
        let is_large = self.seconds.abs() >= WARNED_FROM_S;
        let is_news = is_large && !self.is_logged;
        self.is_logged = is_large;
        is_news
    }

    /// A description of the difference, if it may be why a token is refused.
    pub fn description(&self) -> Option<String> {
        let way = if self.seconds > 0 { "ahead" } else { "behind" };
        (self.seconds.abs() >= NAMED_FROM_S).then(|| {
            let by = self.seconds.abs();
            format!("the clock of this host and of the peer differ by {by} s (the peer's is {way})")
        })
    }
}

/// `Date` has whole seconds, so the answer was made within the second after it.
fn seconds(date_ms: u64, asked_ms: u64, answered_ms: u64) -> i64 {
    let ahead = date_ms.saturating_sub(answered_ms);
    let behind = asked_ms.saturating_sub(date_ms.saturating_add(999));
    let seconds = |ms: u64| i64::try_from(ms / 1000).unwrap_or(i64::MAX);
    if ahead > 0 { seconds(ahead) } else { -seconds(behind) }
}

/// A transport to one destination that measures the clock in each answer.
pub struct WatchedTransport {
    over: Arc<dyn Transport>,
    peer: Arc<Peer>,
}

impl WatchedTransport {
    /// Uses the destination's own transport if it has one, else the shared one.
    pub fn new(shared: Arc<dyn Transport>, peer: Arc<Peer>) -> Self {
        let over = match &peer.config.network {
            Some(own) => Arc::clone(own) as Arc<dyn Transport>,
            None => shared,
        };
        Self { over, peer }
    }

    fn measure(
        &self,
        asked_ms: u64,
        answered: Result<HttpAnswer, Failure>,
    ) -> Result<HttpAnswer, Failure> {
        let date_ms = answered.as_ref().ok().and_then(|answer| answer.date_ms);
        if let Some(date_ms) = date_ms {
            let now = clock::wall_ms();
            if self.peer.with(|state| state.skew.note(date_ms, asked_ms, now)) {
                log::skewed(&self.peer);
            }
        }
        answered
    }
}

impl Transport for WatchedTransport {
    fn send(&self, request: Outgoing) -> BoxFuture<'_, Result<HttpAnswer, Failure>> {
        let asked_ms = clock::wall_ms();
        Box::pin(async move { self.measure(asked_ms, self.over.send(request).await) })
    }

    fn send_alone(&self, request: Outgoing) -> BoxFuture<'_, Result<HttpAnswer, Failure>> {
        let asked_ms = clock::wall_ms();
        Box::pin(async move { self.measure(asked_ms, self.over.send_alone(request).await) })
    }

    fn addresses(&self, url: &Url) -> BoxFuture<'_, Result<Vec<SocketAddr>, Failure>> {
        self.over.addresses(url)
    }

    fn send_to(
        &self,
        request: Outgoing,
        address: SocketAddr,
    ) -> BoxFuture<'_, Result<HttpAnswer, Failure>> {
        let asked_ms = clock::wall_ms();
        Box::pin(async move { self.measure(asked_ms, self.over.send_to(request, address).await) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_is_logged_once_and_again_after_it_was_gone() {
        let mut skew = Skew::default();
        let minute = 60_000;
        assert!(!skew.note(10 * minute, 10 * minute, 10 * minute + 900));
        assert_eq!(skew.description(), None);
        assert!(skew.note(20 * minute + 2_000, 10 * minute, 10 * minute));
        let text = "the clock of this host and of the peer differ by 602 s (the peer's is ahead)";
        assert_eq!(skew.description().as_deref(), Some(text));
        assert!(!skew.note(20 * minute, 10 * minute, 10 * minute), "not with every answer");
        assert!(!skew.note(10 * minute, 10 * minute, 10 * minute));
        assert!(skew.note(minute, 10 * minute, 10 * minute));
        assert!(skew.description().is_some_and(|text| text.contains("behind")));
        let mut small = Skew::default();
        assert!(!small.note(10 * minute - 20_999, 10 * minute, 10 * minute));
        assert!(
            small.description().is_some_and(|text| text.contains("20 s")),
            "named in a refusal"
        );
    }

    /// A slow answer is no difference: the date lies within the time of the exchange.
    #[test]
    fn a_slow_answer_is_no_difference() {
        assert_eq!(seconds(50_000, 10_000, 90_000), 0);
        assert_eq!(seconds(10_000, 10_999, 90_000), 0);
        assert_eq!(seconds(u64::MAX, 0, 0), i64::try_from(u64::MAX / 1000).expect("it fits"));
    }
}
