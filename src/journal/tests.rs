//! Scenes of the journal on a simulated disk; a real one is in `files`.
//! The simulated one loses whatever was not synced, and fails where it is told to.

use std::path::PathBuf;
use std::sync::Arc;

use crate::domain::{
    Demand, Event, EventId, Label, Mode, Scope, Selector, Selectors, Source, TypeName,
};

use super::sim::SimDisk;
use super::{Backlog, Config, Journal, Limits, Recovered};

mod away;
mod classes;
mod damage;
mod early;
mod files;
mod holding;
mod outage;
mod promises;
mod reconfigure;
mod resets;
mod scenes;
mod search;
mod tail;

const ALL_OF_IT: Limits =
    Limits { events_max: usize::MAX, bytes_max: usize::MAX, members_max: usize::MAX };

fn config() -> Config {
    Config {
        dir: PathBuf::from("/data"),
        segment_bytes: 16 * 1024,
        events_kept: 1_000,
        bytes_kept: 1 << 20,
        backlog_members_max: 1_000,
    }
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn open_with(config: &Config, disk: &SimDisk, destinations: &[&str]) -> (Journal, Recovered) {
    Journal::open(config.clone(), Arc::new(disk.clone()), &names(destinations)).expect("opens")
}

fn open(disk: &SimDisk) -> (Journal, Recovered) {
    open_with(&config(), disk, &["a", "b"])
}

fn kind(name: &str) -> TypeName {
    TypeName::parse(name).expect("type")
}

fn entity(name: &str, id: &str) -> Selectors {
    Selectors::one(Selector::Entity(kind(name), Label::parse(id).expect("label")))
}

fn whole(name: &str) -> Selectors {
    Selectors::one(Selector::Type(kind(name)))
}

fn mirrored(selectors: Selectors) -> Event {
    Event::of(Demand::new(Mode::Hard, selectors))
}

fn local(selectors: Selectors) -> Event {
    Event { scope: Scope::Local, ..mirrored(selectors) }
}

fn pending(journal: &Journal, destination: &str) -> Option<Backlog> {
    journal.pending(destination, ALL_OF_IT)
}

fn owed(journal: &Journal, destination: &str) -> Demand {
    pending(journal, destination).map(|backlog| backlog.demand()).unwrap_or_default()
}
