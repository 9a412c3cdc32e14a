//! `POST /api/hooks/{name}`: webhooks of other systems, which carry their own secret or signature.
//!
//! Answered 202 once the journal holds the event: a sender that must wait for our mirrors would
//! time out and come again. A forgery counts like a bad token, and what is genuine is never
//! refused.

use std::sync::Arc;
use std::time::Instant;

use hyper::StatusCode;

use crate::activity::{Activity, ActivityKind, Level, joined};
use crate::domain::Selectors;
use crate::gate::Rejected;
use crate::ingest::fields;
use crate::ingest::webhook::{
    Limits, WebhookOrigin, WebhookOutcome, WebhookRefusal, WebhookRequest,
};
use crate::resolve::Rules;
use crate::server::Control;
use crate::server::call::ControlCall;
use crate::server::respond::{Handled, Problem, json_answer};
use crate::support::{LogThrottle, clock};
use crate::wire::Delivered;

/// Unknown types in one line of the log.
const UNKNOWN_SHOWN_MAX: usize = 8;

/// Takes one delivery.
pub async fn post(control: Arc<Control>, mut call: ControlCall) -> Handled {
    let Some(hook) = control.hooks.find(&call.param) else {
        return Err(Problem::not_found("no webhook of this name is taken here").closing());
    };
    let body = call.read(&control.config).await?;
    let query = call.query.as_deref().map(|query| format!("?{query}")).unwrap_or_default();
    let target = format!("/api/hooks/{}{query}", hook.name);
    let delivery = WebhookRequest {
        target: &target,
        headers: &call.headers,
        body: &body,
        now_ms: clock::wall_ms(),
    };
    let gate = &control.pipeline.gate;
    if let Err(refusal) = hook.check(&delivery) {
        let rejected = gate.refuse(call.address);
        log_refused(&hook.name, &call, &rejected, refusal);
        return Err(rejected.into());
    }
    if call.pairs().any(|(name, _)| fields::is_dry_run(&name)) {
        return Err(Problem::bad_request("unknown_parameter", fields::NO_DRY_RUN));
    }
    let config = gate.config();
    let limits = Limits { selectors_max: config.selectors_max, depth_max: config.json_depth_max };
    let rules = control.pipeline.rules.get();
    let read = hook.read(&delivery, limits, &rules).inspect_err(|bad| {
        log(&hook.name, Level::Warn, "a webhook's body cannot be read", "malformed", bad);
    })?;
    let notes = read.change.notes.clone();
    let is_puzzling = read.change.is_puzzling;
    let unknown = unknown_types(&rules, &read.change.selectors);
    let from = WebhookOrigin {
        address: call.address.known(),
        is_marked: call.is_marked(),
        ids: call.event_ids(),
    };
    let taken = control.hooks.take(&control.pipeline, &hook, read, from).await?;
    log_taken(&hook.name, &taken, &notes);
    log_lost(&control.hooks.log_throttle, &hook.name, &taken, is_puzzling, &unknown);
    let of_rules =
        if let WebhookOutcome::Applied { warnings, .. } = &taken { &warnings[..] } else { &[] };
    let warnings = [notes, of_rules.to_vec()].concat();
    Ok(json_answer(StatusCode::ACCEPTED, &answer(taken, &warnings)))
}

fn answer(taken: WebhookOutcome, warnings: &[String]) -> Delivered<'_> {
    let done = Delivered { success: true, warnings: warnings.into(), ..Delivered::default() };
    match taken {
        WebhookOutcome::Applied { id, is_degraded, .. } => {
            Delivered { id: Some(id), degraded: is_degraded, ..done }
        }
        WebhookOutcome::Duplicate(id) => Delivered { id, duplicate: true, ..done },
        WebhookOutcome::Ignored(reason) => {
            Delivered { ignored: true, reason: Some(reason), ..done }
        }
    }
}

/// Past the limit nothing is logged: a flood of forged calls must not become a flood of lines.
fn log_refused(hook: &str, call: &ControlCall, rejected: &Rejected, refusal: WebhookRefusal) {
    if matches!(rejected, Rejected::TooMany(_)) {
        return;
    }
    Activity {
        level: Level::Warn,
        event: ActivityKind::Webhook,
        msg: "a webhook was refused",
        principal: Some(&format!("hook:{hook}")),
        address: Some(&call.address.to_string()),
        status: Some("refused"),
        error: Some(refusal),
        ..Activity::default()
    }
    .emit();
}

/// What was applied has its own line, by the pipeline.
fn log_taken(hook: &str, taken: &WebhookOutcome, warnings: &[String]) {
    if !warnings.is_empty() {
        let msg = "not all of a webhook could be read";
        log(hook, Level::Warn, msg, "widened", &joined(warnings));
    }
    match taken {
        WebhookOutcome::Applied { .. } => {}
        WebhookOutcome::Duplicate(id) => Activity {
            event: ActivityKind::Webhook,
            msg: "a webhook came again: it had its effect before",
            event_id: id.map(|id| id.to_string()).as_deref(),
            principal: Some(&format!("hook:{hook}")),
            status: Some("duplicate"),
            ..Activity::default()
        }
        .emit(),
        WebhookOutcome::Ignored(reason) => {
            log(hook, Level::Info, "a webhook was ignored", "ignored", reason);
        }
    }
}

/// The types that the graph does not know and that resemble none, where there is a graph.
fn unknown_types(rules: &Rules, selectors: &Selectors) -> Vec<String> {
    if rules.graph().is_empty() {
        return vec![];
    }
    let named = selectors.named_types();
    let unknown = named.filter(|it| !rules.knows(it) && rules.resembling(it.as_str()).is_none());
    unknown.take(UNKNOWN_SHOWN_MAX).map(ToString::to_string).collect()
}

/// Nobody reads what a webhook is answered. So what clears nothing, though nobody chose that, and
/// what names a type that nothing may be stored under, is a warning, once in a while.
fn log_lost(
    throttle: &LogThrottle,
    hook: &str,
    taken: &WebhookOutcome,
    is_puzzling: bool,
    unknown: &[String],
) {
    let (msg, status, reason) = match taken {
        WebhookOutcome::Ignored(reason) if is_puzzling || !unknown.is_empty() => {
            ("a webhook cleared nothing", "cleared_nothing", reason.clone())
        }
        WebhookOutcome::Applied { .. } if !unknown.is_empty() => {
            let reason = format!(
                "not in the graph: {}; name them in [dependencies], or map them in mapping.types",
                unknown.join(", ")
            );
            ("a webhook names a type that the graph does not know", "unknown_type", reason)
        }
        _ => return,
    };
    if let Some(suppressed) = throttle.is_due(&format!("{hook} {reason}"), Instant::now()) {
        let more =
            if suppressed > 0 { format!(" ({suppressed} more like this)") } else { String::new() };
        log(hook, Level::Warn, msg, status, &format!("{reason}{more}"));
    }
}

fn log(hook: &str, level: Level, msg: &str, status: &str, reason: &dyn std::fmt::Display) {
    Activity {
        level,
        event: ActivityKind::Webhook,
        msg,
        principal: Some(&format!("hook:{hook}")),
        status: Some(status),
        reason: Some(&reason.to_string()),
        ..Activity::default()
    }
    .emit();
}
