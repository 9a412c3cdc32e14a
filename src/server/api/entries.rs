//! `/api/cache/entries`: the cache as a look-aside store with fenced fills.
//!
//! A miss gives a ticket; the fill that brings it back is refused where an invalidation has
//! overtaken it. So a slow read of the origin can never put back what was just cleared.

use std::sync::Arc;
use std::time::Duration;

use hyper::StatusCode;
use hyper::header::{AGE, HeaderName, HeaderValue};

use crate::domain::{Label, TypeName, UrlPath, entity, label::Malformed};
use crate::server::Control;
use crate::server::call::ControlCall;
use crate::server::respond::{Answer, Handled, Problem, bytes, json_answer};
use crate::store::{EntryFilter, Fill, ListedEntry, Lookup, ServedEntry};
use crate::wire::{Entries, EntryAnswer, Removed, Stored};

const TICKET: HeaderName = HeaderName::from_static("cache-mirror-ticket");
const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");
/// The warning for a fill without a ticket shortly after an invalidation of its type.
const UNFENCED: &str = "stored without a Cache-Mirror-Ticket, so it counts from this PUT, and what \
    it shows was invalidated within the last store.fill_ms_max: it is stale if it was read before \
    that. Read the entry first and send the ticket of the miss";
/// Tags of one entry.
const TAGS_MAX: usize = 128;
/// Entries in one listing.
const LIST_MAX: usize = 1000;

/// `GET` and `HEAD /api/cache/entries/{key}` (hyper leaves the body of a `HEAD` away).
/// `?wait_ms=500` waits for a fill that another caller has under way.
pub async fn get(control: Arc<Control>, call: ControlCall) -> Handled {
    call.takes_only(&["wait_ms"])?;
    let key = key(&call)?;
    let store = &control.pipeline.store;
    let lookup = match call.query("wait_ms") {
        None => store.lookup(key.as_str()),
        Some(text) => {
            let wait = Duration::from_millis(number(&text, "wait_ms")?);
            store.lookup_or_wait(key.as_str(), wait.min(*control.wait_time_max.get())).await
        }
    };
    Ok(match lookup {
        Lookup::Hit(found) => hit(&found, "hit", None),
        Lookup::Stale { found, refresh } => {
            hit(&found, "hit; detail=stale", refresh.map(|ticket| ticket.to_string()))
        }
        Lookup::Miss { ticket } => {
            let status = "cache-mirror; fwd=miss";
            return Err(Problem::not_found("no such entry; fill it with the ticket")
                .with(TICKET, &ticket.to_string())
                .with(CACHE_STATUS, status));
        }
    })
}

fn hit(found: &ServedEntry, status: &str, ticket: Option<String>) -> Answer {
    let media = found.content_type.as_deref().unwrap_or("application/octet-stream");
    let mut answer = bytes(StatusCode::OK, media, found.body.clone());
    let headers = answer.headers_mut();
    headers.insert(AGE, HeaderValue::from(found.age.as_secs()));
    let status = format!("cache-mirror; {status}; ttl={}", found.ttl_left);
    if let Ok(status) = HeaderValue::from_str(&status) {
        headers.insert(CACHE_STATUS, status);
    }
    if let Some(Ok(ticket)) = ticket.map(|ticket| HeaderValue::from_str(&ticket)) {
        headers.insert(TICKET, ticket);
    }
    answer
}

/// `PUT /api/cache/entries/{key}`.
pub async fn put(control: Arc<Control>, mut call: ControlCall) -> Handled {
    let store = &control.pipeline.store;
    // Without a ticket the fill counts from here: before its body has even arrived.
    let (ticket, is_fenced) = match call.header("cache-mirror-ticket") {
        Some(text) => (store.parse_ticket(text)?, true),
        None if control.config.require_tickets => return Err(ticket_required()),
        None => (store.ticket(), false),
    };
    let key = key(&call)?;
    let mut fill = Fill {
        body: bytes::Bytes::new(),
        content_type: call.header("content-type").map(ToOwned::to_owned),
        type_name: None,
        id: None,
        tags: vec![],
        path: None,
        ttl: None,
        swr: None,
        key,
    };
    describe(&control, &call, &mut fill)?;
    fill.body = call.read(&control.config).await?;
    let key = fill.key.clone();
    let admitted = match is_fenced {
        true => store.admit(fill, ticket)?,
        false => store.admit_unfenced(fill, ticket)?,
    };
    let status = if admitted.replaced { StatusCode::OK } else { StatusCode::CREATED };
    let body = {
        let warnings = admitted.is_doubtful.then(|| UNFENCED.to_owned()).into_iter().collect();
        Stored { success: true, key: key.to_string(), ttl: admitted.ttl.as_secs(), warnings }
    };
    Ok(json_answer(status, &body))
}

fn ticket_required() -> Problem {
    let detail = "store.require_tickets is set: read the entry first, and send the \
                  Cache-Mirror-Ticket of the miss with the fill";
    Problem::new(StatusCode::PRECONDITION_REQUIRED, "ticket_required", detail)
}

/// Reads type, id, tags, path and lives from the query.
fn describe(control: &Control, call: &ControlCall, fill: &mut Fill) -> Result<(), Problem> {
    call.takes(&["type", "id", "path", "ttl", "swr"], &["tags", "tag"])?;
    for (name, value) in call.pairs() {
        match name.as_str() {
            "type" => {
                let given = TypeName::parse(&value).map_err(|e| bad(&name, &e))?;
                fill.type_name = Some(control.pipeline.rules.get().canonical(&given));
            }
            "id" => {
                let id = Label::parse(entity::trimmed(&value));
                fill.id = Some(id.map_err(|e| bad(&name, &e))?);
            }
            "tag" | "tags" => {
                for tag in value.split(',').map(str::trim).filter(|tag| !tag.is_empty()) {
                    fill.tags.push(Label::parse(tag).map_err(|e| bad(&name, &e))?);
                }
            }
            "path" => fill.path = Some(UrlPath::parse(&value).map_err(|e| bad(&name, &e))?),
            "ttl" => fill.ttl = Some(lifetime(&value, &name)?),
            "swr" => fill.swr = Some(seconds(&value, &name)?),
            _ => {}
        }
    }
    if fill.tags.len() > TAGS_MAX {
        let detail = format!("at most {TAGS_MAX} tags");
        return Err(Problem::unprocessable("too_many_tags", detail));
    }
    if fill.id.is_some() && fill.type_name.is_none() {
        return Err(Problem::unprocessable("bad_value", "an id needs a type beside it"));
    }
    Ok(())
}

/// `DELETE /api/cache/entries/{key}`: here only, never mirrored.
pub async fn delete(control: Arc<Control>, mut call: ControlCall) -> Handled {
    call.takes_only(&[])?;
    call.read_nothing(&control.config).await?;
    let key = key(&call)?;
    let applied = control.pipeline.store.remove(key.as_str());
    let body = Removed { success: true, invalidated_entries: applied.entries };
    Ok(json_answer(StatusCode::OK, &body))
}

/// `GET /api/cache/entries?type=&tag=&prefix=&limit=`.
pub async fn list(control: Arc<Control>, call: ControlCall) -> Handled {
    call.takes_only(&["type", "tag", "prefix", "limit"])?;
    let mut filter = EntryFilter::default();
    let mut limit = 100;
    for (name, value) in call.pairs() {
        match name.as_str() {
            "type" => {
                let given = TypeName::parse(&value).map_err(|e| bad(&name, &e))?;
                filter.type_name = Some(control.pipeline.rules.get().canonical(&given));
            }
            "tag" => filter.tag = Some(Label::parse(&value).map_err(|e| bad(&name, &e))?),
            "prefix" => filter.prefix = Some(value),
            "limit" => {
                limit = usize::try_from(number(&value, &name)?).unwrap_or(LIST_MAX).min(LIST_MAX);
            }
            _ => {}
        }
    }
    let listed = control.pipeline.store.list(&filter, limit);
    let entries = listed.into_iter().map(entry_answer).collect();
    Ok(json_answer(StatusCode::OK, &Entries { entries }))
}

fn entry_answer(entry: ListedEntry) -> EntryAnswer {
    EntryAnswer {
        key: entry.key.to_string(),
        r#type: entry.type_name.map(|name| name.to_string()),
        id: entry.id.map(|id| id.to_string()),
        tags: entry.tags.iter().map(ToString::to_string).collect(),
        path: entry.path.map(|path| path.to_string()),
        bytes: entry.body_bytes as u64,
        age: entry.age.as_secs(),
        ttl: entry.ttl_left,
    }
}

fn key(call: &ControlCall) -> Result<Label, Problem> {
    Label::parse(&call.param).map_err(|e| bad("key", &e))
}

fn bad(name: &str, problem: &Malformed) -> Problem {
    Problem::unprocessable("bad_value", format!("{name} {problem}"))
}

fn number(text: &str, name: &str) -> Result<u64, Problem> {
    text.parse().map_err(|_| Problem::unprocessable("bad_value", format!("{name}: a whole number")))
}

/// The `Cache-Control` of an answer: entries that must not be stored are not sent to caches.
fn lifetime(text: &str, name: &str) -> Result<Duration, Problem> {
    let given = seconds(text, name)?;
    if given.is_zero() {
        let detail = format!("{name}: at least 1; leave it out for the default");
        return Err(Problem::unprocessable("bad_value", detail));
    }
    Ok(given)
}

fn seconds(text: &str, name: &str) -> Result<Duration, Problem> {
    number(text, name).map(Duration::from_secs)
}
