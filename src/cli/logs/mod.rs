//! `logs`: read `logs/cache.json` as people read it, or as it is with `--json`.
//!
//! It follows the file over rotation and truncation, and loses no line as long as the rotated files
//! are still there; a span of time or one event is looked for in those too. It never writes.

mod filter;
mod line;
mod tail;

use std::collections::VecDeque;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use clap::Args as ClapArgs;
use jiff::Timestamp;

use self::filter::Filter;
pub use self::tail::Tail;
use super::settings::SettingsArgs;
use super::{Exit, print};
use crate::activity::{ActivityKind, Level};
use crate::config::{self, Sources};

pub const EXAMPLES: &str = "\
Examples:
  cache-mirror logs -n 20                          the newest twenty lines
  cache-mirror logs -f --level warn                follow warnings and errors
  cache-mirror logs --event mirror --peer eu.example.org
  cache-mirror logs --type posts --id 42           everything about one post
  cache-mirror logs --since 10m --until 5m
  cache-mirror logs --json | npx pino-pretty";

/// Lines shown before following by default.
const FOLLOW_LINES_DEFAULT: usize = 10;
/// How often the file is looked at: below what a reader notices.
const POLL: Duration = Duration::from_millis(100);

/// Arguments of `logs`.
#[derive(Debug, ClapArgs)]
pub struct Args {
    /// Continue with new lines
    #[arg(short, long)]
    follow: bool,
    /// Start with the newest N lines that match [default: all; 10 with --follow]
    #[arg(short = 'n', long, value_name = "N")]
    lines: Option<usize>,
    /// Lines at least this severe: trace, debug, info, warn or error
    #[arg(long, value_name = "LEVEL", value_parser = parse_level)]
    level: Option<Level>,
    /// Lines about this: invalidate, mirror, token, loop, breaker, ...
    #[arg(long, value_name = "EVENT", value_parser = parse_kind)]
    event: Option<ActivityKind>,
    /// Lines about this mirror
    #[arg(long, value_name = "NAME")]
    peer: Option<String>,
    /// Lines that name this type, by cascade too
    #[arg(long, value_name = "TYPE")]
    r#type: Option<String>,
    /// Lines that name this entity (42 or posts/42), or this event
    #[arg(long, value_name = "ID")]
    id: Option<String>,
    /// Lines about this event, by its whole id
    #[arg(long, value_name = "UUID")]
    event_id: Option<String>,
    /// Lines since then: 10m, 2h, 7d or 2026-01-02T03:04:05Z
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    since: Option<Timestamp>,
    /// Lines before then, in the same forms
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    until: Option<Timestamp>,
    /// The file [default: log.file of the configuration]
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Configuration file that names the log
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

fn parse_time(text: &str) -> Result<Timestamp, String> {
    filter::parse_time(text, Timestamp::now())
}

fn parse_level(name: &str) -> Result<Level, String> {
    Level::parse(name).ok_or_else(|| "expected trace, debug, info, warn or error".into())
}

fn parse_kind(name: &str) -> Result<ActivityKind, String> {
    let known = ActivityKind::ALL.map(ActivityKind::as_str);
    let found = ActivityKind::ALL.into_iter().find(|kind| kind.as_str().eq_ignore_ascii_case(name));
    found.ok_or_else(|| format!("expected one of {}", known.join(", ")))
}

/// Shows what is there and, where asked, what comes.
pub async fn run(args: &Args, is_json: bool) -> Result<(), Exit> {
    let path = match &args.file {
        Some(path) => path.clone(),
        None => {
            let given = SettingsArgs { config: args.config.clone(), ..SettingsArgs::default() };
            configured(&given.sources()?)
        }
    };
    let filter = Filter {
        level: args.level,
        event: args.event,
        peer: args.peer.clone(),
        type_name: args.r#type.clone(),
        id: args.id.clone(),
        event_id: args.event_id.clone(),
        since: args.since,
        until: args.until,
    };
    let cannot = |error: std::io::Error| {
        Exit::Failed(format!(
            "cannot read {}: {error}. Has the instance run here? see --file",
            path.display()
        ))
    };
    // One event may be anywhere; a span of time limits how far back to look.
    let since = args.since.map(SystemTime::from);
    let since = since.or(args.event_id.is_some().then_some(SystemTime::UNIX_EPOCH));
    let opened = match since {
        Some(since) => Tail::open_since(&path, since),
        None => Tail::open(&path),
    };
    let mut tail = opened.map_err(cannot)?;
    let limit = args.lines.or(args.follow.then_some(FOLLOW_LINES_DEFAULT));
    for raw in present(&mut tail, &filter, limit, is_json, cannot)? {
        show(&raw, is_json)?;
    }
    if args.follow { follow(&mut tail, &filter, is_json).await } else { Ok(()) }
}

/// The log of the settings, also where they are wrong: then it is wanted most.
fn configured(sources: &Sources) -> PathBuf {
    match config::load(sources) {
        Ok(settings) => settings.log.file,
        Err(problems) => {
            let path = config::log_file(sources);
            let count = print::count(problems.len() as u64, "problem", "problems");
            print::talk(format_args!(
                "{count} in the configuration (see: cache-mirror config check); this is {}",
                path.display()
            ));
            path
        }
    }
}

/// Shows what is there, or gives the newest `limit` lines of it.
fn present(
    tail: &mut Tail,
    filter: &Filter,
    limit: Option<usize>,
    is_json: bool,
    cannot: impl Fn(std::io::Error) -> Exit,
) -> Result<VecDeque<String>, Exit> {
    let mut newest = VecDeque::new();
    while let Some(raw) = tail.next_line().map_err(&cannot)? {
        if !filter.passes(&raw) {
            continue;
        }
        match limit {
            None => show(&raw, is_json)?,
            Some(limit) => {
                newest.push_back(raw);
                newest.drain(..newest.len().saturating_sub(limit));
            }
        }
    }
    Ok(newest)
}

/// Shows what comes, for ever.
async fn follow(tail: &mut Tail, filter: &Filter, is_json: bool) -> Result<(), Exit> {
    loop {
        // A read that fails now (the file is away for a moment) may work the next time.
        while let Ok(Some(raw)) = tail.next_line() {
            if filter.passes(&raw) {
                show(&raw, is_json)?;
            }
        }
        tokio::time::sleep(POLL).await;
    }
}

fn show(raw: &str, is_json: bool) -> Result<(), Exit> {
    if is_json { print::line(print::safe(raw)) } else { print::line(line::pretty(raw)) }
}
