//! `POST /api/cache/explain`: what an invalidation would do, step by step, and nothing done.
//! It takes the body of `POST /api/cache/invalidate` and walks the same steps up to the plan, so
//! that it cannot disagree with what would happen.

use std::sync::Arc;

use hyper::StatusCode;

use super::invalidate::submission;
use crate::domain::{Scope, Selector, Selectors};
use crate::ingest::body::InvalidateBody;
use crate::pipeline::{SubmitOutcome, SubmitReport};
use crate::resolve::Rules;
use crate::server::Control;
use crate::server::call::ControlCall;
use crate::server::respond::{Handled, Problem, json_answer};
use crate::wire::{Cost, Edge, Explained, Walk};

/// Explains one request.
pub async fn post(control: Arc<Control>, mut call: ControlCall) -> Handled {
    let pipeline = &control.pipeline;
    let depth_max = pipeline.gate.config().json_depth_max;
    let json = call.read_json(&control.config, depth_max).await?;
    let body = InvalidateBody::read(&json)?;
    if body.batch.is_some() {
        let detail = "a batch is between instances; explain what a user would send";
        return Err(Problem::bad_request("bad_json", detail));
    }
    let notes = body.notes(&json);
    let submission = submission(&call, body, pipeline.gate.config().selectors_max)?;
    match pipeline.preview(call.principal(), submission)? {
        SubmitOutcome::Applied(mut report) => {
            report.warnings.extend(notes);
            let rules = pipeline.rules.get();
            Ok(json_answer(StatusCode::OK, &explained(&control, &rules, &report)))
        }
        SubmitOutcome::Unaffected(warnings) => {
            Err(Problem::bad_request("bad_json", warnings.join("; ")))
        }
        SubmitOutcome::Duplicate(_) => Err(Problem::bad_request("bad_json", "nothing to explain")),
    }
}

fn explained(control: &Control, rules: &Rules, report: &SubmitReport) -> Explained {
    let pipeline = &control.pipeline;
    let event = &report.event;
    let selectors = event.demand.selectors();
    let graph = rules.graph();
    let edges = graph.walk(&selectors).into_iter();
    let edges = edges.filter(|(_, to)| !selectors.types().contains(*to));
    let edges =
        edges.map(|(from, to)| Edge { from: from.to_string(), to: to.to_string() }).collect();
    let destinations = match event.scope {
        Scope::Mirrored => pipeline.delivery.explain(event),
        Scope::Local => vec![],
    };
    let footprint = event.footprint();
    let cost = Cost {
        // One more for the lists of each type with ids.
        stamps: footprint.members() + footprint.ids().len(),
        walks_store: is_wide(&footprint),
        requests: destinations.iter().map(|one| one.requests).sum(),
        request_bytes: destinations.iter().map(|one| one.bytes).sum(),
    };
    Explained {
        success: true,
        instance: pipeline.instance.to_string(),
        selectors: selectors.iter().map(|one| one.to_string()).collect(),
        lists: footprint.ids().keys().map(ToString::to_string).collect(),
        mode: event.mode().as_str().into(),
        scope: event.scope.as_str().into(),
        graph: Walk { hash: graph.hash().to_owned(), edges },
        cascade: event.cascade.types().iter().map(ToString::to_string).collect(),
        entries: report.applied.entries,
        bytes: report.applied.bytes,
        count_complete: report.applied.count_complete,
        types: report.applied.types.clone(),
        cost,
        destinations,
        neighbours: pipeline.delivery.targets(),
        warnings: report.warnings.clone(),
    }
}

/// Whether counting has to look at every entry; the stamp never has to.
fn is_wide(selectors: &Selectors) -> bool {
    let is_wide = |one: &Selector| {
        matches!(one, Selector::All | Selector::PathPrefix(_) | Selector::Pattern(_))
    };
    selectors.iter().any(|one| is_wide(&one))
}
