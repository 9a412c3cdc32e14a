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
    /// In the order of measuring; everything is compared with the first.
    kinds: Vec<&'static str>,
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

    pub fn value(&mut self, kind: &'static str, name: impl Into<String>, value: f64) {
        let name = name.into();
        if !self.names.contains(&name) {
            self.names.push(name.clone());
        }
        if !self.kinds.contains(&kind) {
            self.kinds.push(kind);
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
        for kind in round.kinds {
            if !self.kinds.contains(&kind) {
                self.kinds.push(kind);
            }
        }
        for (key, values) in round.values {
            self.values.entry(key).or_default().extend(values);
        }
    }

    pub fn print(&self, rounds: usize) {
        let Some((ours, others)) = self.kinds.split_first() else { return };
        println!("medians of {rounds} rounds [least .. most]\n");
        let ratios: String = others.iter().map(|other| format!(" {ours} / {other} |")).collect();
        println!("| | {} |{ratios}", self.kinds.join(" | "));
        println!("|{}", "---|".repeat(1 + self.kinds.len() + others.len()));
        for name in &self.names {
            let of = |kind| self.values.get(&(name.clone(), kind)).map_or(&[][..], Vec::as_slice);
            let cells: Vec<String> = self.kinds.iter().map(|kind| cell(of(kind))).collect();
            let ratio = |other: &&'static str| {
                let pairs = of(ours).iter().zip(of(other));
                cell(&pairs.map(|(our, their)| our / their).collect::<Vec<_>>())
            };
            let ratios: Vec<String> = others.iter().map(ratio).collect();
            println!("| {name} | {} |", [cells, ratios].concat().join(" | "));
        }
        println!();
    }
}

fn cell(values: &[f64]) -> String {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let (Some(least), Some(most)) = (sorted.first(), sorted.last()) else { return "-".to_owned() };
    format!("{} [{} .. {}]", short(sorted[sorted.len() / 2]), short(*least), short(*most))
}

fn short(value: f64) -> String {
    match value {
        100.0.. => format!("{value:.0}"),
        0.1.. => format!("{value:.2}"),
        _ => format!("{value:.4}"),
    }
}
