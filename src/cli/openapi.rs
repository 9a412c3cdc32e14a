//! `openapi`: the description of the control API, without a running instance.
//! It is the document of `/openapi.json`, for generators of clients and for docs/.

use clap::Args as ClapArgs;

use super::{Exit, print};
use crate::server::openapi;

pub const EXAMPLES: &str = "\
Examples:
  cache-mirror openapi > openapi.json
  cache-mirror openapi --json | jq '.paths | keys'";

/// Arguments of `openapi`.
#[derive(Debug, ClapArgs)]
pub struct Args {}

/// Prints it: indented, or on one line with `--json`.
pub fn run(_args: &Args, is_json: bool) -> Result<(), Exit> {
    let document = openapi::document();
    if is_json { print::line(document) } else { print::line(format!("{document:#}")) }
}
