//! `explain`: shows what an invalidation would do: the walk through the graph, the entries that the
//! store would lose, the requests to each mirror, and their cost. It changes nothing.

use std::time::Duration;

use clap::Args as ClapArgs;
use reqwest::Method;
use serde_json::{Value, json};

use super::Exit;
use super::client::parse;
use super::connect::ConnectArgs;
use super::print::{self, BOLD, DIM, GOOD, WARN, styled};
use super::selection::Selection;
use crate::wire::{Explained, MirrorExplanation};

pub const EXAMPLES: &str = "\
Examples:
  cache-mirror explain pictures                    what a changed picture clears, and why
  cache-mirror explain posts/42 --tag home
  cache-mirror explain --path '/shop/*' --no-mirror
  cache-mirror explain --all --json | jq .cost";

/// The reason while the kind of a destination is not known yet.
const UNKNOWN_KIND: &str = "unknown_kind";

/// Arguments of `explain`.
#[derive(Debug, ClapArgs)]
pub struct Args {
    #[command(flatten)]
    selection: Selection,
    /// As if it were for this instance only
    #[arg(long)]
    no_mirror: bool,
    /// As if it were soft
    #[arg(long)]
    soft: bool,
    #[command(flatten)]
    connect: ConnectArgs,
}

/// Runs the command.
pub async fn run(args: &Args, is_json: bool) -> Result<(), Exit> {
    let mut body = args.selection.body()?;
    if args.no_mirror {
        body.insert("mirror".into(), json!(false));
    }
    if args.soft {
        body.insert("mode".into(), json!("soft"));
    }
    let client = args.connect.client(Duration::ZERO)?;
    let body = Value::Object(body);
    let (_, answer) = client.call(Method::POST, "/api/cache/explain", Some(&body)).await?;
    let explained: Explained = parse(&answer)?;
    if is_json {
        print::json(&answer)?;
    } else {
        show(&explained)?;
    }
    print::warnings(&explained.warnings);
    Ok(())
}

fn show(answer: &Explained) -> Result<(), Exit> {
    let is_all = answer.selectors.iter().any(|one| one == "all");
    let what = if is_all { "everything".to_owned() } else { print::list(&answer.selectors) };
    let what = format!("{what}, {}", print::safe(&answer.mode));
    print::line(format_args!("{what}; {}", styled(DIM, "explained only: nothing is changed")))?;
    if !answer.lists.is_empty() {
        let lists = print::list(&answer.lists);
        print::line(format_args!("lists     {lists} (entries with a type and no id)"))?;
    }
    show_graph(answer, is_all)?;
    let at_least = if answer.count_complete { "" } else { "at least " };
    print::line(format_args!(
        "store     {at_least}{}, {}{}",
        print::count(answer.entries, "entry", "entries"),
        print::bytes(answer.bytes),
        print::by_type(&answer.types),
    ))?;
    show_mirrors(answer)?;
    let called = print::list(&answer.neighbours);
    if !called.is_empty() {
        print::line(format_args!("targets   {called}: called too; their cost is not included"))?;
    }
    let cost = &answer.cost;
    let walk = if cost.walks_store { "; counting looks at every entry" } else { "" };
    print::line(format_args!(
        "cost      {}, {} of {}{walk}",
        print::count(cost.stamps as u64, "stamp", "stamps"),
        print::count(cost.requests as u64, "request", "requests"),
        print::bytes(cost.request_bytes as u64),
    ))
}

fn show_graph(answer: &Explained, is_all: bool) -> Result<(), Exit> {
    let edges = &answer.graph.edges;
    if is_all {
        return print::line("graph     nothing to add: everything is cleared");
    }
    if edges.is_empty() {
        return print::line("graph     adds nothing");
    }
    for (at, edge) in edges.iter().enumerate() {
        let head = if at == 0 { "graph" } else { "" };
        let (from, to) = (print::safe(&edge.from), print::safe(&edge.to));
        print::line(format_args!("{head:<9} {from} clears {}", styled(BOLD, to)))?;
    }
    Ok(())
}

fn show_mirrors(answer: &Explained) -> Result<(), Exit> {
    if answer.destinations.is_empty() {
        let why = if answer.scope == "local" { "none: it stays here" } else { "none are set" };
        return print::line(format_args!("mirrors   {why}"));
    }
    print::line("mirrors")?;
    answer.destinations.iter().try_for_each(show_mirror)
}

fn show_mirror(mirror: &MirrorExplanation) -> Result<(), Exit> {
    let sent = match &*mirror.form {
        "batch" => {
            let differs = mirror.graph.as_deref() == Some("differs");
            let graph = if differs { "; its graph is another one" } else { "" };
            format!("a batch of {}{graph}", print::bytes(mirror.bytes as u64))
        }
        "legacy" => {
            let requests = mirror.bodies.len() as u64;
            format!("{} in the legacy form", print::count(requests, "request", "requests"))
        }
        _ => "nothing".to_owned(),
    };
    // Nothing failed there, and nothing was acknowledged either.
    let is_untried = mirror.state == "ok" && mirror.kind == "unknown";
    let state = if is_untried { "untried".to_owned() } else { print::safe(&mirror.state) };
    let style = if state == "ok" { GOOD } else { WARN };
    let name = print::safe(&mirror.peer);
    let waiting = match mirror.waiting {
        0 => String::new(),
        waiting => format!("; {} waiting already", print::count(waiting, "event", "events")),
    };
    print::line(format_args!("  {name:<28} {}  {sent}{waiting}", styled(style, state)))?;
    for body in &mirror.bodies {
        print::line(format_args!("      {}", print::safe(&body.to_string())))?;
    }
    let skipped = print::list(&mirror.skipped);
    if !skipped.is_empty() {
        print::line(format_args!("      not sent: {skipped} (a legacy server knows types only)"))?;
    }
    match mirror.reason.as_deref() {
        None | Some("unsupported") => Ok(()),
        Some(UNKNOWN_KIND) => print::line("      (held until its kind is known)"),
        Some(reason) => print::line(format_args!("      ({})", print::safe(reason))),
    }
}
