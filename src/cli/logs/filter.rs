//! Selects lines of the log. What is no JSON passes only where nothing is
//! asked.

use jiff::Timestamp;
use serde_json::Value;

use crate::activity::{ActivityKind, Level};

/// All that is given must hold.
#[derive(Debug, Default)]
pub struct Filter {
    /// At least this severe.
    pub level: Option<Level>,
    /// About this.
    pub event: Option<ActivityKind>,
    /// About this mirror.
    pub peer: Option<String>,
    /// Names this type, itself, by one of its ids or by cascade.
    pub type_name: Option<String>,
    /// Names this entity or this event.
    pub id: Option<String>,
    /// About this event, by itself or among others.
    pub event_id: Option<String>,
    /// Written at this time or later.
    pub since: Option<Timestamp>,
    /// Written before this time.
    pub until: Option<Timestamp>,
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
            && self.event_id.as_ref().is_none_or(|id| names_event(&line, id))
            && self.is_in_time(&line)
    }

    /// A line whose time cannot be read is in no span.
    fn is_in_time(&self, line: &Value) -> bool {
        if self.since.is_none() && self.until.is_none() {
            return true;
        }
        let Some(time) = line["time"].as_str().and_then(|text| text.parse::<Timestamp>().ok())
        else {
            return false;
        };
        self.since.is_none_or(|since| time >= since) && self.until.is_none_or(|until| time < until)
    }

    fn is_empty(&self) -> bool {
        let Self { level, event, peer, type_name, id, event_id, since, until } = self;
        level.is_none()
            && event.is_none()
            && since.is_none()
            && until.is_none()
            && [peer, type_name, id, event_id].iter().all(|text| text.is_none())
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

/// `ids` holds plain ids, with their `types` in another field, or `type/id` pairs.
fn names_id(line: &Value, id: &str) -> bool {
    let is_id = |one: &str| one == id || one.split_once('/').is_some_and(|(_, rest)| rest == id);
    let is_pair = |(kind, id): (&str, &str)| {
        members(line, "types").any(|one| one == kind) && members(line, "ids").any(|one| one == id)
    };
    members(line, "ids").any(is_id)
        || id.split_once('/').is_some_and(is_pair)
        || names_event(line, id)
}

fn names_event(line: &Value, id: &str) -> bool {
    members(line, "event_id").chain(members(line, "event_ids")).any(|one| one == id)
}

/// A time as people write it: RFC 3339, or so long ago (`30s`, `10m`, `2h`, `7d`).
///
/// # Errors
/// What was expected.
pub fn parse_time(text: &str, now: Timestamp) -> Result<Timestamp, String> {
    let ago = |unit: char, seconds: i64| {
        let number: i64 = text.strip_suffix(unit)?.parse().ok().filter(|number| *number >= 0)?;
        let seconds = now.as_second().checked_sub(number.checked_mul(seconds)?)?;
        Timestamp::new(seconds, now.subsec_nanosecond()).ok()
    };
    [('s', 1), ('m', 60), ('h', 3600), ('d', 86_400)]
        .into_iter()
        .find_map(|(unit, seconds)| ago(unit, seconds))
        .or_else(|| text.parse().ok())
        .ok_or_else(|| "expected a time such as 10m, 2h or 2026-01-02T03:04:05Z".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = concat!(
        r#"{"level":40,"time":"2026-01-02T03:04:05.006Z","event":"mirror","peer":"eu","#,
        r#""types":"posts,feed","ids":"pages/7,8","event_id":"e1"}"#
    );

    fn passes(change: impl Fn(&mut Filter)) -> bool {
        let mut filter = Filter::default();
        change(&mut filter);
        filter.passes(LINE)
    }

    #[test]
    fn each_filter_takes_and_refuses() {
        assert!(passes(|f| f.level = Some(Level::Warn)));
        assert!(!passes(|f| f.level = Some(Level::Error)));
        assert!(passes(|f| f.event = Some(ActivityKind::Mirror)));
        assert!(!passes(|f| f.event = Some(ActivityKind::Loop)));
        assert!(passes(|f| f.peer = Some("eu".into())));
        assert!(!passes(|f| f.peer = Some("us".into())));
        assert!(passes(|f| f.event_id = Some("e1".into())));
        assert!(!passes(|f| f.event_id = Some("8".into())), "an entity's id is no event's");
        let at = |text: &str| Some(text.parse::<Timestamp>().expect(text));
        assert!(passes(|f| f.since = at("2026-01-02T03:04:05Z")));
        assert!(!passes(|f| f.since = at("2026-01-02T03:04:06Z")));
        assert!(passes(|f| f.until = at("2026-01-02T05:04:06+02:00")));
        assert!(!passes(|f| f.until = at("2026-01-02T03:04:05.006Z")));
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

    #[test]
    fn times_are_so_long_ago_or_at_a_point() {
        let now: Timestamp = "2026-01-02T03:04:05Z".parse().expect("time");
        for (text, expected) in [
            ("90s", "2026-01-02T03:02:35Z"),
            ("10m", "2026-01-02T02:54:05Z"),
            ("2h", "2026-01-02T01:04:05Z"),
            ("7d", "2025-12-26T03:04:05Z"),
            ("2026-01-01T00:00:00+01:00", "2025-12-31T23:00:00Z"),
        ] {
            assert_eq!(parse_time(text, now).map(|at| at.to_string()), Ok(expected.to_owned()));
        }
        for text in ["", "m", "-5m", "10", "1.5h", "yesterday", "99999999999999d"] {
            assert!(parse_time(text, now).is_err(), "{text}");
        }
    }
}
