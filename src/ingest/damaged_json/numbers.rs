//! Parses JSON numbers without rounding ids: a whole number beyond 64 bits may be an id and must
//! not become another one.

use std::borrow::Cow;

use serde_json::{Number, Value};

/// Digits that a binary floating-point number always keeps.
const EXACT_DIGITS_MAX: usize = 17;

/// A parsed number.
pub(super) struct ParsedNumber {
    /// Its value; text if it is beyond 64 bits.
    pub value: Value,
    /// Whether no digit was lost.
    pub is_exact: bool,
}

/// Parses a number by the grammar of JSON; `None` if it is not a number, or out of range.
pub(super) fn number(text: &str) -> Option<ParsedNumber> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let whole = digits.len() - digits.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let rest = &digits[whole..];
    if whole == 0 || (whole > 1 && digits.starts_with('0')) {
        return None;
    }
    if rest.is_empty() {
        let number = text.parse::<u64>().map(Number::from);
        let number = number.or_else(|_| text.parse::<i64>().map(Number::from));
        let value = match number {
            _ if text == "-0" => Value::from(0),
            Ok(number) => Value::Number(number),
            Err(_) => Value::String(text.to_owned()),
        };
        return Some(ParsedNumber { value, is_exact: true });
    }
    if !is_fraction(rest) {
        return None;
    }
    let value = Value::Number(Number::from_f64(text.parse().ok()?)?);
    let significant = digits.trim_start_matches(['0', '.']).bytes();
    let significant = significant.take_while(|b| !matches!(b, b'e' | b'E'));
    let is_exact = significant.filter(u8::is_ascii_digit).count() <= EXACT_DIGITS_MAX;
    Some(ParsedNumber { value, is_exact })
}

/// Whether this may follow the whole part: `.5`, `e3`, `.5E-3`.
fn is_fraction(rest: &str) -> bool {
    let are_digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let (fraction, exponent) = match rest.find(['e', 'E']) {
        Some(at) => (&rest[..at], Some(&rest[at + 1..])),
        None => (rest, None),
    };
    let is_exponent = |text: &str| are_digits(text.strip_prefix(['+', '-']).unwrap_or(text));
    (fraction.is_empty() || fraction.strip_prefix('.').is_some_and(are_digits))
        && exponent.is_none_or(is_exponent)
}

/// The same JSON with whole numbers beyond 64 bits as texts, so that a strict parser keeps them.
pub fn quote_big_integers(json: &[u8]) -> Cow<'_, [u8]> {
    let mut out: Vec<u8> = Vec::new();
    let (mut copied, mut at, mut is_text) = (0, 0, false);
    while at < json.len() {
        match json[at] {
            b'\\' if is_text => at += 2,
            b'"' => {
                is_text = !is_text;
                at += 1;
            }
            b'-' | b'0'..=b'9' if !is_text => {
                let in_number = |b: &u8| b.is_ascii_digit() || b"+-.eE".contains(b);
                let end = at + json[at..].iter().take_while(|b| in_number(b)).count();
                if is_big(&json[at..end]) {
                    out.extend_from_slice(&json[copied..at]);
                    out.push(b'"');
                    out.extend_from_slice(&json[at..end]);
                    out.push(b'"');
                    copied = end;
                }
                at = end;
            }
            _ => at += 1,
        }
    }
    if copied == 0 {
        return Cow::Borrowed(json);
    }
    out.extend_from_slice(&json[copied..]);
    Cow::Owned(out)
}

fn is_big(number: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(number) else { return false };
    text.len() > 18
        && matches!(self::number(text), Some(ParsedNumber { value: Value::String(_), .. }))
}
