//! Times in HTTP: `Date` and `Retry-After` (RFC 9110 sections 5.6.7, 6.6.1 and 10.2.3).
//!
//! All three forms of a date are read. A date in `Retry-After` is compared with the `Date` of the
//! same answer, so the clocks of both hosts need not agree. What cannot be read counts as absent.

use std::time::{Duration, UNIX_EPOCH};

use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};

use crate::support::clock;

/// Longest `Retry-After` value looked at, in bytes.
const TEXT_BYTES_MAX: usize = 256;

/// `Date` in milliseconds since 1970.
pub(super) fn date_ms(headers: &HeaderMap) -> Option<u64> {
    parse_ms(headers.get(DATE)?.to_str().ok()?)
}

/// `Retry-After`: the longest wait of all its lines; none where none can be read.
pub(super) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let now_ms = date_ms(headers).unwrap_or_else(clock::wall_ms);
    let lines = headers.get_all(RETRY_AFTER).iter().filter_map(|line| line.to_str().ok());
    lines.filter_map(|line| wait(line, now_ms)).max()
}

/// One line; proxies may have joined several with commas.
fn wait(line: &str, now_ms: u64) -> Option<Duration> {
    if line.len() > TEXT_BYTES_MAX {
        return None;
    }
    if let Some(at_ms) = parse_ms(line) {
        return Some(Duration::from_millis(at_ms.saturating_sub(now_ms)));
    }
    line.split(',').filter_map(|piece| seconds(piece.trim())).max()
}

/// Whole seconds; a fraction, which no standard allows, is rounded up.
fn seconds(text: &str) -> Option<Duration> {
    let (whole, fraction) = text.split_once('.').map_or((text, None), |(a, b)| (a, Some(b)));
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if !is_number(whole) || fraction.is_some_and(|fraction| !is_number(fraction)) {
        return None;
    }
    let more = fraction.is_some_and(|fraction| fraction.bytes().any(|b| b != b'0'));
    // Digits only: what does not fit is far beyond any limit.
    let whole = whole.parse::<u64>().unwrap_or(u64::MAX);
    Some(Duration::from_secs(whole.saturating_add(u64::from(more))))
}

fn parse_ms(text: &str) -> Option<u64> {
    let text = text.trim();
    if let Ok(time) = httpdate::parse_http_date(text) {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        return u64::try_from(since.as_millis()).ok();
    }
    // Servers written by hand: a zone in figures, a day without its zero.
    let time = jiff::fmt::rfc2822::parse(text).ok()?;
    Some(u64::try_from(time.timestamp().as_millisecond()).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use reqwest::header::{HeaderName, HeaderValue};

    use super::*;

    fn headers(lines: &[(HeaderName, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(name, HeaderValue::from_str(value).expect("a value"));
        }
        headers
    }

    fn waits(lines: &[&str]) -> Option<u64> {
        let date = (DATE, "Sun, 06 Nov 1994 08:49:37 GMT");
        let lines = lines.iter().map(|line| (RETRY_AFTER, *line)).chain([date]);
        retry_after(&headers(&lines.collect::<Vec<_>>())).map(|wait| wait.as_secs())
    }

    #[test]
    fn all_forms_are_read_and_dates_count_from_the_answers_own() {
        for (line, seconds) in [
            ("120", Some(120)),
            ("  7 ", Some(7)),
            ("0", Some(0)),
            ("1.5", Some(2)),
            ("3.0", Some(3)),
            ("99999999999999999999999", Some(u64::MAX)),
            ("5, 9", Some(9)),
            ("Sun, 06 Nov 1994 08:50:37 GMT", Some(60)),
            ("Sunday, 06-Nov-94 08:50:37 GMT", Some(60)),
            ("Sun Nov  6 08:50:37 1994", Some(60)),
            ("Sun, 6 Nov 1994 08:50:37 +0000", Some(60)),
            ("Sun, 06 Nov 1994 08:49:00 GMT", Some(0)),
            ("Thu, 01 Jan 1970 00:00:00 GMT", Some(0)),
            ("-5", None),
            ("soon", None),
            ("", None),
            ("1e9", None),
            (".", None),
            ("1.", None),
            ("0x10", None),
            ("Sun, 66 Nov 1994 08:49:37 GMT", None),
        ] {
            assert_eq!(waits(&[line]), seconds, "{line:?}");
        }
        assert_eq!(waits(&[&"9".repeat(300)]), None);
        assert_eq!(waits(&["1", "garbage", "30", "2"]), Some(30), "the longest of several lines");
        assert_eq!(waits(&[]), None);
    }

    #[test]
    fn without_a_date_our_own_clock_counts() {
        let soon = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(90);
        let text = jiff::fmt::rfc2822::to_string(&soon.to_zoned(jiff::tz::TimeZone::UTC));
        let wait = retry_after(&headers(&[(RETRY_AFTER, &text.expect("a date"))]));
        assert!(wait.is_some_and(|wait| (85..=90).contains(&wait.as_secs())), "{wait:?}");
    }
}
