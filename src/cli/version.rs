//! `version`: shows how often anything, or one type, was cleared here, and resets the count to 0.
//!
//! With one type it prints the number alone, for scripts. A type that was never cleared reads 0. It
//! never clears anything, and what mirrors count is theirs.

use std::time::Duration;

use clap::builder::NonEmptyStringValueParser as NonEmpty;
use clap::{Args as ClapArgs, Subcommand};
use reqwest::Method;

use super::client::{encoded, parse};
use super::connect::ConnectArgs;
use super::consent::Consent;
use super::print::{self, BOLD, styled};
use super::{Exit, HELP};
use crate::wire::{Versions, VersionsReset};

pub const EXAMPLES: &str = "\
Examples:
  cache-mirror version                             of everything, and of each type
  cache-mirror version get posts                   the number alone
  cache-mirror version get posts feed
  cache-mirror version reset --yes                 start again from 0; clears nothing";

/// Arguments of `version`.
#[derive(Debug, ClapArgs)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Args {
    #[command(subcommand)]
    what: Option<What>,
    #[command(flatten)]
    connect: ConnectArgs,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Show it, of everything or of some types (the default)
    #[command(help_template = HELP, before_help = EXAMPLES)]
    Get {
        /// Types; one that was never cleared reads 0
        #[arg(value_name = "TYPE", value_delimiter = ',', value_parser = NonEmpty::new())]
        types: Vec<String>,
        #[command(flatten)]
        connect: ConnectArgs,
    },
    /// Set all of them to 0, and the last clear to now
    #[command(help_template = HELP, before_help = EXAMPLES)]
    Reset {
        #[command(flatten)]
        consent: Consent,
        #[command(flatten)]
        connect: ConnectArgs,
    },
}

/// Shows versions, or resets them.
pub async fn run(args: &Args, is_json: bool) -> Result<(), Exit> {
    match &args.what {
        None => get(&args.connect, &[], is_json).await,
        Some(What::Get { types, connect }) => get(connect, types, is_json).await,
        Some(What::Reset { consent, connect }) => {
            consent.ask("Set every version to 0? Clients that compare versions fetch again.")?;
            reset(connect, is_json).await
        }
    }
}

async fn get(connect: &ConnectArgs, types: &[String], is_json: bool) -> Result<(), Exit> {
    let client = connect.client(Duration::ZERO)?;
    let query = match types {
        [] => String::new(),
        names => format!("?types={}", encoded(&names.join(","))),
    };
    let answer = client.get(&format!("/api/cache/versions{query}")).await?;
    if is_json {
        return print::json(&answer);
    }
    let versions: Versions = parse(&answer)?;
    if let [name] = types {
        return print::line(versions.types.get(name).unwrap_or(&0));
    }
    if types.is_empty() {
        let cleared = match &versions.last_cache_clear {
            Some(at) => format!("last cleared {}", print::safe(at)),
            None => "nothing cleared yet".to_owned(),
        };
        print::line(format_args!("{}, {cleared}", styled(BOLD, versions.version)))?;
    }
    let mut each = versions.types.iter();
    each.try_for_each(|(name, version)| {
        print::line(format_args!("{} {version}", print::safe(name)))
    })
}

async fn reset(connect: &ConnectArgs, is_json: bool) -> Result<(), Exit> {
    let client = connect.client(Duration::ZERO)?;
    let (_, answer) = client.call(Method::POST, "/api/cache/versions/reset", None).await?;
    if is_json {
        return print::json(&answer);
    }
    let reset: VersionsReset = parse(&answer)?;
    let (before, at) = (reset.version_before, print::safe(&reset.last_cache_clear));
    print::line(format_args!("version 0, was {before}; last cleared {at}"))
}
