//! YAML as the platforms read it: several documents, anchors and merged maps.

use serde::Deserialize;
use serde_json::Value;
use serde_norway::Deserializer;

use crate::read;

/// Every document of a file.
#[track_caller]
pub fn documents(path: &str) -> Vec<Value> {
    let text = read(path);
    let one = |document| {
        let mut value = serde_norway::Value::deserialize(document).expect("YAML");
        value.apply_merge().expect("maps are merged");
        serde_json::to_value(value).expect("plain data")
    };
    Deserializer::from_str(&text).map(one).collect()
}

/// The only document of a file.
#[track_caller]
pub fn document(path: &str) -> Value {
    let mut all = documents(path);
    assert_eq!(all.len(), 1, "{path}");
    all.remove(0)
}

/// A list of texts.
#[track_caller]
pub fn texts(of: &Value) -> Vec<&str> {
    let items = of.as_array().unwrap_or_else(|| panic!("a list: {of}"));
    items.iter().map(|item| item.as_str().unwrap_or_else(|| panic!("text: {item}"))).collect()
}
