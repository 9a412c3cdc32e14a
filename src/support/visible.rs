//! Characters that JSON and terminals hold as they are, but that people are misled by.
//!
//! serde escapes C0 controls only. C1 controls drive terminals, U+2028 and U+2029 end lines in some
//! readers, bidirectional controls make a text look like another, and others are not seen at all.
//! In JSON all of them can stand only inside strings, so an escape there changes no value.

use std::borrow::Cow;
use std::fmt::Write as _;

/// The text with such characters written as JSON escapes. Most texts have none and are not copied.
pub fn escaped(text: &str) -> Cow<'_, str> {
    // In UTF-8 every one of them begins with one of these; other letters do too, so look twice.
    let may_begin =
        |byte: &u8| matches!(byte, 0x7f | 0xc2 | 0xd8 | 0xe1 | 0xe2 | 0xef | 0xf0 | 0xf3);
    if !text.as_bytes().iter().any(may_begin) || !text.chars().any(misleads) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        if misleads(character) {
            for unit in character.encode_utf16(&mut [0; 2]) {
                let _ = write!(out, "\\u{unit:04x}");
            }
        } else {
            out.push(character);
        }
    }
    Cow::Owned(out)
}

/// Whether a character beyond C0 controls is not seen, or changes how others are.
pub fn misleads(character: char) -> bool {
    matches!(character,
        '\u{7f}'..='\u{9f}'
        | '\u{ad}'
        | '\u{61c}'
        | '\u{180e}'
        | '\u{200b}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}'
        | '\u{feff}'
        | '\u{fff9}'..='\u{fffb}'
        | '\u{1d173}'..='\u{1d17a}'
        | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_misleads_is_escaped() {
        for good in
            ["", "plain", "\u{1b}[1m{\"msg\":\"é € ключ \u{201c}x\u{201d} 🦀 漢 ￼\"}\n", "a\u{a0}b"]
        {
            assert!(matches!(escaped(good), Cow::Borrowed(text) if text == good), "{good:?}");
        }
        for (bad, expected) in [
            ('\u{7f}', "\\u007f"),
            ('\u{80}', "\\u0080"),
            ('\u{85}', "\\u0085"),
            ('\u{9b}', "\\u009b"),
            ('\u{ad}', "\\u00ad"),
            ('\u{61c}', "\\u061c"),
            ('\u{180e}', "\\u180e"),
            ('\u{200b}', "\\u200b"),
            ('\u{200f}', "\\u200f"),
            ('\u{2028}', "\\u2028"),
            ('\u{2029}', "\\u2029"),
            ('\u{202e}', "\\u202e"),
            ('\u{2060}', "\\u2060"),
            ('\u{2066}', "\\u2066"),
            ('\u{2069}', "\\u2069"),
            ('\u{feff}', "\\ufeff"),
            ('\u{fffb}', "\\ufffb"),
            ('\u{1d173}', "\\ud834\\udd73"),
            ('\u{e0001}', "\\udb40\\udc01"),
            ('\u{e007f}', "\\udb40\\udc7f"),
        ] {
            let line = format!("{{\"msg\":\"a{bad}b\"}}");
            let shown = escaped(&line);
            assert_eq!(shown, format!("{{\"msg\":\"a{expected}b\"}}"));
            let back: serde_json::Value = serde_json::from_str(&shown).expect("JSON");
            assert_eq!(back["msg"], format!("a{bad}b"), "the value stays");
        }
    }
}
