//! Webhooks of other systems: verified, recognised when repeated, mapped to selectors.
//!
//! Everything that differs between senders is data ([`Hook`]) from presets and settings; no code
//! knows a sender by name. A delivery is verified over its raw bytes before it is parsed. One that
//! comes again only clears the store again: it is remembered once its event is durable, and a copy
//! that arrives earlier waits.

mod body;
mod mapping;
mod parents;
mod scheme;
mod template;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use hyper::HeaderMap;

pub use body::{BadDelivery, Form};
pub use mapping::{ActionRule, EVERY_TYPE, Mapping, WebhookChange};
pub use scheme::{
    Content, Encoding, Hmac, KeyForm, Scheme, Timestamp, TimestampAt, WebhookRefusal,
};
pub use template::{JsonPath, TemplateContext, WebhookTemplate};

use crate::domain::submission::SubmissionPart;
use crate::domain::{Demand, EventId, Principal, Role, Selectors, Source, Submission};
use crate::gate::{self, KeptAnswer, KeptAnswers};
use crate::journal::Journal;
use crate::pipeline::{Pipeline, SubmitError, SubmitOutcome};
use crate::resolve::Rules;
use crate::support::{Finish, Live, LogThrottle, Secret};

/// Characters of a delivery's id that are logged.
const NAME_CHARS_MAX: usize = 200;

/// The configured webhooks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Config {
    /// By name, each once.
    pub hooks: Vec<Hook>,
    /// Deliveries that are remembered, to recognise repeats.
    pub ids_max: usize,
}

/// One webhook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hook {
    /// The last segment of its path.
    pub name: String,
    /// How its deliveries are verified.
    pub scheme: Scheme,
    /// The valid secrets: one, and another during a rotation. Never empty.
    pub secrets: Vec<Secret>,
    /// Where the events are in its bodies.
    pub form: Form,
    /// Gives the id of a delivery, which stays the same when it is repeated.
    pub delivery: Option<WebhookTemplate>,
    /// Maps its events to selectors.
    pub mapping: Mapping,
}

/// A request, as it was received.
#[derive(Clone, Copy)]
pub struct WebhookRequest<'a> {
    /// Path and query.
    pub target: &'a str,
    /// Its headers.
    pub headers: &'a HeaderMap,
    /// Its body, byte for byte.
    pub body: &'a [u8],
    /// Our time, in milliseconds since 1970.
    pub now_ms: u64,
}

/// The limits of one delivery.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Events, texts of one template, and selectors; beyond it the delivery is widened.
    pub selectors_max: usize,
    /// Nesting of its JSON.
    pub depth_max: usize,
}

/// A parsed delivery.
#[derive(Debug)]
pub struct ReadWebhook {
    /// What it means.
    pub change: WebhookChange,
    /// Its id, if the sender gives one.
    pub delivery: Option<String>,
    /// Identifies the delivery when it comes again, if the sender gives ids.
    identity: Option<Identity>,
}

/// Where a delivery came from, as far as loops are concerned.
#[derive(Debug, Clone)]
pub struct WebhookOrigin {
    /// The client's address, if known.
    pub address: Option<IpAddr>,
    /// Whether it carries a gateway's mark.
    pub is_marked: bool,
    /// The event ids that a gateway sent with it.
    pub ids: Vec<EventId>,
}

/// The outcome of a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WebhookOutcome {
    /// It was applied.
    Applied {
        /// The event's id.
        id: EventId,
        /// Whether only the preallocated slot holds it.
        is_degraded: bool,
        /// Warnings for the caller.
        warnings: Vec<String>,
    },
    /// It was applied before, as this event.
    Duplicate(Option<EventId>),
    /// Nothing had to be cleared, and why.
    Ignored(String),
}

impl Hook {
    /// Verifies a delivery.
    ///
    /// # Errors
    /// Why it is not genuine, for the log.
    pub fn check(&self, delivery: &WebhookRequest<'_>) -> Result<(), WebhookRefusal> {
        self.scheme.check(&self.secrets, delivery)
    }

    /// Parses a verified delivery.
    ///
    /// # Errors
    /// Why it cannot be parsed.
    pub fn read(
        &self,
        delivery: &WebhookRequest<'_>,
        limits: Limits,
        rules: &Rules,
    ) -> Result<ReadWebhook, BadDelivery> {
        let body = self.form.events(delivery.headers, delivery.body, limits.depth_max)?;
        let events = &body.list;
        let texts_max = limits.selectors_max;
        let mut change = WebhookChange::default();
        let mut names: Vec<String> = Vec::new();
        for event in events.iter().take(limits.selectors_max) {
            let place = TemplateContext { event, headers: delivery.headers, texts_max, rules };
            names.extend(self.delivery.as_ref().and_then(|template| template.first(&place)));
            self.mapping.join(&place, &mut change);
        }
        change.is_puzzling |= events.is_empty();
        if change.selectors.is_empty()
            && change.is_puzzling
            && let Some(problem) = body.problem(delivery.body, limits.depth_max)
        {
            return Err(problem);
        }
        if let Some(damage) = body.damage {
            change.widened(&format!("{damage}: the rest of the body was used"));
        }
        if body.is_broken {
            change.widen_ids();
        }
        if change.is_puzzling && !change.selectors.is_empty() {
            change.note("an event of several names nothing that can be cleared");
        }
        if events.len() > limits.selectors_max {
            change.widened("more events than are taken at once: everything is cleared");
            change.selectors = Selectors::all();
        }
        if change.selectors.widen_to(limits.selectors_max) {
            change.widened("more selectors than are taken at once: they were widened");
        }
        let identity = (!names.is_empty()).then(|| Identity::of(&names, delivery, &change));
        Ok(ReadWebhook { change, delivery: names.into_iter().next(), identity })
    }
}

/// Identifies a delivery: the ids that the sender gave, the bytes that it sent, and what we parsed.
/// An id alone, or a header that the signature does not cover, could be forged so that another
/// delivery looks like a repetition.
#[derive(Debug)]
struct Identity {
    shown: String,
    hash: String,
}

impl Identity {
    fn of(names: &[String], delivery: &WebhookRequest<'_>, change: &WebhookChange) -> Self {
        let shown = names.first().map(String::as_str).unwrap_or_default();
        let shown = shown.chars().filter(|c| !c.is_control()).take(NAME_CHARS_MAX).collect();
        let query = delivery.target.split_once('?').map_or("", |(_, query)| query);
        let mut parts = vec![count(names.len())];
        parts.extend(names.iter().map(|name| name.clone().into_bytes()));
        parts.push(delivery.body.to_vec());
        parts.push(query.as_bytes().to_vec());
        parts.push(meaning(&change.selectors));
        for part in &change.parts {
            parts.push(meaning(&part.selectors));
            parts.push(part.action.as_str().as_bytes().to_vec());
            parts.push(count(part.changed.len()));
            parts.extend(part.changed.iter().map(|name| name.clone().into_bytes()));
        }
        parts.push(serde_json::to_vec(&change.fields).unwrap_or_default());
        Self { shown, hash: gate::identity(parts.iter().map(Vec::as_slice)) }
    }

    /// The identity together with the marks of the call. The journal stores it as the event's
    /// reason, so that it is known after a restart.
    fn under(&self, from: &WebhookOrigin) -> String {
        let mut parts = vec![self.hash.clone(), from.is_marked.to_string()];
        parts.extend(from.ids.iter().map(ToString::to_string));
        let hash = gate::identity(parts.iter().map(String::as_bytes));
        // Half of the hash cannot be guessed either, and keeps the log line short.
        let half = hash.get(..32).unwrap_or(&hash);
        format!("delivery {} sha256 {half}", self.shown)
    }
}

fn count(items: usize) -> Vec<u8> {
    items.to_string().into_bytes()
}

fn meaning(selectors: &Selectors) -> Vec<u8> {
    serde_json::to_vec(selectors).unwrap_or_default()
}

/// The key of a webhook's delivery among those of all webhooks.
fn key(principal: &str, identity: &str) -> String {
    gate::identity([principal.as_bytes(), identity.as_bytes()])
}

/// The webhooks, and the deliveries that were applied.
pub struct Hooks {
    by_name: Live<BTreeMap<String, Arc<Hook>>>,
    taken: KeptAnswers,
    /// Limits the log lines about deliveries that clear nothing or an unknown type.
    pub log_throttle: LogThrottle,
}

impl Hooks {
    /// Starts with these webhooks. Deliveries in the journal are known.
    pub fn new(config: Config, journal: &Journal) -> Self {
        let taken = KeptAnswers::new(config.ids_max);
        let hooks = Self {
            by_name: Live::new(by_name(config)),
            taken,
            log_throttle: LogThrottle::default(),
        };
        let events = journal.after(0, usize::MAX).events;
        for event in events.iter().filter(|event| event.source == Source::Webhook) {
            if let Some(identity) = &event.reason {
                hooks.remember(key(&event.principal, identity), event.id);
            }
        }
        hooks
    }

    /// Exchanges the webhooks. Known deliveries stay known.
    pub fn adopt(&self, config: Config) {
        self.taken.set_keys_max(config.ids_max);
        self.by_name.set(by_name(config));
    }

    /// The webhook with this name.
    pub fn find(&self, name: &str) -> Option<Arc<Hook>> {
        self.by_name.with(|hooks| hooks.get(name).cloned())
    }

    /// Applies a delivery once. This is finished even if the sender disconnects, so that a
    /// repetition is recognised.
    ///
    /// # Errors [`SubmitError`]; the delivery may then be sent again.
    pub async fn take(
        self: &Arc<Self>,
        pipeline: &Arc<Pipeline>,
        hook: &Hook,
        read: ReadWebhook,
        from: WebhookOrigin,
    ) -> Result<WebhookOutcome, SubmitError> {
        if read.change.selectors.is_empty() {
            let nothing = || "the delivery holds no event".to_owned();
            return Ok(WebhookOutcome::Ignored(read.change.ignored.unwrap_or_else(nothing)));
        }
        let who = Principal { name: format!("hook:{}", hook.name), role: Role::Editor };
        let ReadWebhook { change, identity, .. } = read;
        let identity = identity.map(|identity| identity.under(&from));
        let submission = submission(change, identity.clone(), from);
        let (hooks, pipeline) = (Arc::clone(self), Arc::clone(pipeline));
        Finish::new(async move {
            match identity {
                Some(identity) => hooks.once(&pipeline, who, submission, identity).await,
                None => submit(&pipeline, who, submission).await,
            }
        })
        .await
    }

    async fn once(
        &self,
        pipeline: &Arc<Pipeline>,
        who: Principal,
        submission: Submission,
        identity: String,
    ) -> Result<WebhookOutcome, SubmitError> {
        let key = key(&who.name, &identity);
        let _turn = pipeline.gate.lanes.enter(&key).await;
        if let Some(before) = self.taken.get(&key) {
            let id = std::str::from_utf8(&before.body).ok().and_then(EventId::parse);
            pipeline.clear_again(&Demand::new(submission.mode, submission.selectors));
            return Ok(WebhookOutcome::Duplicate(id));
        }
        let taken = submit(pipeline, who, submission).await?;
        if let WebhookOutcome::Applied { id, is_degraded: false, .. } = &taken {
            self.remember(key, *id);
        }
        Ok(taken)
    }

    fn remember(&self, key: String, id: EventId) {
        let body = Bytes::from(id.to_string());
        self.taken.put(key, KeptAnswer { fingerprint: [0; 32], status: 202, body });
    }
}

fn by_name(config: Config) -> BTreeMap<String, Arc<Hook>> {
    config.hooks.into_iter().map(|hook| (hook.name.clone(), Arc::new(hook))).collect()
}

fn submission(change: WebhookChange, identity: Option<String>, from: WebhookOrigin) -> Submission {
    let (action, routes) = (change.action(), change.routes());
    // The description of one entity does not hold for the others.
    let (parts, changed, fields) = match <[SubmissionPart; 1]>::try_from(change.parts) {
        Ok([only]) if only.parents.is_empty() => (vec![], only.changed, change.fields),
        Ok([only]) => (vec![only.clone()], only.changed, change.fields),
        Err(parts) => (parts, vec![], BTreeMap::new()),
    };
    Submission {
        action,
        reason: identity,
        changed,
        parts,
        fields,
        routes,
        is_marked: from.is_marked,
        ids: from.ids,
        address: from.address,
        ..Submission::new(change.selectors, Source::Webhook)
    }
}

async fn submit(
    pipeline: &Arc<Pipeline>,
    who: Principal,
    submission: Submission,
) -> Result<WebhookOutcome, SubmitError> {
    match pipeline.submit(who, submission).await {
        Ok(SubmitOutcome::Applied(report)) => {
            let (id, is_degraded) = (report.event.id, report.is_degraded);
            Ok(WebhookOutcome::Applied { id, is_degraded, warnings: report.warnings })
        }
        Ok(SubmitOutcome::Duplicate(_)) => Ok(WebhookOutcome::Duplicate(None)),
        Ok(SubmitOutcome::Unaffected(why)) => Ok(WebhookOutcome::Ignored(why.join("; "))),
        Err(rejected) => Err(rejected),
    }
}
