//! How this instance mirrors: `[mirrors]`. The addresses are checked in [`super::peers`].
//!
//! A peer named twice is one peer; two peers under one name would share a cursor in the journal,
//! and are refused.

use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use toml::Value;

use super::reader::Reader;
use super::sections::Sections;
use super::types::*;
use super::{logins, mask, peers, purge};
use crate::deliver::{
    Config, ConfiguredKind, DestinationClass, Login, Mint, PeerConfig, WidenedAll,
};
use crate::net::{self, Network};
use crate::support::backoff::Backoff;
use crate::support::{Secret, duration};

/// Each peer has a worker, a connection and a cursor; a mesh of more wants another topology.
const PEERS_MAX: usize = 200;

/// How this instance mirrors.
#[derive(Deserialize, JsonSchema)]
pub(super) struct Mirrors {
    urls: Vec<Parsed<Address>>,
    pub(super) allow_http: bool,
    rate_per_second: Rate,
    burst: Burst,
    timeout_ms: Timeout,
    connect_ms_max: Timeout,
    batch_events_max: Int<1, 100_000>,
    batch_bytes_max: Int<1024, { 1 << 26 }>,
    backoff_ms_min: Ms<1, HOUR_MS>,
    backoff_ms_max: Ms<1, { 24 * HOUR_MS }>,
    breaker_failures: Int<1, 1_000_000>,
    probe_s: Seconds<1, DAY_S>,
    forget_after: Parsed<Lasting>,
    answer_bytes_max: Int<1024, { 1 << 26 }>,
    widened_all: Parsed<WidenedAll>,
    echo_window_s: Seconds<0, DAY_S>,
    echo_ms_min: Ms<1, HOUR_MS>,
    echo_ms_max: Ms<1, HOUR_MS>,
    peers: Vec<Peer>,
    pub(super) login: logins::CommonLogin,
}

/// A peer with settings of its own.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default)]
pub(super) struct Peer {
    /// A host or a URL.
    url: Parsed<Address>,
    /// What operators call it; left out: its host.
    name: Parsed<Option<Name>>,
    /// Instead of mirrors.rate_per_second.
    rate_per_second: Option<Rate>,
    /// Instead of mirrors.burst.
    burst: Option<Burst>,
    /// The account that we log in with there; left out: that of [mirrors.login].
    pub(super) email: String,
    /// Its password.
    pub(super) password: Secret,
    /// Certificates in PEM that are trusted for this peer, besides the system's authorities.
    ca_file: String,
    /// Left out: decided by what it answers.
    kind: Parsed<Option<ConfiguredKind>>,
    /// As [mirrors.login], and instead of all of it.
    pub(super) login: Option<logins::LoginKeys>,
}

words!(
    WidenedAll,
    "expected as-merged, hard or soft",
    "as-merged" = Self::AsMerged,
    "hard" = Self::Hard,
    "soft" = Self::Soft
);
words!(
    ConfiguredKind,
    "expected legacy or cache-mirror, or leave it out",
    "legacy" = Self::Legacy,
    "cache-mirror" = Self::CacheMirror
);

/// A time in words, because a day in seconds reads badly.
struct Lasting(Duration);

impl Text for Lasting {
    fn parse(text: &str) -> Result<Self, String> {
        let given = duration::parse_long(text);
        let given = given.filter(|time| *time <= Duration::from_secs(365 * 24 * 60 * 60));
        let expected = "expected a time such as \"30m\", \"12h\" or \"1d\", at most \"365d\"";
        given.map(Self).ok_or_else(|| expected.to_owned())
    }
}

pub(super) fn deliver(from: &mut Reader, all: &Sections, targets: Vec<PeerConfig>) -> Config {
    let (keys, compat) = (&all.mirrors, &all.compat);
    let mut peers = peer_list(from, all);
    for target in targets {
        // Operators pause either by its name.
        if peers.iter().any(|other| other.name == target.name) {
            let given = Value::String(target.name.clone());
            let expected = "another destination has this name: give one of them a name of its own";
            from.refuse_value("revalidate.targets.name", &given, expected);
        }
        peers.push(target);
    }
    purge::add_targets(from, all, &mut peers);
    for (min, max, key) in [
        (*keys.backoff_ms_min, *keys.backoff_ms_max, "backoff_ms"),
        (*keys.echo_ms_min, *keys.echo_ms_max, "echo_ms"),
    ] {
        if min > max {
            let expected = format!("expected no more than mirrors.{key}_max");
            from.refuse(&format!("mirrors.{key}_min"), expected);
        }
    }
    Config {
        peers,
        timeout: *keys.timeout_ms,
        connect_time_max: (*keys.connect_ms_max).min(*keys.timeout_ms),
        batch_events_max: keys.batch_events_max.to(),
        batch_bytes_max: keys.batch_bytes_max.to(),
        backoff: Backoff { min: *keys.backoff_ms_min, max: *keys.backoff_ms_max },
        breaker_failures: keys.breaker_failures.to(),
        probe_every: *keys.probe_s,
        answer_bytes_max: keys.answer_bytes_max.to(),
        widened_all: *keys.widened_all,
        echo_window: *keys.echo_window_s,
        echo: Backoff { min: *keys.echo_ms_min, max: *keys.echo_ms_max },
        // Those that callers send here; what is sent elsewhere is known of each target.
        revalidate_secrets: given([
            &*compat.revalidate_secret,
            &compat.revalidate_secret_previous,
            &compat.revalidate_token,
            &compat.revalidate_token_previous,
        ]),
        forget_after: keys.forget_after.0.0,
        // Who holds the keys is known once they are.
        mint: Mint::default(),
    }
}

/// The peers in the order they were named.
fn peer_list(from: &mut Reader, all: &Sections) -> Vec<PeerConfig> {
    let login = logins::common(from, all);
    let mut named: Vec<Named> = Vec::new();
    for (index, url) in all.mirrors.urls.iter().enumerate() {
        let entry = Peer { url: url.clone(), ..Peer::default() };
        let key = format!("mirrors.urls[{index}]");
        let peer = peer(from, all, &Entry { key: "mirrors.urls", entry: &entry }, &login);
        named.extend(peer.map(|peer| Named { peer, key }));
    }
    for (index, entry) in all.mirrors.peers.iter().enumerate() {
        let key = format!("mirrors.peers[{index}]");
        let peer = peer(from, all, &Entry { key: &key, entry }, &login);
        named.extend(peer.map(|peer| Named { peer, key }));
    }
    let peers = fold(from, named);
    from.refuse_many("mirrors.peers", peers.len(), PEERS_MAX, "peers");
    peers
}

/// A peer and the place that names it.
struct Named {
    peer: PeerConfig,
    key: String,
}

/// What is given of a peer, and where.
struct Entry<'a> {
    key: &'a str,
    entry: &'a Peer,
}

fn peer(from: &mut Reader, all: &Sections, it: &Entry, common: &Login) -> Option<PeerConfig> {
    let (keys, Entry { key, entry }) = (&all.mirrors, it);
    let is_table = key.ends_with(']');
    let base = peers::base(&entry.url, keys.allow_http);
    let base = match base.and_then(|base| peers::refuse_endpoint(&base).map(|()| base)) {
        Ok(base) => base,
        Err(expected) => {
            let url = Value::String(entry.url.to_string());
            let key = if is_table { format!("{key}.url") } else { (*key).to_owned() };
            from.refuse_value(&key, &url, expected);
            return None;
        }
    };
    let name = entry.name.0.clone();
    let login = match is_table {
        true => logins::of_peer(from, all, key, entry, common),
        false => common.clone(),
    };
    Some(PeerConfig {
        name: name.map_or_else(|| peers::name(&base), |name| name.0),
        base,
        rate_per_second: entry.rate_per_second.unwrap_or(keys.rate_per_second).0,
        burst: entry.burst.unwrap_or(keys.burst).to(),
        login,
        network: network(from, all, &format!("{key}.ca_file"), &entry.ca_file, None),
        class: DestinationClass::Mirror,
        kind: *entry.kind,
    })
}

/// A way of its own to a peer whose certificate only these authorities vouch for, or whose answers
/// may be longer than those of others.
pub(super) fn network(
    from: &mut Reader,
    all: &Sections,
    key: &str,
    path: &str,
    answer_bytes_max: Option<usize>,
) -> Option<Arc<Network>> {
    let pem = (!path.is_empty()).then(|| from.file(key, path)).filter(|pem| !pem.is_empty());
    if pem.is_none() && answer_bytes_max.is_none() {
        return None;
    }
    let limits = net::Config {
        timeout: *all.mirrors.timeout_ms,
        connect_time_max: *all.mirrors.connect_ms_max,
        answer_bytes_max: answer_bytes_max.unwrap_or(all.mirrors.answer_bytes_max.to()),
    };
    let authorities = pem.map_or(Ok(vec![]), |pem| net::certificates(pem.expose()));
    let built = authorities.and_then(|authorities| {
        Network::trusting(limits, &authorities).map_err(|error| error.to_string())
    });
    built.map(Arc::new).map_err(|expected| from.refuse(key, expected)).ok()
}

/// One peer for each base URL: the entry with settings of its own before the bare one.
fn fold(from: &mut Reader, named: Vec<Named>) -> Vec<PeerConfig> {
    let mut kept: Vec<Named> = Vec::new();
    for next in named {
        let Some(same) = kept.iter_mut().find(|kept| kept.peer.base == next.peer.base) else {
            kept.push(next);
            continue;
        };
        let url = mask::url(next.peer.base.as_str());
        let doubles = format!("{} and {} are one mirror: {url}", same.key, next.key);
        from.warn(format!("{doubles} (take one of them out)"));
        if same.key.starts_with("mirrors.urls") && !next.key.starts_with("mirrors.urls") {
            *same = next;
        }
    }
    for (at, one) in kept.iter().enumerate() {
        if let Some(other) = kept[..at].iter().find(|other| other.peer.name == one.peer.name) {
            let given = Value::String(one.peer.name.clone());
            let expected = format!("{} has the same name: give one of them another", other.key);
            from.refuse_value(&format!("{}.name", one.key), &given, expected);
        }
    }
    kept.into_iter().map(|named| named.peer).collect()
}
