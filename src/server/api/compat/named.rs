//! `POST /api/revalidate/{name}`: what a name stands for is cleared (acceptance S0 0.3, 0.4).
//!
//! A shared secret or a token of a role that may invalidate everywhere; anybody else is answered
//! 403, as the callers of this route know it. A body has no meaning.

use std::sync::Arc;

use hyper::StatusCode;
use hyper::header::AUTHORIZATION;
use schemars::JsonSchema;
use serde::Serialize;

use super::{Asked, failed, submit, throttled};
use crate::activity::{Activity, Kind, Level};
use crate::gate::Rejected;
use crate::server::Control;
use crate::server::call::Call;
use crate::server::respond::{Handled, json_answer};
use crate::support::clock;

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
pub async fn post(control: Arc<Control>, mut call: Call) -> Handled {
    call.read(&control.config).await?;
    let gate = &control.pipeline.gate;
    let mut headers = call.headers.get_all(AUTHORIZATION).iter();
    let header = match (headers.next(), headers.next()) {
        (Some(one), None) => one.to_str().ok(),
        _ => None,
    };
    gate.learn_key(header).await;
    let who = gate.authenticate_revalidator(header, call.address);
    let who = match who.and_then(|who| gate.check_rate(&who).map(|()| who)) {
        Ok(who) => who,
        Err(rejected @ Rejected::TooMany(_)) => return Ok(throttled(rejected)),
        Err(rejected) => {
            tell_refused(&call, &rejected);
            return Ok(failed(StatusCode::FORBIDDEN, "Forbidden", None));
        }
    };
    let Some(selectors) = control.pipeline.rules.get().named(&call.param) else {
        return Ok(failed(StatusCode::NOT_FOUND, "Unknown name", None));
    };
    let asked = Asked { selectors, ..Asked::default() };
    match submit(&control, &call, who, asked).await {
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
            Ok(failed(status, "Revalidation failed", Some(error)))
        }
    }
}

fn tell_refused(call: &Call, rejected: &Rejected) {
    Activity {
        level: Level::Warn,
        event: Kind::Revalidate,
        msg: "Revalidation forbidden",
        address: Some(&call.address.to_string()),
        status: Some("refused"),
        error: Some(&rejected.to_string()),
        ..Activity::default()
    }
    .emit();
}
