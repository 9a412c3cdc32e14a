//! A settings file that was caught while it was being written: empty, cut off, or gone.
//!
//! `: > file` and a full disk leave an empty file, a slow copy leaves its beginning, and either can
//! be sound TOML that names no mirror. A reload therefore refuses a text that lost everything, and
//! one that is the beginning of the text before and lost keys. The second may be meant (somebody
//! deleted the end): it is taken when it is asked for again after a while, or at a restart.

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;
use std::time::{Duration, Instant};

use super::invalid::Invalid;
use super::layer::invalid;

/// A file that stays like this for so long is not being written.
const SETTLED: Duration = Duration::from_secs(10);

/// One file as it was read. It holds secrets, so it does not show them.
#[derive(Clone, Default)]
pub(super) struct Text {
    /// As people call it.
    pub(super) name: String,
    /// `None` where there was no file.
    pub(super) text: Option<String>,
    /// The keys that it gives.
    pub(super) keys: BTreeSet<String>,
}

impl fmt::Debug for Text {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: {} keys", self.name, self.keys.len())
    }
}

/// A beginning of the text before that was refused, and since when.
#[derive(Clone, Default)]
pub(super) struct Refused(Vec<(String, Instant)>);

impl Text {
    pub(super) fn new(name: &Path, text: Option<String>, keys: BTreeSet<String>) -> Self {
        Self { name: name.display().to_string(), text, keys }
    }

    /// What is wrong with this text after the one before, if anything.
    pub(super) fn compare(&self, before: &Self, refused: &mut Refused) -> Option<Invalid> {
        let lost = before.keys.difference(&self.keys).count();
        if lost == 0 {
            return None;
        }
        let count = format!("{} of {} keys are gone", lost, before.keys.len());
        let refuse = |expected: String| Some(invalid("settings", count, &self.name, expected));
        match (&self.text, &before.text) {
            (None, _) => refuse("the file is gone: put it back, or restart without it".to_owned()),
            (Some(text), _) if is_blank(text) => {
                refuse("the file is empty: write it whole, or restart to run without it".to_owned())
            }
            (Some(text), Some(whole))
                if text.len() < whole.len() && whole.starts_with(&text[..]) =>
            {
                if refused.is_settled(text) {
                    return None;
                }
                refuse(format!(
                    "the file ends where it went on before, as if it was cut off: write it whole; \
                     if this is meant, reload again after {} s, or restart",
                    SETTLED.as_secs()
                ))
            }
            _ => None,
        }
    }
}

impl Refused {
    pub(super) const fn none() -> Self {
        Self(Vec::new())
    }

    /// Whether this text was refused a while ago, and stayed; from the first time on it is known.
    fn is_settled(&mut self, text: &str) -> bool {
        let known = self.0.iter().find(|(known, _)| known == text).map(|(_, since)| *since);
        if known.is_none() {
            // One for each file: another text is another attempt.
            self.0.truncate(1);
            self.0.insert(0, (text.to_owned(), Instant::now()));
        }
        known.is_some_and(|since| since.elapsed() >= SETTLED)
    }
}

/// Whether a text gives nothing: blanks, comments and heads of sections.
fn is_blank(text: &str) -> bool {
    let is_head = |line: &str| line.starts_with('[') && line.ends_with(']');
    text.lines()
        .map(str::trim)
        .all(|line| line.is_empty() || line.starts_with('#') || is_head(line))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: Option<&str>) -> Text {
        let lines = text.unwrap_or_default().lines();
        let keys = lines.filter_map(|line| line.split_once('=')).map(|(key, _)| key.to_owned());
        Text::new(Path::new("a.toml"), text.map(str::to_owned), keys.collect())
    }

    fn compare(now: Option<&str>, before: Option<&str>) -> Option<String> {
        let refusal = of(now).compare(&of(before), &mut Refused::default());
        refusal.map(|refusal| refusal.to_string())
    }

    #[test]
    fn what_lost_everything_or_its_end_is_refused_and_edits_are_not() {
        let whole = Some("a=1\nb=2\nc=3\n");
        for (now, expected) in [
            (Some(""), "the file is empty"),
            (Some(" \n\t\n"), "the file is empty"),
            (Some("# only this\n[mirrors]\n"), "the file is empty"),
            (None, "the file is gone"),
            (Some("a=1\nb=2\n"), "cut off"),
            (Some("a=1\n"), "cut off"),
            (Some("a=1\nb"), "cut off"),
        ] {
            let refusal = compare(now, whole).unwrap_or_default();
            assert!(refusal.contains(expected) && refusal.contains("a.toml"), "{now:?}: {refusal}");
        }
        for now in ["a=1\nb=2\nc=3", "a=1\nc=3\n", "a=9\nb=2\n", "a=1\nb=2\nc=3\nd=4\n"] {
            assert_eq!(compare(Some(now), whole), None, "{now}");
        }
        assert_eq!(compare(None, None), None);
        assert_eq!(compare(Some(""), Some("# nothing")), None, "there was nothing before");
    }

    #[test]
    fn a_beginning_that_stays_is_taken() {
        let (whole, now) = (of(Some("a=1\nb=2\n")), of(Some("a=1\n")));
        let mut refused = Refused::default();
        assert!(now.compare(&whole, &mut refused).is_some());
        assert!(now.compare(&whole, &mut refused).is_some(), "asked again at once");
        let Some(earlier) = Instant::now().checked_sub(SETTLED) else { return };
        refused.0[0].1 = earlier;
        assert!(now.compare(&whole, &mut refused).is_none());
    }
}
