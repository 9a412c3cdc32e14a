//! When a schedule fires: five fields of cron in a time zone.
//!
//! Times are wall-clock times. A pattern that names its minutes and hours (single values, lists,
//! ranges, steps over a range) is a *fixed-time* pattern: a time that a zone's clock skips fires
//! once, at the end of the gap, and a time that the clock repeats fires once, the first time. A
//! pattern with `*` in its minutes or hours is an *interval* pattern: it follows the minutes that
//! really pass (the two kinds of the Open Cron Pattern Specification). `croner` finds the matching
//! wall-clock times; this file maps those of fixed-time patterns to instants. Seconds and years are
//! refused: nothing fires more often than once a minute.

use super::grammar;
use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{Timestamp, Zoned};

/// A pattern in a zone that fires at least once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct When {
    cron: Cron,
    zone: TimeZone,
    text: String,
    zone_name: String,
    is_fixed_time: bool,
}

impl When {
    /// Parses a pattern (`0 * * * *`, `@daily`, `0 9 * * MON-FRI`).
    ///
    /// # Errors
    /// What was expected instead, of the pattern or the zone.
    pub fn parse(pattern: &str, zone: &str) -> Result<Self, BadSchedule> {
        let parser =
            CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
        let bad = |what: String| {
            BadSchedule::Pattern(format!("expected five fields, such as \"0 * * * *\": {what}"))
        };
        let fields = match pattern.trim() {
            midnight if midnight.eq_ignore_ascii_case("@midnight") => "@daily",
            other => other,
        };
        grammar::check(fields).map_err(bad)?;
        let cron = parser.parse(fields).map_err(|error| bad(error.to_string()))?;
        let time_zone = TimeZone::get(zone).map_err(|_| BadSchedule::Zone)?;
        let (text, zone_name) = (pattern.trim().to_owned(), zone.to_owned());
        let is_fixed_time = is_fixed_time(fields);
        let when = Self { cron, zone: time_zone, text, zone_name, is_fixed_time };
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
        let start = self.zoned(ms)?;
        if !self.is_fixed_time {
            return millis(self.cron.find_next_occurrence(&start, false).ok()?.timestamp());
        }
        // Every wall-clock time up to this one maps to this instant or to an earlier one.
        let mut wall = start.datetime();
        loop {
            wall = self.cron.find_next_occurrence(&wall, false).ok()?;
            let at = self.instant(wall)?;
            // A repeated time has passed already: this skips at most the length of the overlap.
            if at > start.timestamp() {
                return millis(at);
            }
        }
    }

    /// The last time up to and including this one, milliseconds since 1970.
    pub fn latest_until(&self, ms: u64) -> Option<u64> {
        let end = self.zoned(ms)?;
        if !self.is_fixed_time {
            return millis(self.cron.find_previous_occurrence(&end, true).ok()?.timestamp());
        }
        let wall = self.furthest_wall(&end);
        let wall = self.cron.find_previous_occurrence(&wall, true).ok()?;
        millis(self.instant(wall)?)
    }

    /// The instant of a wall-clock time: the end of the gap where the clock skips it, the first of
    /// the two where the clock repeats it.
    fn instant(&self, wall: DateTime) -> Option<Timestamp> {
        match self.zone.to_ambiguous_timestamp(wall).offset() {
            AmbiguousOffset::Unambiguous { offset } => offset.to_timestamp(wall).ok(),
            AmbiguousOffset::Fold { before, .. } => before.to_timestamp(wall).ok(),
            AmbiguousOffset::Gap { before, .. } => {
                // By the offset of before the gap the skipped time lies behind the transition.
                let behind = before.to_timestamp(wall).ok()?;
                let after = Timestamp::from_second(behind.as_second().checked_add(1)?).ok()?;
                self.zone.preceding(after).next().map(|transition| transition.timestamp())
            }
        }
    }

    /// The latest wall-clock second whose instant lies at or before `end`. It is the one shown at
    /// `end`, except while the clock repeats an hour: then that hour is over already.
    fn furthest_wall(&self, end: &Zoned) -> DateTime {
        let wall = end.datetime();
        let now = end.timestamp().as_second();
        let next = Timestamp::from_second(now.saturating_add(1)).unwrap_or(end.timestamp());
        // A clock that turns back at this very second has shown the whole hour as well.
        let turned = self.zone.preceding(next).next();
        let shown_before = turned.and_then(|transition| {
            let last = transition.timestamp().as_second().checked_sub(1)?;
            Some(Timestamp::from_second(last).ok()?.to_zoned(self.zone.clone()).datetime())
        });
        shown_before.map_or(wall, |before| before.max(wall))
    }

    /// The second that contains this time. Patterns have no smaller unit.
    fn zoned(&self, ms: u64) -> Option<Zoned> {
        let second = Timestamp::from_second(i64::try_from(ms / 1000).ok()?).ok()?;
        Some(second.to_zoned(self.zone.clone()))
    }
}

/// Why a schedule cannot be parsed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BadSchedule {
    /// The pattern, and what was expected.
    Pattern(String),
    /// The zone.
    Zone,
}

fn millis(at: Timestamp) -> Option<u64> {
    u64::try_from(at.as_millisecond()).ok()
}

/// Whether minutes and hours are named rather than "every". Of the `@` patterns, `@hourly` is the
/// only one without.
fn is_fixed_time(pattern: &str) -> bool {
    if pattern.starts_with('@') {
        return !pattern.eq_ignore_ascii_case("@hourly");
    }
    pattern.split_whitespace().take(2).all(|field| !field.contains(['*', '?']))
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
    fn times_follow_the_zone() {
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

    fn times(pattern: &str, zone: &str, from: &str, count: usize) -> Vec<String> {
        let when = when(pattern, zone);
        let mut at = ms(from);
        let next = || {
            let before = at;
            at = when.next_after(before).expect("it fires again");
            assert_eq!(when.latest_until(at), Some(at), "{pattern} at {at}");
            let last = when.latest_until(at - 1);
            assert!(last.is_none_or(|last| last <= before), "{pattern}: {last:?} lies between");
            Some(Timestamp::from_millisecond(at.cast_signed()).expect("a time").to_string())
        };
        std::iter::from_fn(next).take(count).collect()
    }

    /// Lists, ranges and steps over ranges follow the rule of single values.
    #[test]
    fn of_several_fixed_times_a_skipped_one_fires_once_and_a_repeated_one_once() {
        for (pattern, zone, from, expected) in [
            // Midnight is skipped on 5 September 2027 in Santiago.
            (
                "0 0,12 5 9 *",
                "America/Santiago",
                "2027-09-01T00:00:00Z",
                ["2027-09-05T04:00:00Z", "2027-09-05T15:00:00Z"],
            ),
            // 2:00 to 3:00 is skipped on 28 March 2027 in Berlin: two times become one.
            (
                "15,45 2 28 3 *",
                "Europe/Berlin",
                "2027-03-01T00:00:00Z",
                ["2027-03-28T01:00:00Z", "2028-03-28T00:15:00Z"],
            ),
            (
                "0-50/10 2 * * *",
                "Europe/Berlin",
                "2027-03-28T00:00:00Z",
                ["2027-03-28T01:00:00Z", "2027-03-29T00:00:00Z"],
            ),
            (
                "30 2-3 28 3 *",
                "Europe/Berlin",
                "2027-03-01T00:00:00Z",
                ["2027-03-28T01:00:00Z", "2027-03-28T01:30:00Z"],
            ),
            // 1:00 to 2:00 is repeated on 7 November 2027 in New York.
            (
                "30 1,13 7 11 *",
                "America/New_York",
                "2027-11-01T00:00:00Z",
                ["2027-11-07T05:30:00Z", "2027-11-07T18:30:00Z"],
            ),
            (
                "30 0-1 * * *",
                "America/New_York",
                "2027-11-07T05:00:00Z",
                ["2027-11-07T05:30:00Z", "2027-11-08T05:30:00Z"],
            ),
            // A whole day is skipped in Apia: 30 December 2011.
            (
                "0 8,9 30 12 *",
                "Pacific/Apia",
                "2011-12-01T00:00:00Z",
                ["2011-12-30T10:00:00Z", "2012-12-29T18:00:00Z"],
            ),
            // Half an hour is repeated on Lord Howe Island.
            (
                "35,50 1 4 4 *",
                "Australia/Lord_Howe",
                "2027-04-01T00:00:00Z",
                ["2027-04-03T14:35:00Z", "2027-04-03T14:50:00Z"],
            ),
        ] {
            assert_eq!(times(pattern, zone, from, 2), expected, "{pattern} in {zone}");
        }
    }

    /// While an hour is repeated, its fixed times have passed.
    #[test]
    fn the_latest_fixed_time_in_a_repeated_hour_is_the_last_of_that_hour() {
        let twice = when("10,50 1 * * *", "America/New_York");
        let second_pass = ms("2027-11-07T06:20:00Z");
        assert_eq!(twice.latest_until(second_pass), Some(ms("2027-11-07T05:50:00Z")));
        assert_eq!(twice.next_after(second_pass), Some(ms("2027-11-08T06:10:00Z")));
        let turn = ms("2027-11-07T06:00:00Z");
        assert_eq!(twice.latest_until(turn), Some(ms("2027-11-07T05:50:00Z")));
        assert_eq!(twice.latest_until(turn - 1), Some(ms("2027-11-07T05:50:00Z")));
    }

    #[test]
    fn an_interval_follows_the_minutes_that_pass() {
        assert_eq!(
            times("30 * * * *", "America/New_York", "2027-11-07T05:00:00Z", 3),
            ["2027-11-07T05:30:00Z", "2027-11-07T06:30:00Z", "2027-11-07T07:30:00Z"]
        );
        assert_eq!(
            times("@hourly", "Europe/Berlin", "2027-03-28T00:30:00Z", 2),
            ["2027-03-28T01:00:00Z", "2027-03-28T02:00:00Z"]
        );
    }

    #[test]
    fn midnight_is_daily() {
        assert_eq!(
            times("@midnight", "UTC", "2026-11-20T12:00:00Z", 1),
            times("@daily", "UTC", "2026-11-20T12:00:00Z", 1)
        );
        assert_eq!(when("@midnight", "UTC").pattern(), "@midnight");
    }

    #[test]
    fn an_invalid_pattern_is_reported() {
        for pattern in
            ["", "* * * *", "* * * * * *", "0 0 30 2 *", "61 * * * *", "*/0 * * * *", "@often", "x"]
        {
            let read = When::parse(pattern, "UTC");
            assert!(matches!(read, Err(BadSchedule::Pattern(_))), "{pattern:?}: {read:?}");
        }
        for zone in ["", "Mars/Olympus", "+25:00"] {
            assert_eq!(When::parse("@daily", zone), Err(BadSchedule::Zone), "{zone:?}");
        }
        for pattern in ["@hourly", "0 0 29 2 *", "*/5 * * * *", " 0 0 L * * ", "0 12 * * 1#2"] {
            assert!(When::parse(pattern, "Asia/Kolkata").is_ok(), "{pattern:?}");
        }
    }
}
