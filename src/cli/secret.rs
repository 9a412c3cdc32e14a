//! `secret generate`: random bytes for tokens, keys and passwords, in base64. They go to stdout and
//! nowhere else.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clap::{Args as ClapArgs, Subcommand};
use serde_json::json;

use super::{Exit, HELP, print};
use crate::deliver::Signer;

pub const EXAMPLES: &str = "\
Examples:
  cache-mirror secret generate
  cache-mirror secret generate --bytes 64 > jwt.secret
  cache-mirror secret generate --webhook > signing.secret    for signatures of webhooks";

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
        /// How many bytes, before base64; 48 are the 64 characters that the longest advice asks for
        #[arg(long, default_value_t = 48, value_parser = clap::value_parser!(u16).range(16..=1024))]
        bytes: u16,
        /// As webhook signatures want it: whsec_ in front, 24 to 64 bytes
        #[arg(long)]
        webhook: bool,
    },
}

/// Makes one and prints it.
pub fn run(args: &Args, is_json: bool) -> Result<(), Exit> {
    let What::Generate { bytes, webhook } = args.what;
    let mut secret = random(usize::from(bytes))?;
    if webhook {
        if !Signer::SECRET_BYTES.contains(&usize::from(bytes)) {
            return Err(Exit::Usage("--webhook takes --bytes from 24 to 64".into()));
        }
        secret.insert_str(0, Signer::SECRET_PREFIX);
    }
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
