//! `GET /api/cache/why?key=…|path=…[&type=&id=]`: which events last touched an entry, by what, and
//! whether it is valid now.
//!
//! An entry that is still there names its type, id and tags itself; of one that is gone only what
//! the caller names is known. Events that have left memory are not found, and the answer says so.

use std::sync::Arc;
use std::time::Duration;

use hyper::StatusCode;

use super::events;
use crate::domain::{Event, Label, Selector, TypeName, UrlPath, entity};
use crate::server::Control;
use crate::server::call::ControlCall;
use crate::server::respond::{Handled, Problem, json_answer};
use crate::store::ListedEntry;
use crate::support::clock;
use crate::wire::{CachedEntry, Touch, Why};

/// Events by default, and at most.
const EVENTS_DEFAULT: usize = 5;
const EVENTS_MAX: usize = 100;
/// Entries that may share one path.
const ENTRIES_MAX: usize = 20;

/// What was asked.
#[derive(Default)]
struct Asked {
    place: Option<Label>,
    type_name: Option<TypeName>,
    id: Option<Label>,
    limit: Option<usize>,
}

/// Looks up the entry and its newest events.
pub async fn get(control: Arc<Control>, call: ControlCall) -> Handled {
    let asked = read(&control, &call)?;
    let Some(place) = &asked.place else {
        let detail = "name the entry: ?key=… or ?path=/…";
        return Err(Problem::bad_request("bad_value", detail));
    };
    let pipeline = &control.pipeline;
    let entries = pipeline.store.inspect(place, ENTRIES_MAX);
    let selectors = selectors(place, &asked, &entries);
    let limit = asked.limit.unwrap_or(EVENTS_DEFAULT);
    let journal = pipeline.journal.clone();
    let searched = {
        let selectors = selectors.clone();
        // Ten thousands of comparisons: too long for a thread that others wait for.
        tokio::task::spawn_blocking(move || journal.touching(&selectors, limit)).await
    };
    let searched = searched.unwrap_or_default();
    let touch = |event: &Arc<Event>| touched(&control, event, &selectors);
    let body = Why {
        place: place.to_string(),
        cached: !entries.is_empty(),
        entries: entries.iter().map(entry).collect(),
        selectors: selectors.iter().map(ToString::to_string).collect(),
        events: searched.events.iter().map(touch).collect(),
        complete: searched.is_complete,
    };
    Ok(json_answer(StatusCode::OK, &body))
}

fn read(control: &Control, call: &ControlCall) -> Result<Asked, Problem> {
    call.takes_only(&["key", "path", "type", "id", "limit"])?;
    let mut asked = Asked::default();
    let bad = |name: &str, why: &dyn std::fmt::Display| {
        Problem::unprocessable("bad_value", format!("{name} {why}"))
    };
    for (name, value) in call.pairs() {
        let label = || Label::parse(&value).map_err(|problem| bad(&name, &problem));
        match name.as_str() {
            "key" | "path" if asked.place.is_some() => {
                return Err(bad(&name, &"was given already: ask for one entry"));
            }
            "key" => asked.place = Some(label()?),
            "path" if !value.starts_with('/') => return Err(bad("path", &"begins with /")),
            "path" => {
                let path = UrlPath::parse(&value).map_err(|problem| bad("path", &problem))?;
                asked.place = Some(path.label().clone());
            }
            "type" => {
                let given = TypeName::parse(&value).map_err(|problem| bad(&name, &problem))?;
                asked.type_name = Some(control.pipeline.rules.get().canonical(&given));
            }
            "id" => {
                let id = Label::parse(entity::trimmed(&value));
                asked.id = Some(id.map_err(|problem| bad(&name, &problem))?);
            }
            "limit" => {
                let limit = value.parse::<usize>().map_err(|_| bad(&name, &"a whole number"))?;
                asked.limit = Some(limit.clamp(1, EVENTS_MAX));
            }
            _ => {}
        }
    }
    if asked.id.is_some() && asked.type_name.is_none() {
        return Err(bad("id", &"needs a type beside it"));
    }
    Ok(asked)
}

/// Everything that the entry is stored under: what clears one of these clears the entry. A type
/// without an id says that the entry is a list of that type.
fn selectors(place: &Label, asked: &Asked, entries: &[ListedEntry]) -> Vec<Selector> {
    let mut all = vec![];
    add_place(&mut all, place);
    if let Some(name) = &asked.type_name {
        add_type(&mut all, name, asked.id.as_ref());
    }
    for entry in entries {
        add_place(&mut all, &entry.key);
        if let Some(path) = &entry.path {
            add_place(&mut all, path.label());
        }
        if let Some(name) = &entry.type_name {
            add_type(&mut all, name, entry.id.as_ref());
        }
        all.extend(entry.tags.iter().cloned().map(Selector::Tag));
    }
    all.sort();
    all.dedup();
    all
}

/// A key that begins with a slash is found by path as well, in any spelling.
fn add_place(all: &mut Vec<Selector>, place: &Label) {
    all.push(Selector::Key(place.clone()));
    all.extend(UrlPath::of_key(place).map(Selector::Path));
}

fn add_type(all: &mut Vec<Selector>, name: &TypeName, id: Option<&Label>) {
    all.push(match id {
        Some(id) => Selector::Entity(name.clone(), id.clone()),
        None => Selector::Type(name.clone()),
    });
}

fn entry(entry: &ListedEntry) -> CachedEntry {
    let age_ms = u64::try_from(entry.age.as_millis()).unwrap_or(u64::MAX);
    CachedEntry {
        key: entry.key.to_string(),
        state: if entry.ttl_left < 0 { "stale" } else { "valid" }.into(),
        filled_at: clock::rfc3339(clock::wall_ms().saturating_sub(age_ms)),
        age: Duration::from_millis(age_ms).as_secs(),
        ttl: entry.ttl_left,
        r#type: entry.type_name.as_ref().map(ToString::to_string),
        id: entry.id.as_ref().map(ToString::to_string),
        tags: entry.tags.iter().map(ToString::to_string).collect(),
        path: entry.path.as_ref().map(ToString::to_string),
    }
}

/// An event with what of it reached the entry: named, or brought by the graph.
fn touched(control: &Control, event: &Event, selectors: &[Selector]) -> Touch {
    let demand = event.demand.selectors();
    let is_meant = |one: &Selector| selectors.iter().any(|place| one.reaches(place));
    let by = demand.iter().filter(is_meant).map(|one| one.to_string()).collect();
    let rules = control.pipeline.rules.get();
    let graph = rules.graph();
    let brought = event.cascade.types().iter().filter(|name| {
        let whole = Selector::Type((*name).clone());
        is_meant(&whole)
    });
    let by_cascade = brought
        .map(|name| {
            let chain = graph.chain(&demand, name);
            let chain = if chain.is_empty() { vec![name.clone()] } else { chain };
            chain.iter().map(ToString::to_string).collect()
        })
        .collect();
    Touch { event: events::event_answer(event), by, by_cascade }
}
