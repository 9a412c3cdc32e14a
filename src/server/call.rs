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
        self.headers.contains_key(VIA)
    }

    /// The events that a gateway said this is about; none where one of them is no id.
    pub fn event_ids(&self) -> Vec<EventId> {
        let ids = self.header(EVENT_IDS.as_str()).unwrap_or_default();
        let ids: Option<Vec<_>> = ids.split(',').map(|id| EventId::parse(id.trim())).collect();
        ids.unwrap_or_default()
    }

    /// A header as text; one that is no text counts as absent.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}
