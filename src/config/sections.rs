//! The concerns that need little more than their own keys: instance, listener, store, journal,
//! stream and log; and the warnings, which look at all of them together.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use url::Url;

use super::reader::Reader;
use super::{Instance, Settings};
use crate::activity::log_path::{self, LogPathKind};
use crate::activity::{Level, log::LogConfig};
use crate::deliver::PeerConfig;
use crate::{announce, journal, server, store};

/// Longest instance name; it goes into headers, tokens and file names.
const NAME_CHARS_MAX: usize = 64;

const NAME: &str = "expected 1 to 64 of A-Z a-z 0-9 _ . -";

pub(super) fn is_name(name: &str) -> bool {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    !name.is_empty() && name.len() <= NAME_CHARS_MAX && name.chars().all(is_allowed)
}

pub(super) fn instance(from: &mut Reader) -> Instance {
    let mut name = from.text("instance.name");
    if name.is_empty() {
        name = host_name();
    } else if !is_name(&name) {
        from.refuse("instance.name", NAME);
    }
    Instance { name, data_dir: from.path("instance.data_dir"), watched: None }
}

/// What the system calls this host, in the letters of a name.
fn host_name() -> String {
    let read = |path| std::fs::read_to_string(path).ok();
    let name = read("/proc/sys/kernel/hostname").or_else(|| read("/etc/hostname"));
    let name = name.unwrap_or_default();
    let name: String = name
        .trim()
        .chars()
        .take(NAME_CHARS_MAX)
        .map(|c| if is_name(c.encode_utf8(&mut [0; 4])) { c } else { '-' })
        .collect();
    if name.is_empty() { "cache-mirror".into() } else { name }
}

pub(super) fn server(from: &mut Reader) -> server::Config {
    let listen = from.text("control.listen").parse().unwrap_or_else(|_| {
        from.refuse("control.listen", "expected an address and a port, such as 127.0.0.1:4400");
        SocketAddr::from(([127, 0, 0, 1], 0))
    });
    let hosts = server::Hosts::parse(from.list("control.hosts")).unwrap_or_else(|_| {
        from.refuse(
            "control.hosts",
            "expected names without a port: cache.example.org, *.example.org",
        );
        server::Hosts::default()
    });
    server::Config {
        listen,
        connections_max: from.count("control.connections_max"),
        connections_per_address_max: from.count("control.connections_per_address_max"),
        header_time_max: from.ms("control.header_ms_max"),
        idle_time_max: from.ms("control.idle_ms_max"),
        hosts,
        body_time_max: from.ms("control.body_ms_max"),
        body_bytes_max: from.count("control.body_bytes_max"),
        metrics_public: from.flag("control.metrics_public"),
        require_https: from.flag("control.require_https"),
        require_tickets: from.flag("store.require_tickets"),
        is_dev: from.flag("control.dev"),
        drain_time_max: from.ms("control.drain_ms_max"),
        wait_time_max: from.ms("limits.wait_ms_max"),
    }
}

pub(super) fn store(from: &mut Reader) -> store::Config {
    let config = store::Config {
        bytes_max: from.count("store.max_bytes"),
        count_time_max: from.ms("store.count_ms_max"),
        ttl: from.seconds("store.ttl_s"),
        ttl_max: from.seconds("store.ttl_s_max"),
        soft_time_max: from.seconds("store.soft_s_max"),
        // Older than a ticket nothing can be checked.
        fill_time_max: from.ms("store.fill_ms_max").min(from.seconds("store.ticket_s_max")),
        ticket_time_max: from.seconds("store.ticket_s_max"),
        bans_max: from.count("store.bans_max"),
        stamps_max: from.count("store.stamps_max"),
    };
    if config.ttl > config.ttl_max {
        from.refuse("store.ttl_s", "expected no more than store.ttl_s_max");
    }
    config
}

pub(super) fn journal(from: &mut Reader, instance: &Instance) -> journal::Config {
    journal::Config {
        dir: instance.data_dir.clone(),
        segment_bytes: from.count("journal.segment_bytes"),
        events_kept: from.count("journal.events_kept"),
        bytes_kept: from.count("journal.bytes_kept"),
        backlog_members_max: from.count("journal.backlog_members_max"),
    }
}

pub(super) fn announce(from: &mut Reader) -> announce::Config {
    let mut origins = Vec::new();
    for text in from.list("stream.origins") {
        match origin(&text) {
            Some(origin) => origins.push(origin),
            None => {
                from.refuse("stream.origins", "expected * or https://host[:port] without a path");
            }
        }
    }
    announce::Config {
        is_public: from.flag("stream.public"),
        origins,
        clients_max: from.count("stream.clients_max"),
        ping_every: from.seconds("stream.ping_s"),
        queue_events_max: from.count("stream.queue_events_max"),
        queue_bytes_max: from.count("stream.queue_bytes_max"),
        replay_events_max: from.count("stream.replay_events_max"),
        retry: from.ms("stream.retry_ms"),
        aliases: BTreeMap::new(),
    }
}

/// An origin as browsers send it.
fn origin(text: &str) -> Option<String> {
    if text == "*" {
        return Some(text.to_owned());
    }
    let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https"))?;
    let origin = url.origin().ascii_serialization();
    (url.as_str().strip_suffix('/') == Some(origin.as_str())).then_some(origin)
}

pub(super) fn log(from: &mut Reader) -> LogConfig {
    let level = Level::parse(&from.text("log.level")).unwrap_or_else(|| {
        from.refuse("log.level", "expected trace, debug, info, warn or error");
        Level::default()
    });
    let file = from.path("log.file");
    if let Some(found) = LogPathKind::of(&file).refusal() {
        from.refuse("log.file", found);
    }
    LogConfig {
        file,
        level,
        rotate_bytes: from.count("log.rotate_bytes"),
        rotate_count: from.count("log.rotate_count"),
        queue_lines_max: from.count("log.queue_lines_max"),
        name: "cache-mirror".into(),
    }
}

pub(super) fn refuse_unbuilt(from: &mut Reader) {
    if !from.text("gateway.upstream").is_empty() {
        from.refuse("gateway.upstream", "not built yet: this version has no caching gateway");
    }
}

/// The warning of settings without any destination.
pub const NO_MIRRORS: &str = "no mirrors: nothing leaves this instance";

/// What was found at `log.file`, where it is no plain file or cannot be rotated.
fn warn_of_log(log: &LogConfig, from: &mut Reader) {
    let place = LogPathKind::of(&log.file);
    let file = log.file.display();
    if let Some(note) = place.note().filter(|_| !place.is_usual(&log.file)) {
        from.warn(format!("log.file = {file} is {note}"));
    }
    if let Some(blocked) = log_path::blocked(&log.file, log.rotate_count)
        && place.is_rotated()
        && log.rotate_bytes > 0
    {
        let blocked = blocked.display();
        from.warn(format!("log.file = {file} cannot be rotated: {blocked} is a directory"));
    }
}

/// What works but may not be meant.
pub(super) fn warn(settings: &Settings, from: &mut Reader) {
    warn_of_log(&settings.log, from);
    let is_mirror = |peer: &&PeerConfig| peer.class.target().is_none();
    let (peers, targets): (Vec<_>, Vec<_>) = settings.deliver.peers.iter().partition(is_mirror);
    if peers.is_empty() && targets.is_empty() {
        from.warn(format!("{NO_MIRRORS} (set CACHE_MIRRORS or mirrors.urls)"));
    }
    let unable = peers.iter().filter(|peer| peer.login.is_empty()).count();
    if unable > 0 {
        from.warn(format!(
            "no credentials for {unable} of {} mirrors: deliveries wait until there are some (set \
             SERVICE_EMAIL and SERVICE_PASSWORD)",
            peers.len()
        ));
    }
    if from.is_test_login() && !peers.is_empty() {
        from.warn(
            "TEST_EMAIL is a person's account: to mirrors we look like a person, not like a \
             gateway (set SERVICE_EMAIL and SERVICE_PASSWORD)",
        );
    }
    let in_clear: Vec<&str> = peers
        .iter()
        .chain(&targets)
        .filter(|peer| peer.base.scheme() == "http" && !super::peers::is_loopback(&peer.base))
        .map(|peer| peer.name.as_str())
        .collect();
    if !in_clear.is_empty() {
        let names = in_clear.join(", ");
        from.warn(format!("passwords and tokens go unencrypted to {names} (use https URLs)"));
    }
    let is_loopback = settings.server.listen.ip().to_canonical().is_loopback();
    if settings.server.is_dev && is_loopback {
        from.warn(
            "control.dev is on: a GET of /api/revalidate/{name} clears, which is for a developer's \
             own machine (turn it off everywhere else)",
        );
    } else if settings.server.is_dev {
        from.warn(format!(
            "DANGER: control.dev is on and control.listen is {}: a GET of /api/revalidate/{{name}} \
             clears, and whoever reaches this address may try passwords on it (turn control.dev \
             off, or listen on loopback)",
            settings.server.listen
        ));
    }
    if !is_loopback && settings.gate.allow.is_empty() {
        from.warn(format!(
            "control.listen is {}: reachable from outside this host, and auth.allow is empty (name \
             the networks of your peers and applications in auth.allow, or listen on loopback)",
            settings.server.listen
        ));
    }
}
