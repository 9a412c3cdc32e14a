//! Keys that another issuer publishes: fetched, kept for a while, fetched again.
//!
//! One fetch runs at a time, and fetches keep a minimum interval, so that invented key names cannot
//! flood the issuer with requests. While the issuer is down, the known keys stay valid up to a
//! limit. A fetch is a task of its own: a client that disconnects cannot cancel it. No lock is held
//! over an await.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jsonwebtoken::{Algorithm, DecodingKey};
use parking_lot::Mutex;
use reqwest::Method;
use reqwest::header::ACCEPT;
use serde_json::Value;
use tokio::sync::watch;
use tokio::time::Instant;

use super::header::Header;
use super::key::{Expected, Key};
use super::{JwksConfig, jwk};
use crate::activity::{Activity, ActivityKind, Level};
use crate::net::{Outgoing, Transport};
use crate::support::boot::Moment;

/// Bytes of a key set. The largest in public use are under 20 KiB.
pub const JWKS_BYTES_MAX: usize = 64 * 1024;
/// Keys of one set. A token without `kid` is tried with each that fits.
const KEYS_MAX: usize = 32;
/// Time limit of a whole fetch: requests wait for it.
pub const JWKS_TIME_MAX: Duration = Duration::from_secs(5);

/// The keys of one fetch.
#[derive(Debug)]
pub(super) struct KeySet {
    by_id: BTreeMap<String, Key>,
    nameless: Vec<Key>,
    fetched_at: Moment,
}

impl KeySet {
    /// Parses a JWK set (RFC 7517 section 5). Keys that we cannot use are left out.
    fn read(body: &[u8], expected: &Expected) -> Result<Self, String> {
        if body.len() > JWKS_BYTES_MAX {
            return Err(format!("more than {JWKS_BYTES_MAX} bytes"));
        }
        let document: Value = serde_json::from_slice(body).map_err(|_| "no JSON".to_owned())?;
        let keys = document.get("keys").and_then(Value::as_array);
        let keys = keys.ok_or_else(|| "no list of keys".to_owned())?;
        if keys.len() > KEYS_MAX {
            return Err(format!("more than {KEYS_MAX} keys"));
        }
        let mut set = Self { by_id: BTreeMap::new(), nameless: vec![], fetched_at: Moment::now() };
        for (id, algorithm, decoding) in keys.iter().filter_map(jwk::read) {
            set.add(id, algorithm, decoding, expected);
        }
        Ok(set)
    }

    fn add(&mut self, id: Option<String>, alg: Algorithm, key: DecodingKey, to: &Expected) {
        let key = Key::new(id.clone(), alg, key, to);
        match id {
            Some(id) => drop(self.by_id.entry(id).or_insert(key)),
            None => self.nameless.push(key),
        }
    }

    fn len(&self) -> usize {
        self.by_id.len() + self.nameless.len()
    }

    /// The key that a header names, or every key for its algorithm if it names none.
    pub(super) fn candidates(&self, header: &Header) -> Vec<&Key> {
        let fits = |key: &&Key| key.algorithm == header.algorithm;
        match &header.kid {
            Some(kid) => self.by_id.get(kid).into_iter().filter(fits).collect(),
            None => self.by_id.values().chain(&self.nameless).filter(fits).collect(),
        }
    }
}

/// Which keys are needed to judge a token.
enum KeyNeed {
    Nothing,
    /// The keys are too old.
    Fresher,
    /// The key is not known.
    Unknown,
}

#[derive(Default)]
struct JwksState {
    keys: Option<Arc<KeySet>>,
    tried_at: Option<Instant>,
    has_failed: bool,
    /// Closes when the running fetch has ended.
    flight: Option<watch::Receiver<()>>,
}

/// The keys behind one URL.
pub(super) struct Jwks {
    config: JwksConfig,
    expected: Expected,
    over: Arc<dyn Transport>,
    state: Mutex<JwksState>,
}

impl Jwks {
    pub(super) fn new(config: JwksConfig, over: Arc<dyn Transport>) -> Self {
        let (issuer, audience) = (config.issuer.clone(), config.audience.clone());
        let expected = Expected { issuer, audience };
        Self { config, expected, over, state: Mutex::default() }
    }

    /// The known keys, unless they are too old.
    pub(super) fn known(&self) -> Option<Arc<KeySet>> {
        let keys = self.state.lock().keys.clone()?;
        (keys.fetched_at.age() <= self.config.stale_max.max(self.config.ttl)).then_some(keys)
    }

    /// Waits for keys if those for this header are missing or too old. While fetches fail, known
    /// keys are used at once.
    pub(super) async fn learn(self: &Arc<Self>, header: &Header) {
        let need = self.need(header);
        if matches!(need, KeyNeed::Nothing) {
            return;
        }
        let was_failing = self.state.lock().has_failed;
        let Some(mut landing) = self.fetch_once() else { return };
        if matches!(need, KeyNeed::Unknown) || !was_failing {
            // An error means that the fetch has ended.
            drop(landing.changed().await);
        }
    }

    fn need(&self, header: &Header) -> KeyNeed {
        let Some(keys) = self.known() else { return KeyNeed::Unknown };
        if keys.candidates(header).is_empty() {
            KeyNeed::Unknown
        } else if keys.fetched_at.age() > self.config.ttl {
            KeyNeed::Fresher
        } else {
            KeyNeed::Nothing
        }
    }

    /// Joins the running fetch, or starts one if the interval allows it.
    fn fetch_once(self: &Arc<Self>) -> Option<watch::Receiver<()>> {
        let mut state = self.state.lock();
        // If the sender is gone, the fetch has ended, with or without success.
        if let Some(flight) = state.flight.as_ref().filter(|flight| flight.has_changed().is_ok()) {
            return Some(flight.clone());
        }
        if state.tried_at.is_some_and(|at| at.elapsed() < self.config.refresh_min) {
            return None;
        }
        let (flying, landing) = watch::channel(());
        state.tried_at = Some(Instant::now());
        state.flight = Some(landing.clone());
        drop(state);
        let own = Arc::clone(self);
        tokio::spawn(async move {
            own.land(own.fetch().await);
            drop(flying);
        });
        Some(landing)
    }

    async fn fetch(&self) -> Result<KeySet, String> {
        let request = Outgoing {
            method: Method::GET,
            url: self.config.url.clone(),
            headers: vec![(ACCEPT, "application/json".into())],
            body: Bytes::new(),
            timeout: JWKS_TIME_MAX,
        };
        let answer = self.over.send(request).await.map_err(|failure| failure.to_string())?;
        match answer.status {
            200 => KeySet::read(&answer.body, &self.expected),
            status => Err(format!("http {status}")),
        }
    }

    fn land(&self, fetched: Result<KeySet, String>) {
        let error = fetched.as_ref().err().cloned();
        let count = fetched.as_ref().map_or(0, KeySet::len);
        {
            let mut state = self.state.lock();
            state.has_failed = error.is_some();
            if let Ok(keys) = fetched {
                state.keys = Some(Arc::new(keys));
            }
        }
        Activity {
            level: if error.is_some() { Level::Warn } else { Level::Debug },
            event: ActivityKind::Token,
            msg: if error.is_some() { "keys not fetched" } else { "keys fetched" },
            address: self.config.url.host_str(),
            entries: Some(count as u64),
            error: error.as_deref(),
            ..Activity::default()
        }
        .emit();
    }
}
