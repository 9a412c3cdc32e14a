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

/// The tested shells.
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
    let script = String::from_utf8_lossy(&script).into_owned();
    let script = if shell == Shell::Bash { one_spelling(script) } else { script };
    match is_json {
        true => print::json(&json!({ "shell": name, "script": script })),
        false => print::line(script.trim_end()),
    }
}

/// The script with each command under the one name by which it is looked up.
///
/// clap_complete spells our own dash differently where a command is found and where its arguments
/// are listed (clap-rs/clap#6421), so that nothing would be completed after the first argument.
fn one_spelling(script: String) -> String {
    let (found, listed) = ("cache__mirror__subcmd__", "cache__subcmd__mirror__subcmd__");
    let is_split = !script.contains(&format!("cmd=\"{listed}")) && script.contains(listed);
    if is_split { script.replace(listed, found) } else { script }
}

#[cfg(test)]
mod tests {
    use super::one_spelling;

    #[test]
    fn only_a_script_that_disagrees_with_itself_is_changed() {
        let (found, listed) = ("cache__mirror__subcmd__why", "cache__subcmd__mirror__subcmd__why");
        let script = |found: &str, listed: &str| format!("cmd=\"{found}\"\n{listed})");
        assert_eq!(one_spelling(script(found, listed)), script(found, found));
        for name in [found, listed] {
            assert_eq!(one_spelling(script(name, name)), script(name, name));
        }
    }
}
