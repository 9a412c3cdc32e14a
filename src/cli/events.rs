//! `events`: lists what was invalidated, or shows everything about one event.
//!
//! It reads the part of the journal that the instance keeps in memory. For an older event it names
//! where to look instead. Following survives a restart of the instance.

use std::time::Duration;

use clap::Args as ClapArgs;
use serde_json::Value;

use super::Exit;
use super::client::{Client, encoded, parse};
use super::connect::ConnectArgs;
use super::invalidate::show_outcome;
use super::print::{self, BOLD, DIM, styled};
use crate::domain::Status;
use crate::wire::{DeliveryOutcome, EventAnswer, JournalPage};

pub const EXAMPLES: &str = "\
Examples:
  cache-mirror events                              the newest twenty, one line each
  cache-mirror events -n 3
  cache-mirror events --follow                     and new ones, until Ctrl-C
  cache-mirror events 01980000-0000-7000-8000-000000000001
  cache-mirror events --json | jq -r '.events[].selectors[]'";

/// Events listed by default.
const EVENTS_DEFAULT: u64 = 20;
/// Between two requests of a follower: too short to notice, and no load for the instance.
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

/// Lists events, follows them, or shows one.
pub async fn run(args: &Args, is_json: bool) -> Result<(), Exit> {
    let client = args.connect.client(Duration::ZERO)?;
    if let Some(id) = &args.id {
        return one(&client, id, is_json).await;
    }
    let count = args.count.unwrap_or(EVENTS_DEFAULT);
    let page = client.get(&format!("/api/cache/journal?last={count}")).await?;
    if is_json && !args.follow {
        return print::json(&page);
    }
    let read = show_page(&page, is_json)?;
    if args.follow {
        return follow(&client, read.head, is_json).await;
    }
    if read.events.is_empty() {
        print::talk("no events yet; make one with: cache-mirror invalidate posts/42");
    }
    Ok(())
}

/// One line for each event of a page: as it came, or for people.
fn show_page(page: &Value, is_json: bool) -> Result<JournalPage, Exit> {
    let read: JournalPage = parse(page)?;
    if is_json {
        page["events"].as_array().into_iter().flatten().try_for_each(print::json_line)?;
    } else {
        read.events.iter().try_for_each(show_line)?;
    }
    Ok(read)
}

/// Prints each new event until it is stopped. It waits for an instance that does not answer.
async fn follow(client: &Client, mut after: u64, is_json: bool) -> Result<(), Exit> {
    let mut is_away = false;
    loop {
        match client.get(&format!("/api/cache/journal?after={after}&limit=1000")).await {
            Ok(page) => {
                is_away = false;
                let read: JournalPage = parse(&page)?;
                if read.gap && !read.events.is_empty() {
                    print::talk(
                        "some events in between are no longer kept; see: cache-mirror logs",
                    );
                }
                show_page(&page, is_json)?;
                // A head below means that the journal began again.
                after = match read.events.last() {
                    _ if read.head < after => read.head,
                    Some(newest) => newest.seq,
                    None => after,
                };
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
pub fn subject(event: &EventAnswer) -> String {
    match (print::list(&event.selectors), print::list(&event.cascade)) {
        (selectors, cascade) if cascade.is_empty() => selectors,
        (selectors, cascade) => format!("{selectors} with {cascade}"),
    }
}

/// Who asked for it, and how it came here.
pub fn provenance(event: &EventAnswer) -> String {
    let (principal, origin) = (print::safe(&event.principal), print::safe(&event.origin));
    match &*event.source {
        "mirror" => format!("mirrored from {origin} by {principal}"),
        source => format!("{principal} by {} at {origin}", print::safe(source)),
    }
}

fn show_line(event: &EventAnswer) -> Result<(), Exit> {
    let at = print::safe(&event.at);
    let time = at.get(..19).unwrap_or(&at).replace('T', " ");
    print::line(format_args!(
        "{:>6}  {}  {}  {}, {}  {}",
        event.seq,
        styled(DIM, time),
        styled(BOLD, subject(event)),
        provenance(event),
        print::safe(&event.scope),
        styled(DIM, event.id)
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
    if is_json { print::json(&event) } else { show_story(&parse(&event)?) }
}

fn show_story(event: &EventAnswer) -> Result<(), Exit> {
    print::line(format_args!("{}  {}", styled(BOLD, "event"), event.id))?;
    let by = format!("{}, {}", provenance(event), print::safe(&event.scope));
    let place = format!("seq {}, version {}, epoch {}", event.seq, event.version, event.epoch);
    let covers: Vec<String> = event.covers.iter().map(ToString::to_string).collect();
    let rows = [
        ("cleared", print::list(&event.selectors)),
        ("with it", print::list(&event.cascade)),
        ("action", print::safe(&event.action)),
        ("reason", print::optional(event.reason.as_deref())),
        ("changed", print::list(&event.changed)),
        ("fields", fields(event)),
        ("when", print::safe(&event.at)),
        ("who", by),
        ("place", place),
        ("covers", print::list(&covers)),
    ];
    for (name, value) in rows.iter().filter(|(_, value)| !value.is_empty()) {
        print::line(format_args!("  {name:<8} {value}"))?;
    }
    match event.mirrors.as_deref().unwrap_or_default() {
        [] => print::line("  mirrors  it is sent to none")?,
        mirrors => {
            print::line("  mirrors")?;
            mirrors.iter().try_for_each(show_destination)?;
        }
    }
    match event.beside.as_deref().unwrap_or_default() {
        [] => Ok(()),
        targets => {
            print::line("  targets")?;
            targets.iter().try_for_each(show_destination)
        }
    }
}

/// Facts about the entity, for the paths of sites.
fn fields(event: &EventAnswer) -> String {
    let fields: Vec<String> =
        event.fields.iter().map(|(name, value)| format!("{name}={value}")).collect();
    print::list(&fields)
}

fn show_destination(mirror: &DeliveryOutcome) -> Result<(), Exit> {
    show_outcome(mirror)?;
    for one in &mirror.addresses {
        let (status, error) = (one.status.as_str(), print::optional(one.error.as_deref()));
        let address = one.address.to_string();
        print::line(format!("      {address:<26} {status}  {error}").trim_end())?;
    }
    match mirror.reason.as_deref() {
        Some("ends_here") => {
            return print::line("      (it came from a gateway that sent no event id)");
        }
        Some("partly_unsupported") => {
            return print::line("      (it was sent the part that it supports, and not the rest)");
        }
        _ => {}
    }
    let name = print::safe(&mirror.peer);
    let hint = match mirror.status {
        Status::Failed => format!("use \"cache-mirror mirrors retry {name}\" to try now"),
        Status::Paused => format!("use \"cache-mirror mirrors resume {name}\" to send again"),
        _ => return Ok(()),
    };
    if let Some(attempts) = mirror.attempts {
        let attempts = print::count(attempts.into(), "failure", "failures");
        print::line(format_args!("      {attempts} in a row; it is tried until it succeeds"))?;
    }
    print::line(format_args!("      ({hint})"))
}
