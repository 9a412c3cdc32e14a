//! The steps of the demo, printed as they happen. A failed check is noted and the demo goes on, so
//! that all of them are seen.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::checks;
use super::database::{PAGES, Page};
use super::narrator::Narrator;
use super::stage::{EMAIL, NAMES, Stage};
use crate::cli::Exit;
use crate::cli::print::{self, BAD, DIM, GOOD, styled};

const TITLE: &str = "Hello, mirrors";
/// Until the readers got the update.
const STREAM_TIME_MAX: Duration = Duration::from_secs(5);

/// The mutation and what was answered.
struct Mutation {
    began: Instant,
    event_id: String,
}

/// Runs the steps; returns the checks that failed.
///
/// # Errors
/// A step that could not be made at all.
pub async fn show(stage: &mut Stage, narrator: &Narrator) -> Result<Vec<String>, Exit> {
    start(stage, narrator).await?;
    let mut failures = vec![];
    warm(stage, narrator, &mut failures).await?;
    let mutation = mutate(stage, narrator, &mut failures).await?;
    streams(stage, narrator, &mutation, &mut failures).await?;
    cleared(stage, narrator).await?;
    reread(stage, narrator, &mut failures).await?;
    returns(stage, narrator, &mutation, &mut failures).await?;
    logs(stage, narrator, &mutation, &mut failures).await?;
    match failures.len() {
        0 => {
            narrator.show("done", styled(GOOD, "every page fresh everywhere, every event once"))?;
        }
        _ => narrator.show("done", styled(BAD, format!("failed: {}", failures.join("; "))))?,
    }
    Ok(failures)
}

async fn start(stage: &mut Stage, narrator: &Narrator) -> Result<(), Exit> {
    narrator.show("start", "three instances, each with all three in its list of mirrors")?;
    stage.set().await?;
    for instance in &stage.instances {
        let (name, pid, server) = (instance.name, instance.pid, instance.client.server());
        narrator.show("start", format_args!("{name:<14} pid {pid:<8} {server}"))?;
    }
    stage.until_acquainted().await?;
    narrator.show("mirrors", "each has found itself in the list, and the two others by their proof")
}

async fn warm(stage: &Stage, narrator: &Narrator, failures: &mut Vec<String>) -> Result<(), Exit> {
    for site in &stage.sites {
        for page in &PAGES {
            site.visit(page).await?;
        }
        let mut hits = 0;
        for page in &PAGES {
            hits += usize::from(site.visit(page).await?.is_hit);
        }
        let (name, all) = (site.instance, PAGES.len());
        narrator.show("warm", format_args!("{name:<14} {all} pages rendered, then {hits} hits"))?;
        if hits != all {
            failures.push(format!("{name}: {hits} of {all} pages were cached"));
        }
    }
    Ok(())
}

async fn mutate(
    stage: &Stage,
    narrator: &Narrator,
    failures: &mut Vec<String>,
) -> Result<Mutation, Exit> {
    let site = &stage.sites[0];
    let old = stage.database.title("1").unwrap_or_default();
    narrator.show("mutate", format_args!("{}: post 1 {old:?} becomes {TITLE:?}", site.instance))?;
    let began = Instant::now();
    let answer = site.change("1", TITLE).await?;
    let took = began.elapsed().as_secs_f64() * 1e3;
    narrator.show("mutate", r#"POST /api/cache/invalidate?wait=all {"type":"posts","id":"1"}"#)?;
    let types = answer["types"].as_object().into_iter().flatten();
    let types: Vec<String> = types.map(|(name, count)| format!("{name} {count}")).collect();
    narrator.show(
        "mutate",
        format_args!(
            "{} cleared {} of {} entries ({}), answered after {took:.1} ms",
            site.instance,
            answer["invalidated_entries"],
            PAGES.len(),
            types.join(", ")
        ),
    )?;
    let cascade = answer["cascade"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let cascade: Vec<&str> = cascade.collect();
    narrator.show(
        "cascade",
        format_args!("posts is part of {}: cleared with it", cascade.join(", ")),
    )?;
    for mirror in answer["mirrors"].as_array().into_iter().flatten() {
        let (peer, status) = (print::text(mirror, "peer"), print::text(mirror, "status"));
        let expected = if peer == site.instance { "self" } else { "delivered" };
        narrator.show("mirror", format_args!("{peer:<14} {status}"))?;
        if status != expected {
            failures.push(format!("{peer}: {status} instead of {expected}"));
        }
    }
    Ok(Mutation { began, event_id: print::text(&answer, "id") })
}

/// The update that a browser at each instance got.
async fn streams(
    stage: &Stage,
    narrator: &Narrator,
    mutation: &Mutation,
    failures: &mut Vec<String>,
) -> Result<(), Exit> {
    let deadline = Instant::now() + STREAM_TIME_MAX;
    for (reader, name) in stage.readers.iter().zip(NAMES) {
        let (count, at) = loop {
            let (count, at) = checks::updates(&reader.of("app-update"), "posts", "1");
            if count > 0 || Instant::now() > deadline {
                break (count, at);
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        };
        let after = at.map(|at| at.saturating_duration_since(mutation.began).as_secs_f64() * 1e3);
        let when = match after {
            Some(ms) => {
                format!("applied, and sent to its readers, {ms:.1} ms after the mutation began")
            }
            None => styled(BAD, "sent nothing to its readers"),
        };
        narrator.show("stream", format_args!("{name:<14} {when}"))?;
        if count != 1 {
            failures.push(format!("{name}: {count} app-updates for posts/1 instead of 1"));
        }
    }
    Ok(())
}

/// Which pages each instance holds no more.
async fn cleared(stage: &Stage, narrator: &Narrator) -> Result<(), Exit> {
    for site in &stage.sites {
        let held = site.held().await?;
        let gone = PAGES.iter().filter(|page| !held.iter().any(|path| path == page.path));
        let gone: Vec<String> =
            gone.map(|page| format!("{} ({})", page.path, page.type_name)).collect();
        let (name, count, gone) = (site.instance, gone.len(), gone.join(", "));
        narrator.show("cleared", format_args!("{name:<14} {count} entries: {gone}"))?;
    }
    Ok(())
}

/// Every page at every instance: what is stale is an error, what was cleared without need as well.
async fn reread(
    stage: &Stage,
    narrator: &Narrator,
    failures: &mut Vec<String>,
) -> Result<(), Exit> {
    let head: Vec<String> = NAMES.iter().map(|name| format!("{name:<16}")).collect();
    narrator.show("read", format_args!("{:<10} {}", "page", head.join(" ").trim_end()))?;
    for page in &PAGES {
        let mut cells = vec![];
        for site in &stage.sites {
            let visit = site.visit(page).await?;
            let is_fresh = visit.body == stage.database.render(page);
            let (cell, failure) = judged(page, is_fresh, visit.is_hit);
            cells.push(cell);
            failures.extend(failure.map(|why| format!("{}: {} {why}", site.instance, page.path)));
        }
        narrator.show("read", format_args!("{:<10} {}", page.path, cells.join(" ").trim_end()))?;
    }
    Ok(())
}

fn judged(page: &Page, is_fresh: bool, is_hit: bool) -> (String, Option<&'static str>) {
    let (style, text, failure) = match (is_fresh, is_hit, page.shows_first) {
        (false, ..) => (BAD, "STALE", Some("is stale")),
        (true, false, true) => (GOOD, "fresh, new", None),
        (true, true, false) => (DIM, "fresh, kept", None),
        (true, true, true) => (BAD, "fresh, kept?", Some("was not cleared")),
        (true, false, false) => (BAD, "fresh, new?", Some("was cleared without need")),
    };
    (format!("{}{:w$}", styled(style, text), "", w = 16 - text.len()), failure)
}

/// That nothing came back: each event once in each journal, and no request but the two.
async fn returns(
    stage: &Stage,
    narrator: &Narrator,
    mutation: &Mutation,
    failures: &mut Vec<String>,
) -> Result<(), Exit> {
    let (sent, is_quiet) = checks::quiet(stage).await?;
    let text: Vec<String> =
        NAMES.iter().zip(&sent).map(|(name, sent)| format!("{name} {sent}")).collect();
    let still = if is_quiet { "and it stays at that" } else { "AND IT GOES ON" };
    narrator.show("no loop", format_args!("requests to mirrors: {}, {still}", text.join(", ")))?;
    if !is_quiet || sent != [2, 0, 0] {
        failures.push(format!("requests to mirrors were {sent:?} instead of [2, 0, 0]"));
    }
    let mut counts = vec![];
    for instance in &stage.instances {
        let count = checks::in_journal(instance, &mutation.event_id).await?;
        if count != 1 {
            failures.push(format!("{}: the journal has it {count} times", instance.name));
        }
        counts.push(format!("{} {count}", instance.name));
    }
    narrator.show("no loop", format_args!("the event in each journal: {}", counts.join(", ")))
}

/// The lines of the logs about the event.
async fn logs(
    stage: &Stage,
    narrator: &Narrator,
    mutation: &Mutation,
    failures: &mut Vec<String>,
) -> Result<(), Exit> {
    for (instance, lines_min) in stage.instances.iter().zip([3, 1, 1]) {
        let lines = checks::in_log(instance, &mutation.event_id, lines_min).await;
        for line in &lines {
            narrator.show("log", format_args!("{:<14} {}", instance.name, shortened(line)))?;
        }
        let applied = checks::applied(&lines);
        if applied != 1 {
            failures.push(format!("{}: the log has it applied {applied} times", instance.name));
        }
    }
    narrator.show(
        "log",
        format_args!("(tokens were got by logging in as {EMAIL}, once for each mirror)"),
    )
}

fn shortened(line: &Value) -> String {
    let fields =
        ["event", "msg", "ids", "cascade", "scope", "principal", "peer", "entries", "duration_ms"];
    let shown = fields.iter().map(|field| (field, print::text(line, field)));
    let shown = shown.filter(|(_, text)| !text.is_empty());
    shown.map(|(field, text)| format!("{field}={text}")).collect::<Vec<_>>().join(" ")
}

/// What to try by oneself.
///
/// # Errors
/// stdout takes no more.
pub fn invite(stage: &Stage, narrator: &Narrator) -> Result<(), Exit> {
    for (instance, front) in stage.instances.iter().zip(&stage.fronts) {
        let name = instance.name;
        narrator.show("try", format_args!("{name:<14} site     http://{}/", front.address))?;
        let (server, token) = (instance.client.server(), instance.token.expose());
        narrator.show("try", format_args!("{name:<14} control  {server}  token {token}"))?;
    }
    if let Some(front) = stage.fronts.first() {
        let address = front.address;
        let change = format!("curl -d 'title=Hello again' http://{address}/posts/1");
        narrator.show("try", format_args!("change a post: {change}"))?;
        narrator.show("try", "then read it at the other two: curl -i SITE/posts/1")?;
    }
    if let Some(instance) = stage.instances.first() {
        let (server, token) = (instance.client.server(), instance.token.expose());
        let status = format!("CACHE_MIRROR_TOKEN='{token}' cache-mirror status --server {server}");
        narrator.show("try", status)?;
        narrator.show("try", format_args!("in a browser, with that token: {server}/dashboard"))?;
    }
    narrator.show("try", "until Ctrl-C")
}
