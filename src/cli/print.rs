//! What goes to a terminal or a pipe.
//!
//! Data goes to stdout, remarks to stderr. Colours appear only on a terminal and never with
//! `NO_COLOR`. Text from elsewhere loses its control characters, and in whatever goes out those
//! characters are escaped that are invisible or change how others are shown: a log line or a peer's
//! error can neither control a terminal nor mislead a reader. If the reader goes away (`| head`),
//! the command ends silently.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::io::{ErrorKind, Write};

use anstyle::AnsiColor;
pub use anstyle::Style;
use serde_json::Value;

use super::Exit;
use crate::support::visible::escaped;

/// Headings and names.
pub const BOLD: Style = Style::new().bold();
/// What matters less.
pub const DIM: Style = Style::new().dimmed();
/// All is well.
pub const GOOD: Style = AnsiColor::Green.on_default();
/// It needs attention.
pub const WARN: Style = AnsiColor::Yellow.on_default();
/// It does not work.
pub const BAD: Style = AnsiColor::Red.on_default();

/// One line of data.
///
/// # Errors
/// stdout takes no more.
pub fn line(text: impl Display) -> Result<(), Exit> {
    let mut stdout = anstream::stdout().lock();
    let text = text.to_string();
    let written = writeln!(stdout, "{}", escaped(&text)).and_then(|()| stdout.flush());
    written.map_err(|error| match error.kind() {
        ErrorKind::BrokenPipe => Exit::Failed(String::new()),
        _ => Exit::Failed(format!("cannot write to stdout: {error}")),
    })
}

/// One JSON document, for people and programs.
///
/// # Errors
/// As of [`line`].
pub fn json(document: &Value) -> Result<(), Exit> {
    line(format_args!("{document:#}"))
}

/// One JSON document in one line, where more may follow.
///
/// # Errors
/// As of [`line`].
pub fn json_line(document: &Value) -> Result<(), Exit> {
    line(document)
}

/// A remark on stderr.
pub fn talk(text: impl Display) {
    let text = text.to_string();
    drop(writeln!(anstream::stderr().lock(), "{}", escaped(&text)));
}

/// Text in a style.
pub fn styled(style: Style, text: impl Display) -> String {
    format!("{style}{text}{style:#}")
}

/// Text from elsewhere, without control characters, and with what misleads escaped.
pub fn safe(text: &str) -> String {
    let plain: String = text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    escaped(&plain).into_owned()
}

/// A member of an answer as safe text; empty where there is none.
pub fn text(of: &Value, member: &str) -> String {
    match &of[member] {
        Value::Null => String::new(),
        Value::String(text) => safe(text),
        other => other.to_string(),
    }
}

/// Text from elsewhere that may be absent, as safe text; empty where there is none.
pub fn optional(text: Option<&str>) -> String {
    text.map(safe).unwrap_or_default()
}

/// Texts from elsewhere, separated by commas.
pub fn list<T: AsRef<str>>(texts: &[T]) -> String {
    texts.iter().map(|text| safe(text.as_ref())).collect::<Vec<_>>().join(", ")
}

/// Numbers of entries by type, in brackets; empty where there are none.
pub fn by_type(types: &BTreeMap<String, u64>) -> String {
    if types.is_empty() {
        return String::new();
    }
    let types: Vec<String> = types.iter().map(|(name, count)| format!("{name} {count}")).collect();
    format!(" ({})", list(&types))
}

/// Warnings of an answer, on stderr.
pub fn warnings(warnings: &[String]) {
    for warning in warnings {
        talk(format_args!("warning: {}", safe(warning)));
    }
}

/// `1 entry`, `3 entries`.
pub fn count(number: u64, singular: &str, plural: &str) -> String {
    format!("{number} {}", if number == 1 { singular } else { plural })
}

/// A length of time in the largest unit that is precise enough.
pub fn seconds(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// Bytes in binary units.
pub fn bytes(bytes: u64) -> String {
    match bytes {
        0..1024 => format!("{bytes} B"),
        1024..1_048_576 => format!("{:.1} KiB", bytes as f64 / 1024.0),
        1_048_576..1_073_741_824 => format!("{:.1} MiB", bytes as f64 / 1_048_576.0),
        _ => format!("{:.1} GiB", bytes as f64 / 1_073_741_824.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_from_elsewhere_cannot_control_a_terminal() {
        for (text, expected) in [
            ("a\u{1b}[2Jb\nc", "a\u{fffd}[2Jb\u{fffd}c"),
            ("a\u{9b}2Jb\u{7f}", "a\u{fffd}2Jb\u{fffd}"),
            ("a\u{202e}b\u{2066}c\u{200b}", "a\\u202eb\\u2066c\\u200b"),
            ("\u{feff}a\u{ad}\u{e0041}", "\\ufeffa\\u00ad\\udb40\\udc41"),
            ("é € 🦀", "é € 🦀"),
        ] {
            assert_eq!(safe(text), expected, "{text:?}");
        }
    }

    #[test]
    fn units() {
        assert_eq!(
            [seconds(90), seconds(180), seconds(7200), seconds(400_000)],
            ["90 s", "3 min", "2 h", "4 days"]
        );
        assert_eq!(
            [bytes(1023), bytes(1536), bytes(67_108_864)],
            ["1023 B", "1.5 KiB", "64.0 MiB"]
        );
        assert_eq!(
            [count(1, "entry", "entries"), count(0, "entry", "entries")],
            ["1 entry", "0 entries"]
        );
    }
}
