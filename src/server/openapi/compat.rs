//! Routes of the systems that cache-mirror replaces. What they answer is theirs, refusals included;
//! what the guard refuses is a problem document beside it.

use hyper::Method;
use schemars::SchemaGenerator;
use serde_json::json;

use super::operation::Operation;
use crate::server::api::compat::Failed;
use crate::server::api::compat::admin::{AdminError, AdminStats, Cleared};
use crate::server::api::compat::named::RevalidatedName;
use crate::server::api::compat::paths::{Revalidated, Usage};
use crate::wire::{Duplicate, Invalidated};

const TOO_MANY: &str = "Too many failures, or requests";

pub fn operations(types: &mut SchemaGenerator) -> Vec<Operation> {
    vec![
        by_query(types),
        usage(Method::HEAD, "revalidate_usage_head", types),
        paths(types),
        named(types),
        stats(types),
        clear(types),
        hook(types),
    ]
}

fn usage(method: Method, id: &'static str, types: &mut SchemaGenerator) -> Operation {
    Operation::new(method, "/api/revalidate", id, "Whether revalidation can be asked for")
        .tag("compat")
        .gives(200, "It can", types.subschema_for::<Usage>())
}

/// The GET form known from Next.js; without a query it only answers that the route exists.
fn by_query(types: &mut SchemaGenerator) -> Operation {
    let done = types.subschema_for::<Revalidated<'_>>();
    let usage_told = types.subschema_for::<Usage>();
    let failed = types.subschema_for::<Failed<'_>>();
    asked(usage(Method::GET, "revalidate_usage", types))
        .words(
            "Without a query, whether revalidation can be asked for. Prefer POST: a secret in a \
            URL ends up in the logs of proxies.",
        )
        .gives(200, "It can, or it was done", json!({ "anyOf": [usage_told, done] }))
        .gives(400, "An unknown parameter, or nothing to clear", failed.clone())
        .gives(401, "Another secret than ours, or none is set here", failed.clone())
        .gives(429, TOO_MANY, failed.clone())
        .gives(500, "A path that is none, or nothing could be made durable", failed)
}

/// What the query may name.
fn asked(operation: Operation) -> Operation {
    let text = json!({ "type": "string" });
    let kind = json!({ "enum": ["page", "layout"] });
    operation
        .alternative("secret", "The shared secret", &text)
        .alternative("path", "A path; may be repeated", &text)
        .alternative("paths", "Paths, separated by commas, semicolons or spaces", &text)
        .alternative("tag", "A tag; may be repeated", &text)
        .alternative("tags", "Tags, separated by commas, semicolons or spaces", &text)
        .alternative("type", "`layout` clears what lies below each path too", &kind)
}

fn paths(types: &mut SchemaGenerator) -> Operation {
    let secret = "use-strong-random-64-char-string-here";
    let examples = [
        ("Two pages", json!({ "secret": secret, "paths": ["/", "/products"] })),
        ("A tag", json!({ "secret": secret, "tag": "home" })),
    ];
    let failed = types.subschema_for::<Failed<'_>>();
    let summary = "Clear paths, by a shared secret";
    asked(Operation::new(Method::POST, "/api/revalidate", "revalidate", summary))
        .tag("compat")
        .words("The secret stands in the body. Of `/products/[slug]` every page is cleared.")
        .json("Revalidation", true, &examples)
        .gives(200, "Cleared", types.subschema_for::<Revalidated<'_>>())
        .gives(400, "A query that cannot be understood, or a dry run", failed.clone())
        .gives(401, "Another secret than ours, or none is set here", failed.clone())
        .gives(429, TOO_MANY, failed.clone())
        .gives(500, "No JSON, a path that is none, or nothing could be made durable", failed)
}

fn named(types: &mut SchemaGenerator) -> Operation {
    let name = json!({ "type": "string", "minLength": 1, "maxLength": 1024 });
    let path = "/api/revalidate/{name}";
    let failed = types.subschema_for::<Failed<'_>>();
    Operation::new(Method::POST, path, "revalidate_name", "Clear what a name stands for")
        .tag("compat")
        .words(
            "`Authorization: Bearer` with the shared secret, or with a token whose role may \
             invalidate; anybody else is answered 403. `[names]` says what a name stands for; \
             a type of the graph needs none.",
        )
        .part("name", "Of `[names]`, or a type", &name, "posts")
        .gives(200, "Cleared", types.subschema_for::<RevalidatedName<'_>>())
        .gives(400, "A query, a `mirror` that is no truth, or a dry run", failed.clone())
        .gives(403, "Neither secret nor role", failed.clone())
        .gives(404, "The name is not known", failed.clone())
        .gives(429, TOO_MANY, failed.clone())
        .gives(500, "Nothing could be made durable", failed)
}

fn stats(types: &mut SchemaGenerator) -> Operation {
    let path = "/api/admin/cache/stats";
    Operation::new(Method::GET, path, "admin_stats", "Figures, and what to make of them")
        .tag("compat")
        .gives(200, "Each true of about now", types.subschema_for::<AdminStats>())
        .gives(500, "They could not be had", types.subschema_for::<AdminError>())
}

fn clear(types: &mut SchemaGenerator) -> Operation {
    let examples = [
        ("The products of a client", json!({ "type": "products", "clientId": "7" })),
        ("Several groups as one event", json!({ "products": true, "clientId": 7 })),
    ];
    let path = "/api/admin/cache/clear";
    let error = types.subschema_for::<AdminError>();
    Operation::new(Method::POST, path, "admin_clear", "Clear a group")
        .tag("compat")
        .words("`[groups]` says what a group is; an absent id means the whole of it.")
        .json("Group", true, &examples)
        .gives(200, "Cleared, with true counts", types.subschema_for::<Cleared<'_>>())
        .gives(400, "No such group", error.clone())
        .gives(500, "No JSON, or nothing could be made durable", error)
}

fn hook(types: &mut SchemaGenerator) -> Operation {
    let name = json!({ "type": "string", "minLength": 1, "maxLength": 1024 });
    let examples = [("A product of a client", json!({ "id": "42", "clientId": "7" }))];
    let applied = types.subschema_for::<Invalidated<'_>>();
    let duplicate = types.subschema_for::<Duplicate<'_>>();
    Operation::new(Method::POST, "/api/cache/hooks/{name}", "hook", "Say what happened")
        .tag("compat")
        .words("`[hooks]` says what that clears; the members of the body fill in its fields.")
        .part("name", "Of `[hooks]`", &name, "onProductCreated")
        .json("Hook", false, &examples)
        .gives(200, "Applied, or known already", json!({ "anyOf": [applied, duplicate] }))
        .problem(400, &["bad_json"])
        .problem(422, &["unknown_type"])
        .problem(503, &["not_durable", "stopping"])
}
