//! What of a submission is new, under which id it goes, and how far.

use super::*;
use crate::domain::submission::PeerEvent;
use crate::domain::{Mode, Role, Scope, Selector, Source, TypeName};

fn whole(name: &str) -> Selectors {
    Selectors::one(Selector::Type(TypeName::parse(name).expect("type")))
}

fn who(role: Role) -> Principal {
    Principal { name: "ann@x.example".into(), role }
}

fn submission(selectors: Selectors) -> Submission {
    Submission {
        action: Action::Delete,
        reason: Some("why".into()),
        changed: vec!["title".into()],
        ..Submission::new(selectors, Source::Api)
    }
}

fn event_of(name: &str) -> PeerEvent {
    PeerEvent {
        id: EventId::fresh(),
        selectors: whole(name),
        mode: Mode::Hard,
        action: Action::Delete,
        changed: vec!["slug".into()],
        fields: [("slug".to_owned(), name.to_owned())].into(),
        routes: vec![],
    }
}

fn batch(events: Vec<PeerEvent>) -> PeerBatch {
    PeerBatch {
        origin: "b".into(),
        events,
        merged: Demand::default(),
        cascade: whole("feed"),
        graph: "other".into(),
    }
}

fn from_peer(batch: PeerBatch) -> Submission {
    Submission { source: Source::Mirror, peer: Some(batch), ..submission(Selectors::default()) }
}

/// Some known ids, and whether what was done under them covers whatever is asked.
struct Remembers(Vec<EventId>, bool);

impl Remembers {
    fn part(&self, ids: &[EventId]) -> KnownPart {
        match ids.iter().filter(|id| self.0.contains(id)).count() {
            0 => KnownPart::Nothing,
            count if self.1 && count == ids.len() => KnownPart::All,
            _ => KnownPart::Part,
        }
    }

    fn admit(&self, role: Role, submission: Submission) -> Progress<Box<Invalidation>> {
        let known = match &submission.peer {
            Some(batch) => batch.events.iter().map(|event| self.part(&[event.id])).collect(),
            None => vec![self.part(&submission.ids)],
        };
        admit(submission, who(role), "here", &known)
    }
}

const NOTHING: Remembers = Remembers(vec![], true);

fn fresh(role: Role, submission: Submission) -> Invalidation {
    fresh_with(&NOTHING, role, submission)
}

fn fresh_with(known: &Remembers, role: Role, submission: Submission) -> Invalidation {
    match known.admit(role, submission) {
        Progress::New(invalidation) => *invalidation,
        Progress::Repeated(again) => panic!("it is new: {again:?}"),
        Progress::Unaffected(why) => panic!("it clears something: {why:?}"),
    }
}

/// What the store is cleared of again, where there is nothing new.
fn repeated(known: &Remembers, submission: Submission) -> Demand {
    match known.admit(Role::Service, submission) {
        Progress::Repeated(again) => again.again,
        Progress::New(new) => panic!("it is no news: {new:?}"),
        Progress::Unaffected(why) => panic!("it clears something: {why:?}"),
    }
}

/// Wall 1 and 2: credential first, mark second, body last; S3 3.7.
#[test]
fn the_scope_is_decided_by_credential_then_mark_then_body() {
    use Scope::{Local, Mirrored};
    for (role, is_marked, mirror, expected, is_warned) in [
        (Role::Service, false, None, Local, false),
        (Role::Service, false, Some(true), Local, true),
        (Role::Service, false, Some(false), Local, false),
        (Role::Admin, true, Some(true), Local, true),
        (Role::AdminToken, true, None, Local, false),
        (Role::Editor, false, Some(false), Local, false),
        (Role::Editor, false, None, Mirrored, false),
        (Role::AdminToken, false, Some(true), Mirrored, false),
    ] {
        let asked = Submission { is_marked, mirror, ..submission(whole("posts")) };
        let admitted = fresh(role, asked);
        let case = format!("{role:?} marked={is_marked} mirror={mirror:?}");
        assert_eq!(admitted.scope, expected, "{case}");
        assert_eq!(!admitted.warnings.is_empty(), is_warned, "{case}: {:?}", admitted.warnings);
    }
}

#[test]
fn a_users_invalidation_keeps_its_description() {
    let admitted = fresh(Role::Editor, submission(whole("posts")));
    assert_eq!(admitted.demand, Demand::new(Mode::Hard, whole("posts")));
    assert_eq!((admitted.origin.as_str(), admitted.action), ("here", Action::Delete));
    assert_eq!(admitted.reason.as_deref(), Some("why"));
    assert_eq!(admitted.changed, ["title"]);
    assert!(admitted.covers.is_empty() && admitted.foreign_cascade.is_empty());
}

/// A batch is local for every sender and keeps its origin; a single event keeps its id.
#[test]
fn a_single_event_keeps_its_id_everywhere() {
    let event = event_of("posts");
    let id = event.id;
    let admitted = fresh(Role::AdminToken, from_peer(batch(vec![event])));
    assert_eq!(admitted.id, id);
    assert_eq!((admitted.scope, admitted.origin.as_str()), (Scope::Local, "b"));
    assert_eq!((admitted.covers, admitted.action), (vec![id], Action::Delete));
    assert_eq!(admitted.foreign_cascade, whole("feed"));
    assert_eq!(admitted.changed, ["slug"]);
    assert_eq!(admitted.fields["slug"], "posts");
}

#[test]
fn several_events_become_one_that_names_them() {
    let soft = PeerEvent { mode: Mode::Soft, action: Action::Create, ..event_of("pages") };
    let events = vec![event_of("posts"), soft];
    let ids: Vec<EventId> = events.iter().map(|event| event.id).collect();
    let admitted = fresh(Role::Service, from_peer(batch(events)));
    assert!(!ids.contains(&admitted.id));
    assert_eq!(admitted.covers, ids);
    assert_eq!(admitted.demand, Demand { hard: whole("posts"), soft: whole("pages") });
    assert_eq!(admitted.action, Action::Update, "there is no one action");
    assert!(admitted.changed.is_empty() && admitted.fields.is_empty(), "nor one slug");
}

/// S3 3.7, invariant I12: what was done is not sent again, and still cleared again here.
#[test]
fn known_events_of_a_batch_are_for_the_store_alone() {
    let (old, new) = (event_of("posts"), event_of("pages"));
    let known = Remembers(vec![old.id], true);
    let both = || from_peer(batch(vec![old.clone(), new.clone()]));
    let admitted = fresh_with(&known, Role::Service, both());
    assert_eq!(admitted.covers, [new.id]);
    assert_eq!(admitted.demand.hard, whole("pages"));
    assert_eq!(admitted.again.hard, whole("posts"));
    let known = Remembers(vec![old.id, new.id], true);
    let again = repeated(&known, both());
    assert!(again.hard.covers(&whole("posts")) && again.hard.covers(&whole("pages")));
    assert!(repeated(&known, from_peer(batch(vec![]))).is_empty());
}

/// What was merged past naming cannot be recognised, so it always has its effect.
#[test]
fn the_merged_part_is_never_a_duplicate() {
    let event = event_of("posts");
    let known = Remembers(vec![event.id], true);
    let merged = Demand::new(Mode::Soft, Selectors::all());
    let both = PeerBatch { merged: merged.clone(), ..batch(vec![event.clone()]) };
    let admitted = fresh_with(&known, Role::Service, from_peer(both));
    assert_eq!(admitted.demand, merged);
    let new = event_of("pages");
    let both = PeerBatch { merged, ..batch(vec![new.clone()]) };
    let admitted = fresh(Role::Service, from_peer(both));
    assert_ne!(admitted.id, new.id, "the id of a part is not the id of the whole");
}

/// A selector outside the batch is cleared like any other.
#[test]
fn selectors_outside_a_batch_are_not_lost() {
    let event = event_of("posts");
    let with_selectors = |event: PeerEvent| Submission {
        selectors: whole("pages"),
        ..from_peer(batch(vec![event]))
    };
    let admitted = fresh(Role::AdminToken, with_selectors(event.clone()));
    assert!(admitted.demand.hard.covers(&whole("pages")));
    assert!(admitted.demand.hard.covers(&whole("posts")));
    assert_ne!(admitted.id, event.id, "it is more than that event");
    let known = Remembers(vec![event.id], true);
    let admitted = fresh_with(&known, Role::AdminToken, with_selectors(event));
    assert_eq!(admitted.demand.hard, whole("pages"));
}

/// A ring of gateways that call each other's routes comes to rest: see `docs/PROTOCOL.md`.
#[test]
fn a_call_that_names_its_events_has_one_effect_and_one_that_does_not_ends_here() {
    let id = EventId::fresh();
    let named = || Submission { is_marked: true, ids: vec![id], ..submission(whole("posts")) };
    let first = fresh(Role::Editor, named());
    assert_eq!((first.id, first.scope, first.ends_here), (id, Scope::Local, false));
    assert_eq!(repeated(&Remembers(first.covers, true), named()).hard, whole("posts"));

    let nameless = Submission { is_marked: true, ..submission(whole("posts")) };
    let last = fresh(Role::Editor, nameless);
    assert_eq!((last.scope, last.ends_here), (Scope::Local, true));
}

/// A part of an event that is new here is recorded under an id of its own, so that the journal
/// holds both parts. A part that came before has no effect.
#[test]
fn a_known_id_is_no_reason_to_drop_a_part_that_is_not_known() {
    let event = event_of("a");
    let by_id = Submission { ids: vec![event.id], ..submission(whole("posts")) };
    let by_batch = from_peer(batch(vec![event.clone()]));
    let known = |is_covered| Remembers(vec![event.id], is_covered);
    assert_eq!(repeated(&known(true), by_id.clone()).hard, whole("posts"));
    assert_eq!(repeated(&known(true), by_batch.clone()).hard, whole("a"));
    for part in [by_id, by_batch] {
        let part = fresh_with(&known(false), Role::Editor, part);
        assert_eq!((part.scope, &part.covers[..]), (Scope::Local, &[event.id][..]));
        assert_ne!(part.id, event.id);
    }
}

/// A call that names several events is a repetition only where all of them are known.
#[test]
fn one_unknown_event_makes_the_call_new() {
    let (old, new) = (EventId::fresh(), EventId::fresh());
    let asked = Submission { ids: vec![old, new], ..submission(whole("posts")) };
    let known = Remembers(vec![old], true);
    let admitted = fresh_with(&known, Role::Editor, asked);
    assert_eq!((admitted.demand.hard, admitted.covers), (whole("posts"), vec![old, new]));
}
