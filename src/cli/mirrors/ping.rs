//! `mirrors ping`: asks each mirror now, through the instance, and says what helps where it does
//! not work. Code 0 where all is well, 3 where some mirrors are not, 1 where none is.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::cli::Exit;
use crate::cli::client::{Client, encoded};
use crate::cli::print::{self, BAD, DIM, GOOD, WARN, styled};

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
    if is_json {
        print::json(&json!({ "mirrors": pings }))?;
    } else {
        pings.iter().try_for_each(show)?;
    }
    let bad: Vec<String> =
        pings.iter().filter(|ping| !is_well(ping)).map(|ping| print::text(ping, "name")).collect();
    let text = format!("{} of {} mirrors do not work: {}", bad.len(), pings.len(), bad.join(", "));
    match bad.len() {
        0 => Ok(()),
        count if count == pings.len() => Err(Exit::Failed(text)),
        _ => Err(Exit::Partial(text)),
    }
}

async fn all(client: &Client) -> Result<Vec<String>, Exit> {
    let answer = client.get("/api/mirrors").await?;
    let mirrors = answer["mirrors"].as_array().into_iter().flatten();
    Ok(mirrors.filter_map(|mirror| mirror["name"].as_str()).map(str::to_owned).collect())
}

fn is_well(ping: &Value) -> bool {
    ping["reachable"] == true && matches!(ping["login"].as_str(), Some("ok" | "skipped"))
}

/// What is beside the instance; nobody logs in there, each call brings what it needs.
fn target(kind: &str) -> Option<&'static str> {
    match kind {
        "purge" => Some("a cache that is purged: no login"),
        "revalidate" => Some("a site that is revalidated: no login"),
        _ => None,
    }
}

fn show(ping: &Value) -> Result<(), Exit> {
    let text = |member: &str| print::text(ping, member);
    let name = text("name");
    if ping["reachable"] != true {
        let error = text("error");
        print::line(format_args!("  {name:<28} {}  {error}", styled(BAD, "no answer")))?;
        return print::line(format_args!("      (is it up at {}?)", text("url")));
    }
    let time = format!("{:.1} ms", ping["round_trip_ms"].as_f64().unwrap_or(0.0));
    let kind = text("kind");
    if kind == "self" {
        return print::line(format_args!("  {name:<28} {}  {time}", styled(DIM, "this instance")));
    }
    if let Some(what) = target(&kind) {
        let answers = styled(GOOD, "answers");
        return print::line(format_args!("  {name:<28} {answers}  {what}  {time}"));
    }
    let login = text("login");
    let style = if login == "ok" { GOOD } else { BAD };
    let login = styled(style, format_args!("login {login}"));
    let instance = match text("instance") {
        instance if instance.is_empty() => kind,
        instance => format!("{kind} {} {instance}", text("version")),
    };
    print::line(format_args!("  {name:<28} {login}  {instance}  {time}"))?;
    let error = text("login_error");
    if !error.is_empty() {
        print::line(format_args!("      {error}"))?;
        print::line("      (check SERVICE_EMAIL and SERVICE_PASSWORD on both sides, then")?;
        print::line(format_args!("       use \"cache-mirror mirrors retry {name}\")"))?;
    }
    if text("graph") == "differs" {
        let text = styled(WARN, "its graph is another one");
        print::line(format_args!(
            "      {text}: its cascade is joined to ours, and the other way"
        ))?;
    }
    Ok(())
}
