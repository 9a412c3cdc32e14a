//! `status`: shows the instance, its store and journal, and its mirrors, each problem with its
//! remedy. It changes nothing.

use std::time::Duration;

use clap::Args as ClapArgs;
use serde_json::json;

use super::Exit;
use super::client::parse;
use super::connect::ConnectArgs;
use super::mirrors::{is_mirror, is_untried, show_mirrors, show_removed};
use super::print::{self, BAD, BOLD, WARN, styled};
use crate::wire::{DestinationView, Mirrors, Stats, StoreStats, Versions};

pub const EXAMPLES: &str = "\
Examples:
  cache-mirror status
  cache-mirror status --server https://eu.example.org --token-file eu.token
  cache-mirror status --json | jq '.mirrors[] | select(.state != \"ok\")'";

/// Arguments of `status`.
#[derive(Debug, ClapArgs)]
pub struct Args {
    #[command(flatten)]
    connect: ConnectArgs,
}

/// Runs the command.
pub async fn run(args: &Args, is_json: bool) -> Result<(), Exit> {
    let client = args.connect.client(Duration::ZERO)?;
    let stats = client.get("/api/cache/stats").await?;
    let versions = client.get("/api/cache/versions").await?;
    let answer = client.get("/api/mirrors").await?;
    if is_json {
        let document = json!({
            "server": client.server(), "stats": stats, "versions": versions,
            "mirrors": answer["mirrors"], "removed": answer["removed"],
        });
        return print::json(&document);
    }
    show_instance(client.server(), &parse(&stats)?, &parse(&versions)?)?;
    let Mirrors { mirrors, removed } = parse(&answer)?;
    if mirrors.is_empty() {
        print::line("mirrors   none (set CACHE_MIRRORS to mirror invalidations)")?;
        return show_removed(&removed);
    }
    match summary(&mirrors) {
        (true, text) => print::line(format_args!("mirrors   {text}"))?,
        (false, text) => print::line(format_args!("mirrors   {}", styled(WARN, text)))?,
    }
    show_mirrors(&mirrors)?;
    show_removed(&removed)
}

/// The state of all destinations in one line, and whether everything was sent.
fn summary(destinations: &[DestinationView]) -> (bool, String) {
    let others: Vec<_> = destinations.iter().filter(|it| it.state != "self").collect();
    let behind_all: Vec<_> = others.iter().filter(|it| it.backlog_events > 0).collect();
    let count = behind_all.len();
    if count == 0 {
        let untried = others.iter().filter(|it| is_untried(it)).count();
        if others.iter().any(|it| it.skipped > 0) {
            return (false, "nothing waits, but some were not sent everything".to_owned());
        }
        let mut text = "everything was sent to all of them".to_owned();
        if untried > 0 {
            text = format!("{text}; {untried} of {} not tried yet", others.len());
        }
        return (true, text);
    }
    let (one, many) = match others.iter().all(|it| is_mirror(it)) {
        true => ("mirror", "mirrors"),
        false => ("destination", "destinations"),
    };
    let verb = if count == 1 { "has" } else { "have" };
    let behind = print::count(count as u64, one, many);
    // Paused by an operator, held until its kind is known, or refused and tried once an hour.
    let is_tried = |it: &DestinationView| {
        it.paused.as_deref() != Some("operator") && !matches!(&*it.state, "held" | "parked")
    };
    let then = match behind_all.iter().filter(|it| is_tried(it)).count() {
        tried if tried == count => "it is tried until it arrives".to_owned(),
        0 => "not tried now: see why below".to_owned(),
        tried => format!("{tried} of them tried until it arrives, see below for the others"),
    };
    (false, format!("{behind} {verb} something waiting; {then}"))
}

fn show_instance(server: &str, stats: &Stats, versions: &Versions) -> Result<(), Exit> {
    let (name, up) = (print::safe(&stats.instance), print::seconds(stats.uptime_s));
    print::line(format_args!("{}  {server}, up {up}", styled(BOLD, name)))?;
    let cleared = match &versions.last_cache_clear {
        Some(at) => format!("last invalidation {}", print::safe(at)),
        None => "no invalidation yet".into(),
    };
    print::line(format_args!("version   {}, {cleared}", versions.version))?;
    if versions.version > 0 {
        print::line("          (use \"cache-mirror events\" to see what was cleared)")?;
    }
    print::line(format_args!("dashboard {server}/dashboard"))?;
    show_store(&stats.store)?;
    let journal = &stats.journal;
    print::line(format_args!(
        "journal   seq {}, epoch {}, {}",
        journal.head,
        journal.epoch,
        print::bytes(journal.bytes)
    ))?;
    if journal.degraded {
        let error = print::optional(journal.last_error.as_deref());
        let (text, helps) = degraded(&error);
        print::line(format_args!("          {}", styled(BAD, text)))?;
        print::line(format_args!("          ({helps})"))?;
    }
    let clients = stats.stream.clients as u64;
    print::line(format_args!("stream    {}", print::count(clients, "reader", "readers")))?;
    let dropped = stats.log.dropped;
    if dropped > 0 {
        let dropped = print::count(dropped, "line", "lines");
        print::line(format_args!("log       {}", styled(BAD, format!("{dropped} dropped"))))?;
        print::line("          (its disk is full or too slow; what was cleared is not affected)")?;
    }
    Ok(())
}

/// Why events are not on the disk, and what helps.
fn degraded(error: &str) -> (String, &'static str) {
    if error.starts_with("the data directory ") {
        return (format!("DEGRADED: {error}"), "put it back, or make an empty one in its place");
    }
    let text = format!("DEGRADED: the disk refuses events: {error}");
    (text, "free the disk; every mirror will be sent a clear of everything")
}

fn show_store(store: &StoreStats) -> Result<(), Exit> {
    let hits = store.hits + store.stale_hits;
    let lookups = hits + store.misses;
    let ratio = match lookups {
        0 => "no lookups yet".to_owned(),
        _ => format!("{} % of {lookups} lookups since the start hit", hits * 100 / lookups),
    };
    print::line(format_args!(
        "store     {}, {} of {}, {ratio}",
        print::count(store.entries, "entry", "entries"),
        print::bytes(store.bytes),
        print::bytes(store.bytes_max)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn destination(kind: &'static str, state: &'static str, waiting: u64) -> DestinationView {
        DestinationView {
            kind: kind.into(),
            state: state.into(),
            backlog_events: waiting,
            requests: 3,
            ..DestinationView::default()
        }
    }

    #[test]
    fn everything_was_sent_only_if_nothing_waits_and_nothing_was_skipped() {
        let all_sent = "everything was sent to all of them";
        let own = destination("self", "self", 4);
        let idle = destination("cache-mirror", "ok", 0);
        assert_eq!(summary(std::slice::from_ref(&idle)), (true, all_sent.into()));
        assert_eq!(summary(&[own]), (true, all_sent.into()));
        let untried = DestinationView { requests: 0, ..destination("unknown", "ok", 0) };
        assert_eq!(summary(&[untried, idle]).1, format!("{all_sent}; 1 of 2 not tried yet"));
        let legacy = DestinationView { skipped: 2, ..destination("legacy", "ok", 0) };
        let (is_all_sent, text) = summary(&[legacy]);
        assert!(!is_all_sent && !text.contains(all_sent), "{text}");
    }

    #[test]
    fn destinations_that_wait_are_counted_with_what_holds_them() {
        let waits = destination("cache-mirror", "ok", 1);
        let (_, text) = summary(std::slice::from_ref(&waits));
        assert_eq!(text, "1 mirror has something waiting; it is tried until it arrives");
        let paused = DestinationView {
            paused: Some("operator".into()),
            ..destination("cache-mirror", "paused", 1)
        };
        let (_, text) = summary(std::slice::from_ref(&paused));
        assert!(text.ends_with("not tried now: see why below"), "{text}");
        let (_, text) = summary(&[destination("cache-mirror", "parked", 1)]);
        assert!(!text.contains("until it arrives"), "{text}");
        let (_, text) = summary(&[paused, waits, destination("revalidate", "ok", 1)]);
        assert!(text.starts_with("3 destinations have"), "{text}");
        assert!(text.contains("2 of them tried"), "{text}");
    }

    #[test]
    fn a_directory_that_is_away_is_no_full_disk() {
        let (text, helps) = degraded("the data directory data is not the one that was opened");
        assert!(!text.contains("disk") && helps.contains("put it back"), "{text}");
        assert!(degraded("no space left").1.contains("free the disk"));
    }
}
