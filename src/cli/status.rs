//! `status`: what the instance is, what it holds, and how its mirrors do, with what to do about it.
//! It reads and changes nothing.

use std::time::Duration;

use clap::Args as ClapArgs;
use serde_json::{Value, json};

use super::Exit;
use super::connect::ConnectArgs;
use super::doctor::is_mirror;
use super::mirrors::{is_untried, show_mirrors, show_removed};
use super::print::{self, BAD, BOLD, WARN, styled};

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

/// Asks and tells.
pub async fn run(args: &Args, is_json: bool) -> Result<(), Exit> {
    let client = args.connect.client(Duration::ZERO)?;
    let stats = client.get("/api/cache/stats").await?;
    let versions = client.get("/api/cache/versions").await?;
    let mut answer = client.get("/api/mirrors").await?;
    let (mirrors, removed) = (answer["mirrors"].take(), answer["removed"].take());
    if is_json {
        let document = json!({
            "server": client.server(), "stats": stats, "versions": versions, "mirrors": mirrors,
            "removed": removed,
        });
        return print::json(&document);
    }
    show_instance(client.server(), &stats, &versions)?;
    let mirrors = mirrors.as_array().map(Vec::as_slice).unwrap_or_default();
    if mirrors.is_empty() {
        print::line("mirrors   none (set CACHE_MIRRORS to mirror invalidations)")?;
        return show_removed(&removed);
    }
    match summary(mirrors) {
        (true, text) => print::line(format_args!("mirrors   {text}"))?,
        (false, text) => print::line(format_args!("mirrors   {}", styled(WARN, text)))?,
    }
    show_mirrors(mirrors)?;
    show_removed(&removed)
}

/// What the destinations have been told, and whether that is everything.
fn summary(destinations: &[Value]) -> (bool, String) {
    let others: Vec<&Value> = destinations.iter().filter(|it| it["state"] != "self").collect();
    let number = |it: &Value, member: &str| it[member].as_u64().unwrap_or(0);
    let behind_all: Vec<&&Value> =
        others.iter().filter(|it| number(it, "backlog_events") > 0).collect();
    let count = behind_all.len();
    if count == 0 {
        let untried = others.iter().filter(|it| is_untried(it)).count();
        if others.iter().any(|it| number(it, "skipped") > 0) {
            return (false, "nothing waits, but some were not sent everything".to_owned());
        }
        let mut text = "all of them have been told everything".to_owned();
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
    let is_tried = |it: &&&&Value| {
        it["paused"] != "operator" && !matches!(it["state"].as_str(), Some("held" | "parked"))
    };
    let then = match behind_all.iter().filter(is_tried).count() {
        tried if tried == count => "it is tried until it arrives".to_owned(),
        0 => "not tried now: see why below".to_owned(),
        tried => format!("{tried} of them tried until it arrives, see below for the others"),
    };
    (false, format!("{behind} {verb} something waiting; {then}"))
}

fn show_instance(server: &str, stats: &Value, versions: &Value) -> Result<(), Exit> {
    let number = |value: &Value| value.as_u64().unwrap_or(0);
    let name = print::text(stats, "instance");
    let up = print::seconds(number(&stats["uptime_s"]));
    print::line(format_args!("{}  {server}, up {up}", styled(BOLD, name)))?;
    let cleared = match versions["last_cache_clear"].as_str() {
        Some(at) => format!("last invalidation {}", print::safe(at)),
        None => "no invalidation yet".into(),
    };
    print::line(format_args!("version   {}, {cleared}", versions["version"]))?;
    if versions["version"].as_u64() > Some(0) {
        print::line("          (use \"cache-mirror events\" to see what was cleared)")?;
    }
    print::line(format_args!("dashboard {server}/dashboard"))?;
    show_store(&stats["store"])?;
    let journal = &stats["journal"];
    print::line(format_args!(
        "journal   seq {}, epoch {}, {}",
        journal["head"],
        journal["epoch"],
        print::bytes(number(&journal["bytes"]))
    ))?;
    if journal["degraded"] == true {
        let error = print::text(journal, "last_error");
        let (text, helps) = degraded(&error);
        print::line(format_args!("          {}", styled(BAD, text)))?;
        print::line(format_args!("          ({helps})"))?;
    }
    let clients = number(&stats["stream"]["clients"]);
    print::line(format_args!("stream    {}", print::count(clients, "reader", "readers")))?;
    let dropped = number(&stats["log"]["dropped"]);
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
    (text, "free the disk; every mirror will be told to clear everything")
}

fn show_store(store: &Value) -> Result<(), Exit> {
    let number = |name: &str| store[name].as_u64().unwrap_or(0);
    let hits = number("hits") + number("stale_hits");
    let lookups = hits + number("misses");
    let ratio = match lookups {
        0 => "no lookups yet".to_owned(),
        _ => format!("{} % of {lookups} lookups since the start hit", hits * 100 / lookups),
    };
    print::line(format_args!(
        "store     {}, {} of {}, {ratio}",
        print::count(number("entries"), "entry", "entries"),
        print::bytes(number("bytes")),
        print::bytes(number("bytes_max"))
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_told_is_not_called_told() {
        let of = |more: Value| {
            let mut it = json!({ "name": "eu", "kind": "cache-mirror", "state": "ok", "requests": 3,
                "delivered": 3, "skipped": 0, "backlog_events": 0, "paused": null });
            it.as_object_mut().expect("members").extend(more.as_object().expect("it").clone());
            it
        };
        let said = |all: &[Value]| summary(all);
        let told = "all of them have been told everything";
        assert_eq!(said(&[of(json!({}))]), (true, told.into()));
        let own = of(json!({ "state": "self", "backlog_events": 4 }));
        assert_eq!(said(&[own]), (true, told.into()));
        let untried = of(json!({ "kind": "unknown", "requests": 0 }));
        assert_eq!(said(&[untried, of(json!({}))]).1, format!("{told}; 1 of 2 not tried yet"));
        let legacy = of(json!({ "kind": "legacy", "skipped": 2 }));
        assert!(!said(std::slice::from_ref(&legacy)).0 && !said(&[legacy]).1.contains(told));
        let waits = of(json!({ "backlog_events": 1 }));
        assert!(
            said(std::slice::from_ref(&waits)).1.ends_with(
                "1 mirror has something waiting; it is tried \
             until it arrives"
            ),
            "{:?}",
            said(std::slice::from_ref(&waits))
        );
        let held = of(json!({ "backlog_events": 1, "state": "paused", "paused": "operator" }));
        let text = said(std::slice::from_ref(&held)).1;
        assert!(text.ends_with("not tried now: see why below"), "{text}");
        let parked = of(json!({ "backlog_events": 1, "state": "parked" }));
        assert!(!said(&[parked]).1.contains("until it arrives"));
        let site = of(json!({ "kind": "revalidate", "backlog_events": 1 }));
        let text = said(&[held, waits, site]).1;
        assert!(
            text.starts_with("3 destinations have") && text.contains("2 of them tried"),
            "{text}"
        );
    }

    #[test]
    fn a_directory_that_is_away_is_no_full_disk() {
        let (text, helps) = degraded("the data directory data is not the one that was opened");
        assert!(!text.contains("disk") && helps.contains("put it back"), "{text}");
        assert!(degraded("no space left").1.contains("free the disk"));
    }
}
