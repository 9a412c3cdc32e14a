//! One request on its way to a handler.
//! What a handler may know of it; connection, guard and table are behind it already.

use std::collections::HashSet;

use hyper::HeaderMap;
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;

use super::line::Line;
use super::respond::Problem;
use crate::deliver::{EVENT_IDS, VIA};
use crate::domain::{EventId, Principal, Role};
use crate::gate::ClientAddress;
use crate::support::nearest;

/// Letters that may differ before a name is no longer called "nearest".
const NEAREST_DISTANCE_MAX: usize = 2;

/// A request that passed the guard and the table.
pub struct ControlCall {
    /// The raw query, where there is one.
    pub query: Option<String>,
    /// The value captured by the route's `{...}`, percent-decoded once.
    pub param: String,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body, unread.
    pub body: Incoming,
    /// The address to judge by.
    pub address: ClientAddress,
    /// Who asks; `None` on open routes without credentials.
    pub who: Option<Principal>,
    /// The connection it came on.
    pub line: Line,
    /// That connection once its protocol has changed; `None` where no change was asked for.
    pub upgrade: Option<OnUpgrade>,
}

impl ControlCall {
    /// The principal of a route that needs one. Open routes ask as nobody, who may do nothing.
    pub fn principal(&self) -> Principal {
        self.who.clone().unwrap_or(Principal { name: "anonymous".into(), role: Role::Service })
    }

    /// The first value of a query parameter, decoded.
    pub fn query(&self, name: &str) -> Option<String> {
        self.pairs().find(|(key, _)| key == name).map(|(_, value)| value)
    }

    /// Every query parameter, decoded, in order.
    pub fn pairs(&self) -> impl Iterator<Item = (String, String)> {
        let query = self.query.as_deref().unwrap_or_default();
        let pairs: Vec<_> = url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        pairs.into_iter()
    }

    /// Refuses query parameters that the route does not know, and those given twice. A peer may
    /// know more than we do, and is never refused.
    ///
    /// # Errors
    /// 400 with the nearest known name.
    pub fn takes_only(&self, known: &[&str]) -> Result<(), Problem> {
        self.takes(known, &[])
    }

    /// The same where some parameters may come several times.
    ///
    /// # Errors
    /// As [`ControlCall::takes_only`].
    pub fn takes(&self, once: &[&str], often: &[&str]) -> Result<(), Problem> {
        if self.who.as_ref().is_some_and(|who| who.role == Role::Service) {
            return Ok(());
        }
        match self.stray(once, often) {
            None => Ok(()),
            Some((code, problem)) => Err(Problem::bad_request(code, problem)),
        }
    }

    /// Refuses a query, apart from `_`, which clients add so that nothing answers from a cache.
    ///
    /// # Errors
    /// 400 with the first name.
    pub fn takes_no_query(&self) -> Result<(), Problem> {
        match self.pairs().find(|(name, _)| name != "_") {
            None => Ok(()),
            Some((name, _)) => Err(Problem::bad_request("unknown_parameter", unknown(&name, &[]))),
        }
    }

    /// Refuses query parameters that are almost one of these. Others are passed over.
    ///
    /// # Errors
    /// 400 with the name that is meant.
    pub fn takes_no_slips(&self, known: &[&str]) -> Result<(), Problem> {
        let is_slip = |name: &String| {
            let folded = name.to_lowercase();
            let near = nearest::nearest(&folded, known.iter().copied(), NEAREST_DISTANCE_MAX);
            !known.contains(&name.as_str()) && near.is_some()
        };
        match self.pairs().map(|(name, _)| name).find(is_slip) {
            None => Ok(()),
            Some(name) => Err(Problem::bad_request("unknown_parameter", unknown(&name, known))),
        }
    }

    /// The first query parameter that is not known, or was given twice: a code and what is wrong.
    pub fn stray(&self, once: &[&str], often: &[&str]) -> Option<(&'static str, String)> {
        let mut seen = HashSet::new();
        self.pairs().find_map(|(name, _)| {
            if often.contains(&name.as_str()) {
                None
            } else if !once.contains(&name.as_str()) {
                Some(("unknown_parameter", unknown(&name, &[once, often].concat())))
            } else if seen.insert(name.clone()) {
                None
            } else {
                Some(("repeated_parameter", format!("{name:?} was given twice")))
            }
        })
    }

    /// Whether a gateway's mark is on it, whether or not it can be read.
    pub fn is_marked(&self) -> bool {
        self.headers.contains_key(VIA) || self.headers.contains_key(&EVENT_IDS)
    }

    /// The events that a gateway said this is about; none where one of them cannot be read: a call
    /// about an event that nobody can tell must not pass for one about known events alone.
    pub fn event_ids(&self) -> Vec<EventId> {
        event_ids(&self.headers)
    }

    /// A header as text; one that is no text counts as absent.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

fn unknown(name: &str, known: &[&str]) -> String {
    let folded = name.to_lowercase();
    let name = nearest::shown(name);
    match nearest::nearest(&folded, known.iter().copied(), NEAREST_DISTANCE_MAX) {
        Some(nearest) => format!("unknown {name}; did you mean {nearest:?}?"),
        None if known.is_empty() => format!("unknown {name}: the query means nothing here"),
        None => format!("unknown {name}; known are {}", known.join(", ")),
    }
}

/// All of several headers are one list, and empty members mean nothing (RFC 9110 section 5.6.1).
fn event_ids(headers: &HeaderMap) -> Vec<EventId> {
    let mut ids = Vec::new();
    for line in headers.get_all(EVENT_IDS) {
        let Ok(line) = line.to_str() else { return vec![] };
        for text in line.split(',').map(str::trim).filter(|text| !text.is_empty()) {
            let Some(id) = EventId::parse(text) else { return vec![] };
            ids.push(id);
        }
    }
    ids
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    #[test]
    fn the_events_of_a_call_are_all_that_its_headers_name_or_none() {
        let (one, other) = (EventId::fresh(), EventId::fresh());
        for (lines, expected) in [
            (vec![format!("{one}")], vec![one]),
            (vec![format!("{one},")], vec![one]),
            (vec![format!(" {one} ,, {other}")], vec![one, other]),
            (vec![format!("{one}"), format!("{other}")], vec![one, other]),
            (vec![format!("{one}"), "x".into()], vec![]),
            (vec![format!("{one},x")], vec![]),
            (vec![format!("{one}"), "é".into()], vec![]),
            (vec![",".into()], vec![]),
            (vec![], vec![]),
        ] {
            let value = |line: &String| HeaderValue::from_bytes(line.as_bytes()).expect("a value");
            let headers = lines.iter().map(|line| (EVENT_IDS, value(line))).collect();
            assert_eq!(event_ids(&headers), expected, "{lines:?}");
        }
    }
}
