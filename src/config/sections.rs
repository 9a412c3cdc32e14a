//! All sections, and those that need little more than their own keys: instance, listener, store,
//! journal, stream and log. The warnings look at all of them together.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;
use url::Url;

use super::reader::Reader;
use super::types::*;
use super::{
    Instance, Settings, alerts, auth, mirrors, purge, revalidate, rules, schedules, webhooks,
};
use crate::activity::log_path::{self, LogPathKind};
use crate::activity::{Level, log::LogConfig};
use crate::deliver::PeerConfig;
use crate::resolve::RecipeConfig;
use crate::{announce, journal, server, store};

/// A settings file that says everything.
#[derive(Deserialize, JsonSchema)]
pub(super) struct Sections {
    pub(super) schedules: Vec<schedules::Entry>,
    #[schemars(extend("x-restart" = true))]
    pub(super) instance: InstanceKeys,
    pub(super) control: Control,
    #[schemars(extend("x-restart" = true))]
    pub(super) store: Store,
    pub(super) graph: rules::Graph,
    pub(super) dependencies: Map<Vec<String>>,
    pub(super) aliases: Map<String>,
    pub(super) names: Map<Vec<String>>,
    pub(super) groups: Map<RecipeConfig>,
    pub(super) hooks: Map<RecipeConfig>,
    pub(super) when_fields: Map<Vec<String>>,
    pub(super) ignore_fields: Map<Vec<String>>,
    pub(super) compat: auth::Compat,
    pub(super) auth: auth::Auth,
    pub(super) limits: auth::Limits,
    pub(super) ingest: webhooks::Ingest,
    #[schemars(extend("x-restart" = true))]
    pub(super) journal: Journal,
    pub(super) mirrors: mirrors::Mirrors,
    pub(super) alerts: alerts::Alerts,
    pub(super) revalidate: revalidate::Section,
    pub(super) purge: purge::Section,
    pub(super) stream: Stream,
    pub(super) log: Log,
    #[schemars(extend("x-restart" = true))]
    #[expect(dead_code, reason = "deserialising refuses what it may not hold")]
    pub(super) gateway: Gateway,
}

/// Who we are and where we keep things.
#[derive(Deserialize, JsonSchema)]
pub(super) struct InstanceKeys {
    name: Parsed<Option<Name>>,
    data_dir: Parsed<PathBuf>,
    pub(super) watch_config: bool,
}

pub(super) fn instance(from: &Reader, keys: &InstanceKeys) -> Instance {
    let name = keys.name.0.clone().map_or_else(host_name, |name| name.0);
    Instance { name, data_dir: from.workdir.join(&*keys.data_dir), watched: None }
}

/// What the system calls this host, in the letters of a name.
fn host_name() -> String {
    let read = |path| std::fs::read_to_string(path).ok();
    let name = read("/proc/sys/kernel/hostname").or_else(|| read("/etc/hostname"));
    let name = name.unwrap_or_default();
    let name: String = name
        .trim()
        .chars()
        .take(Name::CHARS_MAX)
        .map(|c| if Name::is_valid(c.encode_utf8(&mut [0; 4])) { c } else { '-' })
        .collect();
    if name.is_empty() { "cache-mirror".into() } else { name }
}

/// The control listener.
#[derive(Deserialize, JsonSchema)]
pub(super) struct Control {
    #[schemars(extend("x-restart" = true))]
    listen: Parsed<SocketAddr>,
    #[schemars(extend("x-restart" = true))]
    connections_max: Int<1, 1_000_000>,
    #[schemars(extend("x-restart" = true))]
    connections_per_address_max: Int<0, 1_000_000>,
    #[schemars(extend("x-restart" = true))]
    header_ms_max: Ms<10, TEN_MINUTES_MS>,
    #[schemars(extend("x-restart" = true))]
    body_ms_max: Ms<10, TEN_MINUTES_MS>,
    #[schemars(extend("x-restart" = true))]
    idle_ms_max: Ms<10, HOUR_MS>,
    #[schemars(extend("x-restart" = true))]
    body_bytes_max: Int<1024, { 1 << 30 }>,
    #[schemars(extend("x-restart" = true))]
    drain_ms_max: Ms<0, TEN_MINUTES_MS>,
    #[schemars(extend("x-restart" = true))]
    metrics_public: bool,
    #[schemars(extend("x-restart" = true))]
    require_https: bool,
    #[schemars(extend("x-restart" = true))]
    dev: bool,
    #[schemars(extend("x-restart" = true))]
    hosts: Vec<String>,
    pub(super) trusted_proxies: Vec<Parsed<auth::Network>>,
}

pub(super) fn server(from: &mut Reader, all: &Sections) -> server::Config {
    let keys = &all.control;
    let hosts = server::Hosts::parse(keys.hosts.clone()).unwrap_or_else(|_| {
        let expected = "expected names without a port: cache.example.org, *.example.org";
        from.refuse("control.hosts", expected);
        server::Hosts::default()
    });
    server::Config {
        listen: *keys.listen,
        connections_max: keys.connections_max.to(),
        connections_per_address_max: keys.connections_per_address_max.to(),
        header_time_max: *keys.header_ms_max,
        idle_time_max: *keys.idle_ms_max,
        hosts,
        body_time_max: *keys.body_ms_max,
        body_bytes_max: keys.body_bytes_max.to(),
        metrics_public: keys.metrics_public,
        require_https: keys.require_https,
        require_tickets: all.store.require_tickets,
        is_dev: keys.dev,
        drain_time_max: *keys.drain_ms_max,
        wait_time_max: *all.limits.wait_ms_max,
    }
}

/// The cache.
#[derive(Deserialize, JsonSchema)]
pub(super) struct Store {
    max_bytes: Int<1024, BYTES>,
    count_ms_max: Ms<0, 10_000>,
    ttl_s: Seconds<1, YEAR_S>,
    ttl_s_max: Seconds<1, YEAR_S>,
    soft_s_max: Seconds<0, DAY_S>,
    require_tickets: bool,
    fill_ms_max: Ms<0, TEN_MINUTES_MS>,
    ticket_s_max: Seconds<1, DAY_S>,
    bans_max: Int<1, 1_000_000>,
    stamps_max: Int<1, 100_000_000>,
}

pub(super) fn store(from: &mut Reader, keys: &Store) -> store::Config {
    if *keys.ttl_s > *keys.ttl_s_max {
        from.refuse("store.ttl_s", "expected no more than store.ttl_s_max");
    }
    store::Config {
        bytes_max: keys.max_bytes.to(),
        count_time_max: *keys.count_ms_max,
        ttl: *keys.ttl_s,
        ttl_max: *keys.ttl_s_max,
        soft_time_max: *keys.soft_s_max,
        // Older than a ticket nothing can be checked.
        fill_time_max: (*keys.fill_ms_max).min(*keys.ticket_s_max),
        ticket_time_max: *keys.ticket_s_max,
        bans_max: keys.bans_max.to(),
        stamps_max: keys.stamps_max.to(),
    }
}

/// The durable log.
#[derive(Deserialize, JsonSchema)]
pub(super) struct Journal {
    segment_bytes: Int<4096, { 1 << 30 }>,
    events_kept: Int<1, { 100 * MANY }>,
    bytes_kept: Int<4096, BYTES>,
    backlog_members_max: Int<1, MANY>,
}

pub(super) fn journal(keys: &Journal, instance: &Instance) -> journal::Config {
    journal::Config {
        dir: instance.data_dir.clone(),
        segment_bytes: keys.segment_bytes.to(),
        events_kept: keys.events_kept.to(),
        bytes_kept: keys.bytes_kept.to(),
        backlog_members_max: keys.backlog_members_max.to(),
    }
}

/// Events for readers.
#[derive(Deserialize, JsonSchema)]
pub(super) struct Stream {
    public: bool,
    origins: Vec<Parsed<Origin>>,
    clients_max: Int<0, MANY>,
    ping_s: Seconds<1, 3600>,
    queue_events_max: Int<1, 1_000_000>,
    queue_bytes_max: Int<1024, BYTES>,
    replay_events_max: Int<0, MANY>,
    retry_ms: Ms<1, HOUR_MS>,
}

/// An origin as browsers send it, or `*`.
struct Origin(String);

impl Text for Origin {
    fn parse(text: &str) -> Result<Self, String> {
        let origin = |text| {
            let url = Url::parse(text).ok()?;
            let origin = url.origin().ascii_serialization();
            let is_bare = url.as_str().strip_suffix('/') == Some(origin.as_str());
            (matches!(url.scheme(), "http" | "https") && is_bare).then_some(origin)
        };
        let origin = if text == "*" { Some(text.to_owned()) } else { origin(text) };
        let expected = || "expected * or https://host[:port] without a path".to_owned();
        origin.map(Self).ok_or_else(expected)
    }
}

pub(super) fn announce(keys: &Stream) -> announce::Config {
    announce::Config {
        is_public: keys.public,
        origins: keys.origins.iter().map(|origin| origin.0.0.clone()).collect(),
        clients_max: keys.clients_max.to(),
        ping_every: *keys.ping_s,
        queue_events_max: keys.queue_events_max.to(),
        queue_bytes_max: keys.queue_bytes_max.to(),
        replay_events_max: keys.replay_events_max.to(),
        retry: *keys.retry_ms,
        aliases: BTreeMap::new(),
    }
}

/// The log file.
#[derive(Deserialize, JsonSchema)]
pub(super) struct Log {
    #[schemars(extend("x-restart" = true))]
    file: Parsed<PathBuf>,
    level: Parsed<Level>,
    rotate_bytes: Int<0, BYTES>,
    rotate_count: Int<0, 1000>,
    #[schemars(extend("x-restart" = true))]
    queue_lines_max: Int<1, MANY>,
    pub(super) metrics_every_s: Seconds<0, DAY_S>,
}

pub(super) fn log(from: &mut Reader, keys: &Log) -> LogConfig {
    let file = from.workdir.join(&*keys.file);
    if let Some(found) = LogPathKind::of(&file).refusal() {
        from.refuse("log.file", found);
    }
    LogConfig {
        file,
        level: *keys.level,
        rotate_bytes: keys.rotate_bytes.to(),
        rotate_count: keys.rotate_count.to(),
        queue_lines_max: keys.queue_lines_max.to(),
        name: "cache-mirror".into(),
    }
}

/// The caching gateway.
#[derive(Deserialize, JsonSchema)]
pub(super) struct Gateway {
    #[expect(dead_code, reason = "deserialising refuses what it may not hold")]
    upstream: Parsed<Option<NotBuilt>>,
}

struct NotBuilt;

impl Text for NotBuilt {
    const IS_URL: bool = true;

    fn parse(_: &str) -> Result<Self, String> {
        Err("not built yet: this version has no caching gateway".into())
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
    if from.is_test_login && !peers.is_empty() {
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
