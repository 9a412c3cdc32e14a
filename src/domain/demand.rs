//! Hard and soft selectors together: what must be cleared, or still be sent.
//!
//! A demand is a product of two semilattices, so it is one itself: joining demands in any order
//! covers every one of them. Hard wins: what is demanded hard is not kept as soft as well.

use std::fmt;

use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::{Mode, Selectors};

/// Selectors by mode.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Demand {
    /// To be gone now.
    #[serde(skip_serializing_if = "Selectors::is_empty")]
    pub hard: Selectors,
    /// To be stale, but servable while one refresh runs.
    #[serde(skip_serializing_if = "Selectors::is_empty")]
    pub soft: Selectors,
}

/// Parsing is lenient for newer versions: an unknown mode demands everything.
impl<'de> Deserialize<'de> for Demand {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_map(Modes)
    }
}

struct Modes;

impl<'de> Visitor<'de> for Modes {
    type Value = Demand;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("selectors by mode")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut modes: A) -> Result<Demand, A::Error> {
        let mut demand = Demand::default();
        while let Some(mode) = modes.next_key::<String>()? {
            match mode.as_str() {
                "hard" => demand.hard.join(&modes.next_value()?),
                "soft" => demand.soft.join(&modes.next_value()?),
                _ => {
                    modes.next_value::<IgnoredAny>()?;
                    demand.hard = Selectors::all();
                }
            }
        }
        Ok(demand)
    }
}

impl Demand {
    /// A demand of one mode.
    pub fn new(mode: Mode, selectors: Selectors) -> Self {
        match mode {
            Mode::Hard => Self { hard: selectors, soft: Selectors::default() },
            Mode::Soft => Self { hard: Selectors::default(), soft: selectors },
        }
    }

    /// Whether nothing is demanded.
    pub fn is_empty(&self) -> bool {
        self.hard.is_empty() && self.soft.is_empty()
    }

    /// The least upper bound, in place.
    pub fn join(&mut self, other: &Demand) {
        if other.is_empty() {
            return;
        }
        self.hard.join(&other.hard);
        self.soft.join(&other.soft);
        self.let_hard_win();
    }

    /// Drops soft selectors that the hard ones cover.
    fn let_hard_win(&mut self) {
        if !self.soft.is_empty() && !self.hard.is_empty() {
            let hard = &self.hard;
            self.soft = self.soft.iter().filter(|one| !hard.covers_one(one)).collect();
        }
    }

    /// The order: whether clearing `self` clears everything in `other`.
    pub fn covers(&self, other: &Demand) -> bool {
        self.hard.covers(&other.hard)
            && other.soft.iter().all(|one| self.hard.covers_one(&one) || self.soft.covers_one(&one))
    }

    /// Both modes as one union, for destinations without modes.
    pub fn selectors(&self) -> Selectors {
        let mut union = self.hard.clone();
        union.join(&self.soft);
        union
    }

    /// How many single selectors it holds.
    pub fn members(&self) -> usize {
        self.hard.members() + self.soft.members()
    }

    /// Widens until at most `members_max` selectors are left in each mode; returns whether it
    /// changed anything.
    pub fn widen_to(&mut self, members_max: usize) -> bool {
        let hard = self.hard.widen_to(members_max);
        let soft = self.soft.widen_to(members_max);
        if hard || soft {
            self.let_hard_win();
        }
        hard || soft
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Selector;
    use proptest::prelude::*;

    fn demand() -> impl Strategy<Value = Demand> {
        let one = || {
            prop::sample::select(vec!["a", "b", "c", "/a", "/b*"]).prop_map(|text| {
                Selector::path(text).unwrap_or_else(|_| {
                    Selector::Tag(crate::domain::Label::parse(text).expect("label"))
                })
            })
        };
        let union = move || prop::collection::vec(one(), 0..4).prop_map(Selectors::from_iter);
        (union(), union()).prop_map(|(hard, soft)| {
            let mut demand = Demand::new(Mode::Hard, hard);
            demand.join(&Demand::new(Mode::Soft, soft));
            demand
        })
    }

    #[test]
    fn a_mode_that_is_not_known_demands_everything() {
        for (json, expected) in [
            (r#"{"hard":{"types":["a"]},"soft":{"tags":["t"]}}"#, ("a", "tag:t")),
            (r#"{"hard":{"types":["a"]},"hard":{"types":["b"]}}"#, ("a,b", "")),
            (r#"{"firm":{"types":["a"]}}"#, ("all", "")),
            (r#"{"hard":{"types":["a"]},"firm":7}"#, ("all", "")),
            ("{}", ("", "")),
        ] {
            let read: Demand = serde_json::from_str(json).expect(json);
            assert_eq!((&*read.hard.to_string(), &*read.soft.to_string()), expected, "{json}");
        }
        assert!(serde_json::from_str::<Demand>("[]").is_err());
    }

    proptest! {
        #[test]
        fn a_demand_is_a_semilattice(a in demand(), b in demand(), c in demand()) {
            let joined = |x: &Demand, y: &Demand| { let mut z = x.clone(); z.join(y); z };
            prop_assert_eq!(joined(&a, &b), joined(&b, &a));
            prop_assert_eq!(joined(&joined(&a, &b), &c), joined(&a, &joined(&b, &c)));
            prop_assert_eq!(joined(&a, &a), a.clone());
            prop_assert_eq!(a.covers(&b), joined(&a, &b) == a);
        }

        #[test]
        fn widening_a_demand_never_uncovers(a in demand(), limit in 0_usize..3) {
            let mut wide = a.clone();
            wide.widen_to(limit);
            prop_assert!(wide.covers(&a));
        }
    }
}
