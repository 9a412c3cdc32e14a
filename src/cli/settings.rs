//! The flags that name where settings come from, for every command that reads them.
//!
//! Nothing is interpreted here: files, variables and flags are handed to `config` as they are, so
//! that all commands see the same instance.

use std::path::PathBuf;

use clap::Args;

use super::{Exit, print};
use crate::config::{self, Settings, Sources};

/// Where settings come from.
#[derive(Debug, Clone, Default, Args)]
pub struct SettingsArgs {
    /// Configuration file [default: config/cache-mirror.toml, if there]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// One setting, which overrides everything else; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Read no file and no .env: defaults, environment and flags only
    #[arg(long)]
    pub isolated: bool,
}

impl SettingsArgs {
    /// The sources, with these flags on top.
    ///
    /// # Errors [`Exit::Usage`] for a `--set` without `=`, [`Exit::Failed`] where there is no
    /// working directory.
    pub fn sources(&self) -> Result<Sources, Exit> {
        let pair = |text: &String| match text.split_once('=') {
            Some((key, value)) => Ok((key.trim().to_owned(), value.to_owned())),
            None => Err(Exit::Usage(format!("--set {text}: expected KEY=VALUE"))),
        };
        Ok(Sources {
            file: self.config.clone(),
            workdir: std::env::current_dir().map_err(|e| Exit::Failed(e.to_string()))?,
            // A variable that is no text is not a setting.
            env: std::env::vars_os()
                .filter_map(|(name, value)| {
                    Some((name.into_string().ok()?, value.into_string().ok()?))
                })
                .collect(),
            overrides: self.set.iter().map(pair).collect::<Result<_, _>>()?,
            is_isolated: self.isolated,
        })
    }

    /// The checked settings.
    ///
    /// # Errors
    /// [`Exit::Config`] with one line for each problem.
    pub fn settings(&self) -> Result<Settings, Exit> {
        config::load(&self.sources()?)
            .map_err(|problems| Exit::Config(problems.iter().map(ToString::to_string).collect()))
    }
}

/// The numbers of mirrors and of targets.
pub fn destinations(settings: &Settings) -> String {
    let peers = &settings.deliver.peers;
    let mirrors = peers.iter().filter(|peer| peer.class.target().is_none()).count();
    let targets = (peers.len() - mirrors) as u64;
    let mirrors = print::count(mirrors as u64, "mirror", "mirrors");
    match targets {
        0 => mirrors,
        targets => format!("{mirrors}, {}", print::count(targets, "target", "targets")),
    }
}
