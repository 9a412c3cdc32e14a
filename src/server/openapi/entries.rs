//! `/api/cache/entries`: the cache as a store with fenced fills.
//! A miss is described as what it is, a 404 that brings a ticket.

use hyper::Method;
use schemars::SchemaGenerator;
use serde_json::{Value, json};

use super::explained::path;
use super::operation::Operation;
use super::requests::{label, type_name};
use crate::wire::{Entries, Removed, Stored};

const ENTRY: &str = "/api/cache/entries/{*key}";
const TICKET: (&str, &str) = ("Cache-Mirror-Ticket", "To be sent back with the fill");
const STATUS: (&str, &str) = ("Cache-Status", "RFC 9211");

const ID: &str =
    "Which one; needs `type`. Without it the entry is a list: any entity of the type clears it";

const UNFENCED: &str = "Send the ticket of the miss: a fill that an invalidation has overtaken \
    since is then refused. Without one the fill counts from the PUT, so what was read before an \
    invalidation and is stored after it stays; `warnings` says where that may be so. With \
    `store.require_tickets` it is a 428.";

pub fn operations(types: &mut SchemaGenerator) -> Vec<Operation> {
    vec![
        list(types),
        looked_up(Method::GET, "entry"),
        looked_up(Method::HEAD, "entry_head"),
        put(types),
        keyed(Operation::new(Method::DELETE, ENTRY, "remove", "Remove an entry, here only")).gives(
            200,
            "It is not there any more",
            types.subschema_for::<Removed>(),
        ),
    ]
}

fn keyed(it: Operation) -> Operation {
    it.tag("entries")
        .part("key", "The rest of the path, decoded once", &label(), "front-page")
        .problem(422, &["bad_value"])
}

fn whole() -> Value {
    json!({ "type": "integer", "minimum": 0, "maximum": u32::MAX })
}

fn lifetime() -> Value {
    json!({ "type": "integer", "minimum": 1, "maximum": u32::MAX })
}

fn looked_up(method: Method, id: &'static str) -> Operation {
    let any = json!({});
    keyed(Operation::new(method, ENTRY, id, "Look an entry up"))
        .words("A miss answers 404 with a ticket; the fill that brings it back is fenced by it.")
        .query("wait_ms", "Wait for a fill that somebody else has under way", &whole(), &json!(0))
        .answers(200, "The bytes, with the media type they were stored with", "*/*", any)
        .problem(400, &["repeated_parameter", "unknown_parameter"])
        .with_headers(200, &[("Age", "Seconds since the fill"), STATUS, TICKET])
}

fn put(types: &mut SchemaGenerator) -> Operation {
    let tags = json!({ "type": "array", "items": label(), "maxItems": 128 });
    keyed(Operation::new(Method::PUT, ENTRY, "store", "Store an entry"))
        .query("type", "What it shows", &type_name(), &json!("posts"))
        .query("id", ID, &label(), &json!("42"))
        .query("tags", "By comma", &tags, &json!(["home", "blog"]))
        .query("path", "A path besides the key", &path(), &json!("/blog/42"))
        .query("ttl", "Seconds; always finite", &lifetime(), &json!(60))
        .query("swr", "Seconds it may be served while one refresh runs", &whole(), &json!(30))
        .words(UNFENCED)
        .header(TICKET.0, "From the miss", &json!({ "type": "string" }))
        .opaque("Any bytes; their Content-Type is kept")
        .gives(200, "It replaced another", types.subschema_for::<Stored>())
        .gives(201, "It is new", types.subschema_for::<Stored>())
        .problem(400, &["unknown_parameter", "repeated_parameter"])
        .problem(409, &["foreign_ticket", "overtaken", "ticket_expired"])
        .problem(413, &["body_too_large", "too_large"])
        .problem(428, &["ticket_required"])
        .problem(422, &["bad_value", "too_many_tags"])
}

fn list(types: &mut SchemaGenerator) -> Operation {
    let limit = json!({ "type": "integer", "minimum": 0, "maximum": 1000, "default": 100 });
    let prefix = json!({ "type": "string", "maxLength": 1024 });
    Operation::new(Method::GET, "/api/cache/entries", "entries", "List entries")
        .tag("entries")
        .query("type", "Of this type", &type_name(), &json!("posts"))
        .query("tag", "With this tag", &label(), &json!("home"))
        .query("prefix", "Whose key begins so", &prefix, &json!("front"))
        .query("limit", "Entries at most; a larger number counts as 1000", &limit, &json!(10))
        .gives(200, "In no order", types.subschema_for::<Entries>())
        .problem(400, &["unknown_parameter", "repeated_parameter"])
        .problem(422, &["bad_value"])
}
