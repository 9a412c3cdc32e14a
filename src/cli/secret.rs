//! `secret generate`: random bytes for tokens, keys and passwords, in base64. They go to stdout and
//! nowhere else.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clap::{Args as ClapArgs, Subcommand};
use serde_json::json;

use super::{Exit, HELP, print};

pub const EXAMPLES: &str = "\
Examples:
  cache-mirror secret generate
  cache-mirror secret generate --bytes 64 > jwt.secret";

/// Arguments of `secret`.
#[derive(Debug, ClapArgs)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Random bytes in base64
    #[command(help_template = HELP, before_help = EXAMPLES)]
    Generate {
        /// How many bytes, before base64; 32 is as strong as anything it is used with
        #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u16).range(16..=1024))]
        bytes: u16,
    },
}

/// Makes one and prints it.
pub fn run(args: &Args, is_json: bool) -> Result<(), Exit> {
    let What::Generate { bytes } = args.what;
    let secret = random(usize::from(bytes))?;
    if is_json { print::json(&json!({ "secret": secret })) } else { print::line(secret) }
}

/// So many random bytes in base64.
///
/// # Errors
/// The system has none.
pub fn random(bytes: usize) -> Result<String, Exit> {
    let mut random = vec![0_u8; bytes];
    crate::support::random::fill(&mut random)
        .map_err(|_| Exit::Failed("no random bytes to be had".into()))?;
    Ok(STANDARD.encode(random))
}
