//! `POST /api/cache/hooks/{name}`: an application says what happened, and the settings say what
//! that clears (acceptance S2 2.2). A hook is nothing but configuration.

use std::sync::Arc;

use serde_json::Value;

use super::super::invalidate::answered;
use super::{Asked, submit, value};
use crate::ingest::{damaged_json, fields};
use crate::server::Control;
use crate::server::call::ControlCall;
use crate::server::respond::{Handled, Problem};

/// Clears what the hook stands for.
pub async fn post(control: Arc<Control>, mut call: ControlCall) -> Handled {
    let depth_max = control.pipeline.gate.config().json_depth_max;
    let json = call.read_json(&control.config, depth_max).await?;
    let body = value(&json, depth_max).map_err(|error| Problem::bad_request("bad_json", error))?;
    if !body.is_object() {
        return Err(Problem::bad_request("bad_json", "an object is expected"));
    }
    let bad = |detail: String| Problem::bad_request("bad_json", detail);
    if fields::asks_dry_run(&body) {
        return Err(bad(fields::NO_DRY_RUN.to_owned()));
    }
    fields::check_count(&body).map_err(|many| bad(many.to_string()))?;
    let rules = control.pipeline.rules.get();
    let Some(hook) = rules.hooks().get(&call.param) else {
        let near = rules.hooks().nearest(&call.param);
        let hint = near.map(|near| format!("; did you mean {near}?")).unwrap_or_default();
        return Err(Problem::not_found(format!("no such entry in [hooks]{hint}")));
    };
    let given = fields::fields(&body);
    let mirror = fields::mirror(&body, |_| false).map_err(|slip| bad(slip.to_string()))?;
    let asked = Asked {
        selectors: hook.selectors(&given),
        fields: fields::kept(&given),
        mirror,
        changed: changed(&body),
        routes: vec![],
    };
    let done = submit(&control, &call, call.principal(), asked).await?;
    Ok(answered(&control, &done))
}

/// The fields that changed; none where one of them cannot be read, for it may be the one that
/// matters.
fn changed(body: &Value) -> Vec<String> {
    let names = body.get("changed").and_then(Value::as_array).into_iter().flatten();
    let names: Option<Vec<String>> = names.map(|name| name.as_str().map(str::to_owned)).collect();
    names
        .filter(|names| !names.iter().any(|name| damaged_json::is_doubtful(name)))
        .unwrap_or_default()
}
