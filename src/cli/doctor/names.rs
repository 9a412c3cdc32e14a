//! What hides behind a mirror's name: several replicas get one event between them.
//!
//! The proof of an identity is made of the asker's nonce and of a secret of that process; the same
//! nonce sent several times, each over a connection of its own, brings as many proofs as there are
//! processes that answered.

use std::collections::BTreeSet;
use std::net::IpAddr;

use futures_util::future::join_all;
use reqwest::Method;
use url::{Host, Url};

use super::Case;
use super::check::Check;
use crate::deliver::identity::{Identity, PATH, nonce};
use crate::net::{Outgoing, Transport};

/// Balancers that take turns show a second process by then.
const PROBES: usize = 6;

/// What was seen behind a name.
#[derive(Debug, Default)]
struct Seen {
    addresses: BTreeSet<IpAddr>,
    /// Instances by proof.
    proofs: BTreeSet<(String, String)>,
}

/// Every mirror's name.
pub async fn checks(case: &Case) -> Vec<Check> {
    let mirrors = case.settings.deliver.peers.iter();
    let mirrors = mirrors.filter(|peer| peer.class.target().is_none());
    let asked = mirrors.map(async |peer| {
        let seen = look(&peer.base, case.way_to(&peer.name)).await;
        (judge(&peer.name, &seen), !seen.proofs.is_empty())
    });
    let asked = join_all(asked).await;
    let (count, proved) = (asked.len(), asked.iter().filter(|(_, is_proved)| *is_proved).count());
    let mut found: Vec<Check> = asked.into_iter().filter_map(|(check, _)| check).collect();
    if found.is_empty() {
        found.push(summary(count, proved));
    }
    found
}

/// Nothing was found behind the names. Only a mirror that proves who it is shows that it is alone.
fn summary(count: usize, proved: usize) -> Check {
    match (count, proved) {
        (0, _) => {
            let remedy = "set CACHE_MIRRORS or mirrors.urls, if there is another instance";
            Check::skip("names", "no mirrors", remedy)
        }
        (_, 0) => {
            let detail = "no mirror proved which instance it is: replicas would not show";
            Check::skip("names", detail, "see the check \"mirror\"; a legacy server has no proof")
        }
        _ => {
            let detail = format!("{proved} of {count} proved to be one instance behind one name");
            Check::ok("names", detail)
        }
    }
}

async fn look(base: &Url, over: &dyn Transport) -> Seen {
    let mut seen = Seen::default();
    if let Some(Host::Domain(name)) = base.host() {
        let port = base.port_or_known_default().unwrap_or(443);
        let found = tokio::net::lookup_host((name, port)).await;
        seen.addresses.extend(found.into_iter().flatten().map(|it| it.ip().to_canonical()));
    }
    let nonce = nonce();
    let Ok(mut url) = base.join(PATH.trim_start_matches('/')) else { return seen };
    url.set_query(Some(&format!("nonce={nonce}")));
    let ask = || {
        let request = Outgoing {
            method: Method::GET,
            url: url.clone(),
            headers: vec![],
            body: bytes::Bytes::new(),
            timeout: std::time::Duration::from_secs(3),
        };
        over.send_alone(request)
    };
    for answer in join_all((0..PROBES).map(|_| ask())).await.into_iter().flatten() {
        if let Ok(identity) = serde_json::from_slice::<Identity>(&answer.body) {
            seen.proofs.insert((identity.proof, identity.instance));
        }
    }
    seen
}

fn judge(name: &str, seen: &Seen) -> Option<Check> {
    let check = format!("names:{name}");
    let remedy = "list each replica in CACHE_MIRRORS by an address of its own: each event goes to \
                  one of those behind a name";
    if seen.proofs.len() > 1 {
        let who: Vec<&str> = seen.proofs.iter().map(|(_, name)| name.as_str()).collect();
        let detail = format!("{} instances take turns behind it: {}", who.len(), who.join(", "));
        return Some(Check::warn(check, detail, remedy));
    }
    let of = |is_four: bool| seen.addresses.iter().filter(|it| it.is_ipv4() == is_four).count();
    if of(true).max(of(false)) > 1 && seen.proofs.is_empty() {
        let all: Vec<String> = seen.addresses.iter().map(ToString::to_string).collect();
        let detail = format!("it stands for {}, which may be replicas", all.join(", "));
        return Some(Check::warn(check, detail, remedy));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_proved_is_not_called_well() {
        use super::super::check::Status;
        let status = |count, proved| summary(count, proved).status;
        assert_eq!(
            [status(0, 0), status(2, 0), status(2, 1)],
            [Status::Skip, Status::Skip, Status::Ok]
        );
        assert!(summary(2, 1).detail.starts_with("1 of 2"));
    }

    #[test]
    fn several_proofs_are_several_processes_and_one_of_each_family_is_one_host() {
        let seen = |addresses: &[&str], proofs: &[&str]| Seen {
            addresses: addresses.iter().map(|text| text.parse().expect("address")).collect(),
            proofs: proofs.iter().map(|it| ((*it).to_owned(), format!("eu-{it}"))).collect(),
        };
        assert_eq!(judge("m", &seen(&["10.0.0.1", "::1"], &["1"])), None);
        assert_eq!(judge("m", &seen(&["10.0.0.1", "10.0.0.2"], &["1"])), None, "one process");
        let found = judge("m", &seen(&[], &["1", "2"])).expect("a finding");
        assert!(found.detail.contains("eu-1, eu-2"), "{found:?}");
        assert!(judge("m", &seen(&["10.0.0.1", "10.0.0.2"], &[])).is_some(), "who knows");
    }
}
