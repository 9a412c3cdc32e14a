//! Routes of the systems that cache-mirror replaces, kept so that their callers need no change:
//! their methods, their bodies, their statuses and their words (docs/COMPATIBILITY.md).
//!
//! They end in the same pipeline as every other invalidation. What the guard and the table refuse
//! before a handler runs is a problem document here as anywhere.

pub mod admin;
pub mod by_hand;
pub mod hooks;
pub mod named;
pub mod paths;

use hyper::StatusCode;
use serde::Serialize;
use serde_json::{Value, json};

use crate::domain::{Label, Principal, Selectors, Source, Submission};
use crate::gate::Rejected;
use crate::ingest::{damaged_json, depth};
use crate::pipeline::{self, SubmitOutcome};
use crate::resolve::Fields;
use crate::server::Control;
use crate::server::call::ControlCall;
use crate::server::respond::{Answer, Problem, bytes, json_answer};

/// The error body of the revalidation routes.
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

/// A success; where it cannot be written, the failure in the words of its route.
fn answer_or(body: &impl Serialize, failure: &str) -> Answer {
    match serde_json::to_vec(body) {
        Ok(body) => bytes(StatusCode::OK, "application/json", body.into()),
        Err(_) => json_answer(StatusCode::INTERNAL_SERVER_ERROR, &json!({ "error": failure })),
    }
}

/// The body as JSON of any shape, or why it is none. A value that cannot be read costs only itself.
async fn read_value(
    control: &Control,
    call: &mut ControlCall,
) -> Result<Result<Value, String>, Problem> {
    let json = call.read(&control.config).await?;
    let depth_max = control.pipeline.gate.config().json_depth_max;
    if depth::exceeds(&json, depth_max) {
        let detail = format!("JSON nested deeper than {depth_max}");
        return Err(Problem::bad_request("too_deep", detail));
    }
    Ok(value(&json, depth_max))
}

/// Why a body of nothing but white space is none.
const EMPTY: &str = "no JSON: the body is empty";

fn value(json: &[u8], depth_max: usize) -> Result<Value, String> {
    let mut reading = damaged_json::read(json, depth_max);
    if reading.values.is_empty() {
        return Err(EMPTY.to_owned());
    }
    if !reading.is_broken && reading.values.len() == 1 {
        return reading.values.pop().ok_or_else(String::new);
    }
    let strict = serde_json::from_slice::<Value>(json).err();
    Err(strict.map_or_else(|| "no JSON".to_owned(), |error| error.to_string()))
}

/// What an older route was asked for.
#[derive(Debug, Default)]
struct Asked {
    selectors: Selectors,
    mirror: Option<bool>,
    changed: Vec<String>,
    /// Further members about the entity.
    fields: Fields,
    /// Routes that were named for paths.
    routes: Vec<Label>,
}

/// Clears it.
async fn submit(
    control: &Control,
    call: &ControlCall,
    who: Principal,
    asked: Asked,
) -> Result<SubmitOutcome, pipeline::SubmitError> {
    let submission = Submission {
        fields: asked.fields,
        routes: asked.routes,
        changed: asked.changed,
        mirror: asked.mirror,
        is_marked: call.is_marked(),
        ids: call.event_ids(),
        address: call.address.known(),
        ..Submission::new(asked.selectors, Source::Compat)
    };
    control.pipeline.submit(who, submission).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::ser::Error as _;

    struct Unwritable;

    impl Serialize for Unwritable {
        fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(S::Error::custom("no"))
        }
    }

    /// S2 2.5: a failure has its text.
    #[test]
    fn what_cannot_be_written_fails_in_the_words_of_its_route() {
        let failed = answer_or(&Unwritable, "Failed to get cache stats");
        assert_eq!(failed.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(answer_or(&json!({}), "").status(), StatusCode::OK);
    }
}
