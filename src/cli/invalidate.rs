//! `invalidate`: clear what changed, here and at every mirror.
//!
//! It builds the body of `POST /api/cache/invalidate` and tells the answer. Where it was asked to
//! wait and not every mirror came in time, that is code 3: nothing is lost, the rest follows by
//! itself.

use std::collections::BTreeMap;
use std::time::Duration;

use clap::Args as ClapArgs;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::connect::ConnectArgs;
use super::consent::Consent;
use super::print::{self, BAD, BOLD, DIM, GOOD, WARN, styled};
use super::selection::Selection;
use super::{Exit, client, progress};
use crate::domain::Action;
use crate::support::duration;

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
    #[arg(long, value_name = "WORD", value_parser = parse_action())]
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

/// Our words, which completions offer, and those that mean the same.
fn parse_action() -> impl TypedValueParser<Value = String> {
    let values = Action::WORDS.map(|word| {
        let same = |other: &&str| Action::parse(other) == Action::parse(word);
        let others = Action::OTHER_WORDS.map(|(other, _)| other);
        PossibleValue::new(word).aliases(others.into_iter().filter(|other| same(other)))
    });
    let own = |word: String| Action::parse(&word).map_or(word, |action| action.as_str().to_owned());
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

/// Sends the invalidation and tells what became of it.
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
    if is_json {
        print::json(&answer)?;
    } else {
        show(&answer)?;
    }
    for warning in answer["warnings"].as_array().into_iter().flatten() {
        print::talk(format_args!("warning: {}", print::safe(warning.as_str().unwrap_or_default())));
    }
    if answer["degraded"] == true {
        print::talk(
            "warning: the disk refuses events: every mirror will be told to clear everything",
        );
    }
    if status == StatusCode::ACCEPTED { Err(late(&answer, timeout)) } else { Ok(()) }
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

fn show(answer: &Value) -> Result<(), Exit> {
    if answer["duplicate"] == true {
        return print::line("nothing new: it had its effect before");
    }
    let is_dry_run = answer["dry_run"] == true;
    let entries = answer["invalidated_entries"].as_u64().unwrap_or(0);
    let at_least = if answer["count_complete"] == false { "at least " } else { "" };
    let types = answer["types"].as_object().into_iter().flatten();
    let types: Vec<String> =
        types.map(|(name, count)| format!("{} {count}", print::safe(name))).collect();
    let mut text = format!(
        "{} {at_least}{}",
        styled(BOLD, if is_dry_run { "would clear" } else { "cleared" }),
        print::count(entries, "entry", "entries")
    );
    if !types.is_empty() {
        text.push_str(&format!(" ({})", types.join(", ")));
    }
    let cascade = answer["cascade"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let cascade: Vec<String> = cascade.map(print::safe).collect();
    if !cascade.is_empty() {
        text.push_str(&format!("; with it go {}", cascade.join(", ")));
    }
    if !is_dry_run {
        let id = format!("version {} event {}", answer["version"], print::text(answer, "id"));
        text.push_str(&format!("  {}", styled(DIM, id)));
    }
    print::line(text)?;
    let others = answer["beside"].as_array().into_iter().flatten();
    mirrors(answer).chain(others).try_for_each(show_outcome)
}

fn mirrors(answer: &Value) -> impl Iterator<Item = &Value> {
    answer["mirrors"].as_array().into_iter().flatten()
}

/// Where an event stands at one mirror.
pub fn show_outcome(mirror: &Value) -> Result<(), Exit> {
    let status = print::text(mirror, "status");
    let style = match status.as_str() {
        "delivered" => GOOD,
        "failed" => BAD,
        "paused" => WARN,
        _ => DIM,
    };
    let word = if status == "would_queue" { "would queue" } else { status.as_str() };
    let why: Vec<String> = ["reason", "state", "last_error"]
        .iter()
        .map(|member| print::text(mirror, member))
        .filter(|text| !text.is_empty())
        .collect();
    let name = print::text(mirror, "peer");
    print::line(format!("  {name:<28} {}  {}", styled(style, word), why.join(": ")).trim_end())
}

/// Whom the wait was for nothing.
fn late(answer: &Value, timeout: Duration) -> Exit {
    let status = |mirror: &Value| print::text(mirror, "status");
    let counted: Vec<&Value> = mirrors(answer)
        .filter(|mirror| !matches!(status(mirror).as_str(), "self" | "skipped"))
        .collect();
    let delivered = counted.iter().filter(|mirror| status(mirror) == "delivered").count();
    let rest: Vec<String> = counted
        .iter()
        .filter(|mirror| status(mirror) != "delivered")
        .map(|mirror| format!("{} {}", print::text(mirror, "peer"), status(mirror)))
        .collect();
    let (total, rest) = (counted.len(), rest.join(", "));
    Exit::Partial(format!(
        "{delivered} of {total} mirrors acknowledged within {timeout:?}; the rest will be told \
         until they do: {rest}. See: cache-mirror mirrors"
    ))
}
