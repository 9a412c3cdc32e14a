//! `/api/mirrors`: the peers, and an operator's hand on them.
//! The name in the path is one of the configuration; any other is a 404.

use hyper::Method;
use schemars::SchemaGenerator;
use serde_json::json;

use super::operation::Operation;
use crate::wire::{Limited, Mirrors, Operated, PingReport};

pub fn operations(types: &mut SchemaGenerator) -> Vec<Operation> {
    let hands = [
        ("/api/mirrors/{name}/pause", "pause", "Hold a mirror back; its journal is kept"),
        ("/api/mirrors/{name}/resume", "resume", "Let a mirror go on at once"),
        ("/api/mirrors/{name}/retry", "retry", "Try a mirror now"),
    ];
    let mut all: Vec<Operation> = hands
        .into_iter()
        .map(|(path, id, summary)| {
            named(Operation::new(Method::POST, path, id, summary)).gives(
                200,
                "Done",
                types.subschema_for::<Operated>(),
            )
        })
        .collect();
    all.push(limit(types));
    all.push(ping(types));
    all.push(
        Operation::new(Method::GET, "/api/mirrors", "mirrors", "Every mirror, and how it does")
            .tag("mirrors")
            .gives(200, "In the order of the configuration", types.subschema_for::<Mirrors>())
            .problem(400, &["unknown_parameter"]),
    );
    all
}

fn named(it: Operation) -> Operation {
    let name = json!({ "type": "string", "minLength": 1, "maxLength": 1024 });
    it.tag("mirrors").part("name", "`host[:port]`, or its configured name", &name, "b.example")
}

fn ping(types: &mut SchemaGenerator) -> Operation {
    let path = "/api/mirrors/{name}/ping";
    named(Operation::new(Method::POST, path, "ping", "Ask a mirror who it is, and log in there"))
        .words(
            "Asked now and from here; nothing is changed by it. A mirror that does not answer is \
             told of in a 200 as well.",
        )
        .gives(200, "What came of it", types.subschema_for::<PingReport>())
}

fn limit(types: &mut SchemaGenerator) -> Operation {
    let examples = [
        ("Twenty a second", json!({ "rate_per_second": 20, "burst": 5 })),
        ("Only the burst", json!({ "burst": 50 })),
    ];
    let it = Operation::new(Method::PATCH, "/api/mirrors/{name}", "limit", "Change a rate limit");
    named(it)
        .words("In force at once, lost at a restart.")
        .json("Limit", true, &examples)
        .gives(200, "The limit now in force", types.subschema_for::<Limited>())
        .problem(422, &["bad_value"])
}
