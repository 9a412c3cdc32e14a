//! `GET /.well-known/jwks.json`: the public halves of the keys that sign our tokens.
//! Open, because they are public; both keys are in it during a rotation, none where tokens are
//! signed with a shared secret.

use std::sync::Arc;

use hyper::StatusCode;

use crate::server::Control;
use crate::server::call::ControlCall;
use crate::server::respond::{Handled, json_answer};

/// Publishes the keys.
pub async fn get(control: Arc<Control>, _call: ControlCall) -> Handled {
    Ok(json_answer(StatusCode::OK, &control.pipeline.gate.public_keys()))
}
