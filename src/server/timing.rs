//! How long answers took, by route and by how they ended: from the head of a request to the head
//! of its answer, waiting that was asked for included.
//!
//! Labels are the lines of the table, never what a caller wrote. A line appears with its first
//! answer: most routes of an instance are never asked.

use std::fmt;
use std::sync::OnceLock;
use std::time::Duration;

use hyper::StatusCode;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode_registry;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use crate::activity::counters::PREFIX;

/// Upper bounds in seconds: from an answer out of memory to one that waited for slow mirrors.
const SECONDS: [f64; 10] = [0.000_25, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 2.5, 10.0];
/// Kinds of status, by their first digit.
const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answered {
    method: &'static str,
    route: &'static str,
    status: &'static str,
}

/// The times of all routes.
pub struct Timings {
    registry: Registry,
    family: Family<Answered, Histogram, fn() -> Histogram>,
}

/// Where the times of one route go, looked up once for each kind of status.
#[derive(Default)]
pub struct Timed([OnceLock<Histogram>; CLASSES.len()]);

impl Default for Timings {
    fn default() -> Self {
        let family = Family::new_with_constructor((|| Histogram::new(SECONDS)) as fn() -> _);
        let mut registry = Registry::with_prefix(PREFIX);
        let what = "From the head of a request to the head of its answer";
        registry.register_with_unit("request", what, Unit::Seconds, family.clone());
        Self { registry, family }
    }
}

impl Timings {
    /// Notes one answer.
    pub fn note(
        &self,
        (method, route): (&'static str, &'static str),
        timed: &Timed,
        status: StatusCode,
        took: Duration,
    ) {
        let class = usize::from(status.as_u16() / 100).clamp(1, CLASSES.len()) - 1;
        let status = CLASSES[class];
        let look_up = || self.family.get_or_create_owned(&Answered { method, route, status });
        timed.0[class].get_or_init(look_up).observe(took.as_secs_f64());
    }

    /// Writes them in the OpenMetrics text format, without its closing line.
    ///
    /// # Errors
    /// As `out`'s.
    pub fn encode(&self, out: &mut String) -> fmt::Result {
        encode_registry(out, &self.registry)
    }
}
