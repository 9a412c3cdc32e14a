//! `invalidate`: clear what changed, here and at every mirror.
//!
//! It builds the body of `POST /api/cache/invalidate` and prints the answer. If it waits and not
//! every mirror acknowledges in time, the exit code is 3: nothing is lost, the event is still sent.

use std::collections::BTreeMap;
use std::time::Duration;

use clap::Args as ClapArgs;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::client::parse;
use super::connect::ConnectArgs;
use super::consent::Consent;
use super::print::{self, BAD, BOLD, DIM, GOOD, WARN, styled};
use super::selection::Selection;
use super::{Exit, client, progress};
use crate::domain::{Action, Status};
use crate::support::duration;
use crate::wire::{DeliveryOutcome, Invalidated};

pub const EXAMPLES: &str = "\
Examples:
  cache-mirror invalidate posts/42                 one post, and everything that depends on posts
  cache-mirror invalidate posts categories/7       several at once are one event
  cache-mirror invalidate --tag products:client:7 --path '/shop/*'
  cache-mirror invalidate posts --dry-run          what would be cleared, and where
  cache-mirror invalidate posts/42 --wait all --timeout 5s
  cache-mirror invalidate products/7 --changed slug --field slug=red-shoe
  cache-mirror invalidate --all --yes              everything, here and at every mirror";

/// Wait where `--timeout` is not given, as the server has it.
const TIMEOUT_DEFAULT: Duration = Duration::from_secs(5);

/// Arguments of `invalidate`.
#[derive(Debug, ClapArgs)]
pub struct Args {
    #[command(flatten)]
    selection: Selection,
    /// On this instance only
    #[arg(long)]
    no_mirror: bool,
    /// May be served stale while one refresh runs
    #[arg(long)]
    soft: bool,
    /// Show what would happen, without doing it
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    consent: Consent,
    /// Wait until this many mirrors have acknowledged: local, any, all or a number
    #[arg(long, value_name = "WHO", value_parser = parse_wait)]
    wait: Option<String>,
    /// Longest wait, such as 5s or 500ms [default: 5s]
    #[arg(long, value_name = "TIME", value_parser = parse_timeout, requires = "wait")]
    timeout: Option<Duration>,
    /// Why, for the journal
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// What was done: create, update, delete, restore, force_delete or archive, or the name of the
    /// model event, such as forceDeleted
    #[arg(long, value_name = "ACTION", value_parser = parse_action())]
    action: Option<String>,
    /// A field that changed; may be given several times
    #[arg(long, value_name = "NAME")]
    changed: Vec<String>,
    /// Another fact about it, such as slug=red-shoe, for the paths of sites
    #[arg(long, value_name = "NAME=VALUE", value_parser = parse_field)]
    field: Vec<(String, String)>,
    #[command(flatten)]
    connect: ConnectArgs,
}

/// Our names of actions, which completions offer, and their aliases.
fn parse_action() -> impl TypedValueParser<Value = String> {
    let values = Action::WORDS.map(|name| {
        let same = |other: &&str| Action::parse(other) == Action::parse(name);
        let others = Action::OTHER_WORDS.map(|(other, _)| other);
        PossibleValue::new(name).aliases(others.into_iter().filter(|other| same(other)))
    });
    let own = |name: String| Action::parse(&name).map_or(name, |action| action.as_str().to_owned());
    PossibleValuesParser::new(values).map(own)
}

fn parse_wait(text: &str) -> Result<String, String> {
    match text {
        "local" | "any" | "all" => Ok(text.to_owned()),
        _ if text.parse::<usize>().is_ok() => Ok(text.to_owned()),
        _ => Err("expected local, any, all or a number of mirrors".into()),
    }
}

fn parse_field(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("expected NAME=VALUE, such as slug=red-shoe")?;
    Ok((name.to_owned(), value.to_owned()))
}

fn parse_timeout(text: &str) -> Result<Duration, String> {
    duration::parse(text).ok_or_else(|| "expected a time like 5s or 500ms".into())
}

/// Sends the invalidation and prints the result.
pub async fn run(args: &Args, is_json: bool) -> Result<(), Exit> {
    let body = body(args)?;
    if args.selection.is_all() && !args.dry_run {
        args.consent.ask(match args.no_mirror {
            true => "Clear everything on this instance?",
            false => "Clear everything on this instance, its mirrors, sites and caches?",
        })?;
    }
    let timeout = args.timeout.unwrap_or(TIMEOUT_DEFAULT);
    let client = args.connect.client(timeout)?;
    let path = match &args.wait {
        None => "/api/cache/invalidate".to_owned(),
        Some(wait) => {
            let wait = client::encoded(wait);
            format!("/api/cache/invalidate?wait={wait}&timeout={}ms", timeout.as_millis())
        }
    };
    let call = client.call(Method::POST, &path, Some(&body));
    let (status, answer) = match args.wait {
        Some(_) => progress::while_mirrors_wait(&client, call).await?,
        None => call.await?,
    };
    let done: Invalidated = parse(&answer)?;
    if is_json {
        print::json(&answer)?;
    } else if answer["duplicate"] == true {
        print::line("nothing new: it had its effect before")?;
    } else {
        show(&done)?;
    }
    print::warnings(&done.warnings);
    if done.degraded {
        print::talk(
            "warning: the disk refuses events: every mirror will be sent a clear of everything",
        );
    }
    if status == StatusCode::ACCEPTED { Err(late(&done.mirrors, timeout)) } else { Ok(()) }
}

fn body(args: &Args) -> Result<Value, Exit> {
    let mut body = args.selection.body()?;
    let fields: BTreeMap<&String, &String> = args.field.iter().map(|(a, b)| (a, b)).collect();
    for (field, is_set, value) in [
        ("mirror", args.no_mirror, json!(false)),
        ("mode", args.soft, json!("soft")),
        ("dry_run", args.dry_run, json!(true)),
        ("reason", args.reason.is_some(), json!(args.reason)),
        ("action", args.action.is_some(), json!(args.action)),
        ("changed", !args.changed.is_empty(), json!(args.changed)),
        ("fields", !args.field.is_empty(), json!(fields)),
    ] {
        if is_set {
            body.insert(field.into(), value);
        }
    }
    Ok(Value::Object(body))
}

fn show(done: &Invalidated) -> Result<(), Exit> {
    let mut text = format!(
        "{} {}{}{}",
        styled(BOLD, if done.dry_run { "would clear" } else { "cleared" }),
        if done.count_complete { "" } else { "at least " },
        print::count(done.invalidated_entries, "entry", "entries"),
        print::by_type(&done.types)
    );
    if !done.cascade.is_empty() {
        text.push_str(&format!("; with it go {}", print::list(&done.cascade)));
    }
    if let (Some(version), Some(id)) = (done.version, done.id) {
        text.push_str(&format!("  {}", styled(DIM, format!("version {version} event {id}"))));
    }
    print::line(text)?;
    done.mirrors.iter().chain(&*done.beside).try_for_each(show_outcome)
}

/// Where an event stands at one destination.
pub fn show_outcome(outcome: &DeliveryOutcome) -> Result<(), Exit> {
    let (style, status) = match outcome.status {
        Status::Delivered => (GOOD, "delivered"),
        Status::Failed => (BAD, "failed"),
        Status::Paused => (WARN, "paused"),
        Status::WouldQueue => (DIM, "would queue"),
        other => (DIM, other.as_str()),
    };
    let why = [outcome.reason.as_deref(), outcome.state.as_deref(), outcome.last_error.as_deref()];
    let why: Vec<String> = why.into_iter().flatten().map(print::safe).collect();
    let name = print::safe(&outcome.peer);
    print::line(format!("  {name:<28} {}  {}", styled(style, status), why.join(": ")).trim_end())
}

/// The mirrors that did not acknowledge in time.
fn late(mirrors: &[DeliveryOutcome], timeout: Duration) -> Exit {
    let counted: Vec<&DeliveryOutcome> = mirrors
        .iter()
        .filter(|mirror| !matches!(mirror.status, Status::Oneself | Status::Skipped))
        .collect();
    let is_missing = |mirror: &&&DeliveryOutcome| mirror.status != Status::Delivered;
    let rest: Vec<String> = counted
        .iter()
        .filter(is_missing)
        .map(|mirror| format!("{} {}", print::safe(&mirror.peer), mirror.status.as_str()))
        .collect();
    let delivered = counted.len() - rest.len();
    let (total, rest) = (counted.len(), rest.join(", "));
    Exit::Partial(format!(
        "{delivered} of {total} mirrors acknowledged within {timeout:?}; the event is sent \
         to the rest until they do: {rest}. See: cache-mirror mirrors"
    ))
}
