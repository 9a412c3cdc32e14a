//! THE invalidation path. It reads like the specification:
//!
//! submission -> gate -> invalidation -> resolve -> plan -> store.apply -> applied ->
//! journal.append -> event, the answer. Announcing and delivering read the journal at their own
//! pace; nothing here waits for a listener or a peer.
//!
//! A submission that was begun is finished even where its caller hangs up, so that store, journal
//! and log never disagree.

mod log;

use std::sync::Arc;
use std::time::Instant;

use crate::announce::Hub;
use crate::deliver::{Caller, Delivery};
use crate::domain::scope::LocalReason;
use crate::domain::{
    Applied, Demand, Event, EventId, Invalidation, Mode, Plan, Principal, Scope, Selectors, Source,
    Submission, TypeName,
};
use crate::gate::{Admission, Gate, Known};
use crate::journal::{Journal, NotReset, WriteRefusal};
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
    /// Who may, how often, seen before.
    pub gate: Arc<Gate>,
    /// The cache.
    pub store: Memory,
    /// The durable log.
    pub journal: Journal,
    /// To mirrors.
    pub delivery: Delivery,
    /// To listeners.
    pub hub: Hub,
}

/// What became of a submission.
#[derive(Debug)]
pub enum SubmitOutcome {
    /// It had its effect.
    Applied(Box<SubmitReport>),
    /// All of it was done here before under the same ids. The store was cleared of it again; nobody
    /// is told a second time.
    Duplicate(Applied),
    /// Nothing that changed matters to what was named; the caller is told so.
    Unaffected(Vec<String>),
}

/// The facts of one application.
#[derive(Debug)]
pub struct SubmitReport {
    /// The event as the journal has it.
    pub event: Arc<Event>,
    /// What the store did.
    pub applied: Applied,
    /// What the caller should be told.
    pub warnings: Vec<String>,
    /// Where it stands at each mirror; empty for local scope.
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

impl Pipeline {
    /// Takes a submission all the way; finished even if the caller stops waiting.
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
        // A second copy of an event must wait for the first one's disk before it is called known.
        let mut flight = self.gate.flights.enter(ids_of(&submission)).await;
        let caller = Caller::of(&who, &submission);
        let cleared = self.rules.with(|rules| self.clear(rules, who, submission))?;
        let (plan, applied) = match cleared {
            Ok(cleared) => cleared,
            Err(done) => return Ok(done),
        };
        let (event, wall, mut warnings) = plan.into_event(clock::wall_ms());
        if let Some(caller) = caller {
            warnings.extend(self.delivery.arrived(&caller, &event));
        }
        // A mirror may be sent it, and send it back, before the caller has its answer.
        flight.add(event.id);
        let (event, is_degraded) = self.record(event).await?;
        drop(flight);
        log::applied(&event, wall, &applied, is_degraded);
        let mirrors = self.outcomes(&event);
        let report = SubmitReport { event, applied, warnings, mirrors, is_degraded };
        Ok(SubmitOutcome::Applied(Box::new(report)))
    }

    /// From the gate to the cleared store under one set of rules, which cannot be exchanged
    /// meanwhile; or what became of it where there was nothing to clear.
    fn clear(
        &self,
        rules: &Rules,
        who: Principal,
        mut submission: Submission,
    ) -> Result<Result<(Plan, Applied), SubmitOutcome>, SubmitError> {
        compare_graphs(rules, &mut submission);
        Ok(match self.plan(rules, who, submission)? {
            Planned::Fresh(mut plan) => {
                let applied = self.store.apply(&plan.total());
                self.advise(&mut plan.invalidation);
                Ok((*plan, applied))
            }
            Planned::Repeated(plan) => {
                let applied = self.store.apply(&plan.total());
                log::repeated(&plan.invalidation, &applied);
                Err(SubmitOutcome::Duplicate(applied))
            }
            Planned::Unaffected(warnings) => Err(SubmitOutcome::Unaffected(warnings)),
        })
    }

    /// What is to be done, under these rules.
    fn plan(
        &self,
        rules: &Rules,
        who: Principal,
        mut submission: Submission,
    ) -> Result<Planned, SubmitError> {
        let mut warnings = take_unknown(rules, &who, &mut submission)?;
        let left_out = rules.leave_out(&mut submission);
        warnings.extend(left_out.iter().map(resolve::left_out_text));
        if submission.selectors.is_empty() && !warnings.is_empty() {
            return Ok(Planned::Unaffected(warnings));
        }
        let known = KnownEvents { pipeline: self, rules };
        Ok(match self.gate.admit(submission, who, &self.instance, &known) {
            Admission::Duplicate(again) => Planned::Repeated(Box::new(rules.resolve(*again))),
            Admission::Fresh(mut invalidation) => {
                invalidation.warnings.extend(warnings);
                Planned::Fresh(Box::new(rules.resolve(*invalidation)))
            }
        })
    }

    /// Tells a caller what would have been better; peers merge by themselves, and nobody calls for
    /// the clock.
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

    /// Clears the store, and nothing else: of what came again and was told to everybody before.
    pub fn clear_again(&self, asked: &Demand) -> Applied {
        self.rules.with(|rules| self.store.apply(&rules.total(asked)))
    }

    /// Clears the store again for what was asked before, as it would be cleared now, and nothing
    /// else.
    ///
    /// # Errors
    /// [`SubmitError::UnknownTypes`].
    pub fn repeat(&self, who: Principal, mut submission: Submission) -> Result<(), SubmitError> {
        self.rules.with(|rules| {
            compare_graphs(rules, &mut submission);
            if let Planned::Fresh(plan) | Planned::Repeated(plan) =
                self.plan(rules, who, submission)?
            {
                self.store.apply(&plan.total());
            }
            Ok(())
        })
    }

    /// Goes on under other rules. Invalidations are cleared under the old or the new ones, never
    /// under some of each. Where a name means another type than before, everything stored is
    /// cleared with the exchange: entries lie under the meaning of their time, and an invalidation
    /// under the new one would not find them. Says whether that was so.
    pub fn adopt_rules(&self, rules: Rules) -> bool {
        self.rules.exchange(rules, |old, new| {
            let is_cleared = !old.means_as(new);
            if is_cleared {
                self.store.apply(&Demand::new(Mode::Hard, Selectors::all()));
            }
            is_cleared
        })
    }

    /// What a submission would do: the same steps, stopped after the plan.
    ///
    /// # Errors
    /// [`SubmitError::UnknownTypes`].
    pub fn preview(
        &self,
        who: Principal,
        submission: Submission,
    ) -> Result<SubmitOutcome, SubmitError> {
        let plan = match self.plan(&self.rules.get(), who, submission)? {
            Planned::Fresh(plan) => *plan,
            Planned::Repeated(plan) => {
                return Ok(SubmitOutcome::Duplicate(self.store.estimate(&plan.total())));
            }
            Planned::Unaffected(warnings) => return Ok(SubmitOutcome::Unaffected(warnings)),
        };
        let applied = self.store.estimate(&plan.total());
        let (event, _, warnings) = plan.into_event(clock::wall_ms());
        let mirrors = self.outcomes(&event);
        let report =
            SubmitReport { event: event.into(), applied, warnings, mirrors, is_degraded: false };
        Ok(SubmitOutcome::Applied(Box::new(report)))
    }

    /// Sets the versions to 0 and the last clear to now; gives the version before and the time.
    /// Listeners are told to fetch anew: one that compares versions would wait for a number that
    /// does not come. Nothing is cleared, and mirrors count for themselves.
    ///
    /// # Errors
    /// [`NotReset`]; everything is then as it was.
    pub async fn reset_versions(&self, who: &Principal) -> Result<(u64, u64), NotReset> {
        let at_ms = clock::wall_ms();
        let before = self.journal.reset_versions(at_ms).await?;
        self.hub.resync("version reset");
        log::reset(&who.name);
        Ok((before, at_ms))
    }

    /// Makes the event durable. The flag says whether only the slot holds it.
    async fn record(&self, event: Event) -> Result<(Arc<Event>, bool), SubmitError> {
        let (event, is_degraded) = match self.journal.append(event).await {
            Ok(event) => (event, false),
            Err(WriteRefusal::Degraded(event)) => (event, true),
            Err(WriteRefusal::Lost(event)) => {
                self.gate.flights.lost(event.known_ids());
                log::lost(&self.journal);
                return Err(SubmitError::NotDurable);
            }
            Err(WriteRefusal::Closed) => return Err(SubmitError::Stopping),
        };
        self.gate.flights.landed();
        if is_degraded {
            log::degraded(&self.journal);
        }
        Ok((event, is_degraded))
    }

    /// Where it stands at each mirror.
    fn outcomes(&self, event: &Event) -> Vec<DeliveryOutcome> {
        match event.scope {
            Scope::Mirrored => self.delivery.outcomes(event),
            Scope::Local => vec![],
        }
    }
}

/// What is to be done with a submission.
enum Planned {
    Fresh(Box<Plan>),
    /// Everything was done before; only the store is cleared again.
    Repeated(Box<Plan>),
    Unaffected(Vec<String>),
}

/// What the journal knows of events, under one set of rules.
struct KnownEvents<'a> {
    pipeline: &'a Pipeline,
    rules: &'a Rules,
}

impl Known for KnownEvents<'_> {
    fn has(&self, id: EventId) -> bool {
        self.pipeline.journal.event(id).is_some()
    }

    fn covers(&self, ids: &[EventId], asked: &Demand) -> bool {
        let is_lost = |id: &EventId| self.pipeline.gate.flights.is_lost(*id);
        !ids.iter().any(is_lost)
            && self.pipeline.journal.has_done(ids, &self.rules.canonical_demand(asked))
    }
}

/// The ids of the events that a submission is said to be.
fn ids_of(submission: &Submission) -> Vec<EventId> {
    match &submission.peer {
        Some(batch) => batch.events.iter().map(|told| told.id).collect(),
        None => submission.ids.clone(),
    }
}

/// Refuses types that the graph does not know, where it must. The sender of a webhook can mend
/// nothing: there they are taken out and named, and the rest has its effect.
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

/// Where a peer's graph is ours, its cascade is ours too and need not be joined.
fn compare_graphs(rules: &Rules, submission: &mut Submission) {
    let Some(batch) = &mut submission.peer else { return };
    if batch.graph == rules.graph().hash() {
        batch.cascade = Selectors::default();
        return;
    }
    log::other_graph(&batch.origin);
}
