//! Escapes characters that JSON allows but that mislead terminals, viewers and people
//! (`support::visible`).

use std::borrow::Cow;

use crate::support::visible;

/// The line with such characters escaped; most lines have none and are not copied.
pub(super) fn escaped(line: &[u8]) -> Cow<'_, [u8]> {
    let Ok(text) = std::str::from_utf8(line) else { return Cow::Borrowed(line) };
    match visible::escaped(text) {
        Cow::Borrowed(_) => Cow::Borrowed(line),
        Cow::Owned(escaped) => Cow::Owned(escaped.into_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_misleading_characters_are_escaped() {
        let good = "{\"msg\":\"é € ключ \u{201c}x\u{201d}\"}\n".as_bytes();
        assert!(matches!(escaped(good), Cow::Borrowed(line) if line == good));
        let bad = "{\"msg\":\"a\u{85}b\u{2028}c\u{202e}d\u{7f}\u{2066}\u{200b}\"}\n";
        let line = String::from_utf8(escaped(bad.as_bytes()).into_owned()).expect("text");
        assert_eq!(line, "{\"msg\":\"a\\u0085b\\u2028c\\u202ed\\u007f\\u2066\\u200b\"}\n");
        let back: serde_json::Value = serde_json::from_str(&line).expect("JSON");
        assert_eq!(back["msg"], "a\u{85}b\u{2028}c\u{202e}d\u{7f}\u{2066}\u{200b}");
    }
}
