//! `config`: show every setting with its origin, check them all, or begin a file.
//!
//! Secrets are masked by `config` itself; nothing here sees them. `check` and `show` write nothing.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use clap::{Args as ClapArgs, Subcommand};
use serde_json::{Value, json};

use super::print::{self, BOLD, DIM, styled};
use super::settings::{SettingsArgs, destinations};
use super::{Exit, HELP};
use crate::config::{self, Invalid};

pub const EXAMPLES: &str = "\
Examples:
  cache-mirror config                     every setting, and where it comes from
  cache-mirror config check               exit code 78 and one line for each problem
  cache-mirror config init                write config/cache-mirror.toml to start from
  cache-mirror config schema              print a JSON Schema of the file, for editors";

/// Arguments of `config`.
#[derive(Debug, ClapArgs)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Args {
    #[command(subcommand)]
    what: Option<What>,
    #[command(flatten)]
    settings: SettingsArgs,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Every setting with its origin, secrets masked (the default)
    #[command(help_template = HELP, before_help = EXAMPLES)]
    Show(SettingsArgs),
    /// Report every problem at once
    #[command(help_template = HELP, before_help = EXAMPLES)]
    Check(SettingsArgs),
    /// Write a file with every key, its reason, and its default commented out
    #[command(help_template = HELP, before_help = EXAMPLES)]
    Init {
        /// The file to write
        #[arg(long = "config", value_name = "FILE", default_value = config::FILE)]
        file: std::path::PathBuf,
    },
    /// Print a JSON Schema of the settings file, for editors
    #[command(help_template = HELP, before_help = EXAMPLES)]
    Schema,
}

/// Shows, checks or begins.
pub fn run(args: &Args, is_json: bool) -> Result<(), Exit> {
    match &args.what {
        None => show(&args.settings, is_json),
        Some(What::Show(settings)) => show(settings, is_json),
        Some(What::Check(settings)) => check(settings, is_json),
        Some(What::Init { file }) => init(file, is_json),
        Some(What::Schema) => print::json(&config::json_schema()),
    }
}

fn show(args: &SettingsArgs, is_json: bool) -> Result<(), Exit> {
    let sources = args.sources()?;
    let all = config::show(&sources);
    if is_json {
        let list: Vec<Value> = all
            .iter()
            .map(|(key, value, origin)| json!({ "key": key, "value": value, "origin": origin }))
            .collect();
        print::json(&json!(list))?;
    } else {
        let width = all.iter().map(|(key, ..)| key.len()).max().unwrap_or(0);
        for (key, value, origin) in &all {
            let is_default = origin == "default";
            let name = styled(if is_default { DIM } else { BOLD }, format_args!("{key:<width$}"));
            let origin = styled(DIM, format_args!("# {}", print::safe(origin)));
            print::line(format_args!("{name} = {}  {origin}", print::safe(value)))?;
        }
    }
    // A setting that is shown and wrong must not look right.
    config::load(&sources).map(drop).map_err(|problems| bad(&problems))
}

fn check(args: &SettingsArgs, is_json: bool) -> Result<(), Exit> {
    let loaded = config::load(&args.sources()?).and_then(|mut settings| {
        let ground = settings.ground();
        settings.warnings.extend(ground.warnings);
        if ground.refused.is_empty() { Ok(settings) } else { Err(ground.refused) }
    });
    if is_json {
        let (warnings, problems) = match &loaded {
            Ok(settings) => (&settings.warnings[..], &[][..]),
            Err(problems) => (&[][..], &problems[..]),
        };
        let problems: Vec<Value> = problems.iter().map(problem).collect();
        print::json(&json!({
            "ok": problems.is_empty(), "warnings": warnings, "problems": problems,
        }))?;
    }
    let settings = loaded.map_err(|problems| bad(&problems))?;
    if !is_json {
        for warning in &settings.warnings {
            print::talk(format_args!("warning: {}", print::safe(warning)));
        }
        print::line(format_args!(
            "the configuration is valid: {} on {}, {}",
            settings.instance.name,
            settings.server.listen,
            destinations(&settings)
        ))?;
    }
    Ok(())
}

fn bad(problems: &[Invalid]) -> Exit {
    Exit::Config(problems.iter().map(ToString::to_string).collect())
}

fn problem(one: &Invalid) -> Value {
    json!({
        "key": one.key,
        "value": one.value,
        "origin": one.origin,
        "expected": one.expected,
        "suggestion": one.suggestion,
    })
}

/// Writes the starter, never over a file that is there.
fn init(file: &Path, is_json: bool) -> Result<(), Exit> {
    let shown = file.display();
    let failed = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => {
            Exit::Failed(format!("{shown} is there already: edit it, or give another --config"))
        }
        _ => Exit::Failed(format!("cannot write {shown}: {error}")),
    };
    if let Some(dir) = file.parent().filter(|dir| !dir.as_os_str().is_empty()) {
        std::fs::create_dir_all(dir).map_err(failed)?;
    }
    // It may come to hold secrets.
    let mut options = std::fs::OpenOptions::new();
    let mut new = options.write(true).create_new(true).mode(0o600).open(file).map_err(failed)?;
    new.write_all(config::starter().as_bytes()).map_err(failed)?;
    if is_json {
        return print::json(&json!({ "written": file }));
    }
    print::line(format_args!("wrote {shown}: uncomment what should differ from the defaults"))
}
