//! `why`: what last touched an entry, who asked for it and how it came here; and, where the entry
//! is cached, that it is valid and since when. It reads and changes nothing.

use std::fmt::Write as _;
use std::time::Duration;

use clap::Args as ClapArgs;

use super::Exit;
use super::client::{encoded, parse};
use super::connect::ConnectArgs;
use super::events::{provenance, subject};
use super::print::{self, BOLD, DIM, GOOD, WARN, styled};
use crate::wire::{CachedEntry, Touch, Why};

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

/// Runs the command.
pub async fn run(args: &Args, is_json: bool) -> Result<(), Exit> {
    let mut path = format!("/api/cache/why?key={}", encoded(&args.place));
    let count = args.count.map(|count| count.to_string());
    for (name, value) in [("type", &args.r#type), ("id", &args.id), ("limit", &count)] {
        if let Some(value) = value {
            let _ = write!(path, "&{name}={}", encoded(value));
        }
    }
    let answer = args.connect.client(Duration::ZERO)?.get(&path).await?;
    if is_json { print::json(&answer) } else { show(&parse(&answer)?, args.r#type.is_some()) }
}

fn show(answer: &Why, has_type: bool) -> Result<(), Exit> {
    let Why { place, entries, events, .. } = answer;
    if entries.is_empty() {
        print::line(format_args!("{}  not cached here", styled(BOLD, print::safe(place))))?;
    }
    entries.iter().try_for_each(show_entry)?;
    if events.is_empty() {
        let found = match answer.complete {
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

fn show_entry(entry: &CachedEntry) -> Result<(), Exit> {
    let style = if entry.state == "valid" { GOOD } else { WARN };
    let age = print::seconds(entry.age);
    let left = match entry.ttl {
        left @ 0.. => format!("fresh for {}", print::seconds(left.unsigned_abs())),
        over => format!("stale for {}", print::seconds(over.unsigned_abs())),
    };
    print::line(format_args!(
        "{}  {}, filled {age} ago, {left}",
        styled(BOLD, print::safe(&entry.key)),
        styled(style, print::safe(&entry.state))
    ))
}

fn show_event(touch: &Touch) -> Result<(), Exit> {
    let event = &touch.event;
    print::line(format_args!(
        "  {}  {}  {}",
        styled(DIM, print::safe(&event.at)),
        styled(BOLD, subject(event)),
        provenance(event)
    ))?;
    if !touch.by.is_empty() {
        print::line(format_args!("      touched it by {}", print::list(&touch.by)))?;
    }
    for chain in &touch.by_cascade {
        let chain = print::safe(&chain.join(" clears "));
        print::line(format_args!("      touched it by the graph: {chain}"))?;
    }
    if let Some(reason) = &event.reason {
        print::line(format_args!("      because: {}", print::safe(reason)))?;
    }
    let story = format!("cache-mirror events {}", event.id);
    print::line(format_args!("      {}", styled(DIM, format_args!("({story})"))))
}
