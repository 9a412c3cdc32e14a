//! `/api/schedules`: invalidations by the clock, and an operator's hand on them.
//! The id in the path is one of the configuration; any other is a 404.

use hyper::Method;
use schemars::SchemaGenerator;
use serde_json::json;

use super::operation::Operation;
use crate::wire::{Duplicate, Held, Invalidated, Schedules};

pub fn operations(types: &mut SchemaGenerator) -> Vec<Operation> {
    let hands = [
        ("/api/schedules/{id}/pause", "pauseSchedule", "Hold a schedule back, over restarts too"),
        ("/api/schedules/{id}/resume", "resumeSchedule", "Let a schedule go on with its next time"),
    ];
    let mut all: Vec<Operation> = hands
        .into_iter()
        .map(|(path, id, summary)| {
            let held = types.subschema_for::<Held>();
            named(Operation::new(Method::POST, path, id, summary)).gives(200, "Done", held)
        })
        .collect();
    let applied = types.subschema_for::<Invalidated<'_>>();
    let duplicate = types.subschema_for::<Duplicate<'_>>();
    let run = Operation::new(
        Method::POST,
        "/api/schedules/{id}/run",
        "runSchedule",
        "Run a schedule now",
    );
    all.push(
        named(run)
            .words("An invalidation under the caller's name; its own times stay as they are.")
            .gives(200, "Applied, or known already", json!({ "anyOf": [applied, duplicate] }))
            .problem(422, &["unknown_type"])
            .problem(503, &["not_durable", "stopping"]),
    );
    all.push(
        Operation::new(Method::GET, "/api/schedules", "schedules", "Every schedule, and its runs")
            .tag("schedules")
            .gives(200, "In the order of the configuration", types.subschema_for::<Schedules>())
            .problem(400, &["unknown_parameter"]),
    );
    all
}

fn named(it: Operation) -> Operation {
    let id = json!({ "type": "string", "minLength": 1, "maxLength": 1024 });
    it.tag("schedules").part("id", "As in the configuration", &id, "activate-tournaments")
}
