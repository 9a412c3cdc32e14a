//! Warnings about an accepted body: selectors that were widened, literals that look like wildcards,
//! and members of a batch that have no effect here.

use std::collections::BTreeSet;

use serde::Deserializer as _;
use serde::de::{self, DeserializeSeed, IgnoredAny};

use super::{InvalidateBody, Object};
use crate::deliver::mirror::Batch;
use crate::domain::entity;
use crate::support::nearest;

/// Warnings about one body.
const NOTES_MAX: usize = 8;
/// Known members of a batch and of its events.
const OF_BATCH: &[&str] =
    &["protocol", "origin", "epoch", "graph", "watermark", "events", "merged", "cascade"];
const OF_EVENT: &[&str] =
    &["id", "seq", "selectors", "mode", "action", "changed", "fields", "routes"];

impl InvalidateBody {
    /// Warnings for the caller. `json` is the body as it was received.
    pub fn notes(&self, json: &[u8]) -> Vec<String> {
        let mut notes = vec![];
        if self.is_unreadable {
            notes.push("the body could not be read: everything is cleared".to_owned());
        }
        let bodies = std::iter::once(self).chain(self.items.iter().map(|Object(item)| item));
        notes.extend(bodies.flat_map(InvalidateBody::doubts).take(NOTES_MAX));
        if self.batch.is_some() {
            notes.extend(unknown_in_batch(json));
        }
        notes
    }

    /// Whether it is a batch that selects nothing: its selectors must be in a member that is not
    /// known here.
    pub fn is_hollow(&self) -> bool {
        let is_empty = |batch: &Batch<'_>| batch.events.is_empty() && batch.merged.is_empty();
        self.batch.as_ref().is_some_and(is_empty) && self.selects_nothing()
    }

    /// Widens it to everything.
    pub fn widen(&mut self) {
        self.all = Some(true);
    }

    /// The first id with a wildcard.
    pub fn wildcard(&self) -> Option<&str> {
        let bodies = std::iter::once(self).chain(self.items.iter().map(|Object(item)| item));
        let mut ids = bodies.flat_map(|body| body.id.iter().chain(&body.ids));
        ids.find(|id| entity::is_wildcard(&id.0)).map(|id| id.0.as_str())
    }

    /// Selectors that the caller may have meant differently.
    fn doubts(&self) -> impl Iterator<Item = String> + '_ {
        let ids = self.id.iter().chain(&self.ids).filter_map(|id| {
            let shown = nearest::shown(&id.0);
            if entity::is_wildcard(&id.0) {
                return Some(format!(
                    "id {shown}: an id has no wildcards, so the whole type is cleared"
                ));
            }
            let plain = entity::trimmed(&id.0);
            (plain != id.0).then(|| format!("id {shown} is read as {:?} too", plain))
        });
        let tags = self.tag.iter().chain(&self.tags).filter(|tag| tag.contains('*'));
        let tags = tags
            .map(|tag| format!("tag {} is literal: tags have no wildcards", nearest::shown(tag)));
        let keys = self.key.iter().chain(&self.keys).filter(|key| key.contains('*'));
        let keys = keys.map(|key| {
            format!("key {} is literal: a glob over keys is a pattern", nearest::shown(key))
        });
        ids.chain(tags).chain(keys)
    }
}

/// Members of a batch and of its events that this version does not know. A newer version may add
/// some, so they are accepted.
fn unknown_in_batch(json: &[u8]) -> Vec<String> {
    let mut unknown = BTreeSet::new();
    let mut from = serde_json::Deserializer::from_slice(json);
    // A body that cannot be parsed here was repaired elsewhere; no names are reported then.
    drop(from.deserialize_any(Names { place: BodyLevel::Body, unknown: &mut unknown }));
    unknown.into_iter().collect()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum BodyLevel {
    Body,
    Batch,
    Events,
    Event,
}

/// Visits a body and collects unknown names, without parsing the values.
struct Names<'a> {
    place: BodyLevel,
    unknown: &'a mut BTreeSet<String>,
}

impl<'de> DeserializeSeed<'de> for Names<'_> {
    type Value = ();

    fn deserialize<D: de::Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> de::Visitor<'de> for Names<'_> {
    type Value = ();

    fn expecting(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("an object or a list")
    }

    fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key::<String>()? {
            let (known, shown) = match self.place {
                BodyLevel::Batch => (OF_BATCH, "the batch"),
                BodyLevel::Event => (OF_EVENT, "an event of the batch"),
                BodyLevel::Body | BodyLevel::Events => (&[][..], ""),
            };
            let is_inside = self.place == BodyLevel::Batch || self.place == BodyLevel::Event;
            if is_inside && !known.contains(&name.as_str()) && self.unknown.len() < NOTES_MAX {
                let name = nearest::shown(&name);
                self.unknown.insert(format!("unknown {name} in {shown}: it has no effect here"));
            }
            let inner = match (self.place, name.as_str()) {
                (BodyLevel::Body, "batch") => BodyLevel::Batch,
                (BodyLevel::Batch, "events") => BodyLevel::Events,
                _ => {
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
            };
            map.next_value_seed(Names { place: inner, unknown: &mut *self.unknown })?;
        }
        Ok(())
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let place =
            if self.place == BodyLevel::Events { BodyLevel::Event } else { BodyLevel::Body };
        while list.next_element_seed(Names { place, unknown: &mut *self.unknown })?.is_some() {}
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notes(json: &str) -> Vec<String> {
        let body = InvalidateBody::read_from_peer(json.as_bytes()).expect(json);
        body.notes(json.as_bytes())
    }

    #[test]
    fn widened_and_literal_selectors_are_reported() {
        for (json, expected) in [
            (r#"{"type":"posts","id":"*"}"#, "the whole type is cleared"),
            (r#"{"items":[{"type":"posts","ids":["4*"]}]}"#, "the whole type is cleared"),
            (r#"{"type":"posts","id":"1 "}"#, "is read as \"1\" too"),
            (r#"{"tag":"posts:*"}"#, "tags have no wildcards"),
            (r#"{"keys":["posts:*"]}"#, "is a pattern"),
            (r#"{"type":"posts""#, "could not be read"),
            ("<html>", "could not be read"),
        ] {
            let notes = notes(json);
            assert!(notes.len() == 1 && notes[0].contains(expected), "{json}: {notes:?}");
        }
        for json in [r#"{"type":"posts","id":"1"}"#, r#"{"pattern":"a*","path":"/a*"}"#] {
            assert!(notes(json).is_empty(), "{json}");
        }
    }

    #[test]
    fn unknown_members_of_a_batch_are_accepted_and_reported() {
        let json = |batch: &str, event: &str| {
            format!(
                r#"{{"mirror":false,"batch":{{"protocol":1,"origin":"b","epoch":1,"graph":"g",
                "watermark":1{batch},"events":[{{"seq":1,
                "id":"01980000-0000-7000-8000-000000000001",
                "selectors":{{"types":["a"]}},"fields":{{"slug":"x"}}{event}}}]}}}}"#
            )
        };
        assert!(notes(&json("", "")).is_empty());
        let reported = notes(&json(r#","host":{"id":1}"#, r#","sites":[{"x":1}],"typo":1"#));
        let expected = [
            "unknown \"host\" in the batch: it has no effect here",
            "unknown \"sites\" in an event of the batch: it has no effect here",
            "unknown \"typo\" in an event of the batch: it has no effect here",
        ];
        assert_eq!(reported, expected);
        let many: String = (0..1000).map(|n| format!(r#","x{n}":1"#)).collect();
        assert_eq!(notes(&json(&many, "")).len(), NOTES_MAX);
    }
}
