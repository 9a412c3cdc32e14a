//! The problems of the settings: the key, its source, what was expected, and the nearest key that
//! exists. One line each, whatever the input. Values arrive masked (see [`super::mask`]).

use std::fmt;

/// A setting that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invalid {
    /// The dotted key, or the variable or line where there is no key.
    pub key: String,
    /// What was given, masked where it is a secret; empty where there is nothing to show.
    pub value: String,
    /// `default`, `preset NAME`, a file's path, `.env NAME`, `environment NAME` or `flag`.
    pub origin: String,
    /// What it should have been, or what is wrong.
    pub expected: String,
    /// The nearest known key.
    pub suggestion: Option<String>,
}

impl fmt::Display for Invalid {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "config: {}", one_line(&self.key))?;
        if !self.value.is_empty() {
            write!(out, " = {}", one_line(&self.value))?;
        }
        write!(out, " ({}): {}", one_line(&self.origin), one_line(&self.expected))?;
        match &self.suggestion {
            Some(known) => write!(out, "; did you mean {known}?"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Invalid {}

/// Control characters as spaces: a bad value must not control a terminal or a log.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
