//! What several tests of this room share.

use std::time::Duration;

use super::*;
use crate::domain::Mode;
use crate::support::backoff::Backoff;

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
        widened_all: Mode::Soft,
        echo_window: Duration::from_secs(120),
        echo: Backoff { min: Duration::from_secs(1), max: Duration::from_secs(60) },
    }
}
