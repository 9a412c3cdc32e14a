//! The command line: one file for each command.
//!
//! Data goes to stdout, talk to stderr; exit codes are a contract. Commands for a running instance
//! talk to its control API like any other client.

mod exit;
mod serve;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

pub use exit::Exit;

/// One invalidation, everywhere, once.
#[derive(Debug, Parser)]
#[command(name = "cache-mirror", version, about, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run an instance.
    Serve(serve::Args),
}

/// Parses the arguments, runs the command, and turns its end into an exit code.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are no errors and go to stdout; clap knows.
            drop(error.print());
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    let result = match &cli.command {
        Command::Serve(args) => serve::run(args),
    };
    exit::code(result)
}
