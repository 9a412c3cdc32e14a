//! One finding: what was looked at, how it is, and what helps where it is not well.
//!
//! Every finding but a good one has a remedy. No text here holds a secret: those who make findings
//! get none to show.

use serde_json::{Value, json};

use crate::cli::Exit;
use crate::cli::print::{self, BAD, DIM, GOOD, Style, WARN, styled};

/// How it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Well.
    Ok,
    /// It works, but needs attention.
    Warn,
    /// It does not work.
    Fail,
    /// It could not be looked at.
    Skip,
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// The check, with `:` and its subject where there are several: `mirror:eu`.
    pub name: String,
    /// How it is.
    pub status: Status,
    /// What was found.
    pub detail: String,
    /// What helps; empty where all is well.
    pub remedy: String,
}

impl Status {
    /// The name in the output.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
            Self::Skip => "skip",
        }
    }

    fn style(self) -> Style {
        match self {
            Self::Ok => GOOD,
            Self::Warn => WARN,
            Self::Fail => BAD,
            Self::Skip => DIM,
        }
    }
}

impl Check {
    /// All is well.
    pub fn ok(name: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new(name, Status::Ok, detail, "")
    }

    /// It works, but needs attention.
    pub fn warn(
        name: impl Into<String>,
        detail: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self::new(name, Status::Warn, detail, remedy)
    }

    /// It does not work.
    pub fn fail(
        name: impl Into<String>,
        detail: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self::new(name, Status::Fail, detail, remedy)
    }

    /// It could not be looked at.
    pub fn skip(
        name: impl Into<String>,
        detail: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self::new(name, Status::Skip, detail, remedy)
    }

    /// The same finding with a prefix.
    pub fn labelled(mut self, label: &str) -> Self {
        self.detail.insert_str(0, label);
        self
    }

    fn new(
        name: impl Into<String>,
        status: Status,
        detail: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        // Names and texts of peers come from elsewhere.
        let (name, detail) = (print::safe(&name.into()), print::safe(&detail.into()));
        Self { name, status, detail, remedy: print::safe(&remedy.into()) }
    }

    fn json(&self) -> Value {
        let remedy = (!self.remedy.is_empty()).then_some(&self.remedy);
        json!({
            "name": self.name, "status": self.status.as_str(), "detail": self.detail,
            "remedy": remedy,
        })
    }
}

/// Prints all of them, as a list or as one document.
///
/// # Errors
/// stdout takes no more.
pub fn show(checks: &[Check], is_json: bool) -> Result<(), Exit> {
    if is_json {
        let is_ok = checks.iter().all(|check| check.status != Status::Fail);
        let list: Vec<Value> = checks.iter().map(Check::json).collect();
        return print::json(&json!({ "checks": list, "ok": is_ok }));
    }
    let width = checks.iter().map(|check| check.name.chars().count()).max().unwrap_or(0).min(32);
    checks.iter().try_for_each(|check| {
        let Check { name, status, detail, remedy } = check;
        let status = styled(status.style(), format_args!("{:<4}", status.as_str()));
        print::line(format_args!("{status}  {name:<width$}  {detail}"))?;
        if remedy.is_empty() {
            return Ok(());
        }
        print::line(format_args!("      remedy: {remedy}"))
    })
}
