//! "I have just started": what an instance says to its mirrors once, and what they make of it.
//!
//! It makes recovery quicker and nothing depends on it: a peer that does not know the call answers
//! 404, and one that missed it finds out by its own checks. The receiver believes nothing in it. It
//! only looks again at a destination that it has configured itself, at most once in a while, so the
//! worst that a forged call can cause is one request for an identity.

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

/// Where every instance takes it.
pub const HELLO_PATH: &str = "/_cache-mirror/hello";

/// Spreads the calls of one start, and those of instances that start together.
const JITTER: Duration = Duration::from_millis(1000);
/// How long a starting instance waits to learn who a peer is.
const KNOWN_WITHIN: Duration = Duration::from_secs(10);
/// How often it looks.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// One peer is looked at again at most this often, however many say hello.
const HEARD_EVERY: Duration = Duration::from_secs(5);
/// The call, from connect to the last byte of the answer.
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
    /// Destinations that are looked at again because of it.
    pub checked: u64,
}

impl Delivery {
    /// An instance of this name says that it has started: looks again at the mirrors that are it,
    /// or that may be it because they never said who they are. Gives how many.
    pub fn receive_hello(&self, instance: &str) -> u64 {
        let mut checked = 0;
        for peer in self.peers.get().iter() {
            if !peer.is_mirror() || !peer.may_be(instance) {
                continue;
            }
            let Some(at) = peer.hear_hello() else { continue };
            checked += 1;
            if at <= Instant::now() {
                peer.look_again();
                log::announced(peer);
                continue;
            }
            let peer = Arc::clone(peer);
            tokio::spawn(async move {
                tokio::time::sleep_until(at).await;
                peer.look_again();
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

    /// When to look again for a hello that is heard now: at once, or where it was looked at just
    /// now, as soon as that may be repeated; not at all where that is planned already.
    fn hear_hello(&self) -> Option<Instant> {
        let now = Instant::now();
        self.with(|state| {
            let at = match state.heard_hello_at {
                Some(last) if last > now => return None,
                Some(last) => now.max(last + HEARD_EVERY),
                None => now,
            };
            state.heard_hello_at = Some(at);
            Some(at)
        })
    }

    /// Looks again. A wait that the peer asked for stays.
    fn look_again(&self) {
        let now = Instant::now();
        self.with(|state| {
            match state.failures {
                0 => state.probed_at = None,
                // The check comes first: a forged hello sends no delivery to a dead peer.
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

/// Says hello to one mirror, once, if it turns out to be a cache-mirror soon enough.
pub async fn announce(peer: Arc<Peer>, shared: Arc<Shared>, stop: CancellationToken) {
    tokio::select! {
        () = stop.cancelled() => {}
        () = send_hello(&peer, &shared) => {}
    }
}

async fn send_hello(peer: &Peer, shared: &Shared) {
    let deadline = Instant::now() + KNOWN_WITHIN;
    tokio::time::sleep(JITTER.mul_f64(chance())).await;
    // The worker logs in when it starts. A login of our own would be one too many where it fails.
    let token = loop {
        match (peer.kind(), peer.account.cached_token().await) {
            (PeerKind::CacheMirror(_), Some(token)) => break token,
            (PeerKind::Legacy | PeerKind::Oneself, _) => return,
            _ if Instant::now() >= deadline => return,
            _ => tokio::time::sleep(LOOK_EVERY).await,
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
    // Whatever it answers, nothing depends on it.
    drop(shared.transport_to(peer).send(request).await);
}
