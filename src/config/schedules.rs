//! `[[schedules]]`: when, and what is cleared then.
//! What is to be cleared is read by the reader of the API's bodies, so that a table here and a body
//! there mean the same and are refused in the same words.

use toml::{Table, Value};

use super::Instance;
use super::reader::Reader;
use super::sections::is_name;
use crate::domain::Source;
use crate::ingest::body::{BadBody, InvalidateBody};
use crate::ingest::schedule::{Asks, BadSchedule, Config, FILE, Schedule, When};
use crate::resolve::Rules;

/// Schedules at most: each is looked at whenever one is due.
const SCHEDULES_MAX: usize = 1000;
/// What an event cannot have said for itself: the log tells the schedule and its time.
const NOT_TAKEN: [&str; 3] = ["reason", "dry_run", "batch"];

/// The schedules.
pub(super) fn schedules(from: &mut Reader, instance: &Instance) -> Config {
    let tables = from.tables("schedules");
    if tables.len() > SCHEDULES_MAX {
        from.refuse("schedules", format!("expected at most {SCHEDULES_MAX} of them"));
    }
    let mut schedules: Vec<Schedule> = Vec::new();
    for (index, table) in tables.iter().enumerate().take(SCHEDULES_MAX) {
        let prefix = format!("schedules[{index}]");
        let id = id(from, &prefix, table, &schedules);
        let (when, asks) = (when(from, &prefix, table), asks(from, &prefix, table));
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

fn text(table: &Table, field: &str) -> String {
    table.get(field).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn id(from: &mut Reader, prefix: &str, table: &Table, before: &[Schedule]) -> Option<String> {
    let id = text(table, "id");
    let problem = if !is_name(&id) {
        "expected 1 to 64 of A-Z a-z 0-9 _ . -"
    } else if before.iter().any(|schedule| schedule.id == id) {
        "given twice"
    } else {
        return Some(id);
    };
    from.refuse_value(&format!("{prefix}.id"), &Value::String(id), problem);
    None
}

fn when(from: &mut Reader, prefix: &str, table: &Table) -> Option<When> {
    let (cron, zone) = (text(table, "cron"), text(table, "tz"));
    let zone = if zone.is_empty() { "UTC".to_owned() } else { zone };
    match When::parse(&cron, &zone) {
        Ok(when) => Some(when),
        Err(BadSchedule::Pattern(expected)) => {
            from.refuse_value(&format!("{prefix}.cron"), &Value::String(cron), expected);
            None
        }
        Err(BadSchedule::Zone) => {
            let expected = "expected a time zone, such as Europe/Berlin";
            from.refuse_value(&format!("{prefix}.tz"), &Value::String(zone), expected);
            None
        }
    }
}

fn asks(from: &mut Reader, prefix: &str, table: &Table) -> Option<Asks> {
    let empty = Value::Table(Table::new());
    let given = table.get("invalidate").unwrap_or(&empty);
    read(from, given)
        .map_err(|(place, expected)| {
            let key = format!("{prefix}.invalidate{}", place.replace('/', "."));
            from.refuse_value(&key, given, expected);
        })
        .ok()
}

/// What to clear, or where it is wrong and why.
fn read(from: &Reader, given: &Value) -> Result<Asks, (String, String)> {
    let selectors_max = from.count("limits.selectors_max");
    if let Some(field) = NOT_TAKEN.into_iter().find(|field| given.get(field).is_some()) {
        return Err((format!("/{field}"), "is not for schedules".to_owned()));
    }
    let bad = |bad: BadBody| match bad {
        BadBody::Shape { message, pointer } => (pointer.unwrap_or_default(), message),
        BadBody::Value { message, pointer } => (pointer, message),
    };
    let json = serde_json::to_vec(given).map_err(|error| (String::new(), error.to_string()))?;
    let body = InvalidateBody::read(&json).map_err(bad)?;
    if let Some(id) = body.wildcard() {
        return Err((
            "/id".to_owned(),
            format!("{id:?} is no id: leave it out for the whole type"),
        ));
    }
    let selectors = body.selectors(selectors_max).map_err(bad)?;
    Ok(Asks {
        submission: body.into_submission(selectors, Source::Schedule),
        shown: serde_json::from_slice(&json).unwrap_or_default(),
    })
}
