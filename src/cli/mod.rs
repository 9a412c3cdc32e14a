//! The command line: one file for each command.
//!
//! Data goes to stdout, talk to stderr; exit codes are a contract. Commands for a running instance
//! talk to its control API like any other client.

mod apps;
mod client;
mod completions;
mod config;
mod connect;
mod consent;
mod demo;
mod doctor;
mod events;
mod exit;
mod explain;
mod hash_password;
mod health;
mod in_use;
mod invalidate;
mod logs;
mod man;
mod mirrors;
mod openapi;
mod print;
mod progress;
mod rate;
mod reload;
mod schedules;
mod secret;
mod selection;
mod serve;
mod service;
mod settings;
mod status;
mod token;
mod tune;
mod version;
mod why;

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

pub use exit::Exit;

/// Help leads with examples: they are what most people came for.
const HELP: &str = "\
{about-with-newline}
{before-help}{usage-heading} {usage}

{all-args}{after-help}";

const EXAMPLES: &str = "\
Examples:
  cache-mirror demo                            three instances and a small site, in one minute
  cache-mirror serve                           run an instance
  cache-mirror invalidate posts/42             clear a post, here and at every mirror
  cache-mirror status                          the instance and the state of its mirrors
  cache-mirror logs -f --event mirror          follow what is mirrored";

/// One invalidation, everywhere, once.
#[derive(Debug, Parser)]
#[command(
    name = "cache-mirror",
    version,
    about,
    propagate_version = true,
    help_template = HELP,
    before_help = EXAMPLES,
    arg_required_else_help = true
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// Print JSON: one document, or one a line for endless output
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run an instance
    #[command(help_template = HELP, before_help = serve::EXAMPLES)]
    Serve(serve::Args),
    /// Show how it works: three instances and a small site on this host
    #[command(help_template = HELP, before_help = demo::EXAMPLES)]
    Demo(demo::Args),
    /// Invalidate what changed, here and at every mirror
    #[command(help_template = HELP, before_help = invalidate::EXAMPLES)]
    Invalidate(invalidate::Args),
    /// Show what an invalidation would do, without doing it
    #[command(help_template = HELP, before_help = explain::EXAMPLES)]
    Explain(explain::Args),
    /// Show what last touched an entry, and whether it is valid now
    #[command(help_template = HELP, before_help = why::EXAMPLES)]
    Why(why::Args),
    /// List events, or show one event at every destination
    #[command(help_template = HELP, before_help = events::EXAMPLES)]
    Events(events::Args),
    /// Show the instance, its contents and the state of its mirrors
    #[command(help_template = HELP, before_help = status::EXAMPLES)]
    Status(status::Args),
    /// Check whether it runs, for health checks
    #[command(help_template = HELP, before_help = health::EXAMPLES)]
    Health(health::Args),
    /// List the mirrors, or pause, resume, retry or limit one
    #[command(help_template = HELP, before_help = mirrors::EXAMPLES)]
    Mirrors(mirrors::Args),
    /// List the schedules, or run, pause or resume one
    #[command(help_template = HELP, before_help = schedules::EXAMPLES)]
    Schedules(schedules::Args),
    /// Reload the settings without a restart
    #[command(help_template = HELP, before_help = reload::EXAMPLES)]
    Reload(reload::Args),
    /// Show the log in a readable form, with filters
    #[command(help_template = HELP, before_help = logs::EXAMPLES)]
    Logs(logs::Args),
    /// Replay the log's traffic under other rate limits, and recommend one
    #[command(help_template = HELP, before_help = tune::EXAMPLES)]
    Tune(tune::Args),
    /// Show, check or create the configuration
    #[command(help_template = HELP, before_help = config::EXAMPLES)]
    Config(config::Args),
    /// Find what is wrong, and show the remedy
    #[command(help_template = HELP, before_help = doctor::EXAMPLES)]
    Doctor(doctor::Args),
    /// Show how often each type was cleared, or reset the counts
    #[command(help_template = HELP, before_help = version::EXAMPLES)]
    Version(version::Args),
    /// Hash a service account's password for auth.service_accounts
    #[command(help_template = HELP, before_help = hash_password::EXAMPLES)]
    HashPassword(hash_password::Args),
    /// Print completions for a shell
    #[command(help_template = HELP, before_help = completions::EXAMPLES)]
    Completions(completions::Args),
    /// Print the manual page, or write one for each command
    #[command(help_template = HELP, before_help = man::EXAMPLES)]
    Man(man::Args),
    /// Print the description of the control API (OpenAPI 3.1)
    #[command(help_template = HELP, before_help = openapi::EXAMPLES)]
    Openapi(openapi::Args),
    /// Generate secrets
    #[command(help_template = HELP, before_help = secret::EXAMPLES)]
    Secret(secret::Args),
    /// Make or inspect a token; list and revoke those of applications
    #[command(help_template = HELP, before_help = token::EXAMPLES)]
    Token(token::Args),
}

/// Every command with its arguments, for completions, pages and checks.
fn tree() -> clap::Command {
    Cli::command()
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
    let is_json = cli.json;
    let result = match &cli.command {
        Command::Serve(args) => serve::run(args, is_json),
        Command::Demo(args) => demo::run(args, is_json),
        Command::Invalidate(args) => wait(invalidate::run(args, is_json)),
        Command::Explain(args) => wait(explain::run(args, is_json)),
        Command::Why(args) => wait(why::run(args, is_json)),
        Command::Events(args) => wait(events::run(args, is_json)),
        Command::Status(args) => wait(status::run(args, is_json)),
        Command::Health(args) => wait(health::run(args, is_json)),
        Command::Mirrors(args) => wait(mirrors::run(args, is_json)),
        Command::Schedules(args) => wait(schedules::run(args, is_json)),
        Command::Reload(args) => wait(reload::run(args, is_json)),
        Command::Logs(args) => wait(logs::run(args, is_json)),
        Command::Tune(args) => tune::run(args, is_json),
        Command::Config(args) => config::run(args, is_json),
        Command::Doctor(args) => wait(doctor::run(args, is_json)),
        Command::Version(args) => wait(version::run(args, is_json)),
        Command::HashPassword(args) => hash_password::run(args, is_json),
        Command::Completions(args) => completions::run(args, is_json),
        Command::Man(args) => man::run(args, is_json),
        Command::Openapi(args) => openapi::run(args, is_json),
        Command::Secret(args) => secret::run(args, is_json),
        Command::Token(args) => wait(token::run(args, is_json)),
    };
    exit::code(result)
}

/// Runs a command that waits for the network or a file.
fn wait(command: impl Future<Output = Result<(), Exit>>) -> Result<(), Exit> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Exit::Failed(format!("cannot start the runtime: {error}")))?;
    runtime.block_on(command)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_contradict_nothing_and_every_help_leads_with_examples() {
        let mut command = tree().disable_help_subcommand(true);
        command.clone().debug_assert();
        command.build();
        let mut all: Vec<_> = command.get_subcommands().cloned().collect();
        while let Some(mut sub) = all.pop() {
            all.extend(sub.get_subcommands().cloned());
            let help = sub.render_long_help().to_string();
            let (examples, usage) = (help.find("Examples:"), help.find("Usage:"));
            assert!(examples.is_some() && examples < usage, "{}:\n{help}", sub.get_name());
        }
    }

    /// Every text below this directory: hints, remedies and examples.
    fn sources(dir: &std::path::Path, found: &mut Vec<String>) {
        for entry in std::fs::read_dir(dir).expect("readable").map(|entry| entry.expect("entry")) {
            match entry.path() {
                path if path.is_dir() => sources(&path, found),
                path => found.push(std::fs::read_to_string(path).expect("text")),
            }
        }
    }

    /// The commands that a line suggests.
    fn commands(line: &str) -> impl Iterator<Item = Vec<String>> + '_ {
        let is_command = |before: &str| {
            before.is_empty()
                || ["\\\"", ": ", "  ", "| ", "`", "$ "].iter().any(|mark| before.ends_with(mark))
        };
        line.match_indices("cache-mirror ").filter(move |(at, _)| is_command(&line[..*at])).map(
            |(at, _)| {
                let rest = &line[at..];
                let ends = ["`", "\"", "|", " > ", " < ", "   ", ";", ")", ". ", "\\"];
                let end = ends.iter().filter_map(|end| rest.find(end)).min().unwrap_or(rest.len());
                rest[..end].split_whitespace().map(|argument| argument.replace('\'', "")).collect()
            },
        )
    }

    #[test]
    fn every_hint_and_every_example_is_a_command_that_exists() {
        let mut texts = vec![];
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
        sources(&root.join("src/cli"), &mut texts);
        texts.push(std::fs::read_to_string(root.join("docs/TUNING.md")).expect("text"));
        let mut tried = 0;
        for line in texts.iter().flat_map(|text| text.lines()) {
            tried += try_commands(line);
        }
        assert!(tried > 40, "{tried}");
    }

    /// The guide must not suggest a command that does not exist.
    #[test]
    fn every_command_of_the_troubleshooting_guide_exists() {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
        let guide = std::fs::read_to_string(root.join("docs/TROUBLESHOOTING.md")).expect("text");
        let tried: usize = guide.lines().map(try_commands).sum();
        assert!(tried > 15, "{tried}");
    }

    fn try_commands(line: &str) -> usize {
        use clap::error::ErrorKind::{DisplayHelp, DisplayVersion};
        let all = commands(line).inspect(|command| {
            if let Err(error) = tree().try_get_matches_from(command) {
                let is_help = matches!(error.kind(), DisplayHelp | DisplayVersion);
                assert!(is_help, "{line}\n{error}");
            }
        });
        all.count()
    }
}
