//! The JSON contract of the control API: what the server answers and its clients read.
//!
//! One type for both sides: its `Serialize` is the answer, its schema is the description in
//! `/openapi.json`, and its `Deserialize` is what the command line reads. Members that an answer
//! leaves out get their defaults and unknown members are ignored, so that a client also reads the
//! answers of an older or a newer server. Ids and names are text, times are RFC 3339. Nothing is
//! decided here.
#![allow(missing_docs, reason = "member names are the contract; a comment becomes a description")]

mod entries;
mod events;
mod explained;
mod instance;
mod invalidation;
mod mirrors;
mod schedules;
mod why;

use std::borrow::Cow;

pub use entries::{Entries, EntryAnswer, Removed, Stored};
pub use events::{EventAnswer, JournalPage};
pub use explained::{Cost, Edge, Explained, MirrorExplanation, Walk};
pub use instance::{
    Health, JournalStats, LogStats, LoggedIn, RefusedBy, RefusedCalls, Reloaded, Stats, StoreStats,
    StreamStats, Ticket, Versions, VersionsReset,
};
pub use invalidation::{AddressOutcome, Delivered, DeliveryOutcome, Duplicate, Invalidated};
pub use mirrors::{
    DestinationView, Limited, Mirrors, Operated, ParkedRequest, PingReport, RemovedDestination,
};
pub use schedules::{Held, RunView, ScheduleView, Schedules};
pub use why::{CachedEntry, Touch, Why};

/// Text with few values: the server writes a constant, a client reads whatever came.
pub type Text = Cow<'static, str>;

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_false(flag: &bool) -> bool {
    !flag
}

fn yes() -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_may_leave_members_out_and_bring_new_ones() {
        let page: JournalPage =
            serde_json::from_str(r#"{"head":3,"events":[{"seq":3,"new":1}]}"#).expect("a page");
        assert_eq!((page.head, page.gap, page.events[0].seq), (3, false, 3));
        let done: Invalidated = serde_json::from_str("{}").expect("an answer");
        assert!(done.count_complete && !done.dry_run && done.mirrors.is_empty());
        let outcome: DeliveryOutcome =
            serde_json::from_str(r#"{"peer":"eu","status":"thawing"}"#).expect("an outcome");
        assert_eq!(outcome.status.as_str(), "unknown");
        let mirror: DestinationView =
            serde_json::from_str(r#"{"name":"eu","state":"thawing"}"#).expect("a mirror");
        assert_eq!((&*mirror.state, mirror.backlog_age_ms), ("thawing", None));
    }
}
