//! Which lines of the log somebody wants to see. What is no JSON passes only where nothing is
//! asked.

use serde_json::Value;

use crate::activity::{Kind, Level};

/// All that is given must hold.
#[derive(Debug, Default)]
pub struct Filter {
    /// At least this severe.
    pub level: Option<Level>,
    /// About this.
    pub event: Option<Kind>,
    /// About this mirror.
    pub peer: Option<String>,
    /// Names this type, itself, by one of its ids or by cascade.
    pub type_name: Option<String>,
    /// Names this entity or this event.
    pub id: Option<String>,
}

impl Filter {
    /// Whether a line is wanted.
    pub fn passes(&self, raw: &str) -> bool {
        let Ok(line) = serde_json::from_str::<Value>(raw) else { return self.is_empty() };
        let is = |field: &str, wanted: &str| line[field].as_str() == Some(wanted);
        self.level.is_none_or(|level| severity(&line) >= level as u64)
            && self.event.is_none_or(|event| is("event", event.as_str()))
            && self.peer.as_ref().is_none_or(|peer| is("peer", peer))
            && self.type_name.as_ref().is_none_or(|name| names_type(&line, name))
            && self.id.as_ref().is_none_or(|id| names_id(&line, id))
    }

    fn is_empty(&self) -> bool {
        let Self { level, event, peer, type_name, id } = self;
        level.is_none()
            && event.is_none()
            && [peer, type_name, id].iter().all(|text| text.is_none())
    }
}

/// Bunyan counts trace as 10, debug as 20 and so on; ours counts from 0.
fn severity(line: &Value) -> u64 {
    (line["level"].as_u64().unwrap_or(30) / 10).saturating_sub(1)
}

/// The members of a comma-joined field.
fn members<'a>(line: &'a Value, field: &str) -> impl Iterator<Item = &'a str> {
    line[field].as_str().unwrap_or_default().split(',')
}

fn names_type(line: &Value, name: &str) -> bool {
    let of_id = |pair: &str| pair.split_once('/').is_some_and(|(kind, _)| kind == name);
    members(line, "types").chain(members(line, "cascade")).any(|one| one == name)
        || members(line, "ids").any(of_id)
}

/// `ids` holds plain ids beside their `types`, or `type/id` pairs.
fn names_id(line: &Value, id: &str) -> bool {
    let is_id = |one: &str| one == id || one.split_once('/').is_some_and(|(_, rest)| rest == id);
    let is_pair = |(kind, id): (&str, &str)| {
        members(line, "types").any(|one| one == kind) && members(line, "ids").any(|one| one == id)
    };
    members(line, "ids").any(is_id)
        || id.split_once('/').is_some_and(is_pair)
        || members(line, "event_id").chain(members(line, "event_ids")).any(|one| one == id)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = r#"{"level":40,"event":"mirror","peer":"eu","types":"posts,feed","ids":"pages/7,8","event_id":"e1"}"#;

    fn passes(change: impl Fn(&mut Filter)) -> bool {
        let mut filter = Filter::default();
        change(&mut filter);
        filter.passes(LINE)
    }

    #[test]
    fn each_filter_takes_and_refuses() {
        assert!(passes(|f| f.level = Some(Level::Warn)));
        assert!(!passes(|f| f.level = Some(Level::Error)));
        assert!(passes(|f| f.event = Some(Kind::Mirror)));
        assert!(!passes(|f| f.event = Some(Kind::Loop)));
        assert!(passes(|f| f.peer = Some("eu".into())));
        assert!(!passes(|f| f.peer = Some("us".into())));
        for (name, expected) in [("feed", true), ("pages", true), ("page", false)] {
            assert_eq!(passes(|f| f.type_name = Some(name.into())), expected, "{name}");
        }
        let cases = [
            ("7", true),
            ("8", true),
            ("pages/7", true),
            ("posts/8", true),
            ("e1", true),
            ("posts/7", false),
            ("9", false),
        ];
        for (id, expected) in cases {
            assert_eq!(passes(|f| f.id = Some(id.into())), expected, "{id}");
        }
    }

    #[test]
    fn what_is_no_json_passes_only_where_nothing_is_asked() {
        assert!(Filter::default().passes("panic"));
        assert!(!Filter { level: Some(Level::Trace), ..Filter::default() }.passes("panic"));
    }
}
