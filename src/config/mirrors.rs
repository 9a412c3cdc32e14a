//! To whom we mirror and how: `[mirrors]`. The addresses themselves are judged in [`super::peers`].
//!
//! A peer named twice is one peer; two peers under one name would share a cursor in the journal,
//! and are refused.

use std::sync::Arc;
use std::time::Duration;

use toml::{Table, Value};

use super::reader::Reader;
use super::{logins, mask, peers};
use crate::deliver::{
    Config, ConfiguredKind, DestinationClass, Login, Mint, PeerConfig, WidenedAll,
};
use crate::net::{self, Network};
use crate::support::Secret;
use crate::support::backoff::Backoff;
use crate::support::duration;

/// Each peer has a worker, a connection and a cursor; a mesh of more wants another topology.
const PEERS_MAX: usize = 200;

/// The longest that a removed destination is kept.
const FORGET_AFTER_MAX: Duration = Duration::from_secs(365 * 24 * 60 * 60);

pub(super) fn deliver(from: &mut Reader, targets: Vec<PeerConfig>) -> Config {
    let timeout = from.ms("mirrors.timeout_ms");
    let mirrors = peer_list(from);
    let mut peers = one_name_each(from, mirrors, targets);
    super::purge::add_targets(from, &mut peers);
    Config {
        peers,
        timeout,
        connect_time_max: from.ms("mirrors.connect_ms_max").min(timeout),
        batch_events_max: from.count("mirrors.batch_events_max"),
        batch_bytes_max: from.count("mirrors.batch_bytes_max"),
        backoff: backoff(from, "mirrors.backoff_ms_min", "mirrors.backoff_ms_max"),
        breaker_failures: from.count("mirrors.breaker_failures"),
        probe_every: from.seconds("mirrors.probe_s"),
        answer_bytes_max: from.count("mirrors.answer_bytes_max"),
        widened_all: widened_all(from),
        echo_window: from.seconds("mirrors.echo_window_s"),
        echo: backoff(from, "mirrors.echo_ms_min", "mirrors.echo_ms_max"),
        revalidate_secrets: revalidate_secrets(from),
        forget_after: forget_after(from),
        // Who holds the keys is known once they are.
        mint: Mint::default(),
    }
}

/// Mirrors and neighbours are called by one sort of name: operators pause either.
fn one_name_each(
    from: &mut Reader,
    mut all: Vec<PeerConfig>,
    targets: Vec<PeerConfig>,
) -> Vec<PeerConfig> {
    for target in targets {
        if all.iter().any(|other| other.name == target.name) {
            let given = Value::String(target.name.clone());
            let expected = "another destination has this name: give one of them a name of its own";
            from.refuse_value("revalidate.targets.name", &given, expected);
        }
        all.push(target);
    }
    all
}

/// Those that callers send here; what is sent elsewhere is known of each target.
fn revalidate_secrets(from: &Reader) -> Vec<Secret> {
    let keys = ["compat.revalidate_secret", "compat.revalidate_token"];
    let keys = keys.iter().flat_map(|key| [(*key).to_owned(), format!("{key}_previous")]);
    keys.map(|key| from.secret(&key)).filter(|secret| !secret.is_empty()).collect()
}

fn backoff(from: &mut Reader, min: &str, max: &str) -> Backoff {
    let (shortest, longest): (Duration, Duration) = (from.ms(min), from.ms(max));
    if shortest > longest {
        from.refuse(min, format!("expected no more than {max}"));
    }
    Backoff { min: shortest, max: longest }
}

fn widened_all(from: &mut Reader) -> WidenedAll {
    match from.text("mirrors.widened_all").as_str() {
        "as-merged" => WidenedAll::AsMerged,
        "soft" => WidenedAll::Soft,
        "hard" => WidenedAll::Hard,
        _ => {
            from.refuse("mirrors.widened_all", "expected as-merged, hard or soft");
            WidenedAll::AsMerged
        }
    }
}

/// A time in words, because a day in seconds reads badly.
fn forget_after(from: &mut Reader) -> Duration {
    let key = "mirrors.forget_after";
    let given = duration::parse_long(&from.text(key));
    given.filter(|time| *time <= FORGET_AFTER_MAX).unwrap_or_else(|| {
        from.refuse(key, "expected a time such as \"30m\", \"12h\" or \"1d\", at most \"365d\"");
        FORGET_AFTER_MAX
    })
}

/// The peers in the order they were named.
fn peer_list(from: &mut Reader) -> Vec<PeerConfig> {
    let login = logins::common(from);
    let mut named: Vec<Named> = Vec::new();
    for (index, url) in from.list("mirrors.urls").into_iter().enumerate() {
        let table = Table::from_iter([("url".to_owned(), Value::String(url))]);
        let peer = peer(from, "mirrors.urls", &table, &login);
        named.extend(peer.map(|peer| Named { peer, key: format!("mirrors.urls[{index}]") }));
    }
    for (index, table) in from.tables("mirrors.peers").iter().enumerate() {
        let key = format!("mirrors.peers[{index}]");
        let peer = peer(from, &format!("{key}."), table, &login);
        named.extend(peer.map(|peer| Named { peer, key }));
    }
    let peers = fold(from, named);
    if peers.len() > PEERS_MAX {
        let found = Value::Integer(i64::try_from(peers.len()).unwrap_or(i64::MAX));
        from.refuse_value("mirrors.peers", &found, format!("expected at most {PEERS_MAX} peers"));
    }
    peers
}

/// A peer and the place that names it.
struct Named {
    peer: PeerConfig,
    key: String,
}

/// One entry; `prefix` ends in `.` where it is a table with fields.
fn peer(from: &mut Reader, prefix: &str, table: &Table, login: &Login) -> Option<PeerConfig> {
    let key = |field: &str| match prefix.ends_with('.') {
        true => format!("{prefix}{field}"),
        false => prefix.to_owned(),
    };
    let text = |field: &str| table.get(field).and_then(Value::as_str).unwrap_or_default();
    let url = text("url");
    let base = peers::base(url, from.flag("mirrors.allow_http"));
    let base = match base.and_then(|base| peers::refuse_endpoint(&base).map(|()| base)) {
        Ok(base) => base,
        Err(expected) => {
            from.refuse_value(&key("url"), &Value::String(url.to_owned()), expected);
            return None;
        }
    };
    let mut name = text("name").to_owned();
    if name.is_empty() {
        name = peers::name(&base);
    } else if !super::sections::is_name(&name) {
        let given = Value::String(name.clone());
        from.refuse_value(&key("name"), &given, "expected 1 to 64 of A-Z a-z 0-9 _ . -");
    }
    let rate = table.get("rate_per_second").and_then(as_float);
    let rate_per_second = match rate {
        Some(rate) => from.checked_rate(&key("rate_per_second"), rate),
        None => from.float("mirrors.rate_per_second"),
    };
    let burst = burst(from, &key("burst"), table);
    let login = match prefix.ends_with('.') {
        true => logins::of_peer(from, prefix, table, login),
        false => login.clone(),
    };
    let network = network(from, &key("ca_file"), text("ca_file"), None);
    let class = DestinationClass::Mirror;
    let kind = kind(from, &key("kind"), text("kind"));
    Some(PeerConfig { name, base, rate_per_second, burst, login, network, class, kind })
}

/// What sort of mirror it is, where an operator knows better than a probe.
fn kind(from: &mut Reader, key: &str, text: &str) -> Option<ConfiguredKind> {
    match text {
        "" => None,
        "legacy" => Some(ConfiguredKind::Legacy),
        "cache-mirror" => Some(ConfiguredKind::CacheMirror),
        _ => {
            let given = Value::String(text.to_owned());
            from.refuse_value(key, &given, "expected legacy or cache-mirror, or leave it out");
            None
        }
    }
}

pub(super) fn as_float(value: &Value) -> Option<f64> {
    value.as_float().or_else(|| value.as_integer().map(|whole| whole as f64))
}

fn burst(from: &mut Reader, key: &str, table: &Table) -> u32 {
    let Some(given) = table.get("burst").and_then(Value::as_integer) else {
        return from.count("mirrors.burst");
    };
    let (min, max) = super::bounds::of("mirrors.burst").unwrap_or((1, i64::from(u32::MAX)));
    if !(min..=max).contains(&given) {
        let expected = format!("expected an integer from {min} to {max}");
        from.refuse_value(key, &Value::Integer(given), expected);
    }
    u32::try_from(given).unwrap_or(1)
}

/// A way of its own to a peer whose certificate only these authorities vouch for, or whose answers
/// may be longer than those of others.
pub(super) fn network(
    from: &mut Reader,
    key: &str,
    path: &str,
    answer_bytes_max: Option<usize>,
) -> Option<Arc<Network>> {
    let pem = match path {
        "" => None,
        path => Some(from.secret_file(key, path)).filter(|pem| !pem.is_empty()),
    };
    if pem.is_none() && answer_bytes_max.is_none() {
        return None;
    }
    let limits = net::Config {
        timeout: from.ms("mirrors.timeout_ms"),
        connect_time_max: from.ms("mirrors.connect_ms_max"),
        answer_bytes_max: answer_bytes_max.unwrap_or(from.count("mirrors.answer_bytes_max")),
    };
    let authorities = pem.map_or(Ok(vec![]), |pem| net::certificates(pem.expose()));
    let built = authorities.and_then(|authorities| {
        Network::trusting(limits, &authorities).map_err(|error| error.to_string())
    });
    match built {
        Ok(network) => Some(Arc::new(network)),
        Err(expected) => {
            from.refuse_value(key, &Value::String(path.to_owned()), expected);
            None
        }
    }
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
