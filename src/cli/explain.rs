//! `explain`: what an invalidation would do, before it is done: the graph walked, what the store
//! would lose, what each mirror would be told, and what that costs. Nothing is changed by it.

use std::time::Duration;

use clap::Args as ClapArgs;
use reqwest::Method;
use serde_json::{Value, json};

use super::Exit;
use super::connect::ConnectArgs;
use super::print::{self, BOLD, DIM, GOOD, WARN, styled};
use super::selection::Selection;

pub const EXAMPLES: &str = "\
Examples:
  cache-mirror explain pictures                    what a changed picture clears, and why
  cache-mirror explain posts/42 --tag home
  cache-mirror explain --path '/shop/*' --no-mirror
  cache-mirror explain --all --json | jq .cost";

/// The reason where a destination has not said yet what it is.
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

/// Asks and tells.
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
    if is_json {
        print::json(&answer)?;
    } else {
        show(&answer)?;
    }
    for warning in array(&answer["warnings"]) {
        print::talk(format_args!("warning: {}", print::safe(warning.as_str().unwrap_or_default())));
    }
    Ok(())
}

fn array(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn joined(value: &Value) -> String {
    let words = array(value).iter().filter_map(Value::as_str).map(print::safe);
    words.collect::<Vec<_>>().join(", ")
}

fn show(answer: &Value) -> Result<(), Exit> {
    let is_all = array(&answer["selectors"]).iter().any(|one| one == "all");
    let what = if is_all { "everything".to_owned() } else { joined(&answer["selectors"]) };
    let what = format!("{what}, {}", print::text(answer, "mode"));
    print::line(format_args!("{what}; {}", styled(DIM, "explained only: nothing is changed")))?;
    if !array(&answer["lists"]).is_empty() {
        let lists = joined(&answer["lists"]);
        print::line(format_args!("lists     {lists} (entries with a type and no id)"))?;
    }
    show_graph(answer, is_all)?;
    let number = |value: &Value| value.as_u64().unwrap_or(0);
    let at_least = if answer["count_complete"] == false { "at least " } else { "" };
    let types = answer["types"].as_object().into_iter().flatten();
    let types: Vec<String> =
        types.map(|(name, count)| format!("{} {count}", print::safe(name))).collect();
    let types = if types.is_empty() { String::new() } else { format!(" ({})", types.join(", ")) };
    print::line(format_args!(
        "store     {at_least}{}, {}{types}",
        print::count(number(&answer["entries"]), "entry", "entries"),
        print::bytes(number(&answer["bytes"])),
    ))?;
    show_mirrors(answer)?;
    let called = joined(&answer["neighbours"]);
    if !called.is_empty() {
        print::line(format_args!("beside    {called}: called as well, which is not in the cost"))?;
    }
    let cost = &answer["cost"];
    let walk = if cost["walks_store"] == true { "; counting looks at every entry" } else { "" };
    print::line(format_args!(
        "cost      {}, {} of {}{walk}",
        print::count(number(&cost["stamps"]), "stamp", "stamps"),
        print::count(number(&cost["requests"]), "request", "requests"),
        print::bytes(number(&cost["request_bytes"])),
    ))
}

fn show_graph(answer: &Value, is_all: bool) -> Result<(), Exit> {
    let edges = array(&answer["graph"]["edges"]);
    if is_all {
        return print::line("graph     nothing to add: everything is cleared");
    }
    if edges.is_empty() {
        return print::line("graph     adds nothing");
    }
    for (at, edge) in edges.iter().enumerate() {
        let head = if at == 0 { "graph" } else { "" };
        let (from, to) = (print::text(edge, "from"), print::text(edge, "to"));
        print::line(format_args!("{head:<9} {from} clears {}", styled(BOLD, to)))?;
    }
    Ok(())
}

fn show_mirrors(answer: &Value) -> Result<(), Exit> {
    let mirrors = array(&answer["destinations"]);
    if mirrors.is_empty() {
        let why = if answer["scope"] == "local" { "none: it stays here" } else { "none are set" };
        return print::line(format_args!("mirrors   {why}"));
    }
    print::line("mirrors")?;
    mirrors.iter().try_for_each(show_mirror)
}

fn show_mirror(mirror: &Value) -> Result<(), Exit> {
    let text = |member: &str| print::text(mirror, member);
    let told = match text("form").as_str() {
        "batch" => {
            let graph = if text("graph") == "differs" { "; its graph is another one" } else { "" };
            format!("a batch of {}{graph}", print::bytes(mirror["bytes"].as_u64().unwrap_or(0)))
        }
        "legacy" => {
            let requests = array(&mirror["bodies"]).len() as u64;
            format!("{} in the legacy form", print::count(requests, "request", "requests"))
        }
        _ => "nothing".to_owned(),
    };
    // Nothing failed there, and nothing was heard of it either.
    let is_untried = text("state") == "ok" && text("kind") == "unknown";
    let state = if is_untried { "untried".to_owned() } else { text("state") };
    let style = if state == "ok" { GOOD } else { WARN };
    let name = text("peer");
    let waiting = match mirror["waiting"].as_u64().unwrap_or(0) {
        0 => String::new(),
        waiting => format!("; {} waiting already", print::count(waiting, "event", "events")),
    };
    print::line(format_args!("  {name:<28} {}  {told}{waiting}", styled(style, state)))?;
    for body in array(&mirror["bodies"]) {
        print::line(format_args!("      {}", print::safe(&body.to_string())))?;
    }
    let skipped = joined(&mirror["skipped"]);
    if !skipped.is_empty() {
        print::line(format_args!("      not told: {skipped} (a legacy server knows types only)"))?;
    }
    match text("reason").as_str() {
        "" | "unsupported" => Ok(()),
        UNKNOWN_KIND => print::line("      (held until it has said what it is)"),
        reason => print::line(format_args!("      ({reason})")),
    }
}
