//! `/api/schedules`: invalidations by the clock, and an operator's hand on them.
//! A run that is asked for is an invalidation like any other, under the caller's name; the
//! schedule's own times stay as they are.

use std::sync::Arc;

use hyper::StatusCode;

use super::invalidate::answered;
use crate::activity::{Activity, ActivityKind};
use crate::ingest::schedule::ManualRun;
use crate::server::Control;
use crate::server::call::ControlCall;
use crate::server::respond::{Handled, Problem, json_answer};
use crate::wire::{Held, Schedules};

/// Every schedule.
pub async fn list(control: Arc<Control>, _call: ControlCall) -> Handled {
    let schedules = control.schedules.view();
    Ok(json_answer(StatusCode::OK, &Schedules { schedules }))
}

/// Runs one now.
pub async fn run(control: Arc<Control>, mut call: ControlCall) -> Handled {
    call.read_nothing(&control.config).await?;
    let asked = ManualRun {
        who: call.principal(),
        address: call.address.known(),
        is_marked: call.is_marked(),
        ids: call.event_ids(),
    };
    let done = control.schedules.run_now(&control.pipeline, &call.param, asked).await;
    let done = done.ok_or_else(|| unknown(&control, &call.param))??;
    log(&call, "a schedule was run by an operator", "run");
    Ok(answered(&control, &done))
}

/// Holds one back.
pub async fn pause(control: Arc<Control>, call: ControlCall) -> Handled {
    hold(control, call, true).await
}

/// Lets one go on with its next time.
pub async fn resume(control: Arc<Control>, call: ControlCall) -> Handled {
    hold(control, call, false).await
}

async fn hold(control: Arc<Control>, mut call: ControlCall, is_paused: bool) -> Handled {
    call.read_nothing(&control.config).await?;
    if !control.schedules.hold(&call.param, is_paused).await {
        return Err(unknown(&control, &call.param));
    }
    let status = if is_paused { "paused" } else { "resumed" };
    log(&call, "a schedule was changed by an operator", status);
    let view = control.schedules.view();
    let schedule = view.into_iter().find(|schedule| schedule.id == call.param);
    Ok(json_answer(StatusCode::OK, &Held { success: true, schedule }))
}

fn log(call: &ControlCall, msg: &str, status: &str) {
    Activity {
        event: ActivityKind::Schedule,
        msg,
        principal: Some(&call.principal().name),
        status: Some(status),
        reason: Some(&format!("schedule {}", call.param)),
        ..Activity::default()
    }
    .emit();
}

fn unknown(control: &Control, id: &str) -> Problem {
    let ids = control.schedules.ids();
    Problem::not_found(format!("no schedule {id:?}; there are: {}", ids.join(", ")))
}
