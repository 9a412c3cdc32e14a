//! `reload`: lets the instance read its settings again, and prints what changed.
//!
//! The settings are those of the instance, read where it runs; none of this command's own go there.
//! A refused reload changes nothing and ends as a refused start does.

use std::time::Duration;

use clap::Args as ClapArgs;
use reqwest::{Method, StatusCode};
use serde_json::Value;

use super::Exit;
use super::client::parse;
use super::connect::ConnectArgs;
use super::print;
use crate::wire::Reloaded;

pub const EXAMPLES: &str = "\
Examples:
  cache-mirror config check    what a reload would report, before anything changes
  cache-mirror reload
  cache-mirror reload --json | jq .needs_restart";

/// Arguments of `reload`.
#[derive(Debug, ClapArgs)]
pub struct Args {
    #[command(flatten)]
    connect: ConnectArgs,
}

/// Runs the command.
pub async fn run(args: &Args, is_json: bool) -> Result<(), Exit> {
    let client = args.connect.client(Duration::ZERO)?;
    let path = "/api/reload";
    let answer = client.send(client.request(Method::POST, path)?).await?;
    let problem: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    if answer.status == StatusCode::UNPROCESSABLE_ENTITY && problem["problems"].is_array() {
        if is_json {
            print::json(&problem)?;
        }
        let Reloaded { problems, .. } = parse(&problem)?;
        return Err(Exit::Config(problems.iter().map(|line| print::safe(line)).collect()));
    }
    let document = client.answered(&answer)?;
    if is_json { print::json(&document) } else { show(&parse(&document)?) }
}

fn show(reloaded: &Reloaded) -> Result<(), Exit> {
    match &reloaded.changed[..] {
        [] => print::line("reloaded: nothing changed")?,
        changed => print::line(format_args!("reloaded: {}", print::list(changed)))?,
    }
    for key in &reloaded.needs_restart {
        print::talk(format_args!("{} cannot change while running: restart", print::safe(key)));
    }
    Ok(())
}
