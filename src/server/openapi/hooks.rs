//! `/api/hooks/{name}`: webhooks of other systems.
//! What a body holds is each sender's own, so that no schema here narrows it.

use hyper::Method;
use schemars::SchemaGenerator;
use serde_json::json;

use super::operation::Operation;
use crate::wire::Delivered;

pub fn operation(types: &mut SchemaGenerator) -> Operation {
    let name = json!({ "type": "string", "pattern": "^[A-Za-z0-9_.-]{1,64}$" });
    let update = json!({
        "type": "UPDATE", "table": "posts", "schema": "public",
        "record": { "id": 42 }, "old_record": { "id": 42 },
    });
    let delete = json!({
        "type": "DELETE", "table": "posts", "schema": "public",
        "record": null, "old_record": { "id": 42 },
    });
    let examples = [("A row was changed", update), ("A row is gone", delete)];
    Operation::new(Method::POST, "/api/hooks/{name}", "webhook", "Take a webhook of another system")
        .tag("hooks")
        .words(
            "The sender's own secret or signature is the credential; docs/WEBHOOKS.md has a preset \
             for each. Answers once the journal holds the event; a repeat has no second effect.",
        )
        .part("name", "A hook of `ingest.hooks`", &name, "database")
        .json("Delivery", true, &examples)
        .gives(202, "Taken, known already, or ignored", types.subschema_for::<Delivered<'_>>())
        .problem(400, &["bad_event"])
        .problem(401, &["invalid_credentials"])
        .problem(429, &["too_many_requests"])
        .problem(503, &["not_durable", "stopping"])
}
