//! Advice to callers that clear more than needed: many single calls instead of a batch, or
//! everything instead of a few ids. It refuses nothing and changes nothing.
//!
//! Calls of peers are not examined: peers merge by themselves. Memory is bounded by a number of
//! types; the caller passes the time.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::domain::{Demand, TypeName};

/// So many single events of one type within [`WINDOW`] should have been a batch.
const SINGLES: usize = 17;
const WINDOW: Duration = Duration::from_secs(1);
/// If ids were named this recently, the caller knows them.
const IDS_RECENT: Duration = Duration::from_mins(1);
/// Time between two log lines with the same advice.
const LOG_EVERY: Duration = Duration::from_mins(1);
/// How long advice is shown in the statistics.
const SHOWN: Duration = Duration::from_mins(10);
/// Types remembered; beyond it the ones without recent events are forgotten.
const TYPES_MAX: usize = 1024;
/// Advice for one event.
const ADVICE_MAX: usize = 8;
/// Advice remembered.
const ADVICE_KEPT_MAX: usize = 64;

/// One piece of advice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advised {
    /// What to do instead.
    pub text: String,
    /// Whether to log it: it was not logged recently.
    pub is_due: bool,
}

/// Recent calls, as far as advice needs them.
#[derive(Default)]
pub struct Advice(Mutex<AdviceState>);

#[derive(Default)]
struct AdviceState {
    types: HashMap<TypeName, TypeCalls>,
    logged: VecDeque<(Instant, String)>,
    shown: VecDeque<(Instant, String)>,
}

#[derive(Default)]
struct TypeCalls {
    singles: VecDeque<Instant>,
    id_named: Option<Instant>,
}

impl Advice {
    /// Notes a demand in canonical names, and returns advice on it.
    pub fn look(&self, demand: &Demand, now: Instant) -> Vec<Advised> {
        let mut state = self.0.lock();
        state.forget_old_types(now);
        let mut texts = Vec::new();
        let parts = [&demand.hard, &demand.soft];
        if parts.iter().any(|part| part.is_all())
            && let Some(name) = state.latest_with_ids(now)
        {
            texts.push(format!(
                "everything was cleared, though ids of {name} were named in the last minute: name \
                 what changed"
            ));
        }
        for name in parts.iter().flat_map(|part| part.types()) {
            if texts.len() >= ADVICE_MAX {
                break;
            }
            if state.types.get(name).is_some_and(|seen| seen.has_ids(now)) {
                texts.push(format!(
                    "all of {name} was cleared, though its ids were named in the last minute: name \
                     the ids"
                ));
            }
        }
        let is_single = demand.members() == 1;
        for name in parts.iter().flat_map(|part| part.named_types()) {
            let has_id = parts.iter().any(|part| part.ids().contains_key(name));
            let count = state.note(name, is_single, has_id, now);
            if is_single && count >= SINGLES {
                texts.push(format!(
                    "{count} single events of {name} within a second: send them as one batch \
                     (items, or ids)"
                ));
            }
        }
        texts.into_iter().map(|text| state.advise(text, now)).collect()
    }

    /// Recent advice, newest first, each text once.
    pub fn recent(&self, now: Instant) -> Vec<String> {
        let state = self.0.lock();
        let recent = state.shown.iter().rev().filter(|(at, _)| now.duration_since(*at) < SHOWN);
        recent.map(|(_, text)| text.clone()).collect()
    }
}

impl AdviceState {
    /// Forgets types without recent events. Called once for each event, because it scans all types.
    fn forget_old_types(&mut self, now: Instant) {
        if self.types.len() >= TYPES_MAX {
            self.types.retain(|_, seen| seen.is_recent(now));
        }
    }

    /// Notes that a type was named. Returns how many single events it had within the window.
    fn note(&mut self, name: &TypeName, is_single: bool, has_id: bool, now: Instant) -> usize {
        if self.types.len() >= TYPES_MAX && !self.types.contains_key(name) {
            return 0;
        }
        let seen = self.types.entry(name.clone()).or_default();
        if has_id {
            seen.id_named = Some(now);
        }
        while seen.singles.front().is_some_and(|at| now.duration_since(*at) >= WINDOW) {
            seen.singles.pop_front();
        }
        if is_single {
            // More than SINGLES are never needed.
            if seen.singles.len() == SINGLES {
                seen.singles.pop_front();
            }
            seen.singles.push_back(now);
        }
        seen.singles.len()
    }

    fn latest_with_ids(&self, now: Instant) -> Option<&TypeName> {
        let with_ids = self.types.iter().filter(|(_, seen)| seen.has_ids(now));
        with_ids.max_by_key(|(_, seen)| seen.id_named).map(|(name, _)| name)
    }

    fn advise(&mut self, text: String, now: Instant) -> Advised {
        self.logged.retain(|(at, _)| now.duration_since(*at) < LOG_EVERY);
        let is_due = !self.logged.iter().any(|(_, logged)| *logged == text);
        if is_due {
            keep(&mut self.logged, text.clone(), now);
        }
        match self.shown.back_mut() {
            // The usual case in a loop of calls: keep it fast.
            Some((at, shown)) if *shown == text => *at = now,
            _ => {
                self.shown.retain(|(_, shown)| *shown != text);
                keep(&mut self.shown, text.clone(), now);
            }
        }
        Advised { text, is_due }
    }
}

fn keep(list: &mut VecDeque<(Instant, String)>, text: String, now: Instant) {
    if list.len() == ADVICE_KEPT_MAX {
        list.pop_front();
    }
    list.push_back((now, text));
}

impl TypeCalls {
    fn is_recent(&self, now: Instant) -> bool {
        self.has_ids(now) || self.singles.back().is_some_and(|at| now.duration_since(*at) < WINDOW)
    }

    fn has_ids(&self, now: Instant) -> bool {
        self.id_named.is_some_and(|at| now.duration_since(at) < IDS_RECENT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Label, Mode, Selector, Selectors};

    fn post(id: usize) -> Selector {
        let name = TypeName::parse("posts").expect("a type");
        Selector::Entity(name, Label::parse(&id.to_string()).expect("an id"))
    }

    fn posts() -> Selector {
        Selector::Type(TypeName::parse("posts").expect("a type"))
    }

    fn hard(selectors: impl IntoIterator<Item = Selector>) -> Demand {
        Demand::new(Mode::Hard, selectors.into_iter().collect::<Selectors>())
    }

    fn texts(advised: &[Advised]) -> Vec<&str> {
        advised.iter().map(|one| one.text.as_str()).collect()
    }

    /// S2 2.7: the 17th single event within a second, not the 16th, and not after the second.
    #[test]
    fn a_loop_of_single_calls_gets_the_advice_to_batch() {
        let (advice, start) = (Advice::default(), Instant::now());
        let step = Duration::from_millis(62);
        for at in 0..16_u32 {
            let found = advice.look(&hard([post(at as usize)]), start + step * at);
            assert_eq!(found, [], "{at}");
        }
        let found = advice.look(&hard([post(16)]), start + step * 16);
        assert!(texts(&found)[0].starts_with("17 single events of posts within a second"));
        assert!(found[0].is_due);
        let again = advice.look(&hard([post(17)]), start + step * 16);
        assert!(!again[0].is_due, "logged a moment ago");
        let slow = Advice::default();
        for at in 0..40_u32 {
            let found = slow.look(&hard([post(1)]), start + Duration::from_millis(63) * at);
            assert_eq!(found, [], "16 in any second are fine");
        }
    }

    #[test]
    fn a_batch_is_no_loop_and_types_are_counted_apart() {
        let (advice, now) = (Advice::default(), Instant::now());
        for at in 0..40 {
            assert_eq!(advice.look(&hard([post(at), post(at + 1)]), now), []);
            let other = TypeName::parse(&format!("type{at}")).expect("a type");
            assert_eq!(advice.look(&hard([Selector::Type(other)]), now), []);
        }
    }

    /// S2 2.7, 2.11: a broad clear of a type whose ids were just named.
    #[test]
    fn a_broad_clear_gets_the_advice_to_name_ids() {
        let (advice, start) = (Advice::default(), Instant::now());
        assert_eq!(advice.look(&hard([posts()]), start), [], "no id was named before");
        assert_eq!(advice.look(&hard([post(1)]), start), []);
        let later = start + Duration::from_secs(59);
        let found = advice.look(&hard([posts()]), later);
        assert!(texts(&found)[0].starts_with("all of posts was cleared"), "{found:?}");
        let found = advice.look(&Demand::new(Mode::Soft, Selectors::all()), later);
        assert!(texts(&found)[0].starts_with("everything was cleared, though ids of posts"));
        let late = start + Duration::from_secs(61);
        assert_eq!(advice.look(&hard([posts()]), late), []);
        assert_eq!(advice.look(&hard([Selector::All]), late), []);
    }

    #[test]
    fn advice_is_shown_once_and_for_a_while() {
        let (advice, start) = (Advice::default(), Instant::now());
        advice.look(&hard([post(1)]), start);
        for _ in 0..3 {
            advice.look(&hard([posts()]), start);
        }
        assert_eq!(advice.recent(start).len(), 1);
        assert_eq!(advice.recent(start + SHOWN), Vec::<String>::new());
        let later = start + LOG_EVERY;
        advice.look(&hard([post(1)]), later);
        assert!(
            advice.look(&hard([posts()]), later)[0].is_due,
            "a minute later it is logged again"
        );
    }

    #[test]
    fn memory_is_bounded() {
        let (advice, now) = (Advice::default(), Instant::now());
        for at in 0..3 * TYPES_MAX {
            let name = TypeName::parse(&format!("t{at}")).expect("a type");
            advice.look(&hard([Selector::Type(name)]), now);
        }
        assert_eq!(advice.0.lock().types.len(), TYPES_MAX);
        let later = now + IDS_RECENT;
        advice.look(&hard([posts()]), later);
        assert!(advice.0.lock().types.len() <= TYPES_MAX);
        for at in 0..3 * ADVICE_KEPT_MAX {
            advice.0.lock().advise(at.to_string(), later);
        }
        let state = advice.0.lock();
        assert_eq!((state.logged.len(), state.shown.len()), (ADVICE_KEPT_MAX, ADVICE_KEPT_MAX));
    }
}
