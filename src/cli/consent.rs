//! Asks for consent to what cannot be undone: on a terminal, or given by `--yes`.
//!
//! A script that was not written for it ends with a usage error instead of clearing everything.

use std::io::{BufRead, IsTerminal, Write};

use clap::Args;

use super::Exit;

/// The flag of every command that asks.
#[derive(Debug, Clone, Copy, Args)]
pub struct Consent {
    /// Do not ask; required if stdin is no terminal
    #[arg(long)]
    yes: bool,
}

impl Consent {
    /// Returns where it was given, by the flag or at the terminal.
    ///
    /// # Errors
    /// [`Exit::Usage`] without a terminal, [`Exit::Failed`] where the answer is not yes.
    pub fn ask(self, question: &str) -> Result<(), Exit> {
        if self.yes {
            return Ok(());
        }
        let (stdin, mut stderr) = (std::io::stdin(), anstream::stderr());
        if !stdin.is_terminal() || !std::io::stderr().is_terminal() {
            return Err(Exit::Usage(format!("{question} Give --yes to do it without a terminal")));
        }
        // A question that cannot be shown is not answered.
        drop(
            write!(stderr, "{} [y/N] ", crate::support::visible::escaped(question))
                .and_then(|()| stderr.flush()),
        );
        let mut answer = String::new();
        drop(stdin.lock().read_line(&mut answer));
        match is_yes(&answer) {
            true => Ok(()),
            false => Err(Exit::Failed("nothing was done".into())),
        }
    }
}

fn is_yes(answer: &str) -> bool {
    matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_yes_is_one() {
        assert!(["y", "Y\n", " yes ", "YES\r\n"].iter().all(|answer| is_yes(answer)));
        assert!(!["", "\n", "n", "no", "yes please", "j"].iter().any(|answer| is_yes(answer)));
    }
}
