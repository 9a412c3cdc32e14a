//! The last look at a line: characters that JSON may hold as they are, but that terminals, viewers
//! and people are misled by, are written as escapes.
//!
//! serde escapes C0 controls only. C1 controls drive terminals, U+2028 and U+2029 end lines in some
//! readers, and bidirectional controls make a line look like another. All of them can stand only
//! inside the texts of a line, so an escape there changes no meaning.

use std::borrow::Cow;
use std::fmt::Write as _;

/// The line with such characters escaped; most lines have none and are not copied.
pub(super) fn escaped(line: &[u8]) -> Cow<'_, [u8]> {
    // In UTF-8 every one of them begins with one of these; other letters do too, so look twice.
    if !line.iter().any(|byte| matches!(byte, 0x7f | 0xc2 | 0xe2)) {
        return Cow::Borrowed(line);
    }
    let Ok(text) = std::str::from_utf8(line) else { return Cow::Borrowed(line) };
    if !text.chars().any(misleads) {
        return Cow::Borrowed(line);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        if misleads(character) {
            let _ = write!(out, "\\u{:04x}", u32::from(character));
        } else {
            out.push(character);
        }
    }
    Cow::Owned(out.into_bytes())
}

fn misleads(character: char) -> bool {
    matches!(character,
        '\u{7f}'..='\u{9f}'
        | '\u{200e}' | '\u{200f}'
        | '\u{2028}'..='\u{202e}'
        | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_misleads_is_escaped() {
        let good = "{\"msg\":\"é € ключ \u{201c}x\u{201d}\"}\n".as_bytes();
        assert!(matches!(escaped(good), Cow::Borrowed(line) if line == good));
        let bad = "{\"msg\":\"a\u{85}b\u{2028}c\u{202e}d\u{7f}\u{2066}\"}\n";
        let line = String::from_utf8(escaped(bad.as_bytes()).into_owned()).expect("text");
        assert_eq!(line, "{\"msg\":\"a\\u0085b\\u2028c\\u202ed\\u007f\\u2066\"}\n");
        let back: serde_json::Value = serde_json::from_str(&line).expect("JSON");
        assert_eq!(back["msg"], "a\u{85}b\u{2028}c\u{202e}d\u{7f}\u{2066}");
    }
}
