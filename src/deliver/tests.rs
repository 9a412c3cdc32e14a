//! Scenes of delivery: a journal on a simulated disk, peers that follow a script, and a clock that
//! advances only while all tasks wait.
//!
//! The rate limiter has its own clock, which does not pause. Its rates are high here.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::*;
use crate::domain::{Event, Mode};
use crate::support::backoff::Backoff;

mod accounts;
mod acknowledgements;
mod adopt;
mod alerts;
mod batches;
mod identities;
mod legacy;
mod operators;
mod parked;
mod peers;
mod purges;
mod recovery;
mod scene;
mod stub;
mod targets;
mod ways;
mod wide;

use scene::{Scene, mirrored, peer, tag, whole};
use stub::{Asked, Reaction, What, answer, token};

/// A configuration with the documented defaults and these peers.
pub(super) fn config(peers: Vec<PeerConfig>) -> Config {
    Config {
        peers,
        timeout: Duration::from_secs(10),
        connect_time_max: Duration::from_secs(5),
        batch_events_max: 1000,
        batch_bytes_max: 512 * 1024,
        backoff: Backoff { min: Duration::from_millis(250), max: Duration::from_secs(60) },
        breaker_failures: 5,
        probe_every: Duration::from_secs(300),
        answer_bytes_max: 64 * 1024,
        widened_all: WidenedAll::AsMerged,
        forget_after: Duration::from_secs(86_400),
        revalidate_secrets: vec![],
        echo_window: Duration::from_secs(120),
        echo: Backoff { min: Duration::from_secs(1), max: Duration::from_secs(60) },
        mint: Mint::default(),
    }
}
