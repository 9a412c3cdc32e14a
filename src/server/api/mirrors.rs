//! `/api/mirrors`: what mirrors there are, how they do, and an operator's hand on them.
//! Each operation is logged under the operator's name. A pause outlives a restart; limits set here
//! are lost at one.

use std::sync::Arc;

use hyper::StatusCode;
use serde::Deserialize;

use crate::activity::{Activity, ActivityKind};
use crate::server::Control;
use crate::server::call::ControlCall;
use crate::server::respond::{Handled, Problem, json_answer};
use crate::wire::{Limited, Mirrors, Operated};

/// Highest rate that may be set: past it a limit is none.
const RATE_MAX: f64 = 1_000_000.0;

/// Every mirror.
pub async fn list(control: Arc<Control>, _call: ControlCall) -> Handled {
    let delivery = &control.pipeline.delivery;
    let (mirrors, removed) = (delivery.view(), delivery.removed());
    Ok(json_answer(StatusCode::OK, &Mirrors { mirrors, removed }))
}

/// Holds one back until it is resumed, over restarts too.
pub async fn pause(control: Arc<Control>, mut call: ControlCall) -> Handled {
    call.read_nothing(&control.config).await?;
    let name = named(&control, &call)?;
    let found = control.pipeline.delivery.pause(&name);
    control.pipeline.delivery.keep_pauses().await;
    operated(&control, &call, &name, found, "paused")
}

/// Lets one go on.
pub async fn resume(control: Arc<Control>, mut call: ControlCall) -> Handled {
    call.read_nothing(&control.config).await?;
    let name = named(&control, &call)?;
    let found = control.pipeline.delivery.resume(&name);
    control.pipeline.delivery.keep_pauses().await;
    operated(&control, &call, &name, found, "resumed")
}

/// Tries one now.
pub async fn retry(control: Arc<Control>, mut call: ControlCall) -> Handled {
    call.read_nothing(&control.config).await?;
    let name = named(&control, &call)?;
    let found = control.pipeline.delivery.retry(&name);
    operated(&control, &call, &name, found, "retried")
}

/// Asks one who it is and whether our account works there; nothing is changed by it.
pub async fn ping(control: Arc<Control>, mut call: ControlCall) -> Handled {
    call.read_nothing(&control.config).await?;
    let name = named(&control, &call)?;
    match control.pipeline.delivery.ping(&name).await {
        Some(ping) => Ok(json_answer(StatusCode::OK, &ping)),
        None => Err(unknown(&control, &name)),
    }
}

/// Changes a limit until the next restart or reload.
pub async fn limit(control: Arc<Control>, mut call: ControlCall) -> Handled {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Limit {
        #[serde(default)]
        rate_per_second: Option<f64>,
        #[serde(default)]
        burst: Option<u32>,
    }
    let depth_max = control.pipeline.gate.config().json_depth_max;
    let json = call.read_json(&control.config, depth_max).await?;
    let wanted: Limit = serde_json::from_slice(&json)
        .map_err(|error| Problem::bad_request("bad_json", error.to_string()))?;
    let is_rate = |rate: &f64| rate.is_finite() && *rate > 0.0 && *rate <= RATE_MAX;
    if wanted.rate_per_second.is_some_and(|rate| !is_rate(&rate)) || wanted.burst == Some(0) {
        let detail = "rate_per_second: above 0, at most 1000000; burst: at least 1";
        return Err(Problem::unprocessable("bad_value", detail));
    }
    let (delivery, name) = (&control.pipeline.delivery, named(&control, &call)?);
    let Some((rate, burst)) = delivery.limit(&name, wanted.rate_per_second, wanted.burst) else {
        return Err(unknown(&control, &name));
    };
    log(&call, &name, &format!("limit set to {rate}/s, burst {burst}"));
    let body = Limited { success: true, name, rate_per_second: rate, burst };
    Ok(json_answer(StatusCode::OK, &body))
}

/// The destination that the path means.
fn named(control: &Control, call: &ControlCall) -> Result<String, Problem> {
    control.pipeline.delivery.find_name(&call.param).map_err(|there| match &there[..] {
        [] => unknown(control, &call.param),
        several => {
            let detail =
                format!("several are at {:?}; name one: {}", call.param, several.join(", "));
            Problem::not_found(detail)
        }
    })
}

fn operated(control: &Control, call: &ControlCall, name: &str, found: bool, what: &str) -> Handled {
    if !found {
        return Err(unknown(control, name));
    }
    log(call, name, what);
    let view = control.pipeline.delivery.view();
    let mirror = view.into_iter().find(|mirror| mirror.name == name);
    Ok(json_answer(StatusCode::OK, &Operated { success: true, mirror }))
}

fn log(call: &ControlCall, name: &str, what: &str) {
    Activity {
        event: ActivityKind::Mirror,
        msg: "changed by an operator",
        peer: Some(name),
        principal: Some(&call.principal().name),
        status: Some(what),
        ..Activity::default()
    }
    .emit();
}

fn unknown(control: &Control, name: &str) -> Problem {
    let names = control.pipeline.delivery.names();
    Problem::not_found(format!("no mirror {name:?}; there are: {}", names.join(", ")))
}
