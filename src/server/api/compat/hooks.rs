//! `POST /api/cache/hooks/{name}`: an application says what happened, and the settings say what
//! that clears (acceptance S2 2.2). A hook is nothing but configuration.

use std::sync::Arc;

use serde_json::Value;

use super::super::invalidate::answered;
use super::{Asked, submit};
use crate::ingest::fields;
use crate::server::Control;
use crate::server::call::Call;
use crate::server::respond::{Handled, Problem};

/// Clears what the hook stands for.
pub async fn post(control: Arc<Control>, mut call: Call) -> Handled {
    let depth_max = control.pipeline.gate.config().json_depth_max;
    let json = call.read_json(&control.config, depth_max).await?;
    let body: Value = serde_json::from_slice(&json)
        .map_err(|error| Problem::bad_request("bad_json", error.to_string()))?;
    if !body.is_object() {
        return Err(Problem::bad_request("bad_json", "an object is expected"));
    }
    let rules = control.pipeline.rules.get();
    let Some(hook) = rules.hooks().get(&call.param) else {
        let near = rules.hooks().nearest(&call.param);
        let hint = near.map(|near| format!("; did you mean {near}?")).unwrap_or_default();
        return Err(Problem::not_found(format!("no such entry in [hooks]{hint}")));
    };
    let changed = body.get("changed").and_then(Value::as_array).into_iter().flatten();
    let given = fields::fields(&body);
    let mirror = fields::mirror(&body, |_| false)
        .map_err(|bad| Problem::bad_request("bad_json", bad.to_string()))?;
    let asked = Asked {
        selectors: hook.selectors(&given),
        fields: fields::kept(&given),
        mirror,
        changed: changed.filter_map(Value::as_str).map(str::to_owned).collect(),
    };
    let done = submit(&control, &call, call.principal(), asked).await?;
    Ok(answered(&control, &done))
}
