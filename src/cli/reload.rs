//! `reload`: has the instance read its settings again, and tells what that changed.
//!
//! The settings are those of the instance, read where it runs; none of this command's own go there.
//! A refused reload changes nothing and ends as a refused start does.

use std::time::Duration;

use clap::Args as ClapArgs;
use reqwest::{Method, StatusCode};
use serde_json::Value;

use super::Exit;
use super::connect::ConnectArgs;
use super::print;

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

/// Asks and tells.
pub async fn run(args: &Args, is_json: bool) -> Result<(), Exit> {
    let client = args.connect.client(Duration::ZERO)?;
    let path = "/api/reload";
    let answer = client.send(client.request(Method::POST, path)?).await?;
    let told: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    if answer.status == StatusCode::UNPROCESSABLE_ENTITY && told["problems"].is_array() {
        if is_json {
            print::json(&told)?;
        }
        return Err(Exit::Config(list(&told, "problems")));
    }
    let told = client.answered(&answer)?;
    if is_json {
        return print::json(&told);
    }
    show(&told)
}

fn show(told: &Value) -> Result<(), Exit> {
    let changed = list(told, "changed");
    match changed.len() {
        0 => print::line("reloaded: nothing changed")?,
        _ => print::line(format_args!("reloaded: {}", changed.join(", ")))?,
    }
    for key in list(told, "needs_restart") {
        print::talk(format_args!("{key} cannot change while running: restart"));
    }
    Ok(())
}

fn list(of: &Value, member: &str) -> Vec<String> {
    let items = of[member].as_array().into_iter().flatten().filter_map(Value::as_str);
    items.map(print::safe).collect()
}
