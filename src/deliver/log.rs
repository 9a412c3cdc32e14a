//! The log lines of deliveries, one function for each thing that can happen. All messages are
//! written here, so that each line has one form and the worker reads as a list of steps.

mod settings;

use std::time::Duration;

pub use settings::reconciled;
pub(super) use settings::{configured_name, moved, relimited};

use super::credentials::LoginFailure;
use super::encoded::EncodedBacklog;
use super::peer::{PauseReason, Peer};
use super::targets::Target;
use super::worker::FailedAttempt;
use crate::activity::{Activity, ActivityKind, Level, Touched, joined};
use crate::domain::{Selector, Selectors, Status};
use crate::journal::Backlog;
use crate::support::clock;

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// The kind of the log lines of a destination.
fn kind(peer: &Peer) -> ActivityKind {
    peer.config.class.target().map_or(ActivityKind::Mirror, Target::activity)
}

fn count(backlog: &Backlog) -> u64 {
    backlog.events.len() as u64 + backlog.merged_count
}

/// Writes a line about a backlog. `event_id` is set only if the backlog is one event.
fn log_backlog(peer: &Peer, backlog: &Backlog, line: Activity<'_>) {
    log_encoded(peer, backlog, &EncodedBacklog::of(backlog), line);
}

fn log_encoded(peer: &Peer, backlog: &Backlog, encoded: &EncodedBacklog, line: Activity<'_>) {
    let list = &encoded.ids;
    let is_single = backlog.events.len() == 1 && backlog.merged_count == 0;
    let line = Activity {
        peer: Some(&peer.config.name),
        events: Some(count(backlog)),
        event_id: is_single.then_some(list),
        event_ids: (!is_single && !list.is_empty()).then_some(list),
        ..line
    };
    encoded.touched.name_in(line).emit();
}

pub(super) fn delivered(
    peer: &Peer,
    backlog: &Backlog,
    encoded: &EncodedBacklog,
    attempt: u32,
    http_status: Option<u64>,
    took: Duration,
) {
    let line = Activity {
        event: ActivityKind::Mirror,
        msg: "mirrored",
        status: Some(Status::Delivered.as_str()),
        attempt: Some(u64::from(attempt)),
        http_status,
        duration_ms: Some(took.as_secs_f64() * 1e3),
        propagation_ms: propagation_ms(backlog),
        ..Activity::default()
    };
    log_encoded(peer, backlog, encoded, line);
}

/// Milliseconds since the oldest event was accepted; `None` if unknown, as after a gap in the
/// journal.
fn propagation_ms(backlog: &Backlog) -> Option<u64> {
    let accepted = Some(backlog.oldest_at_ms).filter(|at| *at > 0)?;
    Some(clock::wall_ms().saturating_sub(accepted))
}

pub(super) fn failed(
    peer: &Peer,
    backlog: &Backlog,
    failed_attempt: &FailedAttempt,
    http_status: Option<u64>,
    error: &str,
) {
    let repeated = match failed_attempt.attempt {
        0..=1 => String::new(),
        attempt => format!(" {attempt} times in a row"),
    };
    let line = Activity {
        level: if failed_attempt.is_logged { Level::Warn } else { Level::Debug },
        event: kind(peer),
        msg: &format!("{} failed{repeated}, will be tried again", kind(peer)),
        status: Some(Status::Failed.as_str()),
        attempt: Some(u64::from(failed_attempt.attempt)),
        http_status,
        error: Some(error),
        wait_ms: Some(millis(failed_attempt.wait)),
        ..Activity::default()
    };
    if failed_attempt.attempt <= 1 {
        return log_backlog(peer, backlog, line);
    }
    // Later attempts log the number of events only: the ids of a growing backlog would fill the
    // log.
    Activity { peer: Some(&peer.config.name), events: Some(count(backlog)), ..line }.emit();
}

pub(super) fn skipped(peer: &Peer, backlog: &Backlog, unsupported: &[Selector]) {
    let what = joined(unsupported.iter());
    let line = Activity {
        level: Level::Warn,
        event: kind(peer),
        msg: match peer.is_mirror() {
            true => "the legacy form cannot express these selectors: not sent",
            false => "this cache cannot express these selectors: not sent",
        },
        status: Some(Status::Skipped.as_str()),
        reason: Some("unsupported"),
        error: Some(&what),
        ..Activity::default()
    };
    log_backlog(peer, backlog, line);
}

/// No call is configured. `backlog` holds one event, or the merged part.
pub(super) fn not_called(peer: &Peer, backlog: &Backlog, reason: &str) {
    let line = Activity {
        event: kind(peer),
        msg: "no call is configured for this event: not called",
        status: Some(Status::Skipped.as_str()),
        reason: Some(reason),
        ..Activity::default()
    };
    log_backlog(peer, backlog, line);
}

pub(super) fn paused(peer: &Peer, backlog: &Backlog, error: &str) {
    let line = Activity {
        level: Level::Error,
        event: ActivityKind::Mirror,
        msg: match peer.with(|state| state.skew.description()) {
            None => "mirror paused: its credentials do not work; nothing is lost",
            Some(_) => {
                "mirror paused: it refuses our token, and the clocks differ; nothing is lost"
            }
        },
        status: Some(Status::Paused.as_str()),
        reason: Some("auth"),
        error: Some(error),
        ..Activity::default()
    };
    log_backlog(peer, backlog, line);
}

pub(super) fn still_paused(peer: &Peer) {
    Activity {
        event: ActivityKind::Mirror,
        msg: "still paused by an operator, as before the restart",
        peer: Some(&peer.config.name),
        status: Some(Status::Paused.as_str()),
        reason: Some(PauseReason::Operator.as_str()),
        ..Activity::default()
    }
    .emit();
}

pub(super) fn pauses_unread(problem: &str) {
    let msg = "the list of paused mirrors cannot be read: no mirror is paused";
    log_file_problem("unread", msg, Some(problem));
}

pub(super) fn pauses_unwritten(problem: Option<&str>) {
    let msg = "the list of paused mirrors cannot be written: a restart may lose changes";
    log_file_problem("unwritten", msg, problem);
}

fn log_file_problem(status: &str, msg: &str, error: Option<&str>) {
    Activity {
        level: Level::Error,
        event: ActivityKind::Mirror,
        msg,
        status: Some(status),
        error,
        ..Activity::default()
    }
    .emit();
}

/// A mirror refused one request as malformed. `request` is a type, or one entity of it.
pub(super) fn parked(
    peer: &Peer,
    request: &Selector,
    http_status: Option<u64>,
    error: &str,
    wait: Duration,
) {
    let msg = format!("the mirror refuses {request}: parked, tried once an hour, never dropped");
    let line = Activity {
        level: Level::Warn,
        event: ActivityKind::Mirror,
        msg: &msg,
        status: Some(Status::Failed.as_str()),
        reason: Some("refused"),
        http_status,
        error: Some(error),
        wait_ms: Some(millis(wait)),
        ..Activity::default()
    };
    log_request(peer, request, line);
}

pub(super) fn unparked(peer: &Peer, request: &Selector) {
    let msg = format!("the mirror accepts {request} again");
    let line = Activity {
        event: ActivityKind::Mirror,
        msg: &msg,
        status: Some(Status::Delivered.as_str()),
        reason: Some("refused"),
        ..Activity::default()
    };
    log_request(peer, request, line);
}

/// One request failed while the mirror accepts others.
pub(super) fn request_failed(
    peer: &Peer,
    request: &Selector,
    attempt: u32,
    http_status: Option<u64>,
    error: &str,
    wait: Duration,
) {
    let msg = format!("mirror failed for {request}, will be tried again");
    let line = Activity {
        level: Level::Warn,
        event: ActivityKind::Mirror,
        msg: &msg,
        status: Some(Status::Failed.as_str()),
        attempt: Some(u64::from(attempt)),
        http_status,
        error: Some(error),
        wait_ms: Some(millis(wait)),
        ..Activity::default()
    };
    log_request(peer, request, line);
}

fn log_request(peer: &Peer, request: &Selector, line: Activity<'_>) {
    let touched = Touched::of(&Selectors::one(request.clone()));
    touched.name_in(Activity { peer: Some(&peer.config.name), ..line }).emit();
}

/// A target refuses a call.
pub(super) fn call_parked(peer: &Peer, what: &str, error: &str, wait: Duration) {
    Activity {
        level: Level::Warn,
        event: kind(peer),
        msg: &format!("{what} is refused: parked, tried once an hour, never dropped"),
        peer: Some(&peer.config.name),
        status: Some(Status::Failed.as_str()),
        reason: Some("refused"),
        error: Some(error),
        wait_ms: Some(millis(wait)),
        ..Activity::default()
    }
    .emit();
}

pub(super) fn call_unparked(peer: &Peer, what: &str) {
    Activity {
        event: kind(peer),
        msg: &format!("{what} is accepted again"),
        peer: Some(&peer.config.name),
        status: Some(Status::Delivered.as_str()),
        ..Activity::default()
    }
    .emit();
}

pub(super) fn held(peer: &Peer, backlog: &Backlog) {
    let line = Activity {
        level: Level::Warn,
        event: ActivityKind::Mirror,
        msg: "held until it is known whether the mirror is a cache-mirror",
        status: Some(Status::Queued.as_str()),
        reason: Some("unknown_kind"),
        ..Activity::default()
    };
    log_backlog(peer, backlog, line);
}

pub(super) fn bad_paths(peer: &Peer) {
    let msg =
        "the mirror names paths that are not plain paths below its URL: the default paths are used";
    log_kind(peer, "paths", msg);
}

pub(super) fn other_kind(peer: &Peer) {
    let msg = "the settings call this mirror legacy, but it answers as a cache-mirror: \
               remove kind = \"legacy\"";
    log_kind(peer, "kind", msg);
}

fn log_kind(peer: &Peer, reason: &str, msg: &str) {
    Activity {
        level: Level::Warn,
        event: ActivityKind::Identity,
        msg,
        peer: Some(&peer.config.name),
        status: Some(peer.kind().as_str()),
        reason: Some(reason),
        ..Activity::default()
    }
    .emit();
}

pub(super) fn kinds_unread(problem: &str) {
    log_file_problem(
        "unread",
        "the list of known cache-mirrors cannot be read: they are probed again",
        Some(problem),
    );
}

pub(super) fn kinds_unwritten(problem: &str) {
    log_file_problem(
        "unwritten",
        "the list of known cache-mirrors cannot be written: a restart probes them again",
        Some(problem),
    );
}

pub(super) fn throttled(peer: &Peer, backlog: &Backlog, wait: Duration) {
    let line = Activity {
        event: ActivityKind::Limit,
        msg: "the peer asked us to wait",
        status: Some(Status::Queued.as_str()),
        http_status: Some(429),
        reason: Some("throttled"),
        wait_ms: Some(millis(wait)),
        ..Activity::default()
    };
    log_backlog(peer, backlog, line);
}

pub(super) fn limited(peer: &Peer, backlog: &Backlog, waited: Duration) {
    let line = Activity {
        event: ActivityKind::Limit,
        msg: "delayed by the rate limit and merged",
        status: Some(Status::Queued.as_str()),
        reason: Some("rate"),
        wait_ms: Some(millis(waited)),
        ..Activity::default()
    };
    log_backlog(peer, backlog, line);
}

pub(super) fn opened(peer: &Peer) {
    log_breaker(peer, Level::Error, "too many failures in a row", "open");
}

pub(super) fn closed(peer: &Peer, failures: u32, lasted: Duration) {
    let seconds = lasted.as_secs();
    let msg = format!(
        "the peer answers again: delivered after {failures} failed attempts in {seconds} s"
    );
    log_breaker(peer, Level::Info, &msg, "closed");
}

fn log_breaker(peer: &Peer, level: Level, msg: &str, status: &str) {
    Activity {
        level,
        event: ActivityKind::Breaker,
        msg,
        peer: Some(&peer.config.name),
        status: Some(status),
        ..Activity::default()
    }
    .emit();
}

pub(super) fn logged_in(peer: &Peer, took: Duration) {
    Activity {
        event: ActivityKind::Token,
        msg: "logged in",
        peer: Some(&peer.config.name),
        principal: peer.account.email().as_deref(),
        status: Some("ok"),
        duration_ms: Some(took.as_secs_f64() * 1e3),
        ..Activity::default()
    }
    .emit();
}

/// This line is about the login. The backlog has a line of its own.
pub(super) fn not_logged_in(peer: &Peer, failure: &LoginFailure, took: Duration) {
    let outcome = match failure {
        // No login was tried.
        LoginFailure::NoCredentials => return,
        LoginFailure::Refused(_) => "refused",
        LoginFailure::Throttled(_) => "throttled",
        LoginFailure::NoKey | LoginFailure::NoToken(..) | LoginFailure::Unreachable(_) => "failed",
    };
    Activity {
        level: Level::Debug,
        event: ActivityKind::Token,
        msg: "not logged in",
        peer: Some(&peer.config.name),
        principal: peer.account.email().as_deref(),
        status: Some(outcome),
        duration_ms: Some(took.as_secs_f64() * 1e3),
        error: Some(&failure.to_string()),
        ..Activity::default()
    }
    .emit();
}

pub(super) fn identified(peer: &Peer) {
    let kind = peer.kind();
    let is_oneself = kind.as_str() == "self";
    Activity {
        event: if is_oneself { ActivityKind::Loop } else { ActivityKind::Identity },
        msg: if is_oneself { "this mirror is this instance: skipped" } else { "peer identified" },
        peer: Some(&peer.config.name),
        status: Some(kind.as_str()),
        reason: is_oneself.then_some("self"),
        ..Activity::default()
    }
    .emit();
}

/// The clocks differ so much that tokens may be refused.
pub(super) fn skewed(peer: &Peer) {
    let difference = peer.with(|state| state.skew.description()).unwrap_or_default();
    Activity {
        level: Level::Warn,
        event: ActivityKind::Identity,
        msg: &format!("{difference}: signed tokens may be refused; let NTP set both clocks"),
        peer: Some(&peer.config.name),
        status: Some("clock"),
        ..Activity::default()
    }
    .emit();
}

/// A peer announced its start.
pub(super) fn announced(peer: &Peer) {
    Activity {
        event: ActivityKind::Identity,
        msg: "the peer has started: it is checked now",
        peer: Some(&peer.config.name),
        status: Some("started"),
        ..Activity::default()
    }
    .emit();
}
