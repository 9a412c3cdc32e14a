//! `why`: what last touched an entry, who asked for it and how it came here; and, where the entry
//! is cached, that it is valid and since when. It reads and changes nothing.

use std::fmt::Write as _;
use std::time::Duration;

use clap::Args as ClapArgs;
use serde_json::Value;

use super::Exit;
use super::client::encoded;
use super::connect::ConnectArgs;
use super::events::{provenance, subject};
use super::print::{self, BOLD, DIM, GOOD, WARN, styled};

pub const EXAMPLES: &str = "\
Examples:
  cache-mirror why post-42.html                    by key
  cache-mirror why /posts/42                       by path
  cache-mirror why post-42.html --type posts --id 42   of an entry that is gone
  cache-mirror why /posts/42 --json | jq '.events[0].principal'";

/// Arguments of `why`.
#[derive(Debug, ClapArgs)]
pub struct Args {
    /// The entry's key, or a path
    #[arg(value_name = "KEY|/PATH")]
    place: String,
    /// The entry's type, if the entry is gone
    #[arg(long, value_name = "TYPE")]
    r#type: Option<String>,
    /// The entry's id, if the entry is gone
    #[arg(long, value_name = "ID", requires = "type")]
    id: Option<String>,
    /// Number of the newest events [default: 5]
    #[arg(short = 'n', long, value_name = "N", value_parser = parse_count)]
    count: Option<u8>,
    #[command(flatten)]
    connect: ConnectArgs,
}

/// As many as the API gives.
fn parse_count(text: &str) -> Result<u8, String> {
    let number = text.parse().ok().filter(|number| (1..=100).contains(number));
    number.ok_or_else(|| "expected a number from 1 to 100".into())
}

/// Asks and tells.
pub async fn run(args: &Args, is_json: bool) -> Result<(), Exit> {
    let mut path = format!("/api/cache/why?key={}", encoded(&args.place));
    let count = args.count.map(|count| count.to_string());
    for (name, value) in [("type", &args.r#type), ("id", &args.id), ("limit", &count)] {
        if let Some(value) = value {
            let _ = write!(path, "&{name}={}", encoded(value));
        }
    }
    let answer = args.connect.client(Duration::ZERO)?.get(&path).await?;
    if is_json { print::json(&answer) } else { show(&answer, args.r#type.is_some()) }
}

fn array(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn show(answer: &Value, has_type: bool) -> Result<(), Exit> {
    let place = print::text(answer, "place");
    let entries = array(&answer["entries"]);
    if entries.is_empty() {
        print::line(format_args!("{}  not cached here", styled(BOLD, place)))?;
    }
    entries.iter().try_for_each(show_entry)?;
    let events = array(&answer["events"]);
    if events.is_empty() {
        let found = match answer["complete"] == true {
            true if has_type => "no event since the journal began touched it",
            true => "no event since the journal began named this place",
            false if has_type => "no event that is still kept touched it; see: cache-mirror logs",
            false => "no event that is still kept named this place; see: cache-mirror logs",
        };
        print::line(format_args!("  {found}"))?;
    }
    events.iter().try_for_each(show_event)?;
    if entries.is_empty() && !has_type {
        print::talk("it may have gone by its type: give --type and --id to look for that too");
    }
    Ok(())
}

fn show_entry(entry: &Value) -> Result<(), Exit> {
    let state = print::text(entry, "state");
    let style = if state == "valid" { GOOD } else { WARN };
    let age = print::seconds(entry["age"].as_u64().unwrap_or(0));
    let left = match entry["ttl"].as_i64().unwrap_or(0) {
        left @ 0.. => format!("fresh for {}", print::seconds(left.unsigned_abs())),
        over => format!("stale for {}", print::seconds(over.unsigned_abs())),
    };
    let key = print::text(entry, "key");
    print::line(format_args!(
        "{}  {}, filled {age} ago, {left}",
        styled(BOLD, key),
        styled(style, state)
    ))
}

fn show_event(event: &Value) -> Result<(), Exit> {
    let text = |member: &str| print::text(event, member);
    print::line(format_args!(
        "  {}  {}  {}",
        styled(DIM, text("at")),
        styled(BOLD, subject(event)),
        provenance(event)
    ))?;
    let named: Vec<String> =
        array(&event["by"]).iter().filter_map(Value::as_str).map(print::safe).collect();
    if !named.is_empty() {
        print::line(format_args!("      touched it by {}", named.join(", ")))?;
    }
    for chain in array(&event["by_cascade"]) {
        let names: Vec<String> =
            array(chain).iter().filter_map(Value::as_str).map(print::safe).collect();
        print::line(format_args!("      touched it by the graph: {}", names.join(" clears ")))?;
    }
    let reason = text("reason");
    if !reason.is_empty() {
        print::line(format_args!("      because: {reason}"))?;
    }
    let story = format!("cache-mirror events {}", text("id"));
    print::line(format_args!("      {}", styled(DIM, format_args!("({story})"))))
}
