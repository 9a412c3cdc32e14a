//! Identity, health, and the announcement of a peer that has started.
//! All but the last is open without credentials: it tells nothing that an operator would hide, and
//! asks no peer.

use std::sync::Arc;

use hyper::StatusCode;
use hyper::header::AUTHORIZATION;

use crate::deliver::identity::{
    Identity, NONCE_BYTES_MAX, PROTOCOL, Paths, REVALIDATE, SecretCheck,
};
use crate::deliver::{Hello, HelloAnswer, INVALIDATE_PATH, LOGIN_PATH};
use crate::domain::Role;
use crate::gate::Rejected;
use crate::server::Control;
use crate::server::call::ControlCall;
use crate::server::respond::{Handled, Problem, json_answer};
use crate::wire::Health;

/// Longest name of an instance that is looked at.
const INSTANCE_BYTES_MAX: usize = 255;
/// Its body is one flat object.
const HELLO_DEPTH_MAX: usize = 4;
/// What this version understands beyond the legacy form.
const FEATURES: &[&str] = &["batch", "cascade", "soft", "tags", "paths", "keys", "patterns"];

/// `GET /_cache-mirror/identity?nonce=…`: who we are, and the proof that it is this process.
pub async fn get(control: Arc<Control>, call: ControlCall) -> Handled {
    let nonce = call.query("nonce").unwrap_or_default();
    if nonce.is_empty() || nonce.len() > NONCE_BYTES_MAX {
        let detail = format!("nonce: 1 to {NONCE_BYTES_MAX} bytes");
        return Err(Problem::bad_request("bad_nonce", detail));
    }
    let check = match call.query("check") {
        Some(name) => Some(compare(&control, &call, &name, &nonce).await?),
        None => None,
    };
    let identity = Identity {
        instance: control.pipeline.instance.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        protocol: PROTOCOL,
        features: FEATURES.iter().map(|feature| (*feature).to_owned()).collect(),
        paths: Paths { login: LOGIN_PATH.into(), invalidate: INVALIDATE_PATH.into() },
        graph: control.pipeline.rules.get().graph().hash().to_owned(),
        proof: control.own.proof(&nonce),
        check,
    };
    Ok(json_answer(StatusCode::OK, &identity))
}

/// Hashes for a caller that may compare secrets: a peer or an administrator, never a stranger and
/// no person with a lesser role, who could otherwise guess at leisure.
async fn compare(
    control: &Control,
    call: &ControlCall,
    name: &str,
    nonce: &str,
) -> Result<SecretCheck, Problem> {
    if name != REVALIDATE {
        let detail = format!("check: expected {REVALIDATE}");
        return Err(Problem::bad_request("bad_check", detail));
    }
    let gate = &control.pipeline.gate;
    let header = call.header(AUTHORIZATION.as_str());
    gate.learn_key(header).await;
    let who = gate.authenticate(header, call.address)?;
    if who.role != Role::Service && who.role < Role::Admin {
        return Err(Rejected::Forbidden("a service account or an administrator").into());
    }
    gate.check_rate(&who, call.address)?;
    let secrets = control.pipeline.delivery.revalidate_secrets();
    Ok(SecretCheck::of(&secrets, nonce))
}

/// `POST /_cache-mirror/hello`: a peer has started. What it says is only a reason to look again at
/// a destination that is configured here.
pub async fn hello(control: Arc<Control>, mut call: ControlCall) -> Handled {
    let json = call.read_json(&control.config, HELLO_DEPTH_MAX).await?;
    let hello: Hello = serde_json::from_slice(&json)
        .map_err(|_| Problem::bad_request("bad_json", "instance: expected a text"))?;
    if hello.instance.is_empty() || hello.instance.len() > INSTANCE_BYTES_MAX {
        let detail = format!("instance: 1 to {INSTANCE_BYTES_MAX} bytes");
        return Err(Problem::bad_request("bad_instance", detail));
    }
    let checked = control.pipeline.delivery.receive_hello(&hello.instance);
    Ok(json_answer(StatusCode::ACCEPTED, &HelloAnswer { checked }))
}

/// `GET /healthz`: this process answers.
pub async fn healthy(_control: Arc<Control>, _call: ControlCall) -> Handled {
    Ok(json_answer(StatusCode::OK, &Health { status: "ok".into() }))
}

/// `GET /readyz`: it can take invalidations. Peers do not matter here.
pub async fn ready(control: Arc<Control>, _call: ControlCall) -> Handled {
    let is_degraded = control.pipeline.journal.health().is_degraded;
    let (status, word) = if is_degraded {
        (StatusCode::SERVICE_UNAVAILABLE, "degraded")
    } else {
        (StatusCode::OK, "ok")
    };
    Ok(json_answer(status, &Health { status: word.into() }))
}
