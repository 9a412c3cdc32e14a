//! Parts of scenes: instances as child processes, scripted peers, listeners.
//!
//! Nothing here knows what a scene expects; it only acts and reports.

#![allow(dead_code, unused_imports, reason = "each scene uses a part of it")]

mod caches;
pub mod cdn;
mod clock;
mod node;
mod ports;
mod scene;
mod sse;
mod stub;
mod tokens;
mod ws;

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

pub use caches::Cache;
pub use clock::Clock;
pub use node::{Answer, Node, Spec, client};
pub use ports::free_port;
pub use scene::Scene;
pub use sse::{Frame, Sse};
pub use stub::{IDENTITY, INVALIDATE, LOGIN, Reply, Seen, StubPeer};
pub use tokens::{mint, sign, webhook_signature};
pub use ws::{ACCEPT, HANDSHAKE, Ws};

/// How long a scene waits for what must come; far more than it takes, for a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// The service account of every instance and stub.
pub const SERVICE_EMAIL: &str = "mirror@example.test";
/// Its password.
pub const SERVICE_PASSWORD: &str = "a-password-of-the-tests";
/// The key all instances sign with by default.
pub const JWT_SECRET: &str = "a-jwt-secret-of-the-tests-0123456789";

/// Waits until `condition` holds.
///
/// # Panics
/// With `what` where it does not hold within `deadline`.
pub async fn eventually_within(
    deadline: Duration,
    what: &str,
    mut condition: impl AsyncFnMut() -> bool,
) {
    let until = Instant::now() + deadline;
    while !condition().await {
        assert!(Instant::now() < until, "not within {deadline:?}: {what}");
        // Between two looks at another process, which cannot ring.
        tokio::time::sleep(Duration::from_millis(15)).await;
    }
}

/// Waits until `condition` holds, as long as a scene waits for anything.
pub async fn eventually(what: &str, condition: impl AsyncFnMut() -> bool) {
    eventually_within(PATIENCE, what, condition).await;
}

/// The id of an acknowledged event.
pub fn id_of(answer: &Value) -> String {
    answer["id"].as_str().expect("an acknowledged event has an id").to_owned()
}

/// How often each event id took effect, by the journal that [`Node::journal`] gave.
pub fn effects(journal: &[Value]) -> BTreeMap<String, usize> {
    let mut effects: BTreeMap<String, usize> = BTreeMap::new();
    for event in journal {
        let mut ids: Vec<&str> =
            event["covers"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        ids.extend(event["id"].as_str());
        ids.sort_unstable();
        ids.dedup();
        ids.into_iter().for_each(|id| *effects.entry(id.to_owned()).or_default() += 1);
    }
    effects
}

/// The status of each mirror in an answer or an event, by name.
pub fn outcomes(event: &Value) -> BTreeMap<String, String> {
    let mirrors = event["mirrors"].as_array().into_iter().flatten();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    mirrors.map(|outcome| (text(&outcome["peer"]), text(&outcome["status"]))).collect()
}
