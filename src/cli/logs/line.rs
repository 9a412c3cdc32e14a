//! One line of the log for people: time, severity, what happened, and the rest as `name=value`.

use anstyle::Style;
use serde_json::Value;

use crate::cli::print::{BAD, BOLD, DIM, WARN, safe, styled};

/// Fields that are the same in every line.
const NOT_SHOWN: [&str; 10] =
    ["v", "name", "hostname", "pid", "target", "line", "file", "level", "time", "msg"];

/// The order in which the rest is read; the writer's own order differs from line to line.
const ORDER: [&str; 27] = [
    "types",
    "ids",
    "tags",
    "paths",
    "keys",
    "cascade",
    "peer",
    "status",
    "http_status",
    "attempt",
    "duration_ms",
    "wait_ms",
    "entries",
    "events",
    "reason",
    "error",
    "origin",
    "principal",
    "source",
    "scope",
    "mode",
    "action",
    "seq",
    "version",
    "address",
    "event_id",
    "event_ids",
];

/// A line as people read it; what is no JSON object as it is.
pub fn pretty(raw: &str) -> String {
    let Ok(Value::Object(line)) = serde_json::from_str::<Value>(raw) else { return safe(raw) };
    let text = |field: &str| line.get(field).and_then(Value::as_str).map(safe).unwrap_or_default();
    let (level, style) = level(line.get("level").and_then(Value::as_u64).unwrap_or(30));
    let mut out = format!(
        "{} {} {} {}",
        styled(DIM, clock(&text("time"))),
        styled(style, format_args!("{level:<5}")),
        styled(BOLD, format_args!("{:<10}", text("event"))),
        text("msg")
    );
    let place = |name: &str| ORDER.iter().position(|known| *known == name);
    let is_shown = |name: &&String| !NOT_SHOWN.contains(&name.as_str()) && *name != "event";
    let mut names: Vec<&String> = line.keys().filter(is_shown).collect();
    names.sort_by_key(|name| (place(name).unwrap_or(ORDER.len()), *name));
    for (name, value) in names.into_iter().filter_map(|name| line.get_key_value(name)) {
        let value = match value {
            Value::String(text) => safe(text),
            other => other.to_string(),
        };
        let quoted = if value.contains(' ') { format!("{value:?}") } else { value };
        out.push_str(&format!(" {}{quoted}", styled(DIM, format_args!("{}=", safe(name)))));
    }
    out
}

/// The time of day of an RFC 3339 time, to the millisecond.
fn clock(time: &str) -> &str {
    let day = time.split_once('T').map_or(time, |(_, rest)| rest);
    let day = day.trim_end_matches('Z');
    day.get(..12).unwrap_or(day)
}

fn level(number: u64) -> (&'static str, Style) {
    match number {
        0..=10 => ("trace", DIM),
        11..=20 => ("debug", DIM),
        21..=30 => ("info", Style::new()),
        31..=40 => ("warn", WARN),
        _ => ("error", BAD),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_tells_what_happened_and_tells_a_terminal_nothing() {
        let raw = concat!(
            r#"{"v":0,"name":"cache-mirror","msg":"mirrored","level":40,"hostname":"h","pid":1,"#,
            r#""time":"2026-01-02T03:04:05.678901Z","event":"mirror","error":"a\u001b[2J b","#,
            r#""http_status":200,"peer":"eu","zone":1}"#
        );
        let shown = anstream::adapter::strip_str(&pretty(raw)).to_string();
        let fields = "peer=eu http_status=200 error=\"a\u{fffd}[2J b\" zone=1";
        assert_eq!(shown, format!("03:04:05.678 warn  mirror     mirrored {fields}"));
    }

    #[test]
    fn what_is_no_json_is_shown_as_it_is() {
        assert_eq!(pretty("no json"), "no json");
    }
}
