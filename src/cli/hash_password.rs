//! `hash-password`: an argon2id hash (PHC form) for `auth.service_accounts`.
//!
//! The password comes from stdin alone: an argument would stand in the process list and in the
//! shell's history.

use std::io::Read;

use clap::Args as ClapArgs;
use serde_json::json;

use super::{Exit, print};
use crate::config::BYTE_ORDER_MARK;
use crate::gate;

pub const EXAMPLES: &str = "\
Examples:
  cache-mirror hash-password --stdin < password.txt
  cache-mirror secret generate | tee password.txt | cache-mirror hash-password --stdin";

/// Login looks at no longer ones.
const PASSWORD_BYTES_MAX: u64 = 1024;

/// Arguments of `hash-password`.
#[derive(Debug, ClapArgs)]
pub struct Args {
    /// Read the password from stdin; one newline at its end is not part of it
    #[arg(long, required = true)]
    stdin: bool,
}

/// Reads, hashes, prints.
pub fn run(_args: &Args, is_json: bool) -> Result<(), Exit> {
    let mut text = String::new();
    std::io::stdin()
        .take(PASSWORD_BYTES_MAX + 3)
        .read_to_string(&mut text)
        .map_err(|error| Exit::Failed(format!("cannot read the password from stdin: {error}")))?;
    let password = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&text);
    let password = password.strip_suffix('\n').unwrap_or(password);
    let password = password.strip_suffix('\r').unwrap_or(password);
    if password.is_empty() {
        return Err(Exit::Failed("the password is empty: give one on stdin".into()));
    }
    if password.len() as u64 > PASSWORD_BYTES_MAX {
        return Err(Exit::Failed(format!(
            "the password is longer than {PASSWORD_BYTES_MAX} bytes"
        )));
    }
    let hash = gate::hash_password(password).map_err(|error| Exit::Failed(error.to_string()))?;
    if is_json { print::json(&json!({ "password_hash": hash })) } else { print::line(hash) }
}
