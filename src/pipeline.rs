//! The path of an invalidation, in five steps:
//!
//! 1. `prepare` fits a submission to the rules;
//! 2. `admit` decides its scope and recognises what was done before;
//! 3. `resolve` adds the cascade;
//! 4. `apply` clears the store;
//! 5. `record` makes the event durable. Then the caller gets its answer.
//!
//! Listeners and destinations read the journal at their own pace; nothing here waits for them. A
//! submission that was begun is finished even if its caller disconnects, so that store, journal and
//! log always agree.

mod admit;
mod log;

use std::sync::Arc;
use std::time::Instant;

use crate::announce::Hub;
use crate::deliver::{Delivery, EchoCaller};
use crate::domain::scope::LocalReason;
use crate::domain::{
    Applied, Demand, Event, EventId, Invalidation, Mode, Plan, Principal, Scope, Selectors, Source,
    Submission, TypeName,
};
use crate::gate::Gate;
use crate::journal::{Flight, Flights, Journal, KnownPart, NotReset, WriteRefusal};
use crate::resolve::{self, Rules, UNKNOWN_NAMED};
use crate::store::Memory;
use crate::support::{Finish, Live, clock};
use crate::wire::DeliveryOutcome;

/// Everything an invalidation passes through.
pub struct Pipeline {
    /// `instance.name`.
    pub instance: String,
    /// Names and graph.
    pub rules: Arc<Live<Rules>>,
    /// Authentication and limits.
    pub gate: Arc<Gate>,
    /// The cache.
    pub store: Memory,
    /// The durable log.
    pub journal: Journal,
    /// Events that are being recorded.
    pub flights: Flights,
    /// To destinations.
    pub delivery: Delivery,
    /// To listeners.
    pub hub: Hub,
}

/// The outcome of a submission.
#[derive(Debug)]
pub enum SubmitOutcome {
    /// It was applied and recorded.
    Applied(Box<SubmitReport>),
    /// All of it was done here before under the same ids. The store was cleared again; nothing is
    /// sent a second time.
    Duplicate(Applied),
    /// None of the changed fields matters to what was named. The texts are for the caller.
    Unaffected(Vec<String>),
}

/// What was applied and recorded.
#[derive(Debug)]
pub struct SubmitReport {
    /// The event as the journal has it.
    pub event: Arc<Event>,
    /// What the store did.
    pub applied: Applied,
    /// Warnings for the caller.
    pub warnings: Vec<String>,
    /// Its state at each mirror; empty for local scope.
    pub mirrors: Vec<DeliveryOutcome>,
    /// True where the disk refused the event and only the preallocated slot holds it, as `all`.
    pub is_degraded: bool,
}

/// Why a submission had no durable effect.
#[derive(Debug, thiserror::Error)]
pub enum SubmitError {
    /// `graph.strict_types`, and these types are not in the graph.
    #[error("{}", unknown_text(.0))]
    UnknownTypes(Vec<(TypeName, Option<TypeName>)>),
    /// The store was cleared, but no disk holds the event.
    #[error("the local cache was cleared, but the disk refuses to hold the event for the mirrors")]
    NotDurable,
    /// The instance is stopping.
    #[error("the instance is stopping")]
    Stopping,
}

fn unknown_text(unknown: &[(TypeName, Option<TypeName>)]) -> String {
    let hint = |(name, nearest): &(TypeName, Option<TypeName>)| match nearest {
        Some(nearest) => format!("{name} (did you mean {nearest}?)"),
        None => name.to_string(),
    };
    let list: Vec<String> = unknown.iter().take(UNKNOWN_NAMED).map(hint).collect();
    let more = match unknown.len().saturating_sub(UNKNOWN_NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("not in the graph: {}{more}", list.join(", "))
}

/// What one step hands to the next.
enum Progress<T> {
    /// It is new: it takes all steps.
    New(T),
    /// All of it was done before: the store is cleared once more, and the steps end there.
    Repeated(T),
    /// There is nothing to clear, and why.
    Unaffected(Vec<String>),
}

/// A submission that fits the rules, and what to report about the rest of it.
struct Prepared {
    submission: Submission,
    warnings: Vec<String>,
}

impl Pipeline {
    /// Takes a submission through all steps; they are finished even if the caller stops waiting.
    ///
    /// # Errors
    /// [`SubmitError`].
    pub async fn submit(
        self: &Arc<Self>,
        who: Principal,
        submission: Submission,
    ) -> Result<SubmitOutcome, SubmitError> {
        let pipeline = Arc::clone(self);
        Finish::new(async move { pipeline.run(who, submission).await }).await
    }

    async fn run(
        &self,
        who: Principal,
        submission: Submission,
    ) -> Result<SubmitOutcome, SubmitError> {
        // A second copy of an event waits until the first one is on disk: only then is it known.
        let flight = self.flights.enter(ids_of(&submission)).await;
        let caller = EchoCaller::of(&who, &submission);
        // The rules cannot be exchanged between these steps.
        let cleared = self.rules.with(|rules| {
            let prepared = prepare(rules, &who, submission)?;
            let admitted = self.admit(rules, who, prepared);
            let planned = resolve(rules, admitted);
            Ok::<_, SubmitError>(self.apply(planned))
        })?;
        match cleared {
            Progress::New((plan, applied)) => self.record(*plan, applied, caller, flight).await,
            Progress::Repeated((_, applied)) => Ok(SubmitOutcome::Duplicate(applied)),
            Progress::Unaffected(warnings) => Ok(SubmitOutcome::Unaffected(warnings)),
        }
    }

    /// Step 2: decides scope and id, and separates what is new from what was done before.
    fn admit(
        &self,
        rules: &Rules,
        who: Principal,
        prepared: Prepared,
    ) -> Progress<Box<Invalidation>> {
        let Prepared { submission, warnings } = prepared;
        if submission.selectors.is_empty() && !warnings.is_empty() {
            return Progress::Unaffected(warnings);
        }
        let known = self.known_parts(rules, &submission);
        let mut admitted = admit::admit(submission, who, &self.instance, &known);
        if let Progress::New(invalidation) = &mut admitted {
            invalidation.warnings.extend(warnings);
        }
        admitted
    }

    /// What was done here before under the ids of a submission, in the form that `admit` takes.
    fn known_parts(&self, rules: &Rules, submission: &Submission) -> Vec<KnownPart> {
        let known = |ids: &[EventId], mode: Mode, selectors: &Selectors| {
            let asked = || rules.canonical_demand(&Demand::new(mode, selectors.clone()));
            self.flights.known(&self.journal, ids, asked)
        };
        match &submission.peer {
            Some(batch) => {
                let events = batch.events.iter();
                events.map(|event| known(&[event.id], event.mode, &event.selectors)).collect()
            }
            None => vec![known(&submission.ids, submission.mode, &submission.selectors)],
        }
    }

    /// Step 4: clears the store.
    fn apply(&self, planned: Progress<Box<Plan>>) -> Progress<(Box<Plan>, Applied)> {
        match planned {
            Progress::New(mut plan) => {
                let applied = self.store.apply(&plan.total());
                self.advise(&mut plan.invalidation);
                Progress::New((plan, applied))
            }
            Progress::Repeated(plan) => {
                let applied = self.store.apply(&plan.total());
                log::repeated(&plan.invalidation, &applied);
                Progress::Repeated((plan, applied))
            }
            Progress::Unaffected(warnings) => Progress::Unaffected(warnings),
        }
    }

    /// Step 5: makes the event durable.
    async fn record(
        &self,
        plan: Plan,
        applied: Applied,
        caller: Option<EchoCaller>,
        mut flight: Flight,
    ) -> Result<SubmitOutcome, SubmitError> {
        let (event, wall, mut warnings) = plan.into_event(clock::wall_ms());
        if let Some(caller) = caller {
            warnings.extend(self.delivery.arrived(&caller, &event));
        }
        // A mirror may get the event and send it back before our caller has its answer.
        flight.add(event.id);
        let (event, is_degraded) = self.append(event).await?;
        drop(flight);
        log::applied(&event, wall, &applied, is_degraded);
        let mirrors = self.outcomes(&event);
        let report = SubmitReport { event, applied, warnings, mirrors, is_degraded };
        Ok(SubmitOutcome::Applied(Box::new(report)))
    }

    /// Steps 1 to 3, which change nothing.
    fn plan(
        &self,
        rules: &Rules,
        who: Principal,
        submission: Submission,
    ) -> Result<Progress<Box<Plan>>, SubmitError> {
        let prepared = prepare(rules, &who, submission)?;
        let admitted = self.admit(rules, who, prepared);
        Ok(resolve(rules, admitted))
    }

    /// Advises a caller how to call better. Peers merge by themselves, and a schedule has no
    /// caller.
    fn advise(&self, invalidation: &mut Invalidation) {
        let is_peer =
            matches!(invalidation.wall, Some(LocalReason::Credential | LocalReason::Mark));
        if is_peer || invalidation.source == Source::Schedule {
            return;
        }
        for advised in self.gate.advice.look(&invalidation.demand, Instant::now()) {
            if advised.is_due {
                log::advised(&advised.text, &invalidation.principal.name);
            }
            invalidation.warnings.push(advised.text);
        }
    }

    /// Clears the store again of what was recorded and sent before. Nothing else happens.
    pub fn clear_again(&self, asked: &Demand) -> Applied {
        self.rules.with(|rules| self.store.apply(&rules.total(asked)))
    }

    /// Clears the store again of what was asked before, under the rules of now. Nothing else
    /// happens.
    ///
    /// # Errors
    /// [`SubmitError::UnknownTypes`].
    pub fn repeat(&self, who: Principal, submission: Submission) -> Result<(), SubmitError> {
        self.rules.with(|rules| {
            if let Progress::New(plan) | Progress::Repeated(plan) =
                self.plan(rules, who, submission)?
            {
                self.store.apply(&plan.total());
            }
            Ok(())
        })
    }

    /// Exchanges the rules. Each invalidation is cleared under the old or the new ones, never under
    /// some of each. If a name now means another type, the exchange clears the whole store: entries
    /// are tagged by the old meaning, and an invalidation by the new one would not find them.
    /// Returns whether that happened.
    pub fn adopt_rules(&self, rules: Rules) -> bool {
        self.rules.exchange(rules, |old, new| {
            let is_cleared = !old.means_as(new);
            if is_cleared {
                self.store.apply(&Demand::new(Mode::Hard, Selectors::all()));
            }
            is_cleared
        })
    }

    /// What a submission would do: steps 1 to 3, and an estimate of the fourth.
    ///
    /// # Errors
    /// [`SubmitError::UnknownTypes`].
    pub fn preview(
        &self,
        who: Principal,
        submission: Submission,
    ) -> Result<SubmitOutcome, SubmitError> {
        let plan = match self.plan(&self.rules.get(), who, submission)? {
            Progress::New(plan) => *plan,
            Progress::Repeated(plan) => {
                return Ok(SubmitOutcome::Duplicate(self.store.estimate(&plan.total())));
            }
            Progress::Unaffected(warnings) => return Ok(SubmitOutcome::Unaffected(warnings)),
        };
        let applied = self.store.estimate(&plan.total());
        let (event, _, warnings) = plan.into_event(clock::wall_ms());
        let mirrors = self.outcomes(&event);
        let report =
            SubmitReport { event: event.into(), applied, warnings, mirrors, is_degraded: false };
        Ok(SubmitOutcome::Applied(Box::new(report)))
    }

    /// Sets the versions to 0 and the last clear to now. Returns the version before and the time.
    /// Listeners get a resync: one that compares versions would wait for a number that does not
    /// come. Nothing is cleared, and each mirror has versions of its own.
    ///
    /// # Errors
    /// [`NotReset`]; nothing has changed then.
    pub async fn reset_versions(&self, who: &Principal) -> Result<(u64, u64), NotReset> {
        let at_ms = clock::wall_ms();
        let before = self.journal.reset_versions(at_ms).await?;
        self.hub.resync("version reset");
        log::reset(&who.name);
        Ok((before, at_ms))
    }

    /// Makes the event durable. The flag is set if only the preallocated slot holds it.
    async fn append(&self, event: Event) -> Result<(Arc<Event>, bool), SubmitError> {
        let (event, is_degraded) = match self.journal.append(event).await {
            Ok(event) => (event, false),
            Err(WriteRefusal::Degraded(event)) => (event, true),
            Err(WriteRefusal::Lost(event)) => {
                self.flights.lost(event.known_ids());
                log::lost(&self.journal);
                return Err(SubmitError::NotDurable);
            }
            Err(WriteRefusal::Closed) => return Err(SubmitError::Stopping),
        };
        self.flights.landed();
        if is_degraded {
            log::degraded(&self.journal);
        }
        Ok((event, is_degraded))
    }

    /// Its state at each mirror.
    fn outcomes(&self, event: &Event) -> Vec<DeliveryOutcome> {
        match event.scope {
            Scope::Mirrored => self.delivery.outcomes(event),
            Scope::Local => vec![],
        }
    }
}

/// Step 1: fits a submission to the rules, or refuses it. Selectors to which nothing applies are
/// taken out and reported.
fn prepare(
    rules: &Rules,
    who: &Principal,
    mut submission: Submission,
) -> Result<Prepared, SubmitError> {
    compare_graphs(rules, &mut submission);
    let mut warnings = take_unknown(rules, who, &mut submission)?;
    let left_out = rules.leave_out(&mut submission);
    warnings.extend(left_out.iter().map(resolve::left_out_text));
    Ok(Prepared { submission, warnings })
}

/// Step 3: canonical names and the cascade of the graph.
fn resolve(rules: &Rules, admitted: Progress<Box<Invalidation>>) -> Progress<Box<Plan>> {
    let plan = |invalidation: Box<Invalidation>| Box::new(rules.resolve(*invalidation));
    match admitted {
        Progress::New(invalidation) => Progress::New(plan(invalidation)),
        Progress::Repeated(invalidation) => Progress::Repeated(plan(invalidation)),
        Progress::Unaffected(warnings) => Progress::Unaffected(warnings),
    }
}

/// The ids of the events that a submission names.
fn ids_of(submission: &Submission) -> Vec<EventId> {
    match &submission.peer {
        Some(batch) => batch.events.iter().map(|event| event.id).collect(),
        None => submission.ids.clone(),
    }
}

/// Refuses types that the graph does not know, if the rules are strict. The sender of a webhook
/// cannot correct it, so there they are taken out and reported, and the rest takes effect.
fn take_unknown(
    rules: &Rules,
    who: &Principal,
    submission: &mut Submission,
) -> Result<Vec<String>, SubmitError> {
    if !rules.is_strict() || submission.peer.is_some() {
        return Ok(vec![]);
    }
    let unknown = rules.unknown_types(&submission.selectors);
    if unknown.is_empty() {
        return Ok(vec![]);
    }
    if submission.source != Source::Webhook {
        return Err(SubmitError::UnknownTypes(unknown));
    }
    rules.take_out_unknown(submission);
    let text = unknown_text(&unknown);
    if !submission.selectors.is_empty() {
        log::unknown(&text, &who.name);
    }
    Ok(vec![text])
}

/// Drops the cascade of a peer whose graph equals ours: ours is the same.
fn compare_graphs(rules: &Rules, submission: &mut Submission) {
    let Some(batch) = &mut submission.peer else { return };
    if batch.graph == rules.graph().hash() {
        batch.cascade = Selectors::default();
        return;
    }
    log::other_graph(&batch.origin);
}
