//! `schedules`: lists the schedules, or runs, pauses or resumes one.
//! Times are shown as the instance sends them, in UTC.

use std::time::Duration;

use clap::{Args as ClapArgs, Subcommand};
use reqwest::Method;
use serde_json::Value;

use super::client::{encoded, parse};
use super::connect::ConnectArgs;
use super::print::{self, BAD, DIM, GOOD, WARN, styled};
use super::{Exit, HELP};
use crate::wire::{Held, Invalidated, ScheduleView, Schedules};

pub const EXAMPLES: &str = "\
Examples:
  cache-mirror schedules                              when each fires next, and its last result
  cache-mirror schedules run activate-tournaments     now; its own times stay as they are
  cache-mirror schedules pause activate-tournaments   pause it, over restarts too
  cache-mirror schedules resume activate-tournaments";

/// Arguments of `schedules`.
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
    /// Run one now
    #[command(help_template = HELP, before_help = EXAMPLES)]
    Run(Named),
    /// Pause one; times that pass meanwhile are not run later
    #[command(help_template = HELP, before_help = EXAMPLES)]
    Pause(Named),
    /// Resume one with its next time
    #[command(help_template = HELP, before_help = EXAMPLES)]
    Resume(Named),
}

#[derive(Debug, ClapArgs)]
struct Named {
    /// The schedule's id, as listed
    id: String,
    #[command(flatten)]
    connect: ConnectArgs,
}

/// Lists them, or changes one.
pub async fn run(args: &Args, is_json: bool) -> Result<(), Exit> {
    match &args.what {
        None => list(&args.connect, is_json).await,
        Some(What::Ls { connect }) => list(connect, is_json).await,
        Some(What::Run(named)) => run_now(named, is_json).await,
        Some(What::Pause(named)) => hold(named, "pause", is_json).await,
        Some(What::Resume(named)) => hold(named, "resume", is_json).await,
    }
}

async fn list(connect: &ConnectArgs, is_json: bool) -> Result<(), Exit> {
    let answer = connect.client(Duration::ZERO)?.get("/api/schedules").await?;
    if is_json {
        return print::json(&answer);
    }
    let Schedules { schedules } = parse(&answer)?;
    if schedules.is_empty() {
        print::talk("no schedules: write a [[schedules]] into the configuration");
    }
    schedules.iter().try_for_each(show)
}

async fn run_now(named: &Named, is_json: bool) -> Result<(), Exit> {
    let answer = post(named, "run").await?;
    if is_json {
        return print::json(&answer);
    }
    let ran: Invalidated = parse(&answer)?;
    let entries = print::count(ran.invalidated_entries, "entry", "entries");
    let id = ran.id.map_or_else(|| "none".to_owned(), |id| id.to_string());
    print::line(format_args!("{} ran: {entries} cleared, event {id}", named.id))
}

async fn hold(named: &Named, verb: &str, is_json: bool) -> Result<(), Exit> {
    let answer = post(named, verb).await?;
    if is_json {
        return print::json(&answer);
    }
    let Held { schedule, .. } = parse(&answer)?;
    schedule.as_ref().map_or(Ok(()), show)
}

async fn post(named: &Named, verb: &str) -> Result<Value, Exit> {
    let client = named.connect.client(Duration::ZERO)?;
    let path = format!("/api/schedules/{}/{verb}", encoded(&named.id));
    let (_, answer) = client.call(Method::POST, &path, None).await?;
    Ok(answer)
}

/// One schedule: what it is, when it fires next, how it did last.
fn show(schedule: &ScheduleView) -> Result<(), Exit> {
    let style = if schedule.state == "active" { GOOD } else { WARN };
    let state = styled(style, print::safe(&schedule.state));
    let [id, cron, tz] = [&schedule.id, &schedule.cron, &schedule.tz].map(|text| print::safe(text));
    print::line(format_args!("  {id}  {state}  {cron} {tz}"))?;
    let next = schedule.next.first().map_or("not while it is paused", String::as_str);
    print::line(format_args!("      clears {}", schedule.invalidate))?;
    print::line(format_args!("      next   {}", print::safe(next)))?;
    let Some(last) = &schedule.last_run else { return Ok(()) };
    let style = if last.outcome == "failed" { BAD } else { DIM };
    let outcome = styled(style, print::safe(&last.outcome));
    let why = print::optional(last.error.as_deref().or(last.event_id.as_deref()));
    print::line(format_args!("      last   {} {outcome} {why}", print::safe(&last.at)))
}
