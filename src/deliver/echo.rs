//! The fourth wall: a mirror that strips every mark and sends our own words back.
//!
//! What was sent to a mirror is remembered for a while. Where the same comes back unmarked from
//! that mirror's address or under its account, it is applied at once like anything else, but
//! mirrored onwards only after a wait that doubles from a second to a minute, merged with whatever
//! else came back meanwhile. So a hostile link carries at most one event a minute, and nothing is
//! ever dropped.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::domain::Selectors;
use crate::support::Live;
use crate::support::backoff::Backoff;

/// Sends remembered of one mirror; the oldest are joined together past it.
const SENDS_MAX: usize = 256;
/// Selectors in one joined memory before it is widened: a wider memory only suspects more.
const MEMBERS_MAX: usize = 4096;

/// Memory and waits of the quench.
pub struct Echo {
    limits: Live<Limits>,
    links: Mutex<BTreeMap<String, Link>>,
    rearmed: Notify,
}

struct Limits {
    window: Duration,
    waits: Backoff,
}

#[derive(Default)]
struct Link {
    sent: VecDeque<(Instant, Selectors)>,
    echoes_in_a_row: u32,
    last_echo: Option<Instant>,
    release_at: Option<Instant>,
}

impl Echo {
    /// Remembers sends for `window`; waits as told.
    pub fn new(window: Duration, waits: Backoff) -> Self {
        let limits = Live::new(Limits { window, waits });
        Self { limits, links: Mutex::default(), rearmed: Notify::new() }
    }

    /// Goes on with these. A wait that has begun ends as it was given.
    pub fn adopt(&self, window: Duration, waits: Backoff) {
        self.limits.set(Limits { window, waits });
    }

    /// Notes what a mirror is about to be told.
    pub fn sent(&self, peer: &str, selectors: &Selectors) {
        let now = Instant::now();
        let mut links = self.links.lock();
        let link = links.entry(peer.to_owned()).or_default();
        link.forget_before(now, self.limits.get().window);
        if link.sent.len() >= SENDS_MAX
            && let Some((at, newest)) = link.sent.back_mut()
        {
            *at = now;
            newest.join(selectors);
            newest.widen_to(MEMBERS_MAX);
            return;
        }
        link.sent.push_back((now, selectors.clone()));
    }

    /// Whether these selectors are what this mirror was told within the window.
    pub fn is_echo(&self, peer: &str, selectors: &Selectors) -> bool {
        let mut links = self.links.lock();
        let Some(link) = links.get_mut(peer) else { return false };
        link.forget_before(Instant::now(), self.limits.get().window);
        selectors.iter().all(|one| link.sent.iter().any(|(_, told)| told.covers_one(&one)))
    }

    /// Notes an echo and says how long its re-mirroring waits. One already waiting is joined.
    pub fn quench(&self, peer: &str) -> Duration {
        let now = Instant::now();
        let waits = self.limits.get().waits;
        let mut links = self.links.lock();
        let link = links.entry(peer.to_owned()).or_default();
        if let Some(at) = link.release_at {
            return at.saturating_duration_since(now);
        }
        let is_quiet = link.last_echo.is_none_or(|at| now - at > waits.max * 2);
        link.echoes_in_a_row = if is_quiet { 1 } else { link.echoes_in_a_row.saturating_add(1) };
        link.last_echo = Some(now);
        let wait = waits.bound(link.echoes_in_a_row);
        link.release_at = Some(now + wait);
        drop(links);
        self.rearmed.notify_one();
        wait
    }

    /// Waits for the next mirror whose held-back events may go, and names it.
    pub async fn next_release(&self) -> String {
        loop {
            let next = {
                let links = self.links.lock();
                links
                    .iter()
                    .filter_map(|(peer, link)| link.release_at.map(|at| (at, peer.clone())))
                    .min()
            };
            let Some((at, peer)) = next else {
                self.rearmed.notified().await;
                continue;
            };
            tokio::select! {
                () = tokio::time::sleep_until(at) => {
                    if let Some(link) = self.links.lock().get_mut(&peer) {
                        link.release_at = None;
                    }
                    return peer;
                }
                () = self.rearmed.notified() => {}
            }
        }
    }
}

impl Link {
    fn forget_before(&mut self, now: Instant, window: Duration) {
        while self.sent.front().is_some_and(|(at, _)| now.duration_since(*at) > window) {
            self.sent.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Selector, TypeName};

    fn types(text: &str) -> Selectors {
        Selectors::one(Selector::Type(TypeName::parse(text).expect("type")))
    }

    fn echo() -> Echo {
        let waits = Backoff { min: Duration::from_secs(1), max: Duration::from_secs(60) };
        Echo::new(Duration::from_secs(120), waits)
    }

    #[tokio::test(start_paused = true)]
    async fn only_what_was_sent_to_that_mirror_lately_is_an_echo() {
        let echo = echo();
        echo.sent("b", &types("posts"));
        assert!(echo.is_echo("b", &types("post")));
        assert!(!echo.is_echo("b", &types("pages")));
        assert!(!echo.is_echo("c", &types("posts")));
        tokio::time::advance(Duration::from_secs(121)).await;
        assert!(!echo.is_echo("b", &types("posts")));
    }

    /// Growth at most one event a minute and link, for ever.
    #[tokio::test(start_paused = true)]
    async fn waits_double_to_a_minute_and_merge() {
        let echo = echo();
        let mut waits = vec![];
        for _ in 0..8 {
            waits.push(echo.quench("b").as_secs());
            assert!(echo.quench("b") <= Duration::from_secs(60), "a second echo joins the first");
            assert_eq!(echo.next_release().await, "b");
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60]);
        tokio::time::advance(Duration::from_secs(121)).await;
        assert_eq!(echo.quench("b"), Duration::from_secs(1), "a quiet link starts afresh");
    }
}
