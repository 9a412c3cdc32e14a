//! Settings as users write them, and the errors they read.
//! A scene is a working directory with what is given in it; the process's own environment is not
//! read.

mod keys;
mod logins;
mod names;
mod parents;
mod peers;
mod purge;
mod reload;
mod revalidate;
mod schedules;
mod schema;
mod secrets;
mod settings;
mod sources;
mod webhooks;

use std::collections::BTreeMap;
use std::fs;

use super::*;

/// A working directory and what is given in it.
pub(super) struct Scene {
    pub(super) dir: tempfile::TempDir,
    pub(super) sources: Sources,
}

impl Scene {
    pub(super) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let sources = Sources { workdir: dir.path().to_owned(), ..Sources::default() };
        Self { dir, sources }
    }

    /// With the usual settings file.
    pub(super) fn file(text: &str) -> Self {
        Self::new().and_file(text)
    }

    pub(super) fn env(variables: &[(&str, &str)]) -> Self {
        Self::new().and_env(variables)
    }

    pub(super) fn and_file(self, text: &str) -> Self {
        self.write(FILE, text)
    }

    pub(super) fn and_dot_env(self, text: &str) -> Self {
        self.write(".env", text)
    }

    pub(super) fn and_env(mut self, variables: &[(&str, &str)]) -> Self {
        let owned = |(name, text): &(&str, &str)| ((*name).to_owned(), (*text).to_owned());
        self.sources.env.extend(variables.iter().map(owned).collect::<BTreeMap<_, _>>());
        self
    }

    pub(super) fn and_flag(mut self, key: &str, text: &str) -> Self {
        self.sources.overrides.push((key.into(), text.into()));
        self
    }

    pub(super) fn write(self, path: &str, text: &str) -> Self {
        let path = self.dir.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        self
    }

    pub(super) fn good(&self) -> Settings {
        load(&self.sources).unwrap_or_else(|problems| panic!("{}", shown(&problems)))
    }

    /// The problems, one to a line.
    pub(super) fn bad(&self) -> String {
        match load(&self.sources) {
            Ok(_) => panic!("expected problems"),
            Err(problems) => shown(&problems),
        }
    }
}

fn shown(problems: &[Invalid]) -> String {
    problems.iter().map(|problem| format!("{problem}\n")).collect()
}
