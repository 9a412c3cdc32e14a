//! Parses JSON that may be damaged, for bodies whose senders cannot correct them.
//!
//! Valid JSON is parsed as usual; whole numbers beyond 64 bits become their decimal text. Damage
//! affects only the damaged part: an unreadable part of a text becomes U+FFFD, any other unreadable
//! value is the text U+FFFD, a duplicate member becomes the list of its values, and if the
//! structure breaks, everything before the break is kept. Time and memory are linear in the body.

use std::borrow::Cow;
use std::fmt;

use serde_json::map::Entry;
use serde_json::{Map, Value};

mod numbers;

pub use numbers::quote_big_integers;

/// Replaces an unreadable part of a text, or an unreadable value.
pub const UNREADABLE: char = char::REPLACEMENT_CHARACTER;

/// The parsed values.
#[derive(Debug, Default)]
pub struct Reading {
    /// The values in order; valid JSON has one.
    pub values: Vec<Value>,
    /// The first damage; an inexact number only if there is no other damage.
    pub damage: Option<Damage>,
    /// Whether the structure broke: the body may contain more than was parsed.
    pub is_broken: bool,
}

/// What is wrong with a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Damage {
    /// Text with bytes or escapes that are not characters.
    Text,
    /// A number with more digits than are kept. It is valid JSON.
    Inexact,
    /// A number out of range, or an unquoted text.
    Value,
    /// A value that is nested too deep.
    Deep,
    /// A duplicate member.
    Repeated,
    /// Commas, brackets or quotes that are missing or too many.
    Structure,
}

impl fmt::Display for Damage {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Text => "text that is not valid Unicode",
            Self::Inexact => "a number with more digits than are kept",
            Self::Value => "a number or word that JSON cannot hold",
            Self::Deep => "a value that is nested too deep",
            Self::Repeated => "a member that is given twice",
            Self::Structure => "JSON that is cut off or malformed",
        })
    }
}

/// Whether a part of this text could not be read.
pub fn is_doubtful(text: &str) -> bool {
    text.contains(UNREADABLE)
}

/// Adds a member. If it exists, it becomes the list of all values. Whether it existed.
pub fn put(object: &mut Map<String, Value>, name: String, value: Value) -> bool {
    match object.entry(name) {
        Entry::Vacant(place) => {
            place.insert(value);
            false
        }
        Entry::Occupied(mut place) => {
            let mut list = match place.get_mut().take() {
                Value::Array(list) => list,
                one => vec![one],
            };
            match value {
                Value::Array(more) => list.extend(more),
                one => list.push(one),
            }
            place.insert(Value::Array(list));
            true
        }
    }
}

/// Parses a body. Containers nested deeper than `depth_max` count as unreadable.
pub fn read(body: &[u8], depth_max: usize) -> Reading {
    let text = text(body);
    let mut reader = Reader { text: &text, at: 0, depth_max, damage: None, is_broken: false };
    if matches!(text, Cow::Owned(_)) {
        reader.damage = Some(Damage::Text);
    }
    let values = reader.all();
    Reading { values, damage: reader.damage, is_broken: reader.is_broken }
}

/// Decodes UTF-8, or UTF-16 with a byte order mark. Invalid bytes are replaced.
fn text(body: &[u8]) -> Cow<'_, str> {
    let from_utf16 = |bytes: &[u8], unit: fn([u8; 2]) -> u16| {
        let units = bytes.chunks(2).map(|pair| unit([pair[0], *pair.get(1).unwrap_or(&0)]));
        char::decode_utf16(units).map(|it| it.unwrap_or(UNREADABLE)).collect::<String>()
    };
    match body {
        [0xEF, 0xBB, 0xBF, rest @ ..] => String::from_utf8_lossy(rest),
        [0xFF, 0xFE, rest @ ..] => Cow::Owned(from_utf16(rest, u16::from_le_bytes)),
        [0xFE, 0xFF, rest @ ..] => Cow::Owned(from_utf16(rest, u16::from_be_bytes)),
        _ => String::from_utf8_lossy(body),
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    depth_max: usize,
    damage: Option<Damage>,
    is_broken: bool,
}

impl Reader<'_> {
    fn all(&mut self) -> Vec<Value> {
        let mut values = Vec::new();
        self.space();
        while self.peek().is_some() && !self.is_broken {
            let is_container = matches!(self.peek(), Some(b'{' | b'['));
            if !values.is_empty() {
                self.damaged(Damage::Structure);
                // After the first value only another object or list can be an event.
                self.is_broken |= !is_container;
                if self.is_broken {
                    break;
                }
            }
            values.push(self.value(0));
            self.space();
        }
        values
    }

    fn value(&mut self, depth: usize) -> Value {
        self.space();
        match self.peek() {
            Some(b'{') if depth < self.depth_max => self.object(depth + 1),
            Some(b'[') if depth < self.depth_max => self.list(depth + 1),
            Some(b'{' | b'[') => {
                self.skip_nested();
                self.unreadable(Damage::Deep)
            }
            Some(b'"') => Value::String(self.string()),
            _ => self.bare(),
        }
    }

    fn object(&mut self, depth: usize) -> Value {
        let mut object = Map::new();
        self.at += 1;
        let mut is_next = true;
        loop {
            self.space();
            match self.peek() {
                Some(b'}') => {
                    self.at += 1;
                    break;
                }
                Some(b',') => self.comma(&mut is_next),
                Some(b'"') if is_next => {
                    let name = self.string();
                    self.space();
                    if self.peek() != Some(b':') {
                        self.broke();
                        break;
                    }
                    self.at += 1;
                    let value = self.value(depth);
                    if put(&mut object, name, value) {
                        self.damaged(Damage::Repeated);
                    }
                    is_next = false;
                }
                _ => self.broke(),
            }
            if self.is_broken {
                break;
            }
        }
        Value::Object(object)
    }

    fn list(&mut self, depth: usize) -> Value {
        let mut list = Vec::new();
        self.at += 1;
        let mut is_next = true;
        loop {
            self.space();
            match self.peek() {
                Some(b']') => {
                    self.at += 1;
                    break;
                }
                Some(b',') => self.comma(&mut is_next),
                Some(_) if is_next => {
                    list.push(self.value(depth));
                    is_next = false;
                }
                _ => self.broke(),
            }
            if self.is_broken {
                break;
            }
        }
        Value::Array(list)
    }

    /// A missing or extra comma is damage, but loses nothing.
    fn comma(&mut self, is_next: &mut bool) {
        self.at += 1;
        self.space();
        if *is_next || matches!(self.peek(), Some(b'}' | b']')) {
            self.damaged(Damage::Structure);
        }
        *is_next = true;
    }

    /// A number, a boolean, `null`, or an unquoted text.
    fn bare(&mut self) -> Value {
        let rest = &self.text[self.at..];
        let is_end = |c: char| c.is_ascii_whitespace() || ",:]}[{\"".contains(c);
        let bare = &rest[..rest.find(is_end).unwrap_or(rest.len())];
        self.at += bare.len();
        match bare {
            "" => {
                self.broke();
                self.unreadable(Damage::Structure)
            }
            "true" => Value::Bool(true),
            "false" => Value::Bool(false),
            "null" => Value::Null,
            _ => match numbers::number(bare) {
                Some(numbers::ParsedNumber { value, is_exact }) => {
                    if !is_exact {
                        self.damaged(Damage::Inexact);
                    }
                    value
                }
                None => self.unreadable(Damage::Value),
            },
        }
    }

    fn string(&mut self) -> String {
        let mut text = String::new();
        self.at += 1;
        loop {
            let rest = &self.text[self.at..];
            let is_mark = |c: char| c == '"' || c == '\\' || c < ' ';
            let Some(end) = rest.find(is_mark) else {
                text.push_str(rest);
                text.push(UNREADABLE);
                self.at = self.text.len();
                self.broke();
                return text;
            };
            text.push_str(&rest[..end]);
            self.at += end + 1;
            match rest.as_bytes()[end] {
                b'"' => return text,
                b'\\' => {
                    let meant = self.escape();
                    text.push(meant.unwrap_or(UNREADABLE));
                    if meant.is_none() {
                        self.damaged(Damage::Text);
                    }
                }
                control => {
                    text.push(char::from(control));
                    self.damaged(Damage::Text);
                }
            }
        }
    }

    /// The character of an escape, after its backslash.
    fn escape(&mut self) -> Option<char> {
        let meant = match self.peek()? {
            b'n' => '\n',
            b't' => '\t',
            b'r' => '\r',
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            mark @ (b'"' | b'\\' | b'/') => char::from(mark),
            b'u' => {
                self.at += 1;
                return self.unit_pair();
            }
            other => {
                self.at += usize::from(other.is_ascii_graphic());
                return None;
            }
        };
        self.at += 1;
        Some(meant)
    }

    fn unit_pair(&mut self) -> Option<char> {
        let first = self.unit()?;
        if !(0xD800..0xDC00).contains(&first) {
            return char::from_u32(u32::from(first));
        }
        if !self.text[self.at..].starts_with("\\u") {
            return None;
        }
        let before = self.at;
        self.at += 2;
        match self.unit() {
            Some(second) if (0xDC00..0xE000).contains(&second) => {
                char::decode_utf16([first, second]).next()?.ok()
            }
            // It is a separate escape.
            _ => {
                self.at = before;
                None
            }
        }
    }

    fn unit(&mut self) -> Option<u16> {
        let hex = self.text.get(self.at..self.at + 4)?;
        if !hex.bytes().all(|b| b.is_ascii_hexdigit()) {
            return None;
        }
        self.at += 4;
        u16::from_str_radix(hex, 16).ok()
    }

    /// Skips a container without parsing it.
    fn skip_nested(&mut self) {
        let (mut depth, mut is_text, mut is_escaped) = (0_usize, false, false);
        for byte in self.text[self.at..].bytes() {
            self.at += 1;
            match byte {
                _ if is_escaped => is_escaped = false,
                b'\\' if is_text => is_escaped = true,
                b'"' => is_text = !is_text,
                b'[' | b'{' if !is_text => depth += 1,
                b']' | b'}' if !is_text => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                return;
            }
        }
        self.broke();
    }

    fn space(&mut self) {
        let rest = &self.text.as_bytes()[self.at..];
        let is_space = |b: &u8| matches!(b, b' ' | b'\t' | b'\n' | b'\r');
        self.at += rest.iter().take_while(|b| is_space(b)).count();
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn unreadable(&mut self, damage: Damage) -> Value {
        self.damaged(damage);
        Value::String(UNREADABLE.to_string())
    }

    fn broke(&mut self) {
        self.is_broken = true;
        self.damaged(Damage::Structure);
    }

    fn damaged(&mut self, damage: Damage) {
        if matches!(self.damage, None | Some(Damage::Inexact)) {
            self.damage = Some(damage);
        }
    }
}

#[cfg(test)]
mod tests;
