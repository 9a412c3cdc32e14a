//! `/api/revalidate`: the on-demand revalidation that content systems call with a secret and a list
//! of paths (acceptance S1 1.13 to 1.16). Bodies, statuses and log lines are those that they know.

use std::sync::Arc;

use hyper::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use super::{Asked, failed, read_value, submit, throttled};
use crate::activity::{Activity, Kind, Level};
use crate::domain::Principal;
use crate::gate::Rejected;
use crate::ingest::revalidation::{self, Revalidation};
use crate::server::Control;
use crate::server::call::Call;
use crate::server::respond::{Answer, Handled, json_answer};
use crate::support::clock;

const FAILED: &str = "Revalidation failed";

/// What was revalidated.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Revalidated<'a> {
    success: bool,
    message: &'a str,
    revalidated: Paths<'a>,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(inline)]
struct Paths<'a> {
    /// As they were given.
    paths: Vec<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tags: Vec<&'a str>,
    /// RFC 3339.
    timestamp: String,
}

/// How the route is used.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Usage {
    status: &'static str,
    message: &'static str,
    usage: &'static str,
}

/// Says that it is there.
pub async fn get(_control: Arc<Control>, _call: Call) -> Handled {
    let usage = Usage {
        status: "ok",
        message: "On-demand revalidation endpoint is ready",
        usage: "POST with { secret, paths: [\"/\"] }",
    };
    Ok(json_answer(StatusCode::OK, &usage))
}

/// Clears paths and tags for who knows the secret.
pub async fn post(control: Arc<Control>, mut call: Call) -> Handled {
    let gate = &control.pipeline.gate;
    let body = read_value(&control, &mut call).await?;
    let secret = body.as_ref().ok().and_then(revalidation::secret);
    let who = gate.authenticate_secret(secret, call.address);
    let who = who.and_then(|who| gate.check_rate(&who, call.address).map(|()| who));
    match (body, who) {
        (_, Err(rejected @ Rejected::TooMany(_))) => Ok(throttled(rejected)),
        (Err(broken), _) => Ok(failure(broken.to_string())),
        (Ok(_), Err(_)) => {
            tell(Level::Warn, "Invalid revalidation secret", &call, "refused");
            Ok(failed(StatusCode::UNAUTHORIZED, "Invalid secret", None))
        }
        (Ok(body), Ok(who)) => Ok(revalidate(&control, &call, who, &body).await),
    }
}

async fn revalidate(control: &Control, call: &Call, who: Principal, body: &Value) -> Answer {
    let asked = Revalidation::of(body);
    let selectors = match asked.selectors(control.pipeline.gate.config().selectors_max) {
        Ok(selectors) => selectors,
        Err(bad) => return failure(bad.to_string()),
    };
    for path in asked.paths() {
        tell(Level::Info, &format!("Revalidating path: {path}"), call, "started");
    }
    for tag in asked.tags() {
        tell(Level::Info, &format!("Revalidating tag: {tag}"), call, "started");
    }
    if !selectors.is_empty()
        && let Err(error) =
            submit(control, call, who, Asked { selectors, ..Asked::default() }).await
    {
        return failure(error.to_string());
    }
    let timestamp = clock::rfc3339(clock::wall_ms());
    let revalidated = Paths { paths: asked.paths(), tags: asked.tags(), timestamp };
    let message = "Revalidated successfully";
    json_answer(StatusCode::OK, &Revalidated { success: true, message, revalidated })
}

fn failure(error: String) -> Answer {
    Activity {
        level: Level::Error,
        event: Kind::Revalidate,
        msg: FAILED,
        status: Some("failed"),
        error: Some(&error),
        ..Activity::default()
    }
    .emit();
    failed(StatusCode::INTERNAL_SERVER_ERROR, FAILED, Some(error))
}

fn tell(level: Level, msg: &str, call: &Call, status: &str) {
    Activity {
        level,
        event: Kind::Revalidate,
        msg,
        address: Some(&call.address.to_string()),
        status: Some(status),
        ..Activity::default()
    }
    .emit();
}
