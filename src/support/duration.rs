//! Lengths of time as people write them in queries and flags: `5s`, `500ms`, or seconds as a plain
//! number. Nothing longer than seconds is known: no wait here lasts minutes.

use std::time::Duration;

/// Reads one; `None` for what is none, negative or beyond all bounds.
pub fn parse(text: &str) -> Option<Duration> {
    let (number, scale) = match (text.strip_suffix("ms"), text.strip_suffix('s')) {
        (Some(number), _) => (number, 1e-3),
        (None, Some(number)) => (number, 1.0),
        (None, None) => (text, 1.0),
    };
    let seconds: f64 = number.parse().ok()?;
    Duration::try_from_secs_f64(seconds * scale).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_milliseconds_and_nothing_else() {
        assert_eq!(parse("5s"), Some(Duration::from_secs(5)));
        assert_eq!(parse("500ms"), Some(Duration::from_millis(500)));
        assert_eq!(parse("1.5"), Some(Duration::from_millis(1500)));
        for text in ["", "-1s", "x", "1e300", "NaN"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
