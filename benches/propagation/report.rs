//! Figures of several rounds, and the table of their medians and ratios.
//!
//! A ratio is taken within each round and the median of the ratios is shown, not the ratio of the
//! medians: what disturbs a round disturbs both kinds.

use std::collections::BTreeMap;
use std::time::Duration;

/// The middle and the far end of some times, in milliseconds.
pub struct Spread {
    p50: f64,
    p99: f64,
}

impl Spread {
    pub fn of(mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        let at = |percent: usize| times[(times.len() - 1) * percent / 100].as_secs_f64() * 1e3;
        Self { p50: at(50), p99: at(99) }
    }
}

/// Values by what was measured and at whom, one a round.
#[derive(Default)]
pub struct Report {
    /// In the order of measuring.
    names: Vec<String>,
    values: BTreeMap<(String, &'static str), Vec<f64>>,
}

impl Report {
    pub fn latency(&mut self, kind: &'static str, what: &str, spread: &Spread) {
        self.value(kind, format!("{what}, p50, ms"), spread.p50);
        self.value(kind, format!("{what}, p99, ms"), spread.p99);
    }

    pub fn rate(&mut self, kind: &'static str, what: &str, per_second: f64) {
        self.value(kind, format!("{what}, events/s"), per_second);
    }

    fn value(&mut self, kind: &'static str, name: String, value: f64) {
        if !self.names.contains(&name) {
            self.names.push(name.clone());
        }
        self.values.entry((name, kind)).or_default().push(value);
    }

    /// One more round.
    pub fn add(&mut self, round: Report) {
        for name in round.names {
            if !self.names.contains(&name) {
                self.names.push(name);
            }
        }
        for (key, values) in round.values {
            self.values.entry(key).or_default().extend(values);
        }
    }

    pub fn print(&self, rounds: usize) {
        println!("medians of {rounds} rounds [least .. most]\n");
        println!("| | gateway | node stand-in | gateway / node |");
        println!("|---|---|---|---|");
        for name in &self.names {
            let of = |kind| self.values.get(&(name.clone(), kind)).map_or(&[][..], Vec::as_slice);
            let (ours, theirs) = (of("gateway"), of("node"));
            let ratios: Vec<f64> =
                ours.iter().zip(theirs).map(|(our, their)| our / their).collect();
            println!("| {name} | {} | {} | {} |", cell(ours), cell(theirs), cell(&ratios));
        }
    }
}

fn cell(values: &[f64]) -> String {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let (Some(least), Some(most)) = (sorted.first(), sorted.last()) else { return "-".to_owned() };
    format!("{} [{} .. {}]", short(sorted[sorted.len() / 2]), short(*least), short(*most))
}

fn short(value: f64) -> String {
    if value >= 100.0 { format!("{value:.0}") } else { format!("{value:.2}") }
}
