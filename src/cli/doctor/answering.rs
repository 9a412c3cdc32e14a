//! Checks the running instance: whether it answers, accepts our token, and is the one that the
//! settings describe. Its answers are kept for the other checks.

use std::time::Duration;

use serde_json::Value;
use url::Url;

use super::check::Check;
use super::{Args, Case};
use crate::cli::client::{Client, parse};
use crate::cli::connect::{is_this_host, read_token, server, variable};
use crate::cli::health::local;
use crate::cli::{Exit, print};
use crate::config::{self, Settings, Sources};
use crate::support::Secret;
use crate::wire::{DestinationView, Mirrors, RefusedCalls, RemovedDestination, Stats};

/// A probe and a login of a mirror that hangs, on top of a usual call.
const PATIENCE: Duration = Duration::from_secs(20);

/// The result of the first calls.
pub enum Instance {
    /// It answers.
    Running(Box<Running>),
    /// Something answers, and refuses our calls.
    Closed { why: String },
    /// Nothing answers.
    Silent { why: String, is_named: bool },
}

/// An instance that answers.
pub struct Running {
    /// To ask it more.
    pub client: Client,
    /// `GET /api/cache/stats`.
    pub stats: Stats,
    /// `GET /api/mirrors`: every destination.
    pub destinations: Vec<DestinationView>,
    /// The ones that its settings name no more.
    pub removed: Vec<RemovedDestination>,
    /// Whether it runs on this host, so that files named in the settings are its files.
    pub is_here: bool,
}

/// Asks it.
///
/// # Errors
/// [`Exit::Usage`] for a URL or a token file that is none.
pub async fn look(
    args: &Args,
    (sources, settings): (&Sources, &Settings),
) -> Result<Instance, Exit> {
    // That of .env too: all commands find the same instance.
    let named = args.server.clone().or_else(|| config::variable(sources, "CACHE_MIRROR_URL"));
    let is_named = named.is_some();
    let base = server(&named.unwrap_or_else(|| local(Some(settings.server.listen))))?;
    let client = Client::new(base.clone(), token(args, settings, &base)?, PATIENCE)?;
    Ok(match read(&client).await {
        Ok((stats, Mirrors { mirrors: destinations, removed })) => {
            let is_here = is_this_host(&base);
            let running = Running { client, stats, destinations, removed, is_here };
            Instance::Running(Box::new(running))
        }
        Err(Exit::Unreachable(why)) => Instance::Silent { why, is_named },
        Err(other) => Instance::Closed { why: other.to_string() },
    })
}

async fn read(client: &Client) -> Result<(Stats, Mirrors), Exit> {
    let stats = parse(&client.get("/api/cache/stats").await?)?;
    Ok((stats, parse(&client.get("/api/mirrors").await?)?))
}

/// One found on this host is given to this host only.
fn token(args: &Args, settings: &Settings, base: &Url) -> Result<Option<Secret>, Exit> {
    if let Some(path) = &args.token_file {
        return read_token(path).map(Some);
    }
    if let Some(token) = variable("CACHE_MIRROR_TOKEN") {
        return Ok(Some(Secret::new(token.trim())));
    }
    if !is_this_host(base) {
        return Ok(None);
    }
    let configured = settings.gate.admin_tokens.first().cloned();
    Ok(configured.or_else(|| read_token(&settings.instance.admin_token_file()).ok()))
}

/// Whether it answers, and is the one that the settings describe.
pub fn checks(case: &Case) -> Vec<Check> {
    let running = match &case.instance {
        Instance::Running(running) => running,
        Instance::Closed { why } => {
            let remedy = "give the instance's own token by --token-file or CACHE_MIRROR_TOKEN, and \
                          its control API by --server";
            return vec![Check::fail("listen", why, remedy)];
        }
        Instance::Silent { why, is_named } => {
            let detail = why.split_once(". ").map_or(why.as_str(), |(what, _)| what);
            let remedy = "start it with: cache-mirror serve; or name where it listens by --server";
            return vec![match is_named {
                true => Check::fail("listen", detail, remedy),
                false => Check::warn("listen", detail, remedy),
            }];
        }
    };
    let name = print::safe(&running.stats.instance);
    let up = print::seconds(running.stats.uptime_s);
    let server = running.client.server();
    let mut found = vec![Check::ok("listen", format!("{name} answers at {server}, up {up}"))];
    if running.is_here && name == case.settings.instance.name {
        found.extend(outdated(&case.settings, &running.destinations));
    }
    found.extend(running.stats.refused.as_ref().and_then(refused));
    found
}

/// Callers shown in one line.
const REFUSED_SHOWN: usize = 5;

/// Calls that were refused in the last hour: their senders may believe that they had an effect.
fn refused(calls: &RefusedCalls) -> Option<Check> {
    let count = Some(calls.last_hour).filter(|count| *count > 0)?;
    let by = &calls.by;
    let shown = by.iter().take(REFUSED_SHOWN).map(|it| {
        let [who, route, why, address] =
            [&it.principal, &it.route, &it.reason, &it.address].map(|text| print::safe(text));
        format!("{} by {who} at {route} ({why}, from {address})", it.count)
    });
    let more = if by.len() > REFUSED_SHOWN { "; ..." } else { "" };
    let shown = shown.collect::<Vec<_>>().join("; ");
    let calls = print::count(count, "call", "calls");
    let detail = format!("{calls} refused in the last hour: {shown}{more}");
    let remedy = "see who and why: cache-mirror logs --event refused; then docs/TROUBLESHOOTING.md";
    Some(Check::warn("listen", detail, remedy))
}

/// A mirror that is in the settings and not in the instance, or the other way.
fn outdated(settings: &Settings, destinations: &[DestinationView]) -> Option<Check> {
    let mut written: Vec<&str> =
        settings.deliver.peers.iter().map(|peer| peer.name.as_str()).collect();
    let mut known: Vec<&str> = destinations.iter().map(|it| it.name.as_str()).collect();
    written.sort_unstable();
    known.sort_unstable();
    let or_none = |names: &[&str]| match names {
        [] => "none".to_owned(),
        names => names.join(", "),
    };
    (written != known).then(|| {
        let detail = format!(
            "it runs with other mirrors ({}) than the settings name from here ({})",
            or_none(&known),
            or_none(&written)
        );
        let remedy = "use \"cache-mirror reload\"; or run doctor where it was started, with its \
                      flags and variables";
        Check::warn("listen", detail, remedy)
    })
}

/// S1 1.23: a version that was never counted reads 0; there is nothing to initialise.
pub async fn versions(case: &Case) -> Vec<Check> {
    let running = match running(case, "versions") {
        Ok(running) => running,
        Err(skipped) => return vec![skipped],
    };
    let remedy = "see what it answers: cache-mirror version get";
    let check = match running.client.get("/api/cache/versions?types=never-cleared").await {
        Ok(answer) => match (&answer["version"], &answer["types"]["never-cleared"]) {
            (Value::Number(version), Value::Number(_)) => {
                let last = print::text(&answer, "last_cache_clear");
                let last = if last.is_empty() { "none yet".to_owned() } else { last };
                let detail = format!("version {version}, last clear {last}; unknown types read 0");
                Check::ok("versions", detail)
            }
            _ => Check::fail("versions", "no numbers in the answer", remedy),
        },
        Err(exit) => Check::fail("versions", exit.to_string(), remedy),
    };
    vec![check]
}

/// The instance, or why a check that needs it was left out.
pub fn running<'a>(case: &'a Case, name: &str) -> Result<&'a Running, Check> {
    match &case.instance {
        Instance::Running(running) => Ok(running),
        _ => {
            let remedy = "solve the finding of \"listen\" first; then run doctor again";
            Err(Check::skip(name, "no instance to ask", remedy))
        }
    }
}
