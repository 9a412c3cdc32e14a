//! `tune`: which rate limit would have been right for the traffic in the log.
//!
//! The log is read (`traffic`), its events are sent again on a clock of their own through the real
//! limiter (`replay`), once for each limit, and the cost in requests and in delay is reported
//! (`report`, `chart`). Nothing is sent anywhere, and no setting is changed.

mod chart;
mod replay;
mod report;
mod traffic;

use std::path::PathBuf;
use std::time::Duration;

use clap::Args as ClapArgs;

use self::replay::{Pace, replay};
use self::report::{Report, Tried, Tuned};
use self::traffic::{Mirror, Traffic};
use super::settings::SettingsArgs;
use super::{Exit, print, rate};

pub const EXAMPLES: &str = "\
Examples:
  cache-mirror tune                                for the log of this directory's configuration
  cache-mirror tune --log logs/cache.json --peer eu.example.org
  cache-mirror tune --limits 1/s,5/s,30/min --burst 5 --target-ms 500
  cache-mirror tune --svg limits.svg --json";

/// Limits that are tried by default: from a careful one to hardly any.
const LIMITS: &str = "0.5/s,1/s,2/s,5/s,10/s,20/s,50/s,100/s";
/// Limits in one run, mirrors in one run: each pair is a replay of its own.
const LIMITS_MAX: usize = 32;
const MIRRORS_MAX: usize = 32;
/// The limits that a configuration may set.
const RATE_MIN: f64 = 0.0001;
const RATE_MAX: f64 = 1_000_000.0;
/// Assumed length of a send where the log has none.
const SEND_DEFAULT: Duration = Duration::from_millis(10);

/// Arguments of `tune`.
#[derive(Debug, ClapArgs)]
pub struct Args {
    /// The log; its rotated files are read too [default: log.file of the configuration]
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,
    /// Configuration file that names the log
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// For this mirror only, by its name
    #[arg(long, value_name = "NAME")]
    peer: Option<String>,
    /// Limits to try: requests a second, a minute or an hour, such as 5/s, 30/min
    #[arg(long, value_name = "RATE", value_delimiter = ',', default_value = LIMITS,
          value_parser = parse_rate)]
    limits: Vec<f64>,
    /// Requests at once after a pause, as mirrors.burst
    #[arg(long, value_name = "N", default_value_t = 20,
          value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    burst: u32,
    /// The delay that 99 of 100 events should not exceed
    #[arg(long, value_name = "MS", default_value_t = 1000)]
    target_ms: u64,
    /// Draw delay and requests over the limit
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
}

fn parse_rate(text: &str) -> Result<f64, String> {
    match rate::parse(text)? {
        rate if (RATE_MIN..=RATE_MAX).contains(&rate) => Ok(rate),
        _ => Err(format!("expected a rate from {RATE_MIN} to {RATE_MAX} a second")),
    }
}

/// Reads the log, replays it and prints the report.
pub fn run(args: &Args, is_json: bool) -> Result<(), Exit> {
    let path = match &args.log {
        Some(path) => path.clone(),
        None => {
            let settings = SettingsArgs { config: args.config.clone(), ..SettingsArgs::default() };
            settings.settings()?.log.file
        }
    };
    let mut limits = args.limits.clone();
    limits.sort_by(f64::total_cmp);
    limits.dedup();
    if limits.len() > LIMITS_MAX {
        return Err(Exit::Usage(format!("--limits: expected at most {LIMITS_MAX} limits")));
    }
    let traffic = Traffic::read(&path).map_err(|error| {
        let path = path.display();
        Exit::Failed(format!("cannot read {path}: {error}. Has the instance run here? see --log"))
    })?;
    traffic.remarks().iter().for_each(print::talk);
    if traffic.arrivals.is_empty() {
        return Err(Exit::Failed(format!(
            "no mirrored event in {}: nothing to replay (log.level = \"info\" writes them)",
            path.display()
        )));
    }
    let mirrors = mirrors(&traffic, args.peer.as_deref())?;
    let tuned = mirrors.into_iter().map(|mirror| tune(&traffic, mirror, &limits, args));
    let report = Report::new(&traffic, args.target_ms, args.burst, tuned.collect());
    if let Some(file) = &args.svg {
        let drawn = chart::draw(&report);
        let drawn = drawn.map_err(|error| Exit::Failed(format!("cannot draw: {error}")))?;
        std::fs::write(file, drawn).map_err(|error| {
            Exit::Failed(format!("cannot write {}: {error}; see --svg", file.display()))
        })?;
    }
    if is_json { print::json(&report.json()) } else { report.show(args.peer.is_some()) }
}

fn tune(traffic: &Traffic, mirror: Mirror, limits: &[f64], args: &Args) -> Tuned {
    let tries = limits.iter().map(|rate| {
        let pace = Pace { rate_per_second: *rate, burst: args.burst };
        Tried { rate_per_second: *rate, sent: replay(&traffic.arrivals, pace, mirror.send) }
    });
    let tries = tries.collect();
    Tuned { mirror, tries }
}

/// The mirrors to tune for, with what is known of their sends.
fn mirrors(traffic: &Traffic, wanted: Option<&str>) -> Result<Vec<Mirror>, Exit> {
    let mut all = traffic.mirrors();
    if let Some(name) = wanted {
        let names: Vec<String> = all.iter().map(|mirror| mirror.name.clone()).collect();
        all.retain(|mirror| mirror.name == name);
        if all.is_empty() {
            let names = if names.is_empty() { "none".into() } else { names.join(", ") };
            return Err(Exit::Failed(format!(
                "--peer {name}: the log has no request to it; it has requests to: {names}"
            )));
        }
    }
    if all.is_empty() {
        print::talk(format_args!(
            "no request to a mirror in the log: a send is taken to last {} ms",
            SEND_DEFAULT.as_millis()
        ));
        all.push(Mirror { name: "any mirror".into(), send: SEND_DEFAULT, is_legacy: false });
    }
    if all.len() > MIRRORS_MAX {
        print::talk(format_args!(
            "{} mirrors: only the {MIRRORS_MAX} slowest are shown; see --peer",
            all.len()
        ));
        all.sort_by_key(|mirror| std::cmp::Reverse(mirror.send));
        all.truncate(MIRRORS_MAX);
        all.sort_by(|a, b| a.name.cmp(&b.name));
    }
    for mirror in all.iter().filter(|mirror| mirror.is_legacy) {
        print::talk(format_args!(
            "{} is sent one type a request: it needs more requests than are shown here",
            mirror.name
        ));
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_those_that_a_configuration_may_set() {
        assert_eq!(parse_rate("36/h"), Ok(0.01));
        for text in ["", "0/s", "1e9/s", "0.01/h"] {
            assert!(parse_rate(text).is_err(), "{text}");
        }
    }
}
