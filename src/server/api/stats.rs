//! `GET /api/cache/stats`, `GET /api/cache/versions` and `POST /api/cache/versions/reset`.
//! Figures, each true of about now; they are not taken under one lock.

use std::collections::BTreeMap;
use std::sync::Arc;

use hyper::StatusCode;

use crate::activity::counters;
use crate::domain::{Role, TypeName};
use crate::server::Control;
use crate::server::call::ControlCall;
use crate::server::respond::{Handled, Problem, json_answer};
use crate::support::clock;
use crate::wire::{JournalStats, LogStats, Stats, StreamStats, Versions, VersionsReset};

/// Types that may be asked for by name.
const TYPES_MAX: usize = 1000;

/// Numbers of the store, the journal, the stream and the log.
pub async fn stats(control: Arc<Control>, call: ControlCall) -> Handled {
    let pipeline = &control.pipeline;
    let health = pipeline.journal.health();
    let rules = pipeline.rules.get();
    let body = Stats {
        instance: pipeline.instance.to_string(),
        uptime_s: control.started.elapsed().as_secs(),
        version: pipeline.journal.versions().version,
        graph: rules.graph().hash().to_owned(),
        store: pipeline.store.stats(),
        journal: JournalStats {
            epoch: pipeline.journal.epoch(),
            head: *pipeline.journal.head().borrow(),
            degraded: health.is_degraded,
            last_error: health.last_error,
            damaged: health.damaged,
            segments: health.segments,
            bytes: health.bytes,
        },
        stream: StreamStats { clients: pipeline.hub.readers() },
        log: LogStats { dropped: counters().log_dropped() },
        loops_prevented: counters().loops().map(|(wall, it)| (wall.to_owned(), it)).collect(),
        refused: (call.principal().role >= Role::Admin).then(|| control.refusals.view()),
    };
    Ok(json_answer(StatusCode::OK, &body))
}

/// Versions, durable. `?types=posts,feed` names which; one never cleared reads 0.
pub async fn versions(control: Arc<Control>, call: ControlCall) -> Handled {
    call.takes_only(&["types"])?;
    let versions = control.pipeline.journal.versions();
    let rules = control.pipeline.rules.get();
    // What cleared everything counts for the types of the graph, also where nothing named them.
    let of = |name: &TypeName| match versions.types.get(name) {
        Some(version) => *version,
        None if rules.graph().knows(name) => versions.others,
        None => 0,
    };
    let mut types: BTreeMap<String, u64> = BTreeMap::new();
    match call.query("types") {
        None => {
            let all = versions.types.keys().chain(rules.graph().types());
            let cleared = all.map(|name| (name.to_string(), of(name)));
            types.extend(cleared.filter(|(_, version)| *version > 0));
        }
        Some(list) => {
            let names = list.split(',').map(str::trim).filter(|text| !text.is_empty());
            for text in names.take(TYPES_MAX) {
                let name = TypeName::parse(text)
                    .map_err(|e| Problem::unprocessable("bad_value", format!("types {e}")))?;
                types.insert(text.to_owned(), of(&rules.canonical(&name)));
            }
        }
    }
    let last_cache_clear = versions.last_clear_ms.map(clock::rfc3339);
    let body = Versions { version: versions.version, last_cache_clear, types };
    Ok(json_answer(StatusCode::OK, &body))
}

/// Sets the versions to 0 and the last clear to now, durably. It clears nothing.
pub async fn reset(control: Arc<Control>, mut call: ControlCall) -> Handled {
    call.read_nothing(&control.config).await?;
    let (before, at_ms) =
        control.pipeline.reset_versions(&call.principal()).await.map_err(|refused| {
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "not_durable", refused.to_string())
        })?;
    let last_cache_clear = clock::rfc3339(at_ms);
    let body =
        VersionsReset { success: true, version: 0, version_before: before, last_cache_clear };
    Ok(json_answer(StatusCode::OK, &body))
}
