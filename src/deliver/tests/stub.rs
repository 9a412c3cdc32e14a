//! Peers in memory: a transport that follows a script and records the requests.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::time::Instant;
use url::Url;

use super::*;
use crate::net::{Failure, FailureKind, HttpAnswer, Outgoing, Transport};

/// The purpose of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum What {
    Probe,
    Login,
    Invalidate,
}

/// One request as a peer saw it.
#[derive(Debug, Clone)]
pub struct Asked {
    pub host: String,
    pub what: What,
    /// The number of requests of this purpose to this peer, this one included.
    pub count: usize,
    pub url: Url,
    pub text: String,
    pub bearer: Option<String>,
    pub via: Option<String>,
    pub event_ids: Option<String>,
    /// The address that it was sent to, if the name has several.
    pub to: Option<SocketAddr>,
    pub at: Instant,
}

impl Asked {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).expect("JSON")
    }

    /// The ids of the events of a batch.
    pub fn ids(&self) -> Vec<String> {
        let body = self.json();
        let events = body["batch"]["events"].as_array().cloned().unwrap_or_default();
        events.iter().map(|event| event["id"].as_str().expect("id").to_owned()).collect()
    }

    pub fn nonce(&self) -> String {
        self.url.query().and_then(|query| query.strip_prefix("nonce=")).expect("nonce").to_owned()
    }
}

/// The reaction of a peer.
pub enum Reaction {
    Answer(HttpAnswer),
    Fail(FailureKind),
    /// No answer until the request times out.
    Hang,
}

type Script = dyn Fn(&Asked) -> Reaction + Send + Sync;

/// All peers of a scene.
pub struct Stub {
    script: Box<Script>,
    asked: Mutex<Vec<Asked>>,
    counts: Mutex<BTreeMap<(String, What), usize>>,
    addresses: Vec<SocketAddr>,
    /// The hosts that got a hello.
    pub hellos: Mutex<Vec<Url>>,
}

impl Stub {
    pub fn new(script: impl Fn(&Asked) -> Reaction + Send + Sync + 'static) -> Self {
        Self {
            script: Box::new(script),
            asked: Mutex::default(),
            counts: Mutex::default(),
            addresses: vec![],
            hellos: Mutex::default(),
        }
    }

    /// Every name has these addresses.
    pub fn at(self, addresses: &[&str]) -> Self {
        let addresses = addresses.iter().map(|text| text.parse().expect("address")).collect();
        Self { addresses, ..self }
    }

    /// The requests to one peer, in order.
    pub fn asked(&self, host: &str, what: What) -> Vec<Asked> {
        let asked = self.asked.lock();
        asked.iter().filter(|one| one.host == host && one.what == what).cloned().collect()
    }

    fn note(&self, request: &Outgoing, to: Option<SocketAddr>) -> Asked {
        let host = request.url.host_str().unwrap_or_default().to_owned();
        let what = match request.url.path() {
            crate::deliver::identity::PATH => What::Probe,
            path if path.contains("login") => What::Login,
            _ => What::Invalidate,
        };
        let header = |name: &str| {
            let found = request.headers.iter().find(|(known, _)| known.as_str() == name);
            found.map(|(_, value)| value.clone())
        };
        let mut counts = self.counts.lock();
        let count = counts.entry((host.clone(), what)).or_default();
        *count += 1;
        let asked = Asked {
            host,
            what,
            count: *count,
            url: request.url.clone(),
            text: String::from_utf8(request.body.to_vec()).expect("text"),
            bearer: header("authorization"),
            via: header("cache-mirror-via"),
            event_ids: header("cache-mirror-event"),
            to,
            at: Instant::now(),
        };
        self.asked.lock().push(asked.clone());
        asked
    }
}

impl Transport for Stub {
    fn send(&self, request: Outgoing) -> BoxFuture<'_, Result<HttpAnswer, Failure>> {
        self.play(request, None)
    }

    fn addresses(&self, _url: &Url) -> BoxFuture<'_, Result<Vec<SocketAddr>, Failure>> {
        Box::pin(std::future::ready(Ok(self.addresses.clone())))
    }

    fn send_to(
        &self,
        request: Outgoing,
        address: SocketAddr,
    ) -> BoxFuture<'_, Result<HttpAnswer, Failure>> {
        self.play(request, Some(address))
    }

    fn send_alone(&self, request: Outgoing) -> BoxFuture<'_, Result<HttpAnswer, Failure>> {
        self.send(request)
    }
}

impl Stub {
    fn play(
        &self,
        request: Outgoing,
        to: Option<SocketAddr>,
    ) -> BoxFuture<'_, Result<HttpAnswer, Failure>> {
        Box::pin(async move {
            let fail = |kind| Err(Failure { kind, cause: "as in the script".into() });
            if request.url.path() == crate::deliver::HELLO_PATH {
                self.hellos.lock().push(request.url.clone());
                return Ok(answer(404, "", ""));
            }
            match (self.script)(&self.note(&request, to)) {
                Reaction::Answer(answer) => Ok(answer),
                Reaction::Fail(kind) => fail(kind),
                Reaction::Hang => {
                    tokio::time::sleep(request.timeout).await;
                    fail(FailureKind::Timeout)
                }
            }
        })
    }
}

pub fn answer(status: u16, media: &str, body: impl Into<Bytes>) -> HttpAnswer {
    let content_type = (!media.is_empty()).then(|| media.to_owned());
    HttpAnswer { status, content_type, body: body.into(), ..HttpAnswer::default() }
}

pub fn ok() -> Reaction {
    Reaction::Answer(answer(200, "application/json", r#"{"success":true}"#))
}

pub fn token(text: &str, life_s: u64) -> Reaction {
    let body = json!({ "access_token": text, "token_type": "bearer", "expires_in": life_s });
    Reaction::Answer(answer(200, "application/json", body.to_string()))
}

/// A failure that is followed by a wait of half a minute, which the scene can observe.
pub fn unwell() -> Reaction {
    let wait = Some(Duration::from_secs(30));
    Reaction::Answer(HttpAnswer { retry_after: wait, ..answer(503, "", "") })
}

/// The identity of a cache-mirror, with the proof of another process.
pub fn identity() -> Reaction {
    identity_with(&"0".repeat(64))
}

pub fn identity_with(proof: &str) -> Reaction {
    let body = json!({
        "instance": "other", "version": "0", "protocol": 1, "features": [], "graph": "g",
        "paths": { "login": "/api/auth/login", "invalidate": "/api/cache/invalidate" },
        "proof": proof,
    });
    Reaction::Answer(answer(200, "application/json", body.to_string()))
}

/// An identity that names this path for everything.
pub fn identity_at(path: &str) -> Reaction {
    let body = json!({
        "instance": "other", "version": "0", "protocol": 1, "features": [], "graph": "g",
        "paths": { "login": path, "invalidate": path }, "proof": "0".repeat(64),
    });
    Reaction::Answer(answer(200, "application/json", body.to_string()))
}

/// A cache-mirror that accepts each login and each batch.
pub fn good_mirror(asked: &Asked) -> Reaction {
    match asked.what {
        What::Probe => identity(),
        What::Login => token("t", 3600),
        What::Invalidate => ok(),
    }
}

/// A legacy server: it has no identity path.
pub fn good_legacy(asked: &Asked) -> Reaction {
    match asked.what {
        What::Probe => Reaction::Answer(answer(404, "text/html", "<h1>no</h1>")),
        _ => good_mirror(asked),
    }
}
