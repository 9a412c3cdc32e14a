//! What must hold after the mutation, each asked of the instances themselves: the journal and the
//! log have the event once, the requests between them are one for each mirror and no more, every
//! reader got the update.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::child::Instance;
use super::readers::StreamEvent;
use super::stage::Stage;
use crate::cli::Exit;

/// Something that came back would do so within the first re-delivery, tens of milliseconds away.
const QUIET: Duration = Duration::from_millis(1500);
/// Lines reach the disk behind the answers.
const LOG_TIME_MAX: Duration = Duration::from_secs(5);
/// Events asked of a journal.
const PAGE: usize = 1000;

/// Requests that each instance has sent to its mirrors.
///
/// # Errors
/// One does not answer.
pub async fn requests(stage: &Stage) -> Result<Vec<u64>, Exit> {
    let mut sent = vec![];
    for instance in &stage.instances {
        let answer = instance.client.get("/api/mirrors").await?;
        let mirrors = answer["mirrors"].as_array().into_iter().flatten();
        sent.push(mirrors.filter_map(|mirror| mirror["requests"].as_u64()).sum());
    }
    Ok(sent)
}

/// Watches the requests between the instances for a while; gives them if they stand still.
///
/// # Errors
/// One does not answer.
pub async fn quiet(stage: &Stage) -> Result<(Vec<u64>, bool), Exit> {
    let before = requests(stage).await?;
    tokio::time::sleep(QUIET).await;
    let after = requests(stage).await?;
    let is_quiet = before == after;
    Ok((after, is_quiet))
}

/// How often an instance's journal has an event, by its own id or inside a merged one.
///
/// # Errors
/// It does not answer.
pub async fn in_journal(instance: &Instance, event_id: &str) -> Result<usize, Exit> {
    let page = instance.client.get(&format!("/api/cache/journal?limit={PAGE}")).await?;
    let events = page["events"].as_array().into_iter().flatten();
    let has = |event: &&Value| {
        let covers = event["covers"].as_array().into_iter().flatten();
        event["id"] == event_id || covers.into_iter().any(|id| id == event_id)
    };
    Ok(events.filter(has).count())
}

/// The lines of an instance's log about an event, once it is there as applied.
pub async fn in_log(instance: &Instance, event_id: &str, lines_min: usize) -> Vec<Value> {
    let deadline = Instant::now() + LOG_TIME_MAX;
    loop {
        let lines: Vec<Value> =
            instance.log().into_iter().filter(|line| is_about(line, event_id)).collect();
        if lines.len() >= lines_min || Instant::now() > deadline {
            return lines;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Number of lines that report an applied invalidation.
pub fn applied(lines: &[Value]) -> usize {
    lines.iter().filter(|line| line["event"] == "invalidate").count()
}

fn is_about(line: &Value, event_id: &str) -> bool {
    let ids = line["event_ids"].as_str().unwrap_or_default();
    line["event_id"] == event_id || ids.split(',').any(|id| id == event_id)
}

/// The updates of one entity that a reader got, and the first moment of it.
pub fn updates(events: &[StreamEvent], type_name: &str, id: &str) -> (usize, Option<Instant>) {
    let of = |event: &&StreamEvent| event.data["type"] == type_name && event.data["id"] == id;
    let all: Vec<&StreamEvent> = events.iter().filter(of).collect();
    (all.len(), all.first().map(|event| event.at))
}
