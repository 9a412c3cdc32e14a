//! Checks each submission for an echo: identifies the caller, holds copies and writes the warnings.
//!
//! A submission that a gateway marked is not mirrored, so gateways alone cannot loop. But it is
//! sent to sites and caches, and one that calls back may close a loop through several gateways: so
//! marked submissions are judged for sites and caches as well. Nothing here refuses a submission.

use std::net::IpAddr;
use std::time::Duration;

use super::track::CallerMatch;
use super::{EchoFinding, log};
use crate::deliver::Delivery;
use crate::deliver::peer::Peer;
use crate::domain::{Event, Principal, Source, Submission};

/// The caller of a submission that may be an echo.
#[derive(Debug)]
pub struct EchoCaller {
    /// The authenticated name.
    email: String,
    /// Source, role and name, which together identify a caller.
    name: String,
    address: Option<IpAddr>,
    /// Whether it is another gateway, so no site or cache itself.
    is_gateway: bool,
}

impl EchoCaller {
    /// `None` for scheduled submissions, which have no caller.
    pub fn of(who: &Principal, submission: &Submission) -> Option<Self> {
        if submission.source == Source::Schedule {
            return None;
        }
        let is_gateway = submission.peer.is_some() || !submission.ids.is_empty();
        Some(Self {
            is_gateway,
            // The prefix marks a name that looks like another kind of credential.
            email: who.name.strip_prefix("jwt:").unwrap_or(&who.name).to_owned(),
            name: match &submission.peer {
                // Several gateways may share one account.
                Some(batch) => {
                    format!("{} from {}", caller_name(submission.source, who), batch.origin)
                }
                None => caller_name(submission.source, who),
            },
            address: submission.address.map(|address| address.to_canonical()),
        })
    }
}

impl Delivery {
    /// Judges an event that is about to be recorded: holds the copy to each destination of which it
    /// looks like an echo. Returns warnings for the caller.
    pub fn arrived(&self, caller: &EchoCaller, event: &Event) -> Vec<String> {
        // Most selectors were not sent recently. Then the destinations need not be examined.
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
        let to: Vec<(&str, CallerMatch)> = peers
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

    /// Records that a caller learned the delivery state of its own event, because it waited or
    /// asked. Its next call follows from that answer and is no evidence for an echo.
    pub fn attended(&self, who: &Principal, event: &Event) {
        if event.principal == who.name {
            let name = caller_name(event.source, who);
            self.shared.echo.learned(event.id, &name, &event.demand);
        }
    }

    fn act(
        &self,
        peer: &Peer,
        caller: &EchoCaller,
        event: &Event,
        finding: &EchoFinding,
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
             this looks like an echo of what was just sent to {name}",
            shown(wait)
        ))
    }

    fn kin(&self, peer: &Peer, caller: &EchoCaller) -> CallerMatch {
        if caller.is_gateway {
            return CallerMatch::Unrelated;
        }
        let account = peer.account.email();
        if account.is_some_and(|email| email.eq_ignore_ascii_case(&caller.email)) {
            return CallerMatch::Account;
        }
        let Some(address) = caller.address.filter(|address| !address.is_loopback()) else {
            return CallerMatch::Unrelated;
        };
        let is_there = peer.with(|state| state.addresses.contains(&address));
        if is_there && self.shared.echo.is_alone_at(address, &caller.email) {
            return CallerMatch::Address;
        }
        CallerMatch::Unrelated
    }

    /// Ends the echoes that have stopped, and logs their end.
    pub(in crate::deliver) fn expire_echoes(&self) {
        for ended in self.shared.echo.expire() {
            let name = ended.destination.split_once(':').map_or("", |(_, name)| name);
            log::ended(name, ended.returns);
        }
    }
}

/// Source, role and name.
fn caller_name(source: Source, who: &Principal) -> String {
    format!("{} {} {}", source.as_str(), who.role.as_str(), who.name)
}

fn shown(wait: Duration) -> String {
    if wait < Duration::from_secs(1) {
        return format!("{} ms", wait.as_millis());
    }
    format!("{:.0} s", wait.as_secs_f64())
}
