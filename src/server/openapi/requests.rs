//! The bodies of requests as schemas, written by hand: they are read by code that takes more than
//! a schema can say (an id as text or number, `null` that is no `false`), so no derive describes
//! them. Tests hold their members against those of the reading code, and try every example.

use serde_json::{Map, Value, json};

use crate::domain::Action;

/// By name.
pub fn schemas() -> Map<String, Value> {
    let all = [
        ("Invalidation", invalidation()),
        ("Selector", selector()),
        ("Clear", clear()),
        ("Login", login()),
        ("Hello", hello()),
        ("Limit", limit()),
        ("Revalidation", revalidation()),
        ("Group", group()),
        ("Hook", hook()),
        ("Delivery", delivery()),
    ];
    all.into_iter().map(|(name, schema)| (name.to_owned(), schema)).collect()
}

/// A tag, key, path or id: text without control characters.
pub fn label() -> Value {
    json!({
        "type": "string", "minLength": 1, "maxLength": 1024,
        "pattern": "^[^\\u0000-\\u001f\\u007f-\\u009f]+$",
    })
}

/// A type's name.
pub fn type_name() -> Value {
    json!({ "type": "string", "pattern": "^[A-Za-z0-9_.:-]{1,128}$" })
}

fn id() -> Value {
    json!({ "anyOf": [label(), { "type": "integer" }] })
}

fn list(of: &Value) -> Value {
    json!({ "type": "array", "items": of, "maxItems": 1000 })
}

/// What selects.
fn members() -> Map<String, Value> {
    let glob = json!({ "type": "string", "minLength": 1, "maxLength": 1024 });
    let members = json!({
        "type": type_name(),
        "id": id(),
        "ids": list(&id()),
        "tag": label(),
        "tags": list(&label()),
        "path": label(),
        "paths": list(&label()),
        "key": label(),
        "keys": list(&label()),
        "pattern": glob,
        "patterns": list(&glob),
        "all": { "type": "boolean" },
    });
    members.as_object().cloned().unwrap_or_default()
}

/// What belongs to the whole request.
fn options() -> Map<String, Value> {
    let others = Action::OTHER_WORDS.iter().map(|(word, _)| *word);
    let actions: Vec<&str> = Action::WORDS.into_iter().chain(others).collect();
    let text = json!({ "type": "string", "maxLength": 1024 });
    let fields = json!({
        "description": "What else is known of the entity, for the paths of revalidate targets: its \
            slug, its category.",
        "type": "object",
        "propertyNames": { "pattern": "^[A-Za-z0-9_]{1,64}$" },
        "additionalProperties": { "anyOf": [label(), { "type": "integer" }] },
        "maxProperties": 32,
    });
    let options = json!({
        "mode": { "enum": ["hard", "soft"], "default": "hard" },
        "mirror": { "type": "boolean", "default": true },
        "action": { "enum": actions, "default": "update" },
        "reason": text,
        "changed": list(&text),
        "fields": fields,
        "dry_run": { "type": "boolean", "default": false },
    });
    options.as_object().cloned().unwrap_or_default()
}

fn invalidation() -> Value {
    let mut properties = members();
    let items = json!({ "$ref": "#/components/schemas/Selector" });
    properties.insert("items".into(), list(&items));
    properties.extend(options());
    json!({
        "description": "A union of selectors, and how. At least one selector: clearing everything \
            needs `all`.",
        "type": "object",
        "properties": properties,
        "additionalProperties": false,
        "minProperties": 1,
    })
}

fn selector() -> Value {
    json!({
        "description": "One item of a batch.",
        "type": "object",
        "properties": members(),
        "additionalProperties": false,
        "minProperties": 1,
    })
}

fn clear() -> Value {
    json!({
        "description": "How everything is cleared.",
        "type": "object",
        "properties": options(),
        "additionalProperties": false,
    })
}

fn login() -> Value {
    let text = json!({ "type": "string", "maxLength": 1024 });
    json!({
        "description": "A service account; further members are ignored.",
        "type": "object",
        "properties": { "email": text, "password": text },
        "required": ["email", "password"],
    })
}

fn hello() -> Value {
    let text = json!({ "type": "string", "minLength": 1, "maxLength": 255 });
    json!({
        "description": "Who has started; further members are ignored.",
        "type": "object",
        "properties": { "instance": text },
        "required": ["instance"],
    })
}

fn revalidation() -> Value {
    let path = json!({ "type": "string", "pattern": "^/", "maxLength": 1024 });
    json!({
        "description": "Paths and tags; further members are ignored. All of it may stand in the \
            query as well.",
        "type": "object",
        "properties": {
            "secret": { "type": "string" },
            "paths": list(&path),
            "path": path,
            "tags": list(&label()),
            "tag": label(),
            "type": { "enum": ["page", "layout"], "default": "page" },
        },
    })
}

fn group() -> Value {
    json!({
        "description": "A group by `type`, or several by members that are true; beside them ids.",
        "type": "object",
        "properties": {
            "type": { "type": "string" },
            "mirror": { "type": "boolean", "default": true },
        },
        "minProperties": 1,
    })
}

fn hook() -> Value {
    json!({
        "description": "Fields of the hook: text or whole numbers. Anything else counts as absent.",
        "type": "object",
        "properties": {
            "mirror": { "type": "boolean", "default": true },
            "changed": list(&json!({ "type": "string", "maxLength": 1024 })),
        },
    })
}

fn delivery() -> Value {
    json!({ "description": "Whatever the sender sends; the hook's mapping says what it means." })
}

fn limit() -> Value {
    json!({
        "description": "What is left out stays as it is.",
        "type": "object",
        "properties": {
            "rate_per_second": {
                "type": ["number", "null"], "exclusiveMinimum": 0, "maximum": 1_000_000,
            },
            "burst": { "type": ["integer", "null"], "minimum": 1, "maximum": 4_294_967_295_u32 },
        },
        "additionalProperties": false,
    })
}
