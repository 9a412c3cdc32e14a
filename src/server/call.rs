//! One request on its way to a handler.
//! What a handler may know of it; connection, guard and table are behind it already.

use std::net::IpAddr;

use hyper::HeaderMap;
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;

use super::line::Line;
use crate::deliver::{EVENT_IDS, VIA};
use crate::domain::{EventId, Principal, Role};

/// A request that passed the guard and the table.
pub struct Call {
    /// The raw query, where there is one.
    pub query: Option<String>,
    /// The value captured by the route's `{...}`, percent-decoded once.
    pub param: String,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body, unread.
    pub body: Incoming,
    /// Whom to judge by.
    pub address: IpAddr,
    /// Who asks; `None` on open routes without credentials.
    pub who: Option<Principal>,
    /// The connection it came on.
    pub line: Line,
    /// That connection once its protocol has changed; `None` where no change was asked for.
    pub upgrade: Option<OnUpgrade>,
}

impl Call {
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

    /// Whether a gateway's mark is on it.
    pub fn is_marked(&self) -> bool {
        self.headers.contains_key(VIA) || self.headers.contains_key(&EVENT_IDS)
    }

    /// The events that a gateway said this is about; none where one of them is no id.
    pub fn event_ids(&self) -> Vec<EventId> {
        event_ids(&self.headers)
    }

    /// A header as text; one that is no text counts as absent.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
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
