//! `POST /api/cache/invalidate` and `POST /api/cache/clear`.
//! From HTTP to a submission, and from a report to the answer of the contract; the path between
//! them is `pipeline`. One `Idempotency-Key` has one effect.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Instant;

use aws_lc_rs::digest;
use bytes::Bytes;
use hyper::StatusCode;
use serde::Serialize;
use serde_json::Value;

use super::wait::Wait;
use crate::activity::{Activity, ActivityKind, Level, joined};
use crate::domain::submission::PeerBatch;
use crate::domain::{Applied, Role, Scope, Source, Submission};
use crate::gate::{KeptAnswer, identity};
use crate::ingest::body::InvalidateBody;
use crate::ingest::damaged_json;
use crate::pipeline::{SubmitOutcome, SubmitReport};
use crate::server::Control;
use crate::server::call::ControlCall;
use crate::server::respond::{Answer, Handled, Problem, bytes, json_answer};
use crate::wire::{DeliveryOutcome, Duplicate, Invalidated};

/// Longest `Idempotency-Key` in bytes.
const IDEMPOTENCY_KEY_BYTES_MAX: usize = 256;

/// `POST /api/cache/invalidate`.
pub async fn post(control: Arc<Control>, mut call: ControlCall) -> Handled {
    let depth_max = control.pipeline.gate.config().json_depth_max;
    let json = call.read_json(&control.config, depth_max).await?;
    take(control, call, json).await
}

/// `POST /api/cache/clear`: the same with `all` filled in.
pub async fn clear(control: Arc<Control>, mut call: ControlCall) -> Handled {
    let depth_max = control.pipeline.gate.config().json_depth_max;
    let json = call.read_json(&control.config, depth_max).await?;
    if call.principal().role == Role::Service {
        // Whatever a peer writes here, it means everything.
        return take(control, call, Bytes::from_static(br#"{"all":true}"#)).await;
    }
    let mut body: Value = serde_json::from_slice(&damaged_json::quote_big_integers(&json))
        .map_err(|error| Problem::bad_request("bad_json", error.to_string()))?;
    let Some(object) = body.as_object_mut() else {
        return Err(Problem::bad_request("bad_json", "an object is expected"));
    };
    // As it came: of a field that is given twice only the last is left in the value.
    InvalidateBody::read(&json)?;
    object.insert("all".into(), Value::Bool(true));
    take(control, call, body.to_string().into()).await
}

/// Honours the idempotency key around the work.
async fn take(control: Arc<Control>, call: ControlCall, json: Bytes) -> Handled {
    let mut keys = call.headers.get_all("idempotency-key").iter();
    let Some(key) = keys.next() else {
        return work(&control, &call, &json).await;
    };
    if keys.next().is_some() {
        let detail = "Idempotency-Key: one is expected, and several were given";
        return Err(Problem::bad_request("bad_idempotency_key", detail));
    }
    let fits = |key: &&str| (1..=IDEMPOTENCY_KEY_BYTES_MAX).contains(&key.len());
    let Some(key) = key.to_str().ok().filter(fits) else {
        let detail = format!("Idempotency-Key: 1 to {IDEMPOTENCY_KEY_BYTES_MAX} bytes of ASCII");
        return Err(Problem::bad_request("bad_idempotency_key", detail));
    };
    let identity = key_identity(&call, key);
    let gate = &control.pipeline.gate;
    let digest = digest::digest(&digest::SHA256, &json);
    let fingerprint: [u8; 32] = digest.as_ref().try_into().expect("SHA-256 has 32 bytes");
    let _turn = gate.lanes.enter(&identity).await;
    if let Some(kept) = gate.answers.get(&identity) {
        if kept.fingerprint != fingerprint {
            let detail = "this Idempotency-Key came with another body before";
            return Err(Problem::unprocessable("idempotency_key_reused", detail));
        }
        // The answer is the same, but what the call names may have been filled again since.
        clear_again(&control, &call, &json)?;
        let status = StatusCode::from_u16(kept.status).unwrap_or(StatusCode::OK);
        return Ok(bytes(status, "application/json", kept.body.clone()));
    }
    let Effect { status, body, is_final } = effect(&control, &call, &json).await?;
    if is_final {
        let status = status.as_u16();
        gate.answers.put(identity, KeptAnswer { fingerprint, status, body: body.clone() });
    }
    Ok(bytes(status, "application/json", body))
}

/// A key is the caller's own, and a call that carries a gateway's mark means something else than
/// one without: neither uses up the other's key.
fn key_identity(call: &ControlCall, key: &str) -> String {
    let who = call.principal();
    let mut parts = vec!["key", who.role.as_str(), who.name.as_str(), key];
    let ids: Vec<String> = call.event_ids().iter().map(ToString::to_string).collect();
    if call.is_marked() {
        parts.push("marked");
        parts.extend(ids.iter().map(String::as_str));
    }
    identity(parts.into_iter().map(str::as_bytes))
}

async fn work(control: &Control, call: &ControlCall, json: &[u8]) -> Handled {
    let Effect { status, body, .. } = effect(control, call, json).await?;
    Ok(bytes(status, "application/json", body))
}

/// An answer, and whether a repetition under the same key is to get it again.
struct Effect {
    status: StatusCode,
    body: Bytes,
    is_final: bool,
}

impl Effect {
    fn new(status: StatusCode, body: &impl Serialize, is_final: bool) -> Result<Self, Problem> {
        let body = serde_json::to_vec(body).map_err(|error| {
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", error.to_string())
        })?;
        Ok(Self { status, body: body.into(), is_final })
    }
}

fn read(call: &ControlCall, json: &[u8]) -> Result<InvalidateBody, Problem> {
    let read = match call.principal().role {
        Role::Service => InvalidateBody::read_from_peer(json),
        _ => InvalidateBody::read(json),
    };
    Ok(read?)
}

/// Clears the store for a request that had its effect before; nothing is sent again.
fn clear_again(control: &Control, call: &ControlCall, json: &[u8]) -> Result<(), Problem> {
    let body = read(call, json)?;
    if !body.dry_run {
        let submission = submission(call, body, control.pipeline.gate.config().selectors_max)?;
        control.pipeline.repeat(call.principal(), submission)?;
    }
    Ok(())
}

async fn effect(control: &Control, call: &ControlCall, json: &[u8]) -> Result<Effect, Problem> {
    let pipeline = &control.pipeline;
    let who = call.principal();
    let wait = Wait::read(call, *control.wait_time_max.get())?;
    let mut body = read(call, json)?;
    let mut notes = body.notes(json);
    if body.is_hollow() && !notes.is_empty() {
        notes.push("the batch names nothing else: everything is cleared".to_owned());
        body.widen();
    }
    log_notes(control, call, &notes);
    let is_dry_run = body.dry_run;
    let submission = submission(call, body, pipeline.gate.config().selectors_max)?;
    let done = if is_dry_run {
        pipeline.preview(who, submission)?
    } else {
        pipeline.submit(who, submission).await?
    };
    match done {
        SubmitOutcome::Unaffected(warnings) => {
            Effect::new(StatusCode::OK, &unaffected(control, &warnings, is_dry_run), true)
        }
        SubmitOutcome::Duplicate(applied) => {
            Effect::new(StatusCode::OK, &duplicate(control, &applied), !is_dry_run)
        }
        SubmitOutcome::Applied(mut report) if is_dry_run => {
            report.warnings.extend(notes);
            let (mirrors, beside) = control.pipeline.delivery.dry_run(&report.event);
            let invalidated = answer(control, &report, true);
            let invalidated =
                Invalidated { mirrors: mirrors.into(), beside: beside.into(), ..invalidated };
            Effect::new(StatusCode::OK, &invalidated, false)
        }
        SubmitOutcome::Applied(mut report) => {
            report.warnings.extend(notes);
            let is_in_time = wait.until(control, &mut report).await;
            if is_in_time && wait.is_for_mirrors() {
                pipeline.delivery.attended(&call.principal(), &report.event);
            }
            let status = if is_in_time { StatusCode::OK } else { StatusCode::ACCEPTED };
            Effect::new(status, &answer(control, &report, false), !report.is_degraded)
        }
    }
}

/// Logs the warnings of the answer, at a limited rate: many callers never read answers.
fn log_notes(control: &Control, call: &ControlCall, notes: &[String]) {
    let text = joined(notes);
    if notes.is_empty() || control.hooks.log_throttle.is_due(&text, Instant::now()).is_none() {
        return;
    }
    Activity {
        level: Level::Warn,
        event: ActivityKind::Invalidate,
        msg: "not all of a request could be read as it was written",
        principal: Some(&call.principal().name),
        address: Some(&call.address.to_string()),
        status: Some("partly_read"),
        error: Some(&text),
        ..Activity::default()
    }
    .emit();
}

/// The answer of the contract to what another route submitted.
pub fn answered(control: &Control, done: &SubmitOutcome) -> Answer {
    match done {
        SubmitOutcome::Applied(report) => {
            json_answer(StatusCode::OK, &answer(control, report, false))
        }
        SubmitOutcome::Duplicate(applied) => {
            json_answer(StatusCode::OK, &duplicate(control, applied))
        }
        SubmitOutcome::Unaffected(warnings) => {
            json_answer(StatusCode::OK, &unaffected(control, warnings, false))
        }
    }
}

/// The answer where nothing that changed matters: no event, and why.
fn unaffected<'a>(
    control: &'a Control,
    warnings: &'a [String],
    is_dry_run: bool,
) -> Invalidated<'a> {
    Invalidated {
        success: true,
        instance: (&*control.pipeline.instance).into(),
        count_complete: true,
        warnings: warnings.into(),
        dry_run: is_dry_run,
        ..Invalidated::default()
    }
}

/// The answer to what was done before under the same ids: only the store was cleared again.
fn duplicate<'a>(control: &'a Control, applied: &Applied) -> Duplicate<'a> {
    Duplicate {
        success: true,
        duplicate: true,
        instance: (&*control.pipeline.instance).into(),
        version: control.pipeline.journal.versions().version,
        invalidated_entries: applied.entries,
    }
}

/// What a body asks for, before anything is decided about it.
pub fn submission(
    call: &ControlCall,
    mut body: InvalidateBody,
    selectors_max: usize,
) -> Result<Submission, Problem> {
    let is_peer = call.principal().role == Role::Service || body.batch.is_some();
    let selectors = match is_peer {
        true => body.selectors_of_peer(selectors_max)?,
        false => body.selectors(selectors_max)?,
    };
    let peer = body.batch.take().map(|batch| PeerBatch::from(batch).bounded(selectors_max));
    let source = if peer.is_some() { Source::Mirror } else { Source::Api };
    Ok(Submission {
        is_marked: call.is_marked(),
        ids: if peer.is_some() { vec![] } else { call.event_ids() },
        address: call.address.known(),
        peer,
        ..body.into_submission(selectors, source)
    })
}

/// The answer of the contract.
fn answer<'a>(control: &'a Control, report: &'a SubmitReport, is_dry_run: bool) -> Invalidated<'a> {
    let event = &report.event;
    let mirrors: &[DeliveryOutcome] = match event.scope {
        Scope::Mirrored => &report.mirrors,
        Scope::Local => &[],
    };
    Invalidated {
        success: true,
        id: (!is_dry_run).then_some(event.id),
        instance: (&*control.pipeline.instance).into(),
        seq: (!is_dry_run).then_some(event.seq),
        version: (!is_dry_run).then_some(event.version),
        invalidated_entries: report.applied.entries,
        count_complete: report.applied.count_complete,
        types: Cow::Borrowed(&report.applied.types),
        cascade: event.cascade.types().iter().map(|name| name.as_str().into()).collect(),
        warnings: (&report.warnings).into(),
        mirrors: mirrors.into(),
        beside: Cow::default(),
        degraded: report.is_degraded,
        dry_run: is_dry_run,
    }
}
