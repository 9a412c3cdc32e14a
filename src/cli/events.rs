//! `events`: what was invalidated, and the whole story of one event.
//!
//! It reads the journal as the instance keeps it in memory. An event that has left it is said to be
//! gone, with where to look instead; following survives a restart of the instance.

use std::time::Duration;

use clap::Args as ClapArgs;
use serde_json::Value;

use super::Exit;
use super::client::{Client, encoded};
use super::connect::ConnectArgs;
use super::invalidate::show_outcome;
use super::print::{self, BOLD, DIM, styled};

pub const EXAMPLES: &str = "\
Examples:
  cache-mirror events                              the newest twenty, one line each
  cache-mirror events -n 3
  cache-mirror events --follow                     and new ones, until Ctrl-C
  cache-mirror events 01980000-0000-7000-8000-000000000001
  cache-mirror events --json | jq -r '.events[].selectors[]'";

/// Events listed unless told otherwise.
const EVENTS_DEFAULT: u64 = 20;
/// How often a follower asks: below what a reader notices, and nothing to the instance.
const POLL: Duration = Duration::from_millis(250);

/// Arguments of `events`.
#[derive(Debug, ClapArgs)]
pub struct Args {
    /// One event, by its own id or by one that it covers
    #[arg(value_name = "ID", conflicts_with_all = ["count", "follow"])]
    id: Option<String>,
    /// Number of the newest [default: 20]
    #[arg(short = 'n', long, value_name = "N", value_parser = parse_count)]
    count: Option<u64>,
    /// Continue with new events
    #[arg(short, long)]
    follow: bool,
    #[command(flatten)]
    connect: ConnectArgs,
}

/// One page of the journal at most.
fn parse_count(text: &str) -> Result<u64, String> {
    let number = text.parse().ok().filter(|number| (1..=1000).contains(number));
    number.ok_or_else(|| "expected a number from 1 to 1000".into())
}

/// Lists, follows, or tells one.
pub async fn run(args: &Args, is_json: bool) -> Result<(), Exit> {
    let client = args.connect.client(Duration::ZERO)?;
    if let Some(id) = &args.id {
        return one(&client, id, is_json).await;
    }
    let count = args.count.unwrap_or(EVENTS_DEFAULT);
    let page = client.get(&format!("/api/cache/journal?last={count}")).await?;
    match (is_json, args.follow) {
        (true, false) => return print::json(&page),
        (true, true) => events(&page).try_for_each(print::json_line)?,
        (false, _) => events(&page).try_for_each(show_line)?,
    }
    if args.follow {
        return follow(&client, &page, is_json).await;
    }
    if events(&page).next().is_none() {
        print::talk("no events yet; make one with: cache-mirror invalidate posts/42");
    }
    Ok(())
}

fn events(page: &Value) -> impl Iterator<Item = &Value> {
    page["events"].as_array().into_iter().flatten()
}

/// Tells what comes, for ever. An instance that is away for a moment is waited for.
async fn follow(client: &Client, page: &Value, is_json: bool) -> Result<(), Exit> {
    let mut after = page["head"].as_u64().unwrap_or(0);
    let mut is_away = false;
    loop {
        match client.get(&format!("/api/cache/journal?after={after}&limit=1000")).await {
            Ok(page) => {
                is_away = false;
                if page["gap"] == true && events(&page).next().is_some() {
                    print::talk(
                        "some events in between are no longer kept; see: cache-mirror logs",
                    );
                }
                for event in events(&page) {
                    if is_json { print::json_line(event)? } else { show_line(event)? }
                }
                after = page["head"].as_u64().filter(|head| *head < after).unwrap_or_else(|| {
                    events(&page).last().and_then(|event| event["seq"].as_u64()).unwrap_or(after)
                });
            }
            Err(Exit::Unreachable(text)) if !is_away => {
                print::talk(format_args!("{text}; still waiting for it"));
                is_away = true;
            }
            Err(Exit::Unreachable(_)) => {}
            Err(other) => return Err(other),
        }
        tokio::time::sleep(POLL).await;
    }
}

/// What an event names, and what went with it.
pub fn subject(event: &Value) -> String {
    let list = |member: &str| {
        let items = event[member].as_array().into_iter().flatten().filter_map(Value::as_str);
        items.map(print::safe).collect::<Vec<_>>().join(", ")
    };
    match (list("selectors"), list("cascade")) {
        (selectors, cascade) if cascade.is_empty() => selectors,
        (selectors, cascade) => format!("{selectors} with {cascade}"),
    }
}

/// Who asked for it, and how it came here.
pub fn provenance(event: &Value) -> String {
    let text = |member: &str| print::text(event, member);
    let (principal, source, origin) = (text("principal"), text("source"), text("origin"));
    match source.as_str() {
        "mirror" => format!("mirrored from {origin} by {principal}"),
        _ => format!("{principal} by {source} at {origin}"),
    }
}

fn show_line(event: &Value) -> Result<(), Exit> {
    let text = |member: &str| print::text(event, member);
    let at = text("at");
    let time = at.get(..19).unwrap_or(&at).replace('T', " ");
    print::line(format_args!(
        "{:>6}  {}  {}  {}, {}  {}",
        event["seq"],
        styled(DIM, time),
        styled(BOLD, subject(event)),
        provenance(event),
        text("scope"),
        styled(DIM, text("id"))
    ))
}

async fn one(client: &Client, id: &str, is_json: bool) -> Result<(), Exit> {
    let path = format!("/api/cache/events/{}", encoded(id));
    let event = client.get(&path).await.map_err(|exit| match exit {
        Exit::Failed(text) => Exit::Failed(format!(
            "{text}. The newest are in: cache-mirror events; older ones in: cache-mirror logs \
             --event-id {}",
            print::safe(id)
        )),
        other => other,
    })?;
    if is_json { print::json(&event) } else { show_story(&event) }
}

fn show_story(event: &Value) -> Result<(), Exit> {
    let text = |member: &str| print::text(event, member);
    let list = |member: &str| {
        let items = event[member].as_array().into_iter().flatten().filter_map(Value::as_str);
        items.map(print::safe).collect::<Vec<_>>().join(", ")
    };
    print::line(format_args!("{}  {}", styled(BOLD, "event"), text("id")))?;
    let by = format!("{}, {}", provenance(event), text("scope"));
    let place =
        format!("seq {}, version {}, epoch {}", event["seq"], event["version"], event["epoch"]);
    let rows = [
        ("cleared", list("selectors")),
        ("with it", list("cascade")),
        ("action", text("action")),
        ("reason", text("reason")),
        ("changed", list("changed")),
        ("fields", fields(event)),
        ("when", text("at")),
        ("who", by),
        ("place", place),
        ("covers", list("covers")),
    ];
    for (name, value) in rows.iter().filter(|(_, value)| !value.is_empty()) {
        print::line(format_args!("  {name:<8} {value}"))?;
    }
    let at = |member: &str| event[member].as_array().map(Vec::as_slice).unwrap_or_default();
    match at("mirrors") {
        [] => print::line("  mirrors  none are told of it")?,
        mirrors => {
            print::line("  mirrors")?;
            mirrors.iter().try_for_each(show_destination)?;
        }
    }
    match at("beside") {
        [] => Ok(()),
        beside => {
            print::line("  beside")?;
            beside.iter().try_for_each(show_destination)
        }
    }
}

/// What else was said of the entity.
fn fields(event: &Value) -> String {
    let fields = event["fields"].as_object().into_iter().flatten();
    let text = |value: &Value| print::safe(value.as_str().unwrap_or_default());
    fields
        .map(|(name, value)| format!("{}={}", print::safe(name), text(value)))
        .collect::<Vec<_>>()
        .join(", ")
}

fn show_destination(mirror: &Value) -> Result<(), Exit> {
    show_outcome(mirror)?;
    for one in mirror["addresses"].as_array().into_iter().flatten() {
        let text = |member: &str| print::text(one, member);
        let line = format!("      {:<26} {}  {}", text("address"), text("status"), text("error"));
        print::line(line.trim_end())?;
    }
    if mirror["reason"] == "ends_here" {
        return print::line("      (it came from a gateway that did not say which event it was)");
    }
    if mirror["reason"] == "partly_unsupported" {
        return print::line("      (it was sent what it has words for, and not the rest)");
    }
    let name = print::text(mirror, "peer");
    let hint = match print::text(mirror, "status").as_str() {
        "failed" => format!("use \"cache-mirror mirrors retry {name}\" to try now"),
        "paused" => format!("use \"cache-mirror mirrors resume {name}\" once it may go on"),
        _ => return Ok(()),
    };
    if let Some(attempts) = mirror["attempts"].as_u64() {
        let attempts = print::count(attempts, "failure", "failures");
        print::line(format_args!("      {attempts} in a row; it is tried until it succeeds"))?;
    }
    print::line(format_args!("      ({hint})"))
}
