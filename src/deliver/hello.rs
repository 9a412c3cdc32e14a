//! The hello: an instance announces its start to its mirrors once, and they probe it again.
//!
//! It makes recovery quicker, and nothing depends on it: a peer that does not know the call answers
//! 404, and one that missed it notices the start by its own checks. The receiver trusts nothing in
//! the call. It only probes a destination from its own settings, at most once in a while. So a
//! forged call causes at most one identity request.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use reqwest::Method;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::credentials::below;
use super::peer::{PauseReason, Peer, PeerKind};
use super::worker::VIA;
use super::{Delivery, Shared, log};
use crate::net::Outgoing;
use crate::support::backoff::chance;

/// The path of the call at every instance.
pub const HELLO_PATH: &str = "/_cache-mirror/hello";

/// Spreads the calls of one start, and the calls of instances that start together.
const JITTER: Duration = Duration::from_millis(1000);
/// How long a starting instance waits until the kind of a peer is known.
const KNOWN_WITHIN: Duration = Duration::from_secs(10);
/// How often it checks the kind.
const CHECK_EVERY: Duration = Duration::from_millis(250);
/// One peer is probed at most this often because of hellos.
const PROBE_EVERY: Duration = Duration::from_secs(5);
/// The time limit of the call, from connect to the last byte of the answer.
const TIME_MAX: Duration = Duration::from_secs(3);

/// The body of the call.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Hello {
    /// `instance.name` of the caller.
    pub instance: String,
}

/// The answer.
#[derive(Debug, Clone, Serialize, schemars::JsonSchema)]
#[schemars(rename = "Greeted")]
pub struct HelloAnswer {
    /// Destinations that are probed because of it.
    pub checked: u64,
}

impl Delivery {
    /// Handles the hello of the instance with this name: probes the mirrors that have this name,
    /// and those that may have it because their identity is unknown. Returns their number.
    pub fn receive_hello(&self, instance: &str) -> u64 {
        let mut checked = 0;
        for peer in self.peers.get().iter() {
            if !peer.is_mirror() || !peer.may_be(instance) {
                continue;
            }
            let Some(at) = peer.schedule_probe() else { continue };
            checked += 1;
            if at <= Instant::now() {
                peer.probe_after_hello();
                log::announced(peer);
                continue;
            }
            let peer = Arc::clone(peer);
            tokio::spawn(async move {
                tokio::time::sleep_until(at).await;
                peer.probe_after_hello();
            });
        }
        checked
    }
}

impl Peer {
    fn may_be(&self, instance: &str) -> bool {
        self.with(|state| match &state.kind {
            PeerKind::CacheMirror(Some(identity)) => identity.instance == instance,
            PeerKind::CacheMirror(None) | PeerKind::Unknown => true,
            PeerKind::Legacy | PeerKind::Oneself => false,
        })
    }

    /// When to probe because of a hello that arrives now: at once, or as soon as the interval
    /// allows. `None` if a probe is already planned.
    fn schedule_probe(&self) -> Option<Instant> {
        let now = Instant::now();
        self.with(|state| {
            let at = match state.hello_probe_at {
                Some(last) if last > now => return None,
                Some(last) => now.max(last + PROBE_EVERY),
                None => now,
            };
            state.hello_probe_at = Some(at);
            Some(at)
        })
    }

    /// Probes the peer. A wait that the peer asked for stays.
    fn probe_after_hello(&self) {
        let now = Instant::now();
        self.with(|state| {
            match state.failures {
                0 => state.probed_at = None,
                // The check comes first, so that a forged hello sends no delivery to a dead peer.
                _ => state.outage.suspect(),
            }
            if !state.throttle.is_on(now) {
                state.not_before = None;
                state.pause = state.pause.filter(|pause| *pause != PauseReason::Auth);
            }
        });
        self.wake.notify_one();
    }
}

/// Sends the hello to one mirror, once, if its kind is known in time and it is a cache-mirror.
pub async fn announce(peer: Arc<Peer>, shared: Arc<Shared>, stop: CancellationToken) {
    tokio::select! {
        () = stop.cancelled() => {}
        () = send_hello(&peer, &shared) => {}
    }
}

async fn send_hello(peer: &Peer, shared: &Shared) {
    let deadline = Instant::now() + KNOWN_WITHIN;
    tokio::time::sleep(JITTER.mul_f64(chance())).await;
    // The worker logs in when it starts. A separate login would double the attempts with bad
    // credentials.
    let token = loop {
        match (peer.kind(), peer.account.cached_token().await) {
            (PeerKind::CacheMirror(_), Some(token)) => break token,
            (PeerKind::Legacy | PeerKind::Oneself, _) => return,
            _ if Instant::now() >= deadline => return,
            _ => tokio::time::sleep(CHECK_EVERY).await,
        }
    };
    let Some(url) = below(&peer.config.base, HELLO_PATH) else { return };
    let hello = Hello { instance: shared.sender.instance.clone() };
    let request = Outgoing {
        method: Method::POST,
        url,
        headers: vec![
            (CONTENT_TYPE, "application/json".into()),
            (ACCEPT, "application/json".into()),
            (AUTHORIZATION, format!("Bearer {}", token.expose())),
            (VIA, hello.instance.clone()),
        ],
        body: Bytes::from(serde_json::to_vec(&hello).unwrap_or_default()),
        timeout: shared.config.get().timeout.min(TIME_MAX),
    };
    // Nothing depends on the answer.
    drop(shared.transport_to(peer).send(request).await);
}
