//! The difference between a destination's clock and ours, as the `Date` of each answer shows it.
//!
//! Clocks decide nothing about events. They decide whether a signed token is valid, and a token
//! that is refused because of a clock looks like one with a wrong key; so the clock is named.

use std::net::SocketAddr;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use url::Url;

use super::log;
use super::peer::Peer;
use crate::net::{Failure, HttpAnswer, Outgoing, Transport};
use crate::support::clock;

/// From this difference on there is a warning, in seconds: more than a slow answer, and less than
/// any token lives.
const WARNED_FROM_S: i64 = 30;
/// From this difference on a refusal of a token names it, in seconds: what is tolerated by default.
const NAMED_FROM_S: i64 = 5;

/// The last difference that was seen.
#[derive(Debug, Default)]
pub struct Skew {
    /// In seconds; above zero where the destination's clock is ahead.
    seconds: i64,
    is_logged: bool,
}

impl Skew {
    /// Takes the `Date` of an answer to a question that was under way from `asked_ms` to
    /// `answered_ms`; says whether a difference that matters is news.
    fn note(&mut self, date_ms: u64, asked_ms: u64, answered_ms: u64) -> bool {
        self.seconds = seconds(date_ms, asked_ms, answered_ms);
        let is_large = self.seconds.abs() >= WARNED_FROM_S;
        let is_news = is_large && !self.is_logged;
        self.is_logged = is_large;
        is_news
    }

    /// The difference in words, where it may be why a token is refused.
    pub fn description(&self) -> Option<String> {
        let way = if self.seconds > 0 { "ahead" } else { "behind" };
        (self.seconds.abs() >= NAMED_FROM_S).then(|| {
            let by = self.seconds.abs();
            format!("the clock of this host and of the peer differ by {by} s (the peer's is {way})")
        })
    }
}

/// `Date` counts whole seconds, so an answer's time lies within the second after it.
fn seconds(date_ms: u64, asked_ms: u64, answered_ms: u64) -> i64 {
    let ahead = date_ms.saturating_sub(answered_ms);
    let behind = asked_ms.saturating_sub(date_ms.saturating_add(999));
    let seconds = |ms: u64| i64::try_from(ms / 1000).unwrap_or(i64::MAX);
    if ahead > 0 { seconds(ahead) } else { -seconds(behind) }
}

/// A way to one destination that looks at the clock in each answer.
pub struct WatchedTransport {
    over: Arc<dyn Transport>,
    peer: Arc<Peer>,
}

impl WatchedTransport {
    /// Over this transport, or over the destination's own.
    pub fn new(shared: Arc<dyn Transport>, peer: Arc<Peer>) -> Self {
        let over = match &peer.config.network {
            Some(own) => Arc::clone(own) as Arc<dyn Transport>,
            None => shared,
        };
        Self { over, peer }
    }

    fn look(
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
        Box::pin(async move { self.look(asked_ms, self.over.send(request).await) })
    }

    fn send_alone(&self, request: Outgoing) -> BoxFuture<'_, Result<HttpAnswer, Failure>> {
        let asked_ms = clock::wall_ms();
        Box::pin(async move { self.look(asked_ms, self.over.send_alone(request).await) })
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
        Box::pin(async move { self.look(asked_ms, self.over.send_to(request, address).await) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_is_told_once_and_again_after_it_was_gone() {
        let mut skew = Skew::default();
        let minute = 60_000;
        assert!(!skew.note(10 * minute, 10 * minute, 10 * minute + 900));
        assert_eq!(skew.description(), None);
        assert!(skew.note(20 * minute + 2_000, 10 * minute, 10 * minute));
        let words = "the clock of this host and of the peer differ by 602 s (the peer's is ahead)";
        assert_eq!(skew.description().as_deref(), Some(words));
        assert!(!skew.note(20 * minute, 10 * minute, 10 * minute), "not with every answer");
        assert!(!skew.note(10 * minute, 10 * minute, 10 * minute));
        assert!(skew.note(minute, 10 * minute, 10 * minute));
        assert!(skew.description().is_some_and(|words| words.contains("behind")));
        let mut small = Skew::default();
        assert!(!small.note(10 * minute - 20_999, 10 * minute, 10 * minute));
        assert!(
            small.description().is_some_and(|words| words.contains("20 s")),
            "named in a refusal"
        );
    }

    /// A slow answer is no skew: the time of the exchange is within it.
    #[test]
    fn a_slow_answer_is_no_difference() {
        assert_eq!(seconds(50_000, 10_000, 90_000), 0);
        assert_eq!(seconds(10_000, 10_999, 90_000), 0);
        assert_eq!(seconds(u64::MAX, 0, 0), i64::try_from(u64::MAX / 1000).expect("it fits"));
    }
}
