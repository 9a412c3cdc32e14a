//! `POST /api/revalidate/{name}`: what a name stands for is cleared (acceptance S0 0.3, 0.4).
//!
//! A shared secret or a token of a role that may invalidate everywhere; anybody else is answered
//! 403, as the callers of this route know it. Of a body only `mirror` has a meaning.

use std::sync::Arc;
use std::time::Instant;

use hyper::StatusCode;
use hyper::header::AUTHORIZATION;
use schemars::JsonSchema;
use serde::Serialize;

use super::{Asked, failed, submit, throttled};
use crate::activity::{Activity, ActivityKind, Level};
use crate::domain::Principal;
use crate::gate::Rejected;
use crate::ingest::{damaged_json, fields};
use crate::server::Control;
use crate::server::call::ControlCall;
use crate::server::respond::{Answer, Handled, json_answer};
use crate::support::clock;

const FAILED: &str = "Revalidation failed";
/// Nesting of a body: `mirror` stands at its top.
const DEPTH_MAX: usize = 8;

/// What was cleared by its name.
#[derive(Debug, Serialize, JsonSchema)]
pub struct RevalidatedName<'a> {
    success: bool,
    message: &'a str,
    revalidated: Named<'a>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(inline)]
struct Named<'a> {
    name: &'a str,
    /// RFC 3339.
    timestamp: String,
}

/// Clears what the name stands for.
pub async fn post(control: Arc<Control>, mut call: ControlCall) -> Handled {
    let body = call.read(&control.config).await?;
    let header = authorization(&call).map(ToOwned::to_owned);
    match judge(&control, &call, header.as_deref()).await {
        Ok(who) => match mirror(&body) {
            Ok(mirror) => clear(&control, &call, who, mirror).await,
            Err(bad) => Ok(failed(StatusCode::BAD_REQUEST, FAILED, Some(bad))),
        },
        Err(rejected) => Ok(refused(&control, &call, rejected)),
    }
}

/// What a body says of mirroring. Nothing else in it could make the call clear more; what could
/// make it clear less is refused.
fn mirror(body: &[u8]) -> Result<Option<bool>, String> {
    let reading = damaged_json::read(body, DEPTH_MAX);
    if reading.values.iter().any(fields::asks_dry_run) || asks_in_a_form(body) {
        return Err(fields::NO_DRY_RUN.to_owned());
    }
    let Some(body) = reading.values.first() else { return Ok(None) };
    fields::check_count(body).map_err(|many| many.to_string())?;
    fields::mirror(body, |_| false).map_err(|bad| bad.to_string())
}

/// Whether a body that is a form, and no JSON, asks for a dry run.
fn asks_in_a_form(body: &[u8]) -> bool {
    let is_form = !body.trim_ascii().starts_with(b"{");
    is_form && url::form_urlencoded::parse(body).any(|(name, _)| fields::is_dry_run(&name))
}

/// The one `Authorization` header; several are none.
pub(super) fn authorization(call: &ControlCall) -> Option<&str> {
    let mut headers = call.headers.get_all(AUTHORIZATION).iter();
    match (headers.next(), headers.next()) {
        (Some(one), None) => one.to_str().ok(),
        _ => None,
    }
}

/// Who holds the secret, or a token whose role may.
pub(super) async fn judge(
    control: &Control,
    call: &ControlCall,
    header: Option<&str>,
) -> Result<Principal, Rejected> {
    let gate = &control.pipeline.gate;
    gate.learn_key(header).await;
    let who = gate.authenticate_revalidator(header, call.address)?;
    gate.check_rate(&who, call.address)?;
    Ok(who)
}

/// The refusal that callers of this route know.
pub(super) fn refused(control: &Control, call: &ControlCall, rejected: Rejected) -> Answer {
    if matches!(rejected, Rejected::TooMany(_)) {
        return throttled(rejected);
    }
    log_refused(control, call, &rejected.to_string());
    failed(StatusCode::FORBIDDEN, "Forbidden", None)
}

/// Clears it for an authorised caller.
pub(super) async fn clear(
    control: &Control,
    call: &ControlCall,
    who: Principal,
    mirror: Option<bool>,
) -> Handled {
    if let Some((_, problem)) = call.stray(&[], &[]) {
        return Ok(failed(StatusCode::BAD_REQUEST, FAILED, Some(problem)));
    }
    let Some(selectors) = control.pipeline.rules.get().named(&call.param) else {
        return Ok(failed(StatusCode::NOT_FOUND, "Unknown name", None));
    };
    let asked = Asked { selectors, mirror, ..Asked::default() };
    match submit(control, call, who, asked).await {
        Ok(_) => {
            let timestamp = clock::rfc3339(clock::wall_ms());
            let revalidated = Named { name: &call.param, timestamp };
            let message = "Revalidated successfully";
            Ok(json_answer(
                StatusCode::OK,
                &RevalidatedName { success: true, message, revalidated },
            ))
        }
        Err(error) => {
            let (status, error) = (StatusCode::INTERNAL_SERVER_ERROR, error.to_string());
            Ok(failed(status, FAILED, Some(error)))
        }
    }
}

/// A line for who looks after the instance; the secret that was tried is not in it. Nobody needs a
/// credential to be refused, so each reason is told once a minute; the rest is counted.
pub(super) fn log_refused(control: &Control, call: &ControlCall, why: &str) {
    if control.hooks.log_throttle.is_due(&format!("forbidden: {why}"), Instant::now()).is_none() {
        return;
    }
    Activity {
        level: Level::Warn,
        event: ActivityKind::Revalidate,
        msg: "Revalidation forbidden",
        address: Some(&call.address.to_string()),
        status: Some("refused"),
        error: Some(why),
        ..Activity::default()
    }
    .emit();
}
