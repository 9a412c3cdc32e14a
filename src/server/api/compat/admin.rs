//! `/api/admin/cache`: figures with recommendations, and clearing by group (acceptance S2 2.4 to
//! 2.6). A group is configured; an absent id means the whole of it.

use std::sync::Arc;
use std::time::Instant;

use hyper::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};

use super::{Asked, answer_or, read_value, submit};
use crate::activity::{Activity, ActivityKind, Level, joined};
use crate::domain::Selectors;
use crate::ingest::fields;
use crate::pipeline::SubmitOutcome;
use crate::resolve::Rules;
use crate::server::Control;
use crate::server::call::ControlCall;
use crate::server::respond::{Answer, Handled, json_answer};
use crate::support::nearest;
use crate::wire::StoreStats;

const NO_STATS: &str = "Failed to get cache stats";
const NOT_CLEARED: &str = "Failed to clear cache";
const NO_GROUP: &str = "Invalid cache type";
const BAD_MIRROR: &str = "Invalid mirror: true or false is expected";
/// `cache_type` of a call that names several groups by flags.
const RELATED: &str = "related";
/// Unknown members that an answer names.
const UNKNOWN_SHOWN_MAX: usize = 8;

/// Figures and what to make of them.
#[derive(Debug, Serialize, JsonSchema)]
pub struct AdminStats {
    cache_stats: CacheStats,
    recommendations: Recommendations,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
struct CacheStats {
    /// Lookups that were answered, in percent; 0 before the first.
    hit_rate: f64,
    total_entries: u64,
    /// Those whose ttl has passed, at most 0.1 s ago, served stale (`swr`) or not at all.
    expired_entries: u64,
    hits: u64,
    misses: u64,
    /// Charged for the entries.
    bytes: u64,
    bytes_max: u64,
    evictions: u64,
}

#[derive(Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(inline)]
struct Recommendations {
    /// `excellent`, `good` or `needs_improvement`.
    hit_rate_status: &'static str,
    /// `high` or `normal`.
    expired_entries_status: &'static str,
    /// What callers could do better, of the last ten minutes.
    advice: Vec<String>,
}

/// What was cleared.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Cleared<'a> {
    success: bool,
    invalidated_entries: u64,
    cache_type: &'a str,
    /// Members that mean nothing here.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
}

/// The error body of these routes.
#[derive(Debug, Serialize, JsonSchema)]
pub struct AdminError {
    error: &'static str,
}

/// Figures of the store.
pub async fn stats(control: Arc<Control>, _call: ControlCall) -> Handled {
    let advice = control.pipeline.gate.advice.recent(Instant::now());
    let body = judged(&control.pipeline.store.stats(), advice);
    Ok(answer_or(&body, NO_STATS))
}

/// The bounds are exclusive: 80 percent is good, not excellent.
fn judged(stats: &StoreStats, advice: Vec<String>) -> AdminStats {
    let hits = stats.hits + stats.stale_hits;
    let lookups = hits + stats.misses;
    let hit_rate_status = match lookups {
        _ if hits * 100 > lookups * 80 => "excellent",
        _ if hits * 100 > lookups * 60 => "good",
        _ => "needs_improvement",
    };
    let is_high = stats.expired_entries * 10 > stats.entries * 3;
    AdminStats {
        cache_stats: CacheStats {
            hit_rate: if lookups == 0 { 0.0 } else { hits as f64 * 100.0 / lookups as f64 },
            total_entries: stats.entries,
            expired_entries: stats.expired_entries,
            hits,
            misses: stats.misses,
            bytes: stats.bytes,
            bytes_max: stats.bytes_max,
            evictions: stats.evictions,
        },
        recommendations: Recommendations {
            hit_rate_status,
            expired_entries_status: if is_high { "high" } else { "normal" },
            advice,
        },
    }
}

/// Clears one group by `type`, or several by flags, as one event.
pub async fn clear(control: Arc<Control>, mut call: ControlCall) -> Handled {
    let Ok(body) = read_value(&control, &mut call).await? else {
        return Ok(error(StatusCode::INTERNAL_SERVER_ERROR, NOT_CLEARED));
    };
    if let Some((_, problem)) = call.stray(&[], &[]) {
        return Ok(error(StatusCode::BAD_REQUEST, &problem));
    }
    if let Err(many) = fields::check_count(&body) {
        return Ok(error(StatusCode::BAD_REQUEST, &many.to_string()));
    }
    let Some((cache_type, selectors)) = asked(&control, &body) else {
        return Ok(error(StatusCode::BAD_REQUEST, NO_GROUP));
    };
    let Ok(mirror) =
        fields::mirror(&body, |name| control.pipeline.rules.get().group(name).is_some())
    else {
        return Ok(error(StatusCode::BAD_REQUEST, BAD_MIRROR));
    };
    let warnings = unknown(&control, &body);
    if !warnings.is_empty() {
        log_unknown(&call, &warnings);
    }
    let asked = Asked { selectors, mirror, ..Asked::default() };
    let done = submit(&control, &call, call.principal(), asked).await;
    let invalidated_entries = match done {
        Ok(SubmitOutcome::Applied(report)) => report.applied.entries,
        Ok(SubmitOutcome::Duplicate(applied)) => applied.entries,
        Ok(SubmitOutcome::Unaffected(_)) => 0,
        Err(_) => return Ok(error(StatusCode::INTERNAL_SERVER_ERROR, NOT_CLEARED)),
    };
    let cleared = Cleared { success: true, invalidated_entries, cache_type, warnings };
    Ok(answer_or(&cleared, NOT_CLEARED))
}

/// The name to answer with and what it stands for; none where any group is unknown.
fn asked<'a>(control: &Control, body: &'a Value) -> Option<(&'a str, Selectors)> {
    let rules = control.pipeline.rules.get();
    let given = fields::fields(body);
    let mut union = Selectors::default();
    for flag in fields::flags(body, |name| rules.group(name).is_some()) {
        union.join(&rules.group(flag)?.selectors(&given));
    }
    // `1` and `"true"` set a flag too, so an unknown member with such a value may be meant as one.
    let mut others = body.as_object().into_iter().flatten();
    if fields::asks_dry_run(body)
        || others.any(|(name, value)| fields::is_yes(value) && !is_known(&rules, name))
    {
        return None;
    }
    if let Some(name) = body.get("type") {
        let name = name.as_str()?;
        union.join(&rules.group(name)?.selectors(&given));
        return Some((name, union));
    }
    (!union.is_empty()).then_some((RELATED, union))
}

/// Whether a member has a meaning here.
fn is_known(rules: &Rules, name: &str) -> bool {
    matches!(name, "type" | "mirror") || rules.is_group_field(name) || rules.group(name).is_some()
}

/// Members that mean nothing here, in words. They could only have narrowed what is cleared.
fn unknown(control: &Control, body: &Value) -> Vec<String> {
    let rules = control.pipeline.rules.get();
    let names = body.as_object().into_iter().flatten().map(|(name, _)| name);
    let unknown = names.filter(|name| !is_known(&rules, name)).take(UNKNOWN_SHOWN_MAX);
    unknown.map(|name| format!("unknown {}: it has no effect", nearest::shown(name))).collect()
}

fn log_unknown(call: &ControlCall, warnings: &[String]) {
    Activity {
        level: Level::Warn,
        event: ActivityKind::Invalidate,
        msg: "a call to clear groups has members that mean nothing",
        principal: Some(&call.principal().name),
        status: Some("partly_read"),
        error: Some(&joined(warnings)),
        ..Activity::default()
    }
    .emit();
}

fn error(status: StatusCode, error: &str) -> Answer {
    json_answer(status, &json!({ "error": error }))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// S2 2.5: 80, 60 and 0.3 are exclusive, and an empty cache is neither good nor expired.
    #[test]
    fn recommendations_change_just_past_their_bounds() {
        for (hits, misses, expected) in [
            (0, 0, "needs_improvement"),
            (0, 5, "needs_improvement"),
            (3, 2, "needs_improvement"),
            (601, 399, "good"),
            (4, 1, "good"),
            (801, 199, "excellent"),
            (5, 0, "excellent"),
        ] {
            let rated = judged(&StoreStats { hits, misses, ..StoreStats::default() }, vec![]);
            assert_eq!(rated.recommendations.hit_rate_status, expected, "{hits} {misses}");
        }
        for (expired_entries, entries, expected) in [
            (0, 0, "normal"),
            (0, 10, "normal"),
            (3, 10, "normal"),
            (4, 10, "high"),
            (300, 1000, "normal"),
            (301, 1000, "high"),
        ] {
            let rated =
                judged(&StoreStats { expired_entries, entries, ..StoreStats::default() }, vec![]);
            let status = rated.recommendations.expired_entries_status;
            assert_eq!(status, expected, "{expired_entries} of {entries}");
        }
    }

    /// S2 2.5: the rate is in percent.
    #[test]
    fn the_rate_is_in_percent_and_a_stale_hit_is_one() {
        let stats = StoreStats { hits: 2, stale_hits: 1, misses: 1, ..StoreStats::default() };
        assert!((judged(&stats, vec![]).cache_stats.hit_rate - 75.0).abs() < f64::EPSILON);
        let none = judged(&StoreStats::default(), vec![]).cache_stats.hit_rate;
        assert!(none.abs() < f64::EPSILON);
    }
}
