//! Settings: from a file, variables and flags to the `Config` of each module.
//!
//! Three steps:
//! 1. `merged` reads every source whole, checks keys and types, and puts the layers over each
//!    other. Each value keeps its origin. A wrong key is an error even where a higher layer
//!    overrides it.
//! 2. `reader` deserialises the result to the structs of the sections. Their field types
//!    (`types`) hold unit, range and secrecy. A wrong value is refused and dropped, and the rest
//!    is deserialised again, so that all problems are reported at once.
//! 3. Each section builds the `Config` of its module and refuses what depends on several keys.
//!
//! `schema` is the JSON Schema of the structs and the only list of keys: masking, nearest names,
//! variables and `config schema` use it. Loading writes nothing and changes no environment;
//! [`Settings::complete`] writes. No other module imports this one.

mod accounts;
mod alerts;
mod auth;
mod dot_env;
mod environment;
pub mod generated;
mod ground;
mod in_use;
mod invalid;
mod layer;
mod logins;
mod mapping;
mod mask;
mod merged;
mod mirrors;
mod nearest;
mod peers;
pub mod presets;
mod purge;
mod reader;
mod reload;
mod revalidate;
mod rules;
mod schedules;
mod schema;
mod sections;
mod shrunk;
mod templates;
#[cfg(test)]
mod tests;
mod types;
mod webhooks;

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use aws_lc_rs::digest;

use crate::activity::log::LogConfig;
use crate::ingest::{schedule, webhook};
use crate::support::plain_file::{self, Origin};
use crate::{announce, deliver, gate, journal, net, resolve, server, store};

pub use environment::{Variable, variable, variables};
pub use ground::Ground;
pub use in_use::InUse;
pub use invalid::Invalid;
pub use peers::refuse_endpoint;
pub use reload::{Reload, reload};
pub use revalidate::NotRevalidated;
pub use schema::{REFERENCE, json as json_schema};
pub use sections::NO_MIRRORS;

use merged::Merged;
use reader::Reader;

/// Where settings are looked for when no file is named, from the working directory.
pub const FILE: &str = "config/cache-mirror.toml";

/// Some editors write it at the beginning of a file; it is no part of the text.
pub const BYTE_ORDER_MARK: char = '\u{feff}';

/// What settings are read from. It holds secrets and therefore has no `Debug`.
#[derive(Clone, Default)]
pub struct Sources {
    /// `--config`.
    pub file: Option<PathBuf>,
    /// Where [`FILE`] and `.env` are looked for, and where relative paths start.
    pub workdir: PathBuf,
    /// The process's variables.
    pub env: BTreeMap<String, String>,
    /// Flags: dotted key and value, spelt as in the environment.
    pub overrides: Vec<(String, String)>,
    /// Reads no file and no `.env`.
    pub is_isolated: bool,
}

/// Everything that was decided before anything runs.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Who we are.
    pub instance: Instance,
    /// The control listener.
    pub server: server::Config,
    /// The cache.
    pub store: store::Config,
    /// The durable log.
    pub journal: journal::Config,
    /// The graph.
    pub resolve: resolve::Config,
    /// Who may do what. Without secrets of ours until [`Settings::complete`].
    pub gate: gate::Config,
    /// The stream.
    pub announce: announce::Config,
    /// The mirrors.
    pub deliver: deliver::Config,
    /// The settings of alerts.
    pub alerts: deliver::alerts::Config,
    /// Webhooks of other systems.
    pub ingest: webhook::Config,
    /// Invalidations by the clock.
    pub schedules: schedule::Config,
    /// The log file.
    pub log: LogConfig,
    /// How often the log says how the cache does; zero for never.
    pub metrics_every: Duration,
    /// What works but may not be meant, for people.
    pub warnings: Vec<String>,
    /// Said where a site to be revalidated is known by half.
    pub not_revalidated: Option<NotRevalidated>,
    needs: generated::Needs,
    held: generated::Held,
    /// What it was built of, to tell what a later reading changes.
    given: reload::Given,
}

impl Settings {
    /// Whether the admin token is generated into the data directory, rather than configured. Ask
    /// before [`Settings::complete`].
    pub fn generates_admin_token(&self) -> bool {
        self.needs.admin_token
    }

    /// The limits for fetching another issuer's keys; `None` where there is no `auth.jwks_url`.
    pub fn keys_network(&self) -> Option<net::Config> {
        self.gate.jwks.as_ref().map(|_| net::Config {
            timeout: gate::JWKS_TIME_MAX,
            connect_time_max: self.deliver.connect_time_max.min(gate::JWKS_TIME_MAX),
            answer_bytes_max: gate::JWKS_BYTES_MAX,
        })
    }
}

/// Who we are and where we keep things.
#[derive(Debug, Clone)]
pub struct Instance {
    /// Shown in answers, lines and tokens; no identity.
    pub name: String,
    /// Journal, generated secrets and the lock.
    pub data_dir: PathBuf,
    /// The settings file in use, where a change of it is to be noticed.
    pub watched: Option<Watched>,
}

/// A settings file and its content just before it was read, so that a later comparison shows any
/// change since, even one before the watch began.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watched {
    /// The file.
    pub path: PathBuf,
    /// As of [`look`].
    pub seen: Option<[u8; 32]>,
}

/// A fingerprint of what a settings file holds; `None` where it cannot be read.
pub fn look(path: &Path) -> Option<[u8; 32]> {
    let bytes = plain_file::read(path, merged::FILE_BYTES_MAX, Origin::Named).ok()?;
    digest::digest(&digest::SHA256, &bytes).as_ref().try_into().ok()
}

/// Reads and checks every source.
///
/// # Errors
/// All that is wrong, in the order of the sources.
pub fn load(sources: &Sources) -> Result<Settings, Vec<Invalid>> {
    let watched = file_of(sources).map(|path| Watched { seen: look(&path), path });
    build(Merged::collect(sources), watched)
}

fn build(merged: Merged, watched: Option<Watched>) -> Result<Settings, Vec<Invalid>> {
    let given = reload::Given::of(&merged);
    let (mut from, all) = Reader::new(merged);
    let mut instance = sections::instance(&from, &all.instance);
    instance.watched = watched.filter(|_| all.instance.watch_config);
    let resolve = rules::resolve(&mut from, &all);
    let (targets, not_revalidated) = revalidate::targets(&mut from, &all, &resolve);
    let mut settings = Settings {
        server: sections::server(&mut from, &all),
        store: sections::store(&mut from, &all.store),
        journal: sections::journal(&all.journal, &instance),
        resolve,
        gate: auth::gate(&mut from, &all, &instance),
        announce: sections::announce(&all.stream),
        deliver: mirrors::deliver(&mut from, &all, targets),
        alerts: alerts::alerts(&mut from, &all),
        ingest: webhooks::ingest(&mut from, &all),
        schedules: schedules::schedules(&mut from, &all, &instance),
        log: sections::log(&mut from, &all.log),
        metrics_every: *all.log.metrics_every_s,
        warnings: Vec::new(),
        not_revalidated,
        needs: auth::needs(&all.auth),
        held: generated::Held::default(),
        instance,
        given,
    };
    if let Some(rules) = rules::check(&settings.resolve, &mut from) {
        schedules::check(&settings.schedules, &rules, &mut from);
        settings.announce.aliases = rules.aliases();
    }
    sections::warn(&settings, &mut from);
    settings.warnings = from.warnings;
    if from.problems.is_empty() { Ok(settings) } else { Err(from.problems) }
}

/// Every key with its value, secrets masked, and where the value came from. Shows what it can read,
/// however wrong the rest is.
pub fn show(sources: &Sources) -> Vec<(String, String, String)> {
    let merged = Merged::collect(sources);
    let shown = merged
        .leaves
        .iter()
        .map(|(key, leaf)| (key.clone(), mask::value(key, &leaf.value), leaf.origin.to_string()));
    shown.collect()
}

/// Where the log is, however wrong the rest is.
pub fn log_file(sources: &Sources) -> PathBuf {
    let merged = Merged::collect(sources);
    let given = merged.leaves.get("log.file").and_then(|leaf| leaf.value.as_str());
    sources.workdir.join(given.unwrap_or_default())
}

/// Where the instance of these settings listens and keeps its data, however wrong the rest is.
pub fn whereabouts(sources: &Sources) -> (Option<SocketAddr>, PathBuf) {
    let merged = Merged::collect(sources);
    let given = |key: &str| merged.leaves.get(key).and_then(|leaf| leaf.value.as_str());
    let listen = given("control.listen").and_then(|listen| listen.parse().ok());
    (listen, sources.workdir.join(given("instance.data_dir").unwrap_or("data")))
}

/// A file to begin with: the reference with every setting commented out, so that a default that
/// changes in a later version changes here too.
pub fn starter() -> String {
    let is_setting = |line: &str| line.starts_with(|c: char| c.is_ascii_lowercase());
    REFERENCE
        .lines()
        .map(|line| if is_setting(line) { format!("# {line}\n") } else { format!("{line}\n") })
        .collect()
}

/// The settings file that is read, if there is one.
fn file_of(sources: &Sources) -> Option<PathBuf> {
    let path = sources.workdir.join(sources.file.as_deref().unwrap_or(Path::new(FILE)));
    (!sources.is_isolated && (sources.file.is_some() || path.exists())).then_some(path)
}

/// A text file of at most `bytes_max` bytes, without the byte order mark that some editors write.
fn read_text(path: &Path, bytes_max: u64) -> io::Result<String> {
    let text = plain_file::read_text(path, bytes_max, Origin::Named)?;
    Ok(match text.strip_prefix(BYTE_ORDER_MARK) {
        Some(rest) => rest.to_owned(),
        None => text,
    })
}
