//! Routes of the systems that cache-mirror replaces, kept so that their callers need no change:
//! their methods, their bodies, their statuses and their words (docs/COMPATIBILITY.md).
//!
//! They end in the same pipeline as every other invalidation. What the guard and the table refuse
//! before a handler runs is a problem document here as anywhere.

pub mod named;
pub mod paths;

use std::collections::BTreeMap;

use hyper::StatusCode;
use serde::Serialize;

use crate::domain::{Action, Mode, Principal, Selectors, Source, Submission};
use crate::gate::Rejected;
use crate::pipeline::{self, Done};
use crate::server::Control;
use crate::server::call::Call;
use crate::server::respond::{Answer, Problem, json_answer};

/// What the revalidation routes say of anything but success.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub struct Failed<'a> {
    success: bool,
    message: &'a str,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// A failure in their form.
fn failed(status: StatusCode, message: &str, error: Option<String>) -> Answer {
    json_answer(status, &Failed { success: false, message, error })
}

/// Too many failures, or too many requests: what an older caller takes for "not done".
fn throttled(rejected: Rejected) -> Answer {
    let mut answer = failed(StatusCode::TOO_MANY_REQUESTS, "Too many requests", None);
    let headers = Problem::from(rejected).into_answer().headers().clone();
    let wait = headers.get(hyper::header::RETRY_AFTER);
    answer.headers_mut().extend(wait.map(|wait| (hyper::header::RETRY_AFTER, wait.clone())));
    answer
}

/// Clears what an older route was asked to clear.
async fn submit(
    control: &Control,
    call: &Call,
    who: Principal,
    selectors: Selectors,
) -> Result<Done, pipeline::Rejected> {
    let submission = Submission {
        selectors,
        mode: Mode::default(),
        action: Action::default(),
        reason: None,
        changed: vec![],
        fields: BTreeMap::new(),
        mirror: None,
        source: Source::Compat,
        is_marked: call.is_marked(),
        ids: call.event_ids(),
        address: Some(call.address),
        peer: None,
    };
    control.pipeline.submit(who, submission).await
}
