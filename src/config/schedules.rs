//! `[[schedules]]`: when, and what is cleared then.
//! What is to be cleared is read by the reader of the API's bodies, so that a table here and a body
//! there mean the same and are refused in the same words.

use schemars::{JsonSchema, json_schema};
use serde::Deserialize;
use toml::{Table, Value};

use super::Instance;
use super::reader::Reader;
use super::sections::Sections;
use super::types::*;
use crate::domain::Source;
use crate::ingest::body::{BadBody, FIELDS, InvalidateBody};
use crate::ingest::schedule::{Asks, BadSchedule, Config, FILE, Schedule, When};
use crate::resolve::Rules;

/// Schedules at most: each is looked at whenever one is due.
const SCHEDULES_MAX: usize = 1000;
/// Members that a schedule's request cannot have: the event's reason is the schedule and its time.
const NOT_TAKEN: [&str; 3] = ["reason", "dry_run", "batch"];

/// An invalidation by the clock.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default)]
pub(super) struct Entry {
    /// Its name for good: another pattern under it replaces it.
    id: Parsed<Option<Name>>,
    /// minute hour day month weekday, or @hourly, @daily, ...
    cron: String,
    /// The time zone of the pattern; left out: UTC.
    tz: String,
    /// As the body of POST /api/cache/invalidate.
    invalidate: Body,
}

/// A body of the API, which its own reader checks.
#[derive(Default, Deserialize)]
struct Body(Table);

schema!([] Body, {
    let fields = FIELDS.iter().filter(|field| !NOT_TAKEN.contains(field));
    let fields: serde_json::Map<_, _> = fields.map(|it| ((*it).to_owned(), true.into())).collect();
    json_schema!({ "type": "object", "properties": fields, "additionalProperties": true })
});

/// The schedules.
pub(super) fn schedules(from: &mut Reader, all: &Sections, instance: &Instance) -> Config {
    from.refuse_many("schedules", all.schedules.len(), SCHEDULES_MAX, "of them");
    let mut schedules: Vec<Schedule> = Vec::new();
    for (index, entry) in all.schedules.iter().enumerate().take(SCHEDULES_MAX) {
        let key = format!("schedules[{index}]");
        let id = entry.id.0.clone().map(|name| name.0);
        match &id {
            None => from.refuse(&format!("{key}.id"), Name::EXPECTED),
            Some(id) if schedules.iter().any(|schedule| schedule.id == *id) => {
                from.refuse(&format!("{key}.id"), "given twice");
            }
            Some(_) => {}
        }
        let (when, asks) = (when(from, &key, entry), asks(from, &key, all, entry));
        if let (Some(id), Some(when), Some(asks)) = (id, when, asks) {
            schedules.push(Schedule { id, when, asks });
        }
    }
    Config { schedules, file: instance.data_dir.join(FILE) }
}

/// What only the graph can tell: with `graph.strict_types` a run would be refused.
pub(super) fn check(config: &Config, rules: &Rules, from: &mut Reader) {
    for (index, schedule) in config.schedules.iter().enumerate().filter(|_| rules.is_strict()) {
        for (name, _) in rules.unknown_types(&schedule.asks.submission.selectors) {
            let key = format!("schedules[{index}].invalidate");
            let shown = Value::String(name.to_string());
            from.refuse_value(&key, &shown, "expected a type of the graph");
        }
    }
}

fn when(from: &mut Reader, key: &str, entry: &Entry) -> Option<When> {
    let zone = if entry.tz.is_empty() { "UTC" } else { &entry.tz };
    let (field, expected) = match When::parse(&entry.cron, zone) {
        Ok(when) => return Some(when),
        Err(BadSchedule::Pattern(expected)) => ("cron", expected.to_string()),
        Err(BadSchedule::Zone) => ("tz", "expected a time zone, such as Europe/Berlin".to_owned()),
    };
    from.refuse(&format!("{key}.{field}"), expected);
    None
}

fn asks(from: &mut Reader, key: &str, all: &Sections, entry: &Entry) -> Option<Asks> {
    let given = &entry.invalidate.0;
    let read = read(given, all.limits.selectors_max.to());
    read.map_err(|(place, expected)| {
        let key = format!("{key}.invalidate{}", place.replace('/', "."));
        from.refuse_value(&key, &Value::Table(given.clone()), expected);
    })
    .ok()
}

/// What to clear, or where it is wrong and why.
fn read(given: &Table, selectors_max: usize) -> Result<Asks, (String, String)> {
    if let Some(field) = NOT_TAKEN.into_iter().find(|field| given.get(*field).is_some()) {
        return Err((format!("/{field}"), "is not for schedules".to_owned()));
    }
    let bad = |bad: BadBody| match bad {
        BadBody::Shape { message, pointer } => (pointer.unwrap_or_default(), message),
        BadBody::Value { message, pointer } => (pointer, message),
    };
    let json = serde_json::to_vec(given).map_err(|error| (String::new(), error.to_string()))?;
    let body = InvalidateBody::read(&json).map_err(bad)?;
    if let Some(id) = body.wildcard() {
        let expected = format!("{id:?} is no id: leave it out for the whole type");
        return Err(("/id".to_owned(), expected));
    }
    let selectors = body.selectors(selectors_max).map_err(bad)?;
    Ok(Asks {
        submission: body.into_submission(selectors, Source::Schedule),
        shown: serde_json::from_slice(&json).unwrap_or_default(),
    })
}
