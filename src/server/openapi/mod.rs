//! `/openapi.json`: the API described by itself, in OpenAPI 3.1.
//!
//! The table of routes defines what exists and who may call it; each line of it has its description
//! here, and a test fails where one is missing or describes nothing. Answers are the types that are
//! serialised. docs/openapi.json is the same document, kept so by a test.

mod cache;
mod compat;
mod entries;
mod explained;
mod hooks;
mod instance;
mod mirrors;
mod operation;
mod problems;
mod requests;
mod schedules;
#[cfg(test)]
mod tests;

use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use hyper::StatusCode;
use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::Control;
use super::call::ControlCall;
use super::respond::{Handled, ProblemBody, bytes};
use super::routes::served;
use operation::Operation;

const ABOUT: &str = "One invalidation, everywhere, once. A path parameter `key` is the rest of the \
    path; every error is a problem document (RFC 9457) with a `code` to branch on.";

/// The document.
pub async fn get(_control: Arc<Control>, _call: ControlCall) -> Handled {
    static TEXT: LazyLock<Bytes> = LazyLock::new(|| document().to_string().into());
    Ok(bytes(StatusCode::OK, "application/json", TEXT.clone()))
}

/// The same, as a value.
pub fn document() -> Value {
    let mut types = generator();
    let operations = operations(&mut types);
    let mut paths: Map<String, Value> = Map::new();
    for (method, path, needs) in served() {
        let found = operations.iter().find(|one| one.is(&method, path));
        let Some(operation) = found else { continue };
        let described = operation.describe(needs);
        let item = paths.entry(path.replace("{*", "{")).or_insert_with(|| json!({}));
        item[method.as_str().to_ascii_lowercase()] = described;
    }
    drop(types.subschema_for::<ProblemBody<'_>>());
    let mut schemas = types.take_definitions(true);
    schemas.extend(requests::schemas());
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "cache-mirror",
            "version": env!("CARGO_PKG_VERSION"),
            "summary": "The control API of one instance",
            "description": ABOUT,
            "license": { "name": "MIT", "identifier": "MIT" },
        },
        "servers": [{ "url": "/", "description": "control.listen" }],
        "security": [{ "bearer": [] }],
        "tags": [
            { "name": "cache", "description": "Invalidations and what became of them" },
            { "name": "hooks", "description": "Webhooks of other systems" },
            { "name": "entries", "description": "The cache as a store with fenced fills" },
            { "name": "mirrors", "description": "The peers, and an operator's hand on them" },
            { "name": "schedules", "description": "Invalidations by the clock" },
            { "name": "instance", "description": "Login, stream, health and figures" },
            { "name": "compat", "description": "Routes of the systems that this one replaces" },
        ],
        "paths": paths,
        "components": {
            "securitySchemes": { "bearer": {
                "type": "http",
                "scheme": "bearer",
                "description": "The admin token, or a JWT of a configured issuer",
            } },
            "responses": problems::shared(),
            "schemas": schemas,
        },
    })
}

/// Descriptions of every route, in no order that matters.
fn operations(types: &mut SchemaGenerator) -> Vec<Operation> {
    let mut all = cache::operations(types);
    all.extend(entries::operations(types));
    all.extend(mirrors::operations(types));
    all.extend(schedules::operations(types));
    all.extend(instance::operations(types));
    all.extend(compat::operations(types));
    all.push(hooks::operation(types));
    all
}

fn generator() -> SchemaGenerator {
    let settings = SchemaSettings::draft2020_12().for_serialize();
    settings.with(|it| it.definitions_path = "/components/schemas".into()).into_generator()
}
