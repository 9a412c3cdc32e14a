//! Exit codes: 0 ok, 1 failed, 2 usage, 3 partial, 4 unreachable, 5 denied, 78 bad configuration.
//! Scripts branch on them, so a number never changes its meaning; stderr has the details.

use std::fmt;
use std::process::ExitCode;

/// Why a command failed. Each variant has its own code.
#[derive(Debug)]
pub enum Exit {
    /// It did not work.
    Failed(String),
    /// The arguments cannot be combined.
    Usage(String),
    /// It worked for some peers only.
    Partial(String),
    /// The instance does not answer.
    Unreachable(String),
    /// The instance does not accept the credentials.
    Denied(String),
    /// The configuration is not valid; one line for each problem.
    Config(Vec<String>),
}

impl Exit {
    fn code(&self) -> u8 {
        match self {
            Self::Failed(_) => 1,
            Self::Usage(_) => 2,
            Self::Partial(_) => 3,
            Self::Unreachable(_) => 4,
            Self::Denied(_) => 5,
            Self::Config(_) => 78,
        }
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(text)
            | Self::Usage(text)
            | Self::Partial(text)
            | Self::Unreachable(text)
            | Self::Denied(text) => out.write_str(text),
            Self::Config(lines) => out.write_str(&lines.join("\n")),
        }
    }
}

impl From<anyhow::Error> for Exit {
    fn from(error: anyhow::Error) -> Self {
        Self::Failed(format!("{error:#}"))
    }
}

/// Prints the error on stderr and returns the code.
pub fn code(result: Result<(), Exit>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(exit) => {
            let text = exit.to_string();
            if !text.is_empty() {
                anstream::eprintln!("{text}");
            }
            ExitCode::from(exit.code())
        }
    }
}
