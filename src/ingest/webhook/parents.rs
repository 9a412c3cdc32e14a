//! Parents of an entity: other entities whose lists show it.
//!
//! A row of `products` with `client_id = 7` clears the tag `products:client:7`. A reference to
//! another entity is found by the name of its field (`client_id`, `clientId`) or by its form (an
//! object with an id, as content systems write references). If the sender sends both states of an
//! update, both count, so that a move clears the old and the new parent.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::template::{ID_ENDINGS, JsonPath, TemplateContext, is_unread, scalar};
use crate::domain::{Label, TypeName, entity};
use crate::ingest::damaged_json::is_doubtful;

/// Levels below a field that are searched for a reference: a locale, a list, a link.
const DEPTH_MAX: usize = 3;

/// The tags of the parents of an entity, by its type.
#[derive(Debug, Default)]
pub(super) struct Parents {
    /// The tags.
    pub by_type: BTreeMap<TypeName, BTreeSet<Label>>,
    /// Whether there were more than are taken.
    pub is_cut: bool,
    /// Whether an id of a parent could not be read.
    pub is_doubtful: bool,
}

/// Finds the parents in the objects at these paths.
pub(super) fn read(paths: &[JsonPath], place: &TemplateContext<'_>, types: &[TypeName]) -> Parents {
    let mut parents = Parents::default();
    let mut references = BTreeSet::new();
    for value in paths.iter().flat_map(|path| path.values(place.event, place.texts_max)) {
        let records = match value {
            Value::Array(items) => &items[..],
            one => std::slice::from_ref(one),
        };
        let members = records.iter().filter_map(Value::as_object).flatten();
        // An id of the entity itself or its former state is not a parent.
        let is_own = |name: &str| name == "documentId" || paths.iter().any(|it| it.is_member(name));
        for (name, value) in members.filter(|(name, _)| !is_own(name)) {
            parents.is_doubtful |= !collect(name, value, place.texts_max, &mut references);
        }
    }
    parents.is_cut = references.len().saturating_mul(types.len()) > place.texts_max;
    parents.is_doubtful |=
        references.iter().any(|(_, id)| is_doubtful(id) || entity::is_wildcard(id));
    if parents.is_cut || parents.is_doubtful {
        return parents;
    }
    for name in types {
        let shown = place.rules.canonical(name);
        let tag = |(parent, id): &(&str, String)| {
            Label::parse(&format!("{shown}:{parent}:{}", entity::trimmed(id))).ok()
        };
        let tags: BTreeSet<Label> = references.iter().filter_map(tag).collect();
        if !tags.is_empty() {
            parents.by_type.insert(name.clone(), tags);
        }
    }
    parents
}

/// Adds the references of one field: name and id of the parent. False if the field has the name of
/// a reference but its value cannot be read as one.
fn collect<'a>(
    name: &'a str,
    value: &Value,
    count_max: usize,
    references: &mut BTreeSet<(&'a str, String)>,
) -> bool {
    let mut is_read = true;
    let mut add = |parent: &'a str, id: String| {
        // One more than is taken, to show that there are more.
        if references.len() <= count_max {
            references.insert((parent, id));
        }
    };
    let parent = ID_ENDINGS.iter().find_map(|ending| name.strip_suffix(ending));
    let parent = parent.map(|parent| parent.trim_end_matches('_')).filter(|it| !it.is_empty());
    if let Some(parent) = parent {
        let values = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
        for value in values {
            let mut has_id = false;
            // `"client_id": {"_id": "7"}` is the same reference, written out.
            references_in(value, DEPTH_MAX, &mut |id| {
                has_id = true;
                add(parent, id);
            });
            is_read &= has_id || !is_unread(value, true);
            scalar(value).into_iter().for_each(|id| add(parent, id));
        }
    }
    references_in(value, DEPTH_MAX, &mut |id| add(name, id));
    is_read
}

fn references_in(value: &Value, depth_left: usize, add: &mut impl FnMut(String)) {
    if depth_left == 0 {
        return;
    }
    match value {
        Value::Array(items) => {
            items.iter().for_each(|item| references_in(item, depth_left - 1, add));
        }
        Value::Object(object) => {
            let ids = ["id", "documentId", "_ref", "_id", "$oid"].map(|name| object.get(name));
            let link = object.get("sys").and_then(|sys| sys.get("id"));
            let ids: Vec<String> =
                ids.into_iter().chain([link]).flatten().filter_map(scalar).collect();
            if ids.is_empty() {
                object.values().for_each(|inner| references_in(inner, depth_left - 1, add));
            }
            ids.into_iter().for_each(add);
        }
        _ => {}
    }
}
