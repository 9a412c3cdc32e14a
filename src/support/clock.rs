//! Wall-clock time, for display only: it never decides validity or order. Waiting uses tokio's
//! clock, which tests can pause.

use std::time::{SystemTime, UNIX_EPOCH};

/// Milliseconds since 1970.
pub fn wall_ms() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// Milliseconds since 1970 as RFC 3339 in UTC, for answers. Always three digits of a second, so
/// that later times are later texts.
pub fn rfc3339(ms: u64) -> String {
    let ms = i64::try_from(ms).unwrap_or(i64::MAX);
    let time = jiff::Timestamp::from_millisecond(ms).unwrap_or(jiff::Timestamp::MAX);
    format!("{time:.3}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_times_are_later_texts() {
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00.000Z");
        let texts: Vec<String> = [1_000, 1_400, 1_450, 1_451, 2_000].map(rfc3339).into();
        assert!(texts.is_sorted(), "{texts:?}");
        assert!(rfc3339(u64::MAX).starts_with("9999-"));
    }
}
