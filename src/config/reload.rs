//! Reading the settings again while they are in use: what changes now, and what only a restart can.
//!
//! Everything is read and checked as at a start; on any problem nothing comes of it. A key that
//! cannot change while running keeps its value, also where other keys take theirs from it, so that
//! the settings in use are always ones that a start could have had. The types of keys that
//! need a restart say so (`x-restart` in the schema); every other key changes.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use parking_lot::Mutex;

use super::layer::Leaf;
use super::merged::Merged;
use super::shrunk::{Refused, Text};
use super::{Invalid, Settings, Sources, build, schema};
use crate::deliver::PeerConfig;
use crate::deliver::targets::Target;

/// What reading the settings again comes to.
#[derive(Debug, Clone)]
pub struct Reload {
    /// The settings to go on with, complete.
    pub settings: Settings,
    /// The keys that change now, in order.
    pub changed: Vec<String>,
    /// The keys that would change but need a restart, in order.
    pub needs_restart: Vec<String>,
}

/// The values that settings were built of. It holds secrets, so it does not show them.
#[derive(Clone, Default)]
pub(super) struct Given {
    leaves: BTreeMap<String, Leaf>,
    texts: [Text; 2],
}

impl Given {
    pub(super) fn of(merged: &Merged) -> Self {
        Self { leaves: merged.leaves.clone(), texts: merged.texts.clone() }
    }

    /// The keys whose values differ.
    fn differing(&self, other: &Self) -> Vec<String> {
        let keys: BTreeSet<&String> = self.leaves.keys().chain(other.leaves.keys()).collect();
        let value = |given: &Self, key: &str| given.leaves.get(key).map(|leaf| leaf.value.clone());
        let differs = |key: &&&String| value(self, key) != value(other, key);
        keys.iter().filter(differs).map(|key| (*key).clone()).collect()
    }
}

impl fmt::Debug for Given {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} keys", self.leaves.len())
    }
}

/// Reads every source again and compares with what is in use. Secrets of ours that are no longer
/// configured are read from, or generated in, the data directory, as at a start; where the
/// file of one in use is gone, it stays in use.
///
/// # Errors
/// All that is wrong, in the order of the sources.
pub fn reload(sources: &Sources, running: &Settings) -> Result<Reload, Vec<Invalid>> {
    let merged = Merged::collect(sources);
    let wanted = Given::of(&merged);
    refuse_shrunk(&wanted, running)?;
    let mut kept = merged.clone();
    // First as it stands: what a restart would refuse is refused now.
    build(merged, None)?;
    let (needs_restart, mut changed): (Vec<_>, Vec<_>) =
        running.given.differing(&wanted).into_iter().partition(|key| schema::is_fixed(key));
    for key in &needs_restart {
        match running.given.leaves.get(key) {
            Some(leaf) => drop(kept.leaves.insert(key.clone(), leaf.clone())),
            None => drop(kept.leaves.remove(key)),
        }
    }
    let mut settings = build(kept, None)?;
    settings.instance.watched.clone_from(&running.instance.watched);
    settings.hold(running);
    settings.complete().map_err(|problem| vec![problem])?;
    changed.extend(changed_in_files(running, &settings, &changed));
    Ok(Reload { settings, changed, needs_restart })
}

/// Refuses files that look as if they were caught while being written.
fn refuse_shrunk(wanted: &Given, running: &Settings) -> Result<(), Vec<Invalid>> {
    static REFUSED: Mutex<Refused> = Mutex::new(Refused::none());
    let mut refused = REFUSED.lock();
    let texts = wanted.texts.iter().zip(&running.given.texts);
    let problems: Vec<_> =
        texts.filter_map(|(now, before)| now.compare(before, &mut refused)).collect();
    if problems.is_empty() { Ok(()) } else { Err(problems) }
}

/// Secrets that changed in files of which the settings say no more than the path.
fn changed_in_files(running: &Settings, new: &Settings, told: &[String]) -> Vec<String> {
    let is_reported = |section: &str| told.iter().any(|key| key.starts_with(section));
    let mut found = Vec::new();
    for (section, key, kind) in [
        ("mirrors.", "mirrors.peers", None),
        ("revalidate.", "revalidate.targets", Some("revalidate")),
        ("purge.", "purge.targets", Some("purge")),
    ] {
        let of = |settings: &Settings| -> Vec<PeerConfig> {
            let is_it = |it: &&PeerConfig| it.class.target().map(Target::kind) == kind;
            settings.deliver.peers.iter().filter(is_it).cloned().collect()
        };
        if !is_reported(section) && of(running) != of(new) {
            found.push(key.to_owned());
        }
    }
    if !is_reported("auth.admin_token") && running.gate.admin_tokens != new.gate.admin_tokens {
        found.push("auth.admin_token".to_owned());
    }
    if !is_reported("ingest.") && running.ingest != new.ingest {
        found.push("ingest.hooks".to_owned());
    }
    if !is_reported("auth.jwt_secret") && running.gate.jwt_secrets != new.gate.jwt_secrets {
        found.push("auth.jwt_secret".to_owned());
    }
    found
}
