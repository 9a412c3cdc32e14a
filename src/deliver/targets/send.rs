//! Makes one call to a target, and finds the event ids that a call carries.
//!
//! If every address of a host name is called, the calls run at the same time, so that a dead
//! address delays no other.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::future::join_all;
use reqwest::header::HeaderName;
use tokio::time::Instant;

use super::log::{self, CallResult, Retry};
use super::owed::{OwedCall, needed_by};
use super::{CallReader, Target, TargetCall};
use crate::deliver::log as delivery_log;
use crate::deliver::outage;
use crate::deliver::partial::Span;
use crate::deliver::peer::PeerKind;
use crate::deliver::verdict::AnswerVerdict;
use crate::deliver::worker::{VIA, Worker};
use crate::domain::Event;
use crate::journal::{Backlog, Limits};
use crate::net::Outgoing;
use crate::support::clock;

/// The ids of the events that a call is about, joined by commas, for calls whose body cannot carry
/// them. A gateway ignores a call with ids that it has already applied, so that rings of gateways
/// stop.
pub const EVENT_IDS: HeaderName = HeaderName::from_static("cache-mirror-event");
/// Maximum of ids in that header. A call with more ids carries none and is not passed on by a
/// gateway that receives it.
const EVENT_IDS_MAX: usize = 100;

/// Bytes of a message id: 128 bits, so that collisions do not occur.
const MESSAGE_ID_BYTES: usize = 16;

/// What all calls of one backlog share.
pub(super) struct Round<'a> {
    pub(super) target: &'a Target,
    pub(super) backlog: &'a Backlog,
    pub(super) reader: CallReader,
    /// The events of its new calls.
    pub(super) about: Arc<CallEvents>,
}

/// The events that a call is about.
pub(super) struct CallEvents {
    ids: Option<String>,
    events: u64,
    through: u64,
}

impl CallEvents {
    fn of(backlog: &Backlog) -> Self {
        let events = backlog.events.len() as u64 + backlog.merged_count;
        Self { ids: event_ids(backlog), events, through: backlog.through }
    }
}

impl<'a> Round<'a> {
    pub(super) fn of(target: &'a Target, backlog: &'a Backlog, reader: CallReader) -> Self {
        Self { target, backlog, reader, about: Arc::new(CallEvents::of(backlog)) }
    }
}

impl Worker {
    /// Logs the parts of a settled backlog for which no call was made: the selectors that a cache
    /// cannot express, and each event for which a site has no path, tag or name.
    pub(super) fn log_skipped(&self, backlog: &Backlog, target: &Target) {
        let unsupported = target.unsupported(backlog);
        if !unsupported.is_empty() {
            delivery_log::skipped(&self.peer, backlog, &unsupported);
        }
        let Target::Revalidate(site) = target else { return };
        for event in &backlog.events {
            if let Some(reason) = site.reason_skipped(event) {
                let one = Backlog { events: vec![Arc::clone(event)], ..Backlog::default() };
                delivery_log::not_called(&self.peer, &one, reason);
            }
        }
        if backlog.merged_count > 0 && site.calls(&merged_part(backlog)).is_empty() {
            delivery_log::not_called(&self.peer, &merged_part(backlog), site.missing());
        }
    }

    /// How many events of a settled backlog needed no call or request.
    pub(in crate::deliver) fn skipped_count(&self, backlog: &Backlog) -> u64 {
        let is_skipped = |event: &&Arc<Event>| match self.peer.config.class.target() {
            Some(target) => target.reason_skipped(event).is_some(),
            None => self.is_legacy() && !self.shared.has_legacy_form(&event.demand.selectors()),
        };
        let merged = match self.peer.config.class.target() {
            Some(target) => target.calls(&merged_part(backlog), false, CallReader::Site).is_empty(),
            None => self.is_legacy() && !self.shared.has_legacy_form(&backlog.merged.selectors()),
        };
        let named = backlog.events.iter().filter(is_skipped).count() as u64;
        named + if merged { backlog.merged_count } else { 0 }
    }

    /// Whether the receiver is a gateway or a site.
    pub(super) fn reader(&self) -> CallReader {
        if self.is_legacy() { CallReader::Site } else { CallReader::Gateway }
    }

    fn is_legacy(&self) -> bool {
        !matches!(self.peer.kind(), PeerKind::CacheMirror(_))
    }

    /// The backlog for one call to a gateway, which recognises repeated events by the ids in a
    /// header: so all ids must fit in it.
    pub(in crate::deliver) fn take_identifiable(&self, after: u64) -> Option<Backlog> {
        let take = |events_max| {
            let limits = Limits { events_max, bytes_max: usize::MAX, members_max: usize::MAX };
            self.pending(after, limits)
        };
        let backlog = take(EVENT_IDS_MAX)?;
        let mut ids = 0;
        let fits = |event: &&Arc<Event>| {
            ids += event.origin_ids().len();
            ids <= EVENT_IDS_MAX
        };
        match backlog.events.iter().take_while(fits).count().max(1) {
            count if count < backlog.events.len() => take(count),
            _ => Some(backlog),
        }
    }

    /// The events of a call that waited: those of its span that need it. There are no ids if some
    /// events are no longer in the journal.
    pub(super) fn events_of_waiting(
        &self,
        target: &Target,
        owed: &OwedCall,
        span: Span,
    ) -> CallEvents {
        let limits =
            Limits { events_max: EVENT_IDS_MAX, bytes_max: usize::MAX, members_max: usize::MAX };
        let found = self.pending(span.first.saturating_sub(1), limits).unwrap_or_default();
        let is_complete = found.merged.is_empty() && found.through >= span.last;
        let of_span = found.events.into_iter().filter(|event| event.seq <= span.last);
        let events = match is_complete {
            true => of_span.filter(|event| needed_by(target, event)(owed)).collect(),
            false => vec![],
        };
        let backlog = Backlog { events, ..Backlog::default() };
        CallEvents { ids: event_ids(&backlog), events: span.events, through: span.last }
    }

    /// Makes one call, to one address or to every address.
    pub(super) async fn make(
        &self,
        target: &Target,
        about: &CallEvents,
        call: &TargetCall,
    ) -> Vec<CallResult> {
        let addresses = match target.is_for_all_addresses() {
            true => self.transport().addresses(&call.url).await,
            false => Ok(vec![]),
        };
        match addresses {
            Ok(addresses) if addresses.is_empty() => {
                vec![self.exchange(target, about, call, None).await]
            }
            Ok(addresses) => {
                let one = |(nth, address)| async move {
                    if nth > 0 {
                        self.peer.limiter.turn().await;
                    }
                    self.exchange(target, about, call, Some(address)).await
                };
                join_all(addresses.into_iter().enumerate().map(one)).await
            }
            Err(failure) => {
                let verdict = AnswerVerdict::Refused(failure.to_string(), None);
                vec![CallResult { address: None, answer: None, verdict, took: Duration::ZERO }]
            }
        }
    }

    /// Sends one request and judges the answer.
    async fn exchange(
        &self,
        target: &Target,
        about: &CallEvents,
        call: &TargetCall,
        address: Option<SocketAddr>,
    ) -> CallResult {
        let begun = Instant::now();
        self.peer.with(|state| state.requests += 1);
        let TargetCall { method, url, headers, body, timeout, .. } = call.clone();
        let mut request = Outgoing { method, url, headers, body, timeout };
        request.headers.push((VIA, self.shared.sender.instance.clone()));
        request.headers.extend(about.ids.clone().map(|ids| (EVENT_IDS, ids)));
        if let Some(signer) = target.signer() {
            let id = self.message_id(about, call);
            request.headers.extend(signer.headers(&id, clock::wall_ms() / 1000, &request.body));
        }
        let answered = match address {
            None => self.transport().send(request).await,
            Some(address) => self.transport().send_to(request, address).await,
        };
        let (verdict, answer) = match answered {
            Ok(answer) => (target.judge(&answer), Some(answer)),
            Err(failure) => (AnswerVerdict::Refused(failure.to_string(), None), None),
        };
        CallResult { address, answer, verdict, took: begun.elapsed() }
    }

    /// The id by which a receiver recognises a message: the same for a repeated call, even after a
    /// restart, and a new one if more events were merged into the call.
    fn message_id(&self, about: &CallEvents, call: &TargetCall) -> String {
        let mut hash = digest::Context::new(&digest::SHA256);
        let text = format!("{} {} {}\n", self.shared.sender.instance, about.through, call.url);
        hash.update(text.as_bytes());
        hash.update(&call.body);
        let hash = hash.finish();
        format!("msg_{}", URL_SAFE_NO_PAD.encode(&hash.as_ref()[..MESSAGE_ID_BYTES]))
    }

    /// Logs a call, one line for each address.
    pub(super) fn log_tried(
        &self,
        target: &Target,
        about: &CallEvents,
        call: &TargetCall,
        tried: &[CallResult],
        retry: Option<Retry>,
    ) {
        self.peer.set_address_errors(
            tried.iter().filter_map(|one| Some((one.address?.ip(), one.error()))),
        );
        for one in tried.iter().filter(|one| !matches!(one.verdict, AnswerVerdict::Throttled(_))) {
            let retry = retry.filter(|_| one.error().is_some());
            let about = (about.ids.as_deref(), about.events);
            log::log_call(&self.peer, target, call, about, one, retry);
        }
    }

    /// Whether all failures indicate an outage. A status such as 503 of a target whose identity is
    /// not probed is no outage: nothing checks that target before the next call, so it waits
    /// longer.
    pub(super) fn is_outage(&self, tried: &[CallResult]) -> bool {
        let is_probed = self.peer.config.class.is_probed();
        let failed = tried.iter().filter(|one| one.error().is_some());
        let mut statuses = failed.map(|one| one.answer.as_ref().map(|it| u64::from(it.status)));
        statuses.all(|status| match status {
            Some(_) if !is_probed => false,
            status => outage::is_outage(status, false),
        })
    }
}

/// Only the merged part of a backlog.
fn merged_part(backlog: &Backlog) -> Backlog {
    Backlog { events: vec![], ..backlog.clone() }
}

/// The ids by which other instances know the events of a backlog; `None` if some were merged or
/// there are too many.
pub(in crate::deliver) fn event_ids(backlog: &Backlog) -> Option<String> {
    if !backlog.merged.is_empty() {
        return None;
    }
    let ids: Vec<String> = backlog
        .events
        .iter()
        .flat_map(|event| event.origin_ids())
        .take(EVENT_IDS_MAX + 1)
        .map(ToString::to_string)
        .collect();
    (1..=EVENT_IDS_MAX).contains(&ids.len()).then(|| ids.join(","))
}
