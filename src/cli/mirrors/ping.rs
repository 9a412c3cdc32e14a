//! `mirrors ping`: lets the instance ask each mirror now, and prints the remedy where that fails.
//! Exit code 0 if all work, 3 if some do not, 1 if none does.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;

use crate::cli::Exit;
use crate::cli::client::{Client, encoded, parse};
use crate::cli::print::{self, BAD, DIM, GOOD, WARN, styled};
use crate::wire::{Mirrors, PingReport};

/// A probe and a login of a mirror that hangs, on top of a usual call.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Asks one, or all of them.
pub async fn run(client: &Client, name: Option<&str>, is_json: bool) -> Result<(), Exit> {
    let names = match name {
        Some(name) => vec![name.to_owned()],
        None => all(client).await?,
    };
    if names.is_empty() {
        print::talk("no mirrors: set CACHE_MIRRORS or mirrors.urls");
    }
    let ask = async |name: &String| {
        let path = format!("/api/mirrors/{}/ping", encoded(name));
        client.call(Method::POST, &path, None).await.map(|(_, ping)| ping)
    };
    let pings = futures_util::future::try_join_all(names.iter().map(ask)).await?;
    let reports = pings.iter().map(parse).collect::<Result<Vec<PingReport>, _>>()?;
    if is_json {
        print::json(&json!({ "mirrors": pings }))?;
    } else {
        reports.iter().try_for_each(show)?;
    }
    let bad = reports.iter().filter(|ping| !is_well(ping));
    let bad: Vec<String> = bad.map(|ping| print::safe(&ping.name)).collect();
    let text = format!("{} of {} mirrors do not work: {}", bad.len(), pings.len(), bad.join(", "));
    match bad.len() {
        0 => Ok(()),
        count if count == pings.len() => Err(Exit::Failed(text)),
        _ => Err(Exit::Partial(text)),
    }
}

async fn all(client: &Client) -> Result<Vec<String>, Exit> {
    let Mirrors { mirrors, .. } = parse(&client.get("/api/mirrors").await?)?;
    Ok(mirrors.into_iter().map(|mirror| mirror.name).collect())
}

fn is_well(ping: &PingReport) -> bool {
    ping.reachable && matches!(&*ping.login, "ok" | "skipped")
}

/// Describes a target. It has no login: each call carries its own credentials.
fn target(kind: &str) -> Option<&'static str> {
    match kind {
        "purge" => Some("a cache that is purged: no login"),
        "revalidate" => Some("a site that is revalidated: no login"),
        _ => None,
    }
}

fn show(ping: &PingReport) -> Result<(), Exit> {
    let name = print::safe(&ping.name);
    if !ping.reachable {
        let error = print::optional(ping.error.as_deref());
        print::line(format_args!("  {name:<28} {}  {error}", styled(BAD, "no answer")))?;
        return print::line(format_args!("      (is it up at {}?)", print::safe(&ping.url)));
    }
    let time = format!("{:.1} ms", ping.round_trip_ms.unwrap_or(0.0));
    let kind = print::safe(&ping.kind);
    if kind == "self" {
        return print::line(format_args!("  {name:<28} {}  {time}", styled(DIM, "this instance")));
    }
    if let Some(what) = target(&kind) {
        let answers = styled(GOOD, "answers");
        return print::line(format_args!("  {name:<28} {answers}  {what}  {time}"));
    }
    let login = print::safe(&ping.login);
    let style = if login == "ok" { GOOD } else { BAD };
    let login = styled(style, format_args!("login {login}"));
    let instance = match &ping.instance {
        None => kind,
        Some(instance) => {
            let version = print::optional(ping.version.as_deref());
            format!("{kind} {version} {}", print::safe(instance))
        }
    };
    print::line(format_args!("  {name:<28} {login}  {instance}  {time}"))?;
    if let Some(error) = &ping.login_error {
        print::line(format_args!("      {}", print::safe(error)))?;
        print::line("      (check SERVICE_EMAIL and SERVICE_PASSWORD on both sides, then")?;
        print::line(format_args!("       use \"cache-mirror mirrors retry {name}\")"))?;
    }
    if ping.graph.as_deref() == Some("differs") {
        let text = styled(WARN, "its graph is another one");
        print::line(format_args!(
            "      {text}: its cascade is joined to ours, and the other way"
        ))?;
    }
    Ok(())
}
