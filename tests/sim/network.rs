//! The network between instances: a transport that delivers requests, or not.
//!
//! A lost request never arrives; a lost answer leaves its sender in doubt after the effect; a
//! duplicated request arrives twice. A cut applies to both directions of a link. Identity probes
//! never fail: a peer whose probe is lost receives the legacy form, which has no ids to count.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use cache_mirror::deliver::identity::PATH;
use cache_mirror::journal::sim::Chance;
use cache_mirror::net::{Failure, FailureKind, HttpAnswer, Outgoing, Transport};
use futures_util::future::BoxFuture;
use parking_lot::Mutex;

use crate::node::Node;

/// In a hundred.
#[derive(Debug, Clone, Copy, Default)]
pub struct Weather {
    pub lost_requests: u64,
    pub lost_answers: u64,
    pub doubled: u64,
}

pub struct Network {
    nodes: Mutex<Vec<Option<Arc<Node>>>>,
    cuts: Mutex<BTreeSet<(usize, usize)>>,
    weather: Mutex<Weather>,
    chance: Mutex<Chance>,
    /// Sender, receiver and body of every invalidation that arrived.
    pub arrived: Mutex<Vec<(usize, usize, String)>>,
}

impl Network {
    pub fn new(count: usize, seed: u64) -> Self {
        Self {
            nodes: Mutex::new((0..count).map(|_| None).collect()),
            cuts: Mutex::default(),
            weather: Mutex::default(),
            chance: Mutex::new(Chance(seed)),
            arrived: Mutex::default(),
        }
    }

    pub fn put(&self, at: usize, node: Option<Arc<Node>>) {
        self.nodes.lock()[at] = node;
    }

    pub fn node(&self, at: usize) -> Option<Arc<Node>> {
        self.nodes.lock()[at].clone()
    }

    pub fn set_weather(&self, weather: Weather) {
        *self.weather.lock() = weather;
    }

    pub fn cut(&self, a: usize, b: usize, is_cut: bool) {
        let link = (a.min(b), a.max(b));
        let mut cuts = self.cuts.lock();
        if is_cut {
            cuts.insert(link)
        } else {
            cuts.remove(&link)
        };
    }

    pub fn draw(&self, bound: u64) -> u64 {
        self.chance.lock().below(bound)
    }

    fn happens(&self, in_a_hundred: u64) -> bool {
        self.draw(100) < in_a_hundred
    }

    async fn carry(&self, from: usize, request: Outgoing) -> Result<HttpAnswer, Failure> {
        let fail = |kind| Err(Failure { kind, cause: "the weather".into() });
        let delay = Duration::from_millis(self.draw(30));
        tokio::time::sleep(delay).await;
        let to = host(&request);
        let Some(node) = self.node(to) else { return fail(FailureKind::Connect) };
        if self.cuts.lock().contains(&(from.min(to), from.max(to))) {
            return fail(FailureKind::Connect);
        }
        let is_probe = request.url.path() == PATH;
        let weather = if is_probe { Weather::default() } else { *self.weather.lock() };
        if self.happens(weather.lost_requests) {
            tokio::time::sleep(request.timeout).await;
            return fail(FailureKind::Timeout);
        }
        if request.url.path().ends_with("invalidate") {
            let body = String::from_utf8_lossy(&request.body).into_owned();
            self.arrived.lock().push((from, to, body));
        }
        let answer = node.answer(request.clone()).await;
        if self.happens(weather.doubled) {
            drop(node.answer(request.clone()).await);
        }
        if self.happens(weather.lost_answers) {
            tokio::time::sleep(request.timeout).await;
            return fail(FailureKind::Timeout);
        }
        Ok(answer)
    }
}

fn host(request: &Outgoing) -> usize {
    let host = request.url.host_str().expect("a host");
    host.trim_start_matches('n').parse().expect("n and a number")
}

/// One instance's end of the network.
pub struct End {
    pub network: Arc<Network>,
    pub at: usize,
}

impl Transport for End {
    fn send(&self, request: Outgoing) -> BoxFuture<'_, Result<HttpAnswer, Failure>> {
        Box::pin(self.network.carry(self.at, request))
    }

    fn send_alone(&self, request: Outgoing) -> BoxFuture<'_, Result<HttpAnswer, Failure>> {
        self.send(request)
    }
}
