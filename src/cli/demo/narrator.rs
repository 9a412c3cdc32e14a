//! Prints the lines of the demo, each with the time since the start; with `--json` one JSON object
//! a line.

use std::fmt::Display;
use std::time::Instant;

use serde_json::json;

use crate::cli::Exit;
use crate::cli::print::{self, BOLD, DIM, styled};

/// Prints the steps.
pub struct Narrator {
    started: Instant,
    is_json: bool,
}

impl Narrator {
    /// Times count from now.
    pub fn new(is_json: bool) -> Self {
        Self { started: Instant::now(), is_json }
    }

    /// A line of a step.
    ///
    /// # Errors
    /// stdout takes no more.
    pub fn show(&self, step: &str, text: impl Display) -> Result<(), Exit> {
        let elapsed = self.started.elapsed();
        if self.is_json {
            let text = anstream::adapter::strip_str(&text.to_string()).to_string();
            let ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
            return print::json_line(&json!({ "ms": ms, "step": step, "text": text }));
        }
        let time = styled(DIM, format_args!("{:6.2} s", elapsed.as_secs_f64()));
        print::line(format_args!("{time}  {}  {text}", styled(BOLD, format_args!("{step:<8}"))))
    }
}
