//! The description is whole: every route has one, and nothing else has.

use std::collections::BTreeSet;

use super::*;
use crate::ingest::body::FIELDS;

/// What a reader of the document would see, and what is kept in docs/.
fn text() -> String {
    let pretty = serde_json::to_string_pretty(&document()).expect("a document is text");
    format!("{pretty}\n")
}

#[test]
fn every_route_is_described_and_every_description_has_a_route() {
    let name = |method: &hyper::Method, path: &str| format!("{method} {path}");
    let routes: BTreeSet<String> = served().map(|(method, path, _)| name(&method, path)).collect();
    let mut described = BTreeSet::new();
    for operation in operations(&mut generator()) {
        let (method, path) = operation.route();
        assert!(described.insert(name(&method, path)), "{method} {path} is described twice");
    }
    assert_eq!(routes, described);
}

#[test]
fn an_operation_id_is_used_once_and_every_reference_leads_somewhere() {
    let document = document();
    let mut ids = BTreeSet::new();
    let paths = document["paths"].as_object().expect("paths");
    for operation in paths.values().flat_map(|path| path.as_object().expect("a path").values()) {
        let id = operation["operationId"].as_str().expect("an id");
        assert!(ids.insert(id), "{id} is used twice");
        assert!(operation["summary"].as_str().is_some_and(|text| !text.is_empty()), "{id}");
    }
    for reference in text().split("\"$ref\": \"#").skip(1) {
        let pointer = reference.split('"').next().expect("it ends");
        assert!(document.pointer(pointer).is_some(), "{pointer} is not there");
    }
}

/// A member that is read but not described could not be found; one that is described but not read
/// would be refused.
#[test]
fn the_invalidation_has_the_members_that_are_read() {
    let document = document();
    let schema = &document["components"]["schemas"]["Invalidation"]["properties"];
    let described: BTreeSet<&str> =
        schema.as_object().expect("properties").keys().map(String::as_str).collect();
    assert_eq!(described, FIELDS.iter().copied().collect());
}

#[test]
fn the_kept_copy_is_the_document() {
    let kept = include_str!("../../../docs/openapi.json");
    assert!(kept == text(), "renew it: cache-mirror openapi > docs/openapi.json");
}
