//! When a schedule fires: five fields of cron in a time zone.
//!
//! Times are those of the wall clock, as people write them. Where a zone's clock goes forward over
//! a fixed time, the time comes once, at the end of the gap; where it goes back, once as well; a
//! pattern such as `*/15 * * * *` follows the minutes that really pass (the rules of the Open Cron
//! Pattern Specification, which `croner` implements). Seconds and years are not taken: nothing here
//! fires more often than once a minute.

use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

/// A pattern in a zone, known to fire at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct When {
    cron: Cron,
    zone: TimeZone,
    text: String,
    zone_name: String,
}

impl When {
    /// Reads a pattern (`0 * * * *`, `@daily`, `0 9 * * MON-FRI`).
    ///
    /// # Errors
    /// What was expected instead: of the pattern, or of the zone.
    pub fn parse(pattern: &str, zone: &str) -> Result<Self, Malformed> {
        let parser =
            CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
        let bad = |what: String| {
            Malformed::Pattern(format!("expected five fields, such as \"0 * * * *\": {what}"))
        };
        let cron = parser.parse(pattern).map_err(|error| bad(error.to_string()))?;
        let time_zone = TimeZone::get(zone).map_err(|_| Malformed::Zone)?;
        let (text, zone_name) = (pattern.trim().to_owned(), zone.to_owned());
        let when = Self { cron, zone: time_zone, text, zone_name };
        match when.next_after(0) {
            Some(_) => Ok(when),
            None => Err(bad("such a day never comes".into())),
        }
    }

    /// The pattern as it was written.
    pub fn pattern(&self) -> &str {
        &self.text
    }

    /// The zone's name in the IANA database.
    pub fn zone(&self) -> &str {
        &self.zone_name
    }

    /// The first time after this one, milliseconds since 1970; `None` past the end of calendars.
    pub fn next_after(&self, ms: u64) -> Option<u64> {
        let next = self.cron.find_next_occurrence(&self.zoned(ms)?, false).ok()?;
        millis(&next)
    }

    /// The last time up to and including this one, milliseconds since 1970.
    pub fn latest_until(&self, ms: u64) -> Option<u64> {
        let latest = self.cron.find_previous_occurrence(&self.zoned(ms)?, true).ok()?;
        millis(&latest)
    }

    /// The second that this falls into: patterns know no smaller part.
    fn zoned(&self, ms: u64) -> Option<Zoned> {
        let second = Timestamp::from_second(i64::try_from(ms / 1000).ok()?).ok()?;
        Some(second.to_zoned(self.zone.clone()))
    }
}

/// Which of the two cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Malformed {
    /// The pattern, and what was expected.
    Pattern(String),
    /// The zone.
    Zone,
}

fn millis(at: &Zoned) -> Option<u64> {
    u64::try_from(at.timestamp().as_millisecond()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn when(pattern: &str, zone: &str) -> When {
        When::parse(pattern, zone).expect("a pattern and a zone")
    }

    fn ms(time: &str) -> u64 {
        u64::try_from(time.parse::<Timestamp>().expect("a time").as_millisecond()).expect("1970")
    }

    #[test]
    fn the_next_is_after_and_the_latest_includes() {
        let hourly = when("0 * * * *", "UTC");
        let noon = ms("2026-11-20T12:00:00Z");
        assert_eq!(hourly.next_after(noon), Some(noon + 3_600_000));
        assert_eq!(hourly.next_after(noon - 1), Some(noon));
        assert_eq!(hourly.latest_until(noon), Some(noon));
        assert_eq!(hourly.latest_until(noon + 999), Some(noon));
        assert_eq!(hourly.latest_until(noon - 1), Some(noon - 3_600_000));
    }

    #[test]
    fn a_zone_is_that_of_people() {
        let morning = when("0 9 * * MON-FRI", "Europe/Berlin");
        let friday = ms("2026-11-20T08:00:00Z");
        assert_eq!(morning.next_after(friday - 1), Some(friday));
        assert_eq!(morning.next_after(friday), Some(ms("2026-11-23T08:00:00Z")));
        // After the change of March it is an hour earlier in UTC.
        assert_eq!(
            morning.latest_until(ms("2027-03-29T12:00:00Z")),
            Some(ms("2027-03-29T07:00:00Z"))
        );
    }

    #[test]
    fn a_changed_clock_neither_skips_nor_repeats_a_fixed_time() {
        let night = when("30 2 * * *", "Europe/Berlin");
        let times = |from: &str, count: usize| {
            let mut at = ms(from);
            let next = || {
                at = night.next_after(at).expect("every night");
                Some(Timestamp::from_millisecond(at.cast_signed()).expect("a time").to_string())
            };
            std::iter::from_fn(next).take(count).collect::<Vec<_>>()
        };
        // 2:00 becomes 3:00 on 28 March 2027; 3:00 becomes 2:00 on 31 October 2027.
        assert_eq!(
            times("2027-03-27T12:00:00Z", 2),
            ["2027-03-28T01:00:00Z", "2027-03-29T00:30:00Z"]
        );
        assert_eq!(
            times("2027-10-30T12:00:00Z", 2),
            ["2027-10-31T00:30:00Z", "2027-11-01T01:30:00Z"]
        );
    }

    #[test]
    fn what_is_no_pattern_is_told() {
        for pattern in
            ["", "* * * *", "* * * * * *", "0 0 30 2 *", "61 * * * *", "*/0 * * * *", "@often", "x"]
        {
            let read = When::parse(pattern, "UTC");
            assert!(matches!(read, Err(Malformed::Pattern(_))), "{pattern:?}: {read:?}");
        }
        for zone in ["", "Mars/Olympus", "+25:00"] {
            assert_eq!(When::parse("@daily", zone), Err(Malformed::Zone), "{zone:?}");
        }
        for pattern in ["@hourly", "0 0 29 2 *", "*/5 * * * *", " 0 0 L * * ", "0 12 * * 1#2"] {
            assert!(When::parse(pattern, "Asia/Kolkata").is_ok(), "{pattern:?}");
        }
    }
}
