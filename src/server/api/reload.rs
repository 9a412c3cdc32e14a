//! `POST /api/reload`: reads the settings again and reports the result.
//! The work is done elsewhere, one request after the other; the caller waits for its own.

use std::sync::Arc;

use hyper::StatusCode;
use serde_json::json;

use crate::server::call::ControlCall;
use crate::server::respond::{Handled, Problem, bytes, json_answer};
use crate::server::{Control, ReloadOutcome};
use crate::wire::Reloaded;

/// 200 with what changed, or a problem document that also names each problem; then everything is as
/// it was.
pub async fn post(control: Arc<Control>, mut call: ControlCall) -> Handled {
    call.read_nothing(&control.config).await?;
    let Some(outcome) = control.reloads.ask(&call.principal().name).await else {
        let detail = "nothing was reloaded: the instance is stopping";
        return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "stopping", detail));
    };
    if outcome.problems.is_empty() {
        let ReloadOutcome { changed, needs_restart, problems } = outcome;
        let body = Reloaded { success: true, changed, needs_restart, problems };
        return Ok(json_answer(StatusCode::OK, &body));
    }
    let status = StatusCode::UNPROCESSABLE_ENTITY;
    let body = json!({
        "type": "urn:cache-mirror:problem:bad_config",
        "title": status.canonical_reason(),
        "status": status.as_u16(),
        "code": "bad_config",
        "detail": "the configuration has problems; nothing was changed",
        "success": false,
        "changed": [],
        "needs_restart": [],
        "problems": outcome.problems,
    });
    Ok(bytes(status, "application/problem+json", body.to_string().into()))
}
