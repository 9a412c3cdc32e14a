//! `POST /api/auth/login`: a service account's email and password for a token.
//! Success and failure are both logged, with the address and without the password.

use std::sync::Arc;

use hyper::StatusCode;
use serde::Deserialize;

use crate::activity::{Activity, ActivityKind, Level};
use crate::gate::Rejected;
use crate::server::Control;
use crate::server::call::ControlCall;
use crate::server::respond::{Handled, Problem, json_answer};
use crate::support::Secret;
use crate::wire::LoggedIn;

/// Letters of an email that are logged.
const NAME_CHARS_MAX: usize = 128;

/// The members that are read; others are ignored, as the contract requires.
#[derive(Deserialize)]
struct Login {
    email: String,
    password: Secret,
}

/// Logs in.
pub async fn post(control: Arc<Control>, mut call: ControlCall) -> Handled {
    let gate = &control.pipeline.gate;
    let json = call.read_json(&control.config, gate.config().json_depth_max).await?;
    let login: Login = serde_json::from_slice(&json)
        .map_err(|_| Problem::bad_request("bad_json", "email and password are expected"))?;
    let outcome = gate.login(&login.email, login.password, call.address).await;
    let name: String = login.email.chars().take(NAME_CHARS_MAX).collect();
    log(&name, &call.address.to_string(), outcome.as_ref().err());
    let (access_token, expires_in) = outcome?;
    let body = LoggedIn { access_token, token_type: "bearer".into(), expires_in };
    Ok(json_answer(StatusCode::OK, &body))
}

/// Past the limit failures are counted with the other refused calls: a flood of wrong logins must
/// not become one of lines.
fn log(email: &str, address: &str, rejected: Option<&Rejected>) {
    let error = rejected.map(ToString::to_string);
    let is_warned = rejected.is_some_and(|rejected| !matches!(rejected, Rejected::TooMany(_)));
    Activity {
        level: if is_warned { Level::Warn } else { Level::Debug },
        event: ActivityKind::Login,
        msg: if error.is_some() { "login refused" } else { "login" },
        principal: Some(email),
        address: Some(address),
        status: Some(if error.is_some() { "refused" } else { "ok" }),
        error: error.as_deref(),
        ..Activity::default()
    }
    .emit();
}
