//! `mirrors`: lists the mirrors, or changes one.
//!
//! The list shows each problem together with the command that helps, like `git status`.

mod ping;

use std::time::Duration;

use clap::{Args as ClapArgs, Subcommand};
use reqwest::Method;
use serde_json::{Map, Value, json};

use super::client::{Client, encoded, parse};
use super::connect::ConnectArgs;
use super::print::{self, BAD, DIM, GOOD, WARN, styled};
use super::{Exit, HELP, rate};
use crate::support::clock;
use crate::wire::{DestinationView, Limited, Mirrors, Operated, ParkedRequest, RemovedDestination};

/// Refused types that are listed.
const PARKED_SHOWN_MAX: usize = 5;

pub const EXAMPLES: &str = "\
Examples:
  cache-mirror mirrors
  cache-mirror mirrors pause eu.example.org        stop sending; the journal keeps everything
  cache-mirror mirrors resume eu.example.org
  cache-mirror mirrors retry eu.example.org        now, instead of when the back-off ends
  cache-mirror mirrors ping                        who answers, and does our account work there
  cache-mirror mirrors limit eu.example.org 20/s --burst 40";

/// Arguments of `mirrors`.
#[derive(Debug, ClapArgs)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Args {
    #[command(subcommand)]
    what: Option<What>,
    #[command(flatten)]
    connect: ConnectArgs,
}

#[derive(Debug, Subcommand)]
enum What {
    /// List them (the default)
    #[command(help_template = HELP, before_help = EXAMPLES)]
    Ls {
        #[command(flatten)]
        connect: ConnectArgs,
    },
    /// Stop sending to it; nothing is lost
    #[command(help_template = HELP, before_help = EXAMPLES)]
    Pause(Named),
    /// Send again at once, whatever held it
    #[command(help_template = HELP, before_help = EXAMPLES)]
    Resume(Named),
    /// Try now instead of when the back-off ends
    #[command(help_template = HELP, before_help = EXAMPLES)]
    Retry(Named),
    /// Let the instance request the identity and log in; all mirrors, or the named one
    #[command(help_template = HELP, before_help = EXAMPLES)]
    Ping {
        /// The mirror's name, as listed
        name: Option<String>,
        #[command(flatten)]
        connect: ConnectArgs,
    },
    /// Change its rate limit, until the next restart or reload
    #[command(help_template = HELP, before_help = EXAMPLES)]
    Limit {
        /// The mirror's name, as listed
        name: String,
        /// Requests a second or a minute, such as 20/s, 0.5/s or 30/min
        #[arg(value_name = "RATE", value_parser = rate::parse)]
        rate: f64,
        /// Requests at once after a pause
        #[arg(long)]
        burst: Option<u32>,
        #[command(flatten)]
        connect: ConnectArgs,
    },
}

#[derive(Debug, ClapArgs)]
struct Named {
    /// The mirror's name, as listed
    name: String,
    #[command(flatten)]
    connect: ConnectArgs,
}

/// Lists, or changes one.
pub async fn run(args: &Args, is_json: bool) -> Result<(), Exit> {
    match &args.what {
        None => list(&args.connect, is_json).await,
        Some(What::Ls { connect }) => list(connect, is_json).await,
        Some(What::Pause(named)) => operate(named, "pause", "paused", is_json).await,
        Some(What::Resume(named)) => operate(named, "resume", "resumed", is_json).await,
        Some(What::Retry(named)) => operate(named, "retry", "is tried now", is_json).await,
        Some(What::Ping { name, connect }) => {
            ping::run(&connect.client(ping::PATIENCE)?, name.as_deref(), is_json).await
        }
        Some(What::Limit { name, rate, burst, connect }) => {
            limit(&connect.client(Duration::ZERO)?, name, *rate, *burst, is_json).await
        }
    }
}

async fn list(connect: &ConnectArgs, is_json: bool) -> Result<(), Exit> {
    let answer = connect.client(Duration::ZERO)?.get("/api/mirrors").await?;
    if is_json {
        return print::json(&answer);
    }
    let Mirrors { mirrors, removed } = parse(&answer)?;
    if mirrors.is_empty() {
        print::talk("no mirrors: set CACHE_MIRRORS or mirrors.urls");
    }
    show_mirrors(&mirrors)?;
    show_removed(&removed)
}

/// Destinations that were removed from the settings, with the events that are kept for them.
pub fn show_removed(removed: &[RemovedDestination]) -> Result<(), Exit> {
    for gone in removed {
        let waiting = print::count(gone.backlog_events, "event", "events");
        let rest = print::seconds(gone.forgotten_ms.saturating_sub(clock::wall_ms()) / 1000);
        let name = print::safe(&gone.name);
        let state = styled(WARN, "removed ");
        print::line(format_args!("  {name}  {state} {waiting} waiting, kept for {rest}"))?;
        print::line("      (name it in the settings again and it continues from where it was)")?;
    }
    Ok(())
}

async fn operate(named: &Named, verb: &str, done: &str, is_json: bool) -> Result<(), Exit> {
    let client = named.connect.client(Duration::ZERO)?;
    let path = format!("/api/mirrors/{}/{verb}", encoded(&named.name));
    let (_, answer) = client.call(Method::POST, &path, None).await?;
    if is_json {
        return print::json(&answer);
    }
    let Operated { mirror, .. } = parse(&answer)?;
    let waiting = mirror.map_or(0, |mirror| mirror.backlog_events);
    if verb == "retry" && waiting == 0 {
        return print::line(format_args!("{}: nothing waits, so nothing is sent", named.name));
    }
    let waiting = print::count(waiting, "event", "events");
    print::line(format_args!("{} {done}; {waiting} waiting", named.name))
}

async fn limit(
    client: &Client,
    name: &str,
    rate: f64,
    burst: Option<u32>,
    is_json: bool,
) -> Result<(), Exit> {
    let mut body = Map::from_iter([("rate_per_second".to_owned(), json!(rate))]);
    if let Some(burst) = burst {
        body.insert("burst".into(), json!(burst));
    }
    let path = format!("/api/mirrors/{}", encoded(name));
    let (_, answer) = client.call(Method::PATCH, &path, Some(&Value::Object(body))).await?;
    if is_json {
        return print::json(&answer);
    }
    let Limited { rate_per_second: rate, burst, .. } = parse(&answer)?;
    print::line(format_args!(
        "{name} limited to {rate:?}/s, burst {burst}, until the next restart or reload"
    ))
}

/// A table of mirrors with hints.
pub fn show_mirrors(mirrors: &[DestinationView]) -> Result<(), Exit> {
    let width = mirrors.iter().map(|mirror| print::safe(&mirror.name).chars().count()).max();
    let width = width.unwrap_or(0).clamp(8, 40);
    mirrors.iter().try_for_each(|mirror| show_mirror(mirror, width))
}

fn show_mirror(mirror: &DestinationView, width: usize) -> Result<(), Exit> {
    let (name, state) = (print::safe(&mirror.name), print::safe(&mirror.state));
    let state = if is_untried(mirror) { "untried".to_owned() } else { state };
    let style = match state.as_str() {
        "ok" => GOOD,
        "self" | "untried" => DIM,
        "paused" | "held" => WARN,
        _ => BAD,
    };
    let state_shown = styled(style, format_args!("{state:<8}"));
    let kind = print::safe(&mirror.kind);
    let rate = format!("{:?}/s, burst {}", mirror.rate_per_second, mirror.burst);
    let line = match state.as_str() {
        "self" => format!("  {name:<width$}  {state_shown} this instance"),
        _ => format!("  {name:<width$}  {state_shown} {kind:<12}  {rate}  {}", backlog(mirror)),
    };
    print::line(line.trim_end())?;
    hints(&name, &state, mirror)
        .iter()
        .try_for_each(|hint| print::line(format_args!("      {hint}")))
}

fn backlog(mirror: &DestinationView) -> String {
    let waiting = mirror.backlog_events;
    if waiting == 0 {
        return format!("{} delivered since the start", mirror.delivered);
    }
    let age = print::seconds(waiting_ms(mirror) / 1000);
    format!("{} waiting for {age}", print::count(waiting, "event", "events"))
}

/// How long the oldest event has waited, by the instance's clock: the clock of this host may
/// differ. An older server does not report the age; then this host's clock is used.
pub fn waiting_ms(destination: &DestinationView) -> u64 {
    let by_own_clock = || {
        let since = destination.backlog_oldest_ms;
        since.map_or(0, |since| clock::wall_ms().saturating_sub(since))
    };
    destination.backlog_age_ms.unwrap_or_else(by_own_clock)
}

/// Whether it is a mirror: a target is called without an account.
pub fn is_mirror(destination: &DestinationView) -> bool {
    matches!(&*destination.kind, "unknown" | "legacy" | "cache-mirror" | "self")
}

/// Whether no request was sent to it yet, so that neither success nor failure is known.
pub fn is_untried(destination: &DestinationView) -> bool {
    let is_known = matches!(&*destination.kind, "legacy" | "cache-mirror" | "self");
    destination.state == "ok" && destination.requests == 0 && !is_known
}

/// What a mirror refuses, the first few.
fn parked_hints(name: &str, mirror: &DestinationView, error: &str) -> Vec<String> {
    let one = |it: &ParkedRequest| {
        format!("{} ({})", print::safe(&it.what), print::optional(it.error.as_deref()))
    };
    let mut shown: Vec<String> = mirror.parked.iter().take(PARKED_SHOWN_MAX).map(one).collect();
    if mirror.parked_count > shown.len() {
        shown.push(format!("and {} more", mirror.parked_count - shown.len()));
    }
    let what = if shown.is_empty() { error.to_owned() } else { shown.join(", ") };
    vec![
        format!("it refuses {what}; tried once an hour, never counted as delivered"),
        format!("(use \"cache-mirror mirrors retry {name}\" to try now)"),
    ]
}

/// What is wrong and what helps.
fn hints(name: &str, state: &str, mirror: &DestinationView) -> Vec<String> {
    let error = print::optional(mirror.last_error.as_deref());
    let next = mirror.next_attempt_ms.map(|ms| format!("next attempt in {ms} ms"));
    let mut hints = match (state, mirror.paused.as_deref()) {
        ("paused", Some("operator")) => vec![
            "held back by an operator; the journal keeps everything".to_owned(),
            format!("(use \"cache-mirror mirrors resume {name}\")"),
        ],
        ("paused", _) if error.contains("the clock of this host") => vec![
            format!("it refuses our token: {error}"),
            "(let NTP set the clocks of both hosts, then".to_owned(),
            format!(" use \"cache-mirror mirrors retry {name}\")"),
        ],
        ("paused", _) => vec![
            format!("its credentials do not work: {error}"),
            "(check SERVICE_EMAIL and SERVICE_PASSWORD, then".to_owned(),
            format!(" use \"cache-mirror mirrors retry {name}\")"),
        ],
        ("failing", _) => vec![
            format!(
                "{}: {error}; {}",
                print::count(mirror.failures.into(), "failure", "failures"),
                next.unwrap_or_else(|| "trying".into())
            ),
            format!("(use \"cache-mirror mirrors retry {name}\" to try now)"),
        ],
        ("throttled", _) => vec![
            format!(
                "asked to be left alone until {}",
                print::optional(mirror.throttled_until.as_deref())
            ),
            format!("(use \"cache-mirror mirrors retry {name}\" to try now)"),
        ],
        ("held", _) => vec![
            format!(
                "its kind is not known yet: {} held until it is",
                print::count(mirror.held_events, "event is", "events are")
            ),
            format!("(use \"cache-mirror mirrors ping {name}\"; if it is no cache-mirror, set"),
            " kind = \"legacy\" in its [[mirrors.peers]])".to_owned(),
        ],
        ("parked", _) => parked_hints(name, mirror, &error),
        ("ok" | "untried", _) if mirror.kind == "unknown" => {
            vec![format!("not reached yet (use \"cache-mirror mirrors ping {name}\")")]
        }
        _ => vec![],
    };
    if mirror.skipped > 0 {
        let events = print::count(mirror.skipped, "event", "events");
        hints.push(format!("{events} since the start not sent: it does not support them"));
    }
    if mirror.echoing {
        hints.push(
            "echoing: it calls back here with whatever it is sent; what goes round waits up to a \
             minute for it, other events go at once"
                .to_owned(),
        );
        hints.push("(\"cache-mirror doctor\" names what can be done over there)".to_owned());
    }
    if mirror.backlog_widened {
        hints.push("so much waits that whole types will be cleared there".to_owned());
    }
    hints
}
