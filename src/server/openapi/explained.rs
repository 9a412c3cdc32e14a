//! `/api/cache/explain` and `/api/cache/why`: what would happen, and what did.
//! Both only read; words, limits and examples are here, and the answers are their types.

use hyper::Method;
use schemars::SchemaGenerator;
use serde_json::{Value, json};

use super::operation::Operation;
use super::requests::{label, type_name};
use crate::wire::{Explained, Why};

pub fn operations(types: &mut SchemaGenerator) -> Vec<Operation> {
    vec![explain(types), why(types)]
}

fn explain(types: &mut SchemaGenerator) -> Operation {
    let examples = [
        ("A changed post", json!({ "type": "posts", "id": "42" })),
        ("A path prefix, softly", json!({ "path": "/blog/*", "mode": "soft" })),
        ("Everything, here only", json!({ "all": true, "mirror": false })),
    ];
    let path = "/api/cache/explain";
    Operation::new(Method::POST, path, "explain", "What an invalidation would do")
        .tag("cache")
        .words(
            "Takes the body of an invalidation and walks the same steps, up to the plan; nothing \
             is cleared, written or sent.",
        )
        .json("Invalidation", true, &examples)
        .gives(200, "True of about now", types.subschema_for::<Explained>())
        .problem(422, &["bad_value", "unknown_type"])
}

fn why(types: &mut SchemaGenerator) -> Operation {
    let limit = json!({ "type": "integer", "minimum": 1, "maximum": 100, "default": 5 });
    Operation::new(Method::GET, "/api/cache/why", "why", "What last touched an entry")
        .tag("cache")
        .words(
            "Exactly one of `key` and `path`. An entry that is cached names its type, id and tags \
             itself; of one that is gone, `type` and `id` widen the search.",
        )
        .query("key", "The entry's key; or a path", &label(), &json!("front-page"))
        .alternative("path", "The entry's path, instead of `key`", &path())
        .query("type", "Its type, where it is gone", &type_name(), &json!("posts"))
        .query("id", "Its id, where it is gone; needs `type`", &label(), &json!("42"))
        .query("limit", "Events at most; a larger number counts as 100", &limit, &json!(10))
        .gives(200, "Newest first", types.subschema_for::<Why>())
        .problem(400, &["bad_value", "repeated_parameter", "unknown_parameter"])
        .problem(422, &["bad_value"])
}

/// A path as entries and selectors have it.
pub fn path() -> Value {
    let mut path = label();
    path["pattern"] = "^/[^\\u0000-\\u001f\\u007f-\\u009f]*$".into();
    path
}
