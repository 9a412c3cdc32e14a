//! From a submission to what is held for it: who could be the caller, and what everybody is told.
//!
//! What a gateway marked is not mirrored, so it goes round in no loop of gateways alone. It is sent
//! to sites and caches, though, and one that calls a gateway back may close a loop through several
//! gateways: so it is judged as well, for those. Nothing here refuses a submission.

use std::net::IpAddr;
use std::time::Duration;

use super::track::Kin;
use super::{Finding, log};
use crate::deliver::Delivery;
use crate::deliver::peer::Peer;
use crate::domain::{Event, Principal, Source, Submission};

/// Who sends a submission that could be somebody's echo.
#[derive(Debug)]
pub struct Caller {
    /// The verified name.
    email: String,
    /// Name, role and door: callers are told apart by it.
    name: String,
    address: Option<IpAddr>,
    /// Whether it is another gateway: it is no site or cache itself.
    is_gateway: bool,
}

impl Caller {
    /// `None` for what the clock brings: nobody sends that.
    pub fn of(who: &Principal, submission: &Submission) -> Option<Self> {
        if submission.source == Source::Schedule {
            return None;
        }
        let is_gateway = submission.peer.is_some() || !submission.ids.is_empty();
        Some(Self {
            is_gateway,
            // A name that looks like another kind of credential is shown with its own kind.
            email: who.name.strip_prefix("jwt:").unwrap_or(&who.name).to_owned(),
            name: match &submission.peer {
                // Gateways often share an account.
                Some(batch) => format!("{} from {}", name_of(submission.source, who), batch.origin),
                None => name_of(submission.source, who),
            },
            address: submission.address.map(|address| address.to_canonical()),
        })
    }
}

impl Delivery {
    /// Judges an event that is about to be recorded: holds the copy to each destination that it
    /// looks like the echo of. Gives what the caller should be told.
    pub fn arrived(&self, caller: &Caller, event: &Event) -> Vec<String> {
        // Most of what arrives was sent nowhere lately, and needs no look at every destination.
        let is_local = caller.address.is_none_or(|address| address.is_loopback());
        if (is_local || caller.is_gateway) && !self.shared.echo.knows(&event.demand) {
            return vec![];
        }
        let (is_mirrored, is_called) = (event.is_for_mirrors(), event.is_for_targets());
        let peers = self.peers.get();
        let owed = |peer: &&std::sync::Arc<Peer>| match peer.is_mirror() {
            true => is_mirrored,
            false => is_called,
        };
        let to: Vec<(&str, Kin)> = peers
            .iter()
            .filter(owed)
            .map(|peer| (&*peer.destination, self.kin(peer, caller)))
            .collect();
        if to.is_empty() {
            return vec![];
        }
        let findings = self.shared.echo.arrived(event.id, &caller.name, &event.demand, &to);
        let mut warnings = vec![];
        for finding in findings {
            let peer = peers.iter().find(|peer| peer.destination == finding.destination);
            let Some(peer) = peer else { continue };
            warnings.extend(self.act(peer, caller, event, &finding));
        }
        warnings
    }

    /// Notes that a caller was told how its own event fares: it waited for that, or asked. It will
    /// come again because of the answer, and not because a destination was sent something.
    pub fn attended(&self, who: &Principal, event: &Event) {
        if event.principal == who.name {
            let name = name_of(event.source, who);
            self.shared.echo.learnt(event.id, &name, &event.demand);
        }
    }

    fn act(
        &self,
        peer: &Peer,
        caller: &Caller,
        event: &Event,
        finding: &Finding,
    ) -> Option<String> {
        let name = &peer.config.name;
        if finding.releases {
            peer.wake.notify_one();
        }
        if finding.begins {
            log::began(name, &caller.email);
        }
        let wait = finding.wait?;
        if finding.is_new {
            log::held(name, event, wait);
        }
        Some(format!(
            "applied here and sent on, but the copy to {name} is held for up to {}: \
             this looks like the echo of what {name} was sent a moment before",
            shown(wait)
        ))
    }

    fn kin(&self, peer: &Peer, caller: &Caller) -> Kin {
        if caller.is_gateway {
            return Kin::Stranger;
        }
        let account = peer.account.email();
        if account.is_some_and(|email| email.eq_ignore_ascii_case(&caller.email)) {
            return Kin::Account;
        }
        let Some(address) = caller.address.filter(|address| !address.is_loopback()) else {
            return Kin::Stranger;
        };
        let is_there = peer.with(|state| state.addresses.contains(&address));
        if is_there && self.shared.echo.is_alone_at(address, &caller.email) {
            return Kin::Address;
        }
        Kin::Stranger
    }

    /// Ends what is over, and says so.
    pub(in crate::deliver) fn look_for_echoes(&self) {
        for ended in self.shared.echo.expire() {
            let name = ended.destination.split_once(':').map_or("", |(_, name)| name);
            log::ended(name, ended.returns);
        }
    }
}

/// Name, role and door.
fn name_of(source: Source, who: &Principal) -> String {
    format!("{} {} {}", source.as_str(), who.role.as_str(), who.name)
}

fn shown(wait: Duration) -> String {
    if wait < Duration::from_secs(1) {
        return format!("{} ms", wait.as_millis());
    }
    format!("{:.0} s", wait.as_secs_f64())
}
