//! The schema: it and the reference file have the same keys, and editors can use it.

use serde_json::Value as Json;

use super::super::schema::{self, Kind, Node};
use super::*;

fn keys_below(section: &str, node: Node, keys: &mut Vec<String>) {
    for name in schema::fields(node) {
        let (key, field) = (schema::join(section, name), &node["properties"][name]);
        match Kind::of(field) {
            Kind::Fields => keys_below(&key, field, keys),
            _ if schema::secret_of(&key).is_some() => {}
            _ => keys.push(key),
        }
    }
}

#[test]
fn the_types_and_the_reference_file_have_the_same_keys() {
    let mut keys = Vec::new();
    keys_below("", schema::root(), &mut keys);
    keys.sort();
    assert_eq!(keys, schema::keys().collect::<Vec<_>>());
}

#[test]
fn an_editor_learns_types_ranges_words_defaults_and_reasons() {
    let root = json_schema();
    let at = |pointer: &str| root.pointer(pointer).unwrap_or_else(|| panic!("{pointer}")).clone();
    assert_eq!(at("/$schema"), "http://json-schema.org/draft-07/schema#");
    let burst = at("/properties/mirrors/properties/burst");
    assert_eq!((&burst["minimum"], &burst["maximum"]), (&1.into(), &1_000_000.into()));
    assert_eq!((&burst["type"], &burst["default"]), (&"integer".into(), &20.into()));
    let ttl = at("/properties/store/properties/ttl_s/description");
    assert!(ttl.as_str().is_some_and(|text| text.starts_with("Time to live of an entry")), "{ttl}");
    let level = at("/properties/log/properties/level/enum");
    assert!(level.as_array().is_some_and(|words| words.contains(&"warn".into())), "{level}");
    let peer = at("/properties/mirrors/properties/peers/items");
    assert_eq!(peer["properties"]["password"]["writeOnly"], true);
    assert_eq!(peer["properties"]["password_file"]["type"], "string");
    assert_eq!(
        peer["properties"]["kind"]["enum"],
        serde_json::json!(["legacy", "cache-mirror", ""])
    );
    assert_eq!(peer["additionalProperties"], false);
    assert_eq!(peer["properties"]["login"]["properties"]["form"]["type"], "boolean");
    assert_eq!(root.pointer("/properties/store/required"), None, "a file needs what differs");
}

/// The reference, read as an editor's JSON, is valid by the schema.
#[test]
fn the_reference_file_is_valid_by_the_schema() {
    let reference: Json = toml::from_str(REFERENCE).expect("TOML");
    let validator = jsonschema::validator_for(&json_schema()).expect("a schema");
    let problems: Vec<String> =
        validator.iter_errors(&reference).map(|it| it.to_string()).collect();
    assert_eq!(problems, [""; 0]);
}

/// What is bound, opened, or sized at a start.
#[test]
fn what_needs_a_restart_is_said_by_its_type() {
    for (key, is_fixed) in [
        ("instance.name", true),
        ("control.listen", true),
        ("control.trusted_proxies", false),
        ("store.ttl_s", true),
        ("journal.events_kept", true),
        ("log.file", true),
        ("log.level", false),
        ("auth.jwks_url", true),
        ("auth.jwks_s", false),
        ("gateway.upstream", true),
        ("mirrors.peers", false),
        ("dependencies.posts", false),
    ] {
        assert_eq!(schema::is_fixed(key), is_fixed, "{key}");
    }
}
