//! `completions`: what a shell needs to complete commands and flags, made from the commands
//! themselves. It prints and installs nothing.

use clap::{Args as ClapArgs, ValueEnum};
use clap_complete::Shell;
use serde_json::json;

use super::{Exit, print};

pub const EXAMPLES: &str = "\
Examples:
  cache-mirror completions bash > ~/.local/share/bash-completion/completions/cache-mirror
  cache-mirror completions zsh > ~/.zfunc/_cache-mirror
  cache-mirror completions fish > ~/.config/fish/completions/cache-mirror.fish";

/// Shells that are tried; others may be asked for when somebody uses them.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum For {
    Bash,
    Zsh,
    Fish,
}

/// Arguments of `completions`.
#[derive(Debug, ClapArgs)]
pub struct Args {
    /// The shell
    shell: For,
}

/// Prints the script.
pub fn run(args: &Args, is_json: bool) -> Result<(), Exit> {
    let (shell, name) = match args.shell {
        For::Bash => (Shell::Bash, "bash"),
        For::Zsh => (Shell::Zsh, "zsh"),
        For::Fish => (Shell::Fish, "fish"),
    };
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut super::tree(), "cache-mirror", &mut script);
    let script = String::from_utf8_lossy(&script);
    match is_json {
        true => print::json(&json!({ "shell": name, "script": script })),
        false => print::line(script.trim_end()),
    }
}
