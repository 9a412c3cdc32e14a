//! `/api/cache/…` but for the entries: invalidations, their events, and figures.
//! Words, limits and examples only; what is answered comes from the types of the answers.

use hyper::Method;
use schemars::SchemaGenerator;
use serde_json::json;

use super::explained;
use super::operation::Operation;
use super::requests::type_name;
use crate::wire::{
    Duplicate, EventAnswer, Invalidated, JournalPage, Stats, Versions, VersionsReset,
};

pub fn operations(types: &mut SchemaGenerator) -> Vec<Operation> {
    let mut all = vec![invalidate(types), clear(types), event(types), journal(types)];
    all.push(
        Operation::new(Method::GET, "/api/cache/stats", "stats", "Figures of the instance")
            .tag("cache")
            .gives(200, "Each true of about now", types.subschema_for::<Stats>())
            .problem(400, &["unknown_parameter"]),
    );
    all.push(versions(types));
    all.push(reset(types));
    all.extend(explained::operations(types));
    all
}

fn invalidate(types: &mut SchemaGenerator) -> Operation {
    let examples = [
        ("One post", json!({ "type": "posts", "id": "42" })),
        (
            "Several ids, with the reason",
            json!({
                "type": "posts", "ids": [42, "43"], "action": "delete", "reason": "spam",
            }),
        ),
        (
            "A tag and a path prefix, softly",
            json!({
                "tag": "home", "path": "/blog/*", "mode": "soft",
            }),
        ),
        (
            "A batch that is one event",
            json!({
                "items": [{ "type": "posts", "id": "42" }, { "key": "front-page" }],
            }),
        ),
        ("A pattern over keys, here only", json!({ "pattern": "posts:*", "mirror": false })),
        ("What would happen", json!({ "all": true, "dry_run": true })),
    ];
    let path = "/api/cache/invalidate";
    let it = Operation::new(Method::POST, path, "invalidate", "Clear what changed, everywhere")
        .tag("cache")
        .words(
            "Answers once the store is cleared and the journal holds the event on disk. \
             Under a service account everything is local.",
        )
        .json("Invalidation", true, &examples);
    answered(asked(it), types)
}

fn clear(types: &mut SchemaGenerator) -> Operation {
    let examples =
        [("Everything, everywhere", json!({})), ("Here only", json!({ "mirror": false }))];
    let it = Operation::new(Method::POST, "/api/cache/clear", "clear", "Clear everything")
        .tag("cache")
        .words("The same as an invalidation of `all`.")
        .json("Clear", false, &examples)
        .problem(400, &["bad_json"]);
    answered(asked(it), types)
}

fn asked(it: Operation) -> Operation {
    let wait =
        json!({ "type": "string", "pattern": "^(local|any|all|[0-9]{1,9})$", "default": "local" });
    let seconds = "^[0-9]{1,6}(\\.[0-9]{1,3})?(ms|s)?$";
    let time = json!({ "type": "string", "pattern": seconds, "default": "5s" });
    let key = json!({ "type": "string", "minLength": 1, "maxLength": 256, "pattern": "^[!-~]+$" });
    it.query("wait", "How many mirrors must acknowledge first", &wait, &json!("all"))
        .query("timeout", "How long to wait for them; past it 202", &time, &json!("500ms"))
        .header("Idempotency-Key", "One key has one effect", &key)
}

fn answered(it: Operation, types: &mut SchemaGenerator) -> Operation {
    let applied = types.subschema_for::<Invalidated<'_>>();
    let duplicate = types.subschema_for::<Duplicate<'_>>();
    it.gives(200, "Applied, or known already", json!({ "anyOf": [applied, duplicate] }))
        .gives(202, "Applied; not every mirror acknowledged in time", applied)
        .problem(400, &["bad_idempotency_key", "bad_timeout", "bad_wait"])
        .problem(400, &["repeated_parameter", "unknown_parameter"])
        .problem(422, &["bad_value", "idempotency_key_reused", "unknown_type"])
        .problem(503, &["not_durable", "stopping"])
}

fn event(types: &mut SchemaGenerator) -> Operation {
    let id = json!({ "type": "string", "format": "uuid" });
    let example = "0198c5a4-7f3e-7000-8000-000000000000";
    Operation::new(Method::GET, "/api/cache/events/{id}", "event", "One event, and how far it got")
        .tag("cache")
        .part("id", "The id that the invalidation was answered with", &id, example)
        .gives(200, "The event", types.subschema_for::<EventAnswer>())
        .problem(400, &["bad_id", "unknown_parameter"])
}

fn journal(types: &mut SchemaGenerator) -> Operation {
    let after = json!({ "type": "integer", "minimum": 0, "default": 0 });
    let limit = json!({ "type": "integer", "minimum": 1, "maximum": 1000, "default": 100 });
    let last = json!({ "type": "integer", "minimum": 0, "maximum": 1000 });
    Operation::new(Method::GET, "/api/cache/journal", "journal", "A page of the journal")
        .tag("cache")
        .query("after", "The `seq` to go on from", &after, &json!(0))
        .query("limit", "Events at most; a larger number counts as 1000", &limit, &json!(10))
        .query("last", "The newest so many, instead of `after` and `limit`", &last, &json!(10))
        .gives(200, "Oldest first", types.subschema_for::<JournalPage>())
        .problem(400, &["repeated_parameter", "unknown_parameter"])
        .problem(422, &["bad_value"])
}

fn versions(types: &mut SchemaGenerator) -> Operation {
    let name = type_name();
    let names = json!({ "type": "array", "items": name, "maxItems": 1000 });
    let path = "/api/cache/versions";
    Operation::new(Method::GET, path, "versions", "How often everything was cleared")
        .tag("cache")
        .query(
            "types",
            "Which types, by comma; one never cleared reads 0",
            &names,
            &json!(["posts"]),
        )
        .gives(200, "Durable, one more for every event", types.subschema_for::<Versions>())
        .problem(400, &["repeated_parameter", "unknown_parameter"])
        .problem(422, &["bad_value"])
}

fn reset(types: &mut SchemaGenerator) -> Operation {
    let path = "/api/cache/versions/reset";
    Operation::new(Method::POST, path, "versions_reset", "Count the versions anew")
        .tag("cache")
        .words(
            "Durable once answered. It clears nothing and tells no mirror; readers of the stream \
             are told to fetch anew.",
        )
        .gives(200, "From 0 on", types.subschema_for::<VersionsReset>())
        .problem(503, &["not_durable"])
}
