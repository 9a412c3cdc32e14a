//! Lengths of time as people write them in queries, flags and settings: `5s`, `500ms`, or seconds
//! as a plain number. A wait for an answer knows no unit longer than seconds; settings do.

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

/// Reads a longer one: also minutes, hours and days, as `30m`, `12h`, `1d`.
pub fn parse_long(text: &str) -> Option<Duration> {
    let scaled = |unit: char, seconds: f64| Some((text.strip_suffix(unit)?, seconds));
    let longer = scaled('m', 60.0).or(scaled('h', 3_600.0)).or(scaled('d', 86_400.0));
    let Some((number, scale)) = longer else { return parse(text) };
    let number: f64 = number.parse().ok()?;
    Duration::try_from_secs_f64(number * scale).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn longer_ones_have_minutes_hours_and_days() {
        for (text, seconds) in [("0", 0), ("90", 90), ("5s", 5), ("30m", 1_800), ("1.5d", 129_600)]
        {
            assert_eq!(parse_long(text), Some(Duration::from_secs(seconds)), "{text}");
        }
        assert_eq!(parse_long("500ms"), Some(Duration::from_millis(500)));
        for text in ["", "d", "1 d", "-1h", "1w", "infd"] {
            assert_eq!(parse_long(text), None, "{text}");
        }
    }

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
