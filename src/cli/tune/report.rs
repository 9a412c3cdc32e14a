//! What the replays amount to: a table for people, a document for programs, the setting to take.
//!
//! The rule: the lowest limit under which 99 of 100 events are sent within the target; where none
//! does, the nearest one, and the report states that.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::replay::Sent;
use super::traffic::{Mirror, Traffic};
use crate::cli::print::{DIM, GOOD, safe, styled};
use crate::cli::{Exit, print};

/// Fewer events, or a shorter time, are not enough to predict later traffic.
const EVENTS_MIN: u64 = 1_000;
const SPAN_MIN: Duration = Duration::from_hours(1);

/// One limit for one mirror.
pub struct Tried {
    pub rate_per_second: f64,
    pub sent: Sent,
}

impl Tried {
    pub fn p50(&self) -> Duration {
        self.sent.delay(0.5)
    }

    pub fn p99(&self) -> Duration {
        self.sent.delay(0.99)
    }
}

/// Every limit for one mirror, the lowest first.
pub struct Tuned {
    pub mirror: Mirror,
    pub tries: Vec<Tried>,
}

impl Tuned {
    /// The limit to take, and whether it keeps to the target.
    fn best(&self, target: Duration) -> Option<(&Tried, bool)> {
        let keeps = self.tries.iter().find(|tried| tried.p99() <= target);
        let nearest = || self.tries.iter().min_by_key(|tried| tried.p99());
        keeps.map(|tried| (tried, true)).or_else(|| nearest().map(|tried| (tried, false)))
    }
}

/// All of it.
pub struct Report {
    events: u64,
    malformed: u64,
    span: Option<(Timestamp, Timestamp)>,
    pub target: Duration,
    burst: u32,
    pub tuned: Vec<Tuned>,
}

impl Report {
    pub fn new(traffic: &Traffic, target_ms: u64, burst: u32, tuned: Vec<Tuned>) -> Self {
        let (events, malformed, span) = (traffic.events(), traffic.malformed(), traffic.span);
        let target = Duration::from_millis(target_ms);
        Self { events, malformed, span, target, burst, tuned }
    }

    /// How long the log is, from the first event to the last.
    fn length(&self) -> Duration {
        self.span.map_or(Duration::ZERO, |(first, last)| last.duration_since(first).unsigned_abs())
    }

    /// Whether there is enough traffic to advise a limit.
    fn is_enough(&self) -> bool {
        self.events >= EVENTS_MIN && self.length() >= SPAN_MIN
    }

    /// The limit to take, if there is enough traffic to decide.
    fn advised<'a>(&self, tuned: &'a Tuned) -> Option<(&'a Tried, bool)> {
        tuned.best(self.target).filter(|_| self.is_enough())
    }

    /// For people; `is_one` where they asked for one mirror only.
    pub fn show(&self, is_one: bool) -> Result<(), Exit> {
        let events = print::count(self.events, "mirrored event", "mirrored events");
        let (first, _) = self.span.unwrap_or_default();
        let seconds = print::seconds(self.length().as_secs());
        print::line(format_args!("{events} in {seconds}, from {first:.0}"))?;
        self.tuned.iter().try_for_each(|tuned| self.show_table(tuned))?;
        print::line("")?;
        if !self.is_enough() {
            return print::line(format_args!(
                "No advice: it takes at least {EVENTS_MIN} mirrored events over an hour or more, \
                 and the log has {events} in {seconds}."
            ));
        }
        self.settings(is_one).iter().try_for_each(print::line)
    }

    fn show_table(&self, tuned: &Tuned) -> Result<(), Exit> {
        let send = shown(tuned.mirror.send);
        print::line(format_args!("\n{}: a send takes {send}", safe(&tuned.mirror.name)))?;
        let head = row("LIMIT", "REQUESTS", "MERGED", "P50", "P99");
        print::line(format_args!("  {}", styled(DIM, head)))?;
        let best = self.advised(tuned).map(|(tried, _)| tried.rate_per_second);
        for tried in &tuned.tries {
            let is_best = best == Some(tried.rate_per_second);
            let (requests, merged) = (tried.sent.requests.to_string(), tried.sent.merged());
            let (p50, p99) = (shown(tried.p50()), shown(tried.p99()));
            let row = row(&rate(tried.rate_per_second), &requests, &merged.to_string(), &p50, &p99);
            let row = if is_best { styled(GOOD, row) } else { row };
            print::line(format_args!("{} {row}", if is_best { ">" } else { " " }))?;
        }
        Ok(())
    }

    /// What to set, and why. One limit for all where they may have the same.
    fn settings(&self, is_one: bool) -> Vec<String> {
        let bests: Vec<(&Mirror, f64, bool)> = self
            .tuned
            .iter()
            .filter_map(|tuned| {
                let (tried, keeps) = self.advised(tuned)?;
                Some((&tuned.mirror, tried.rate_per_second, keeps))
            })
            .collect();
        let target_ms = self.target.as_millis();
        let rule = match bests.iter().all(|(.., keeps)| *keeps) {
            true => "The lowest limit that sends 99 of 100 events within",
            false => "No limit tried sends 99 of 100 events everywhere within",
        };
        let mut lines = vec![format!("{rule} {target_ms} ms (--target-ms):")];
        let Some((_, first, _)) = bests.first() else { return lines };
        if !is_one && bests.iter().all(|(_, rate, _)| rate == first) {
            lines.push("[mirrors]".into());
            lines.extend(self.limit(*first));
            return lines;
        }
        for (mirror, rate, keeps) in bests {
            let nearest = if keeps { "" } else { "; the nearest" };
            lines.push(format!("# {}, next to its url{nearest}", safe(&mirror.name)));
            lines.extend(self.limit(rate));
        }
        lines
    }

    fn limit(&self, rate: f64) -> [String; 2] {
        [format!("rate_per_second = {rate:?}"), format!("burst = {}", self.burst)]
    }

    /// For programs.
    pub fn json(&self) -> Value {
        let mirror = |tuned: &Tuned| {
            let best = self.advised(tuned);
            let limits: Vec<Value> = tuned.tries.iter().map(tried_json).collect();
            json!({
                "peer": tuned.mirror.name,
                "send_ms": millis(tuned.mirror.send),
                "legacy": tuned.mirror.is_legacy,
                "limits": limits,
                "recommended": best.map(|(tried, keeps)| json!({
                    "rate_per_second": tried.rate_per_second,
                    "burst": self.burst,
                    "keeps_target": keeps,
                })),
            })
        };
        json!({
            "events": self.events,
            "malformed_lines": self.malformed,
            "from": self.span.map(|(first, _)| first.to_string()),
            "to": self.span.map(|(_, last)| last.to_string()),
            "burst": self.burst,
            "target_ms": u64::try_from(self.target.as_millis()).unwrap_or(u64::MAX),
            "mirrors": self.tuned.iter().map(mirror).collect::<Vec<_>>(),
        })
    }
}

fn tried_json(tried: &Tried) -> Value {
    json!({
        "rate_per_second": tried.rate_per_second,
        "requests": tried.sent.requests,
        "events": tried.sent.events,
        "merged": tried.sent.merged(),
        "delay_ms": {
            "p50": millis(tried.p50()),
            "p99": millis(tried.p99()),
            "max": millis(tried.sent.delay(1.0)),
        },
    })
}

/// Milliseconds to the microsecond.
pub fn millis(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}

/// A limit as people write it.
pub fn rate(rate: f64) -> String {
    let text = format!("{rate:.4}");
    format!("{}/s", text.trim_end_matches('0').trim_end_matches('.'))
}

fn shown(time: Duration) -> String {
    match time.as_secs() {
        0 => format!("{:.1} ms", millis(time)),
        1..10 => format!("{:.0} ms", millis(time)),
        10..600 => format!("{:.1} s", time.as_secs_f64()),
        seconds => print::seconds(seconds),
    }
}

fn row(limit: &str, requests: &str, merged: &str, p50: &str, p99: &str) -> String {
    format!("{limit:>9}  {requests:>9}  {merged:>9}  {p50:>9}  {p99:>9}")
}

#[cfg(test)]
pub mod tests {
    use super::super::replay::{Arrival, Pace, replay};
    use super::*;

    /// Two mirrors and these limits, for ten events a second.
    pub fn report(rates: &[f64], target_ms: u64, names: [&str; 2]) -> Report {
        let at = |n: u64| Arrival { at: Duration::from_millis(n * 100), events: 1 };
        let arrivals: Vec<Arrival> = (0..600).map(at).collect();
        let tuned = names.map(|name| {
            let send = Duration::from_millis(10);
            let mirror = Mirror { name: name.into(), send, is_legacy: false };
            let tried = |rate: &f64| {
                let pace = Pace { rate_per_second: *rate, burst: 1 };
                Tried { rate_per_second: *rate, sent: replay(&arrivals, pace, send) }
            };
            Tuned { mirror, tries: rates.iter().map(tried).collect() }
        });
        let target = Duration::from_millis(target_ms);
        let (events, burst, tuned) = (EVENTS_MIN, 1, tuned.into());
        let span = Some((Timestamp::UNIX_EPOCH, Timestamp::UNIX_EPOCH + SPAN_MIN));
        Report { events, malformed: 0, span, target, burst, tuned }
    }

    #[test]
    fn the_lowest_limit_that_keeps_the_target_is_taken() {
        let report = report(&[0.5, 1.0, 2.0, 50.0], 1000, ["eu", "us"]);
        let lines = report.settings(false);
        assert_eq!(lines[1..], ["[mirrors]", "rate_per_second = 1.0", "burst = 1"]);
        assert!(lines[0].contains("99 of 100 events within 1000 ms"), "{lines:?}");
        assert_eq!(report.settings(true)[1], "# eu, next to its url");
        assert_eq!(report.json()["mirrors"][1]["recommended"]["keeps_target"], true);
    }

    #[test]
    fn where_none_keeps_it_the_nearest_is_named_as_such() {
        let report = report(&[0.5, 1.0], 10, ["eu", "us"]);
        let lines = report.settings(true);
        assert!(lines[0].starts_with("No limit tried"), "{lines:?}");
        assert_eq!(lines[1..3], ["# eu, next to its url; the nearest", "rate_per_second = 1.0"]);
        assert_eq!(report.json()["mirrors"][0]["recommended"]["keeps_target"], false);
    }

    #[test]
    fn figures_are_shown_in_the_unit_that_says_enough() {
        let ms = |ms| shown(Duration::from_millis(ms));
        assert_eq!([ms(3), ms(2500), ms(59_900)], ["3.0 ms", "2500 ms", "59.9 s"]);
        assert_eq!([rate(5.0), rate(0.5), rate(1.0 / 3.0)], ["5/s", "0.5/s", "0.3333/s"]);
    }
}
