//! `status`: what the instance is, what it holds, and how its mirrors do, with what to do about it.
//! It reads and changes nothing.

use std::time::Duration;

use clap::Args as ClapArgs;
use serde_json::{Value, json};

use super::Exit;
use super::connect::ConnectArgs;
use super::mirrors::{tell_mirrors, tell_removed};
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
    tell_instance(client.server(), &stats, &versions)?;
    let mirrors = mirrors.as_array().map(Vec::as_slice).unwrap_or_default();
    if mirrors.is_empty() {
        print::line("mirrors   none (set CACHE_MIRRORS to mirror invalidations)")?;
        return tell_removed(&removed);
    }
    let behind =
        |mirror: &&Value| mirror["backlog_events"].as_u64() > Some(0) && mirror["state"] != "self";
    match mirrors.iter().filter(behind).count() as u64 {
        0 => print::line("mirrors   all of them have been told everything")?,
        number => {
            let verb = if number == 1 { "has" } else { "have" };
            let behind = print::count(number, "mirror", "mirrors");
            let text = format!("{behind} {verb} something waiting; it is tried until it arrives");
            print::line(format_args!("mirrors   {}", styled(WARN, text)))?;
        }
    }
    tell_mirrors(mirrors)?;
    tell_removed(&removed)
}

fn tell_instance(server: &str, stats: &Value, versions: &Value) -> Result<(), Exit> {
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
    tell_store(&stats["store"])?;
    let journal = &stats["journal"];
    print::line(format_args!(
        "journal   seq {}, epoch {}, {}",
        journal["head"],
        journal["epoch"],
        print::bytes(number(&journal["bytes"]))
    ))?;
    if journal["degraded"] == true {
        let error = print::text(journal, "last_error");
        let text = format!("DEGRADED: the disk refuses events: {error}");
        print::line(format_args!("          {}", styled(BAD, text)))?;
        print::line("          (free the disk; every mirror will be told to clear everything)")?;
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

fn tell_store(store: &Value) -> Result<(), Exit> {
    let number = |name: &str| store[name].as_u64().unwrap_or(0);
    let hits = number("hits") + number("stale_hits");
    let lookups = hits + number("misses");
    let ratio = match lookups {
        0 => "no lookups yet".to_owned(),
        _ => format!("{} % of {lookups} lookups hit", hits * 100 / lookups),
    };
    print::line(format_args!(
        "store     {}, {} of {}, {ratio}",
        print::count(number("entries"), "entry", "entries"),
        print::bytes(number("bytes")),
        print::bytes(number("bytes_max"))
    ))
}
