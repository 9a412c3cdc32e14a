//! `/api/revalidate`: the on-demand revalidation that content systems call with a secret and a list
//! of paths (acceptance S1 1.13 to 1.16). Bodies, statuses and log lines are those that they know.
//! The query may hold the same members; a GET with a query is the form known from Next.js.

use std::sync::Arc;
use std::time::Instant;

use hyper::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};

use super::{Asked, EMPTY, failed, read_value, submit, throttled};
use crate::activity::{Activity, ActivityKind, Level};
use crate::domain::Principal;
use crate::gate::Rejected;
use crate::ingest::fields;
use crate::ingest::revalidation::{self, Revalidation};
use crate::server::Control;
use crate::server::call::ControlCall;
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

/// Without a query: answers that the route exists. With one: needs the secret and clears.
pub async fn get(control: Arc<Control>, call: ControlCall) -> Handled {
    if call.query.as_deref().is_some_and(|query| !query.is_empty()) {
        return judge(&control, &call, Ok(json!({})), true).await;
    }
    usage()
}

/// Says that it is there. It has no effect, whatever the query names.
pub async fn head(_control: Arc<Control>, call: ControlCall) -> Handled {
    match call.stray(&[], &[]) {
        None => usage(),
        Some((_, problem)) => Ok(refused(problem)),
    }
}

fn usage() -> Handled {
    let usage = Usage {
        status: "ok",
        message: "On-demand revalidation endpoint is ready",
        usage: "POST with { secret, paths: [\"/\"] }",
    };
    Ok(json_answer(StatusCode::OK, &usage))
}

/// Clears paths and tags for who knows the secret.
pub async fn post(control: Arc<Control>, mut call: ControlCall) -> Handled {
    let body = read_value(&control, &mut call).await?;
    let has_query = call.query.as_deref().is_some_and(|query| !query.is_empty());
    // All of it may stand in the query.
    let body = body.or_else(|broken| match &broken[..] {
        EMPTY if has_query => Ok(json!({})),
        _ => Err(broken),
    });
    judge(&control, &call, body, has_query).await
}

async fn judge(
    control: &Control,
    call: &ControlCall,
    body: Result<Value, String>,
    must_name: bool,
) -> Handled {
    let gate = &control.pipeline.gate;
    let query: Vec<(String, String)> = call.pairs().collect();
    let secret = body.as_ref().ok().and_then(|body| revalidation::secret(body, &query));
    let who = gate.authenticate_secret(secret, call.address);
    let who = who.and_then(|who| gate.check_rate(&who, call.address).map(|()| who));
    match (body, who) {
        (_, Err(rejected @ Rejected::TooMany(_))) => Ok(throttled(rejected)),
        (Err(broken), _) => Ok(failure(broken)),
        (Ok(_), Err(_)) => {
            log(Level::Warn, "Invalid revalidation secret", call, "refused");
            Ok(failed(StatusCode::UNAUTHORIZED, "Invalid secret", None))
        }
        (Ok(body), Ok(who)) => {
            if let Some((_, problem)) = call.stray(&[], &revalidation::MEMBERS) {
                return Ok(refused(problem));
            }
            if fields::asks_dry_run(&body) {
                return Ok(refused(fields::NO_DRY_RUN.to_owned()));
            }
            let mirror = match fields::mirror(&body, |_| false) {
                Ok(mirror) => mirror,
                Err(bad) => return Ok(failure(bad.to_string())),
            };
            let asked = match Revalidation::read(&body, &query) {
                Ok(asked) => asked,
                Err(bad) => return Ok(failure(bad.to_string())),
            };
            if must_name && asked.is_empty() {
                return Ok(refused("path or tag is expected".into()));
            }
            if asked.is_empty() {
                log_nothing_asked(control, call, &body);
            } else if asked.is_partial() {
                let msg = "Revalidation: paths is no list, and some of it is no path";
                log(Level::Warn, msg, call, "partly_read");
            }
            Ok(revalidate(control, call, who, (&asked, mirror)).await)
        }
    }
}

/// Older callers take "nothing asked" for success, so that is what they get. Where other members
/// stand in the body the caller may have meant something by them.
fn log_nothing_asked(control: &Control, call: &ControlCall, body: &Value) {
    let is_other = |name: &&String| !matches!(name.as_str(), "secret" | "tag" | "tags" | "path");
    let others = body.as_object().into_iter().flatten().map(|(name, _)| name);
    let others: Vec<&str> = others.filter(is_other).take(8).map(String::as_str).collect();
    let names = others.join(", ");
    if names.is_empty() || control.hooks.log_throttle.is_due(&names, Instant::now()).is_none() {
        return;
    }
    let msg = format!("Revalidation asked for nothing: no list of paths, no tags, but {names}");
    log(Level::Warn, &msg, call, "nothing_asked");
}

async fn revalidate(
    control: &Control,
    call: &ControlCall,
    who: Principal,
    (asked, mirror): (&Revalidation, Option<bool>),
) -> Answer {
    let selectors = match asked.selectors(control.pipeline.gate.config().selectors_max) {
        Ok(selectors) => selectors,
        Err(bad) => return failure(bad.to_string()),
    };
    let routes = asked.routes();
    for path in asked.paths().into_iter().chain(asked.loose().iter().map(String::as_str)) {
        log(Level::Info, &format!("Revalidating path: {path}"), call, "started");
    }
    for tag in asked.tags() {
        log(Level::Info, &format!("Revalidating tag: {tag}"), call, "started");
    }
    if !selectors.is_empty()
        && let Err(error) =
            submit(control, call, who, Asked { selectors, mirror, routes, ..Asked::default() })
                .await
    {
        return failure(error.to_string());
    }
    let timestamp = clock::rfc3339(clock::wall_ms());
    let revalidated = Paths { paths: asked.paths(), tags: asked.tags(), timestamp };
    let message = "Revalidated successfully";
    json_answer(StatusCode::OK, &Revalidated { success: true, message, revalidated })
}

fn failure(error: String) -> Answer {
    log_failure(&error);
    failed(StatusCode::INTERNAL_SERVER_ERROR, FAILED, Some(error))
}

/// A query that cannot be understood.
fn refused(error: String) -> Answer {
    log_failure(&error);
    failed(StatusCode::BAD_REQUEST, FAILED, Some(error))
}

fn log_failure(error: &str) {
    Activity {
        level: Level::Error,
        event: ActivityKind::Revalidate,
        msg: FAILED,
        status: Some("failed"),
        error: Some(error),
        ..Activity::default()
    }
    .emit();
}

fn log(level: Level, msg: &str, call: &ControlCall, status: &str) {
    Activity {
        level,
        event: ActivityKind::Revalidate,
        msg,
        address: Some(&call.address.to_string()),
        status: Some(status),
        ..Activity::default()
    }
    .emit();
}
