//! Time that goes on while the machine sleeps: lives of entries, tokens and tickets are measured on
//! it. It never goes back and no one can set it.
//!
//! On Linux it is `CLOCK_BOOTTIME`. `Instant` is `CLOCK_MONOTONIC`, which stops during a suspend,
//! so what expired meanwhile would still count as good. It stands in where there is no other.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use tokio::time::Instant as PausableInstant;

/// Where time begins where the system has no clock that counts sleep.
static BEGUN: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Time since some fixed moment, sleep included.
pub fn since_boot() -> Duration {
    system().unwrap_or_else(|| BEGUN.elapsed())
}

#[cfg(target_os = "linux")]
fn system() -> Option<Duration> {
    use rustix::time::{DynamicClockId, clock_gettime_dynamic};
    let now = clock_gettime_dynamic(DynamicClockId::Boottime).ok()?;
    Some(Duration::new(u64::try_from(now.tv_sec).ok()?, u32::try_from(now.tv_nsec).ok()?))
}

#[cfg(not(target_os = "linux"))]
fn system() -> Option<Duration> {
    None
}

/// A moment on both clocks: tokio's, which tests can move, and the one that counts sleep.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    awake: PausableInstant,
    since_boot: Duration,
}

impl Moment {
    /// This one.
    pub fn now() -> Self {
        Self { awake: PausableInstant::now(), since_boot: since_boot() }
    }

    /// The time since, on the clock on which more has passed.
    pub fn age(&self) -> Duration {
        self.awake.elapsed().max(since_boot().saturating_sub(self.since_boot))
    }
}

/// The end of a life: over as soon as either clock says so.
#[derive(Debug, Clone, Copy)]
pub struct Deadline {
    begun: Moment,
    life: Duration,
}

impl Deadline {
    /// A life that begins now.
    pub fn after(life: Duration) -> Self {
        Self::of(Moment::now(), life)
    }

    /// A life that began at that moment.
    pub fn of(begun: Moment, life: Duration) -> Self {
        Self { begun, life }
    }

    /// Whether it is over.
    pub fn is_over(&self) -> bool {
        self.begun.age() >= self.life
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_goes_on_like_any_clock_and_no_slower() {
        let (begun, boot) = (Instant::now(), since_boot());
        while begun.elapsed() < Duration::from_millis(20) {
            std::hint::spin_loop();
        }
        let passed = since_boot() - boot;
        assert!(passed >= Duration::from_millis(20), "{passed:?}");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn linux_has_a_clock_that_counts_sleep() {
        let uptime = std::fs::read_to_string("/proc/uptime").expect("Linux");
        let seconds: f64 =
            uptime.split(' ').next().and_then(|it| it.parse().ok()).expect("a number");
        let it = system().expect("CLOCK_BOOTTIME").as_secs_f64();
        assert!((it - seconds).abs() < 10.0, "{it} and {seconds}");
    }

    /// A suspend of two minutes, seen from behind: the clock that sleeps has not moved.
    #[tokio::test(start_paused = true)]
    async fn a_life_ends_during_a_sleep() {
        let minute = Duration::from_secs(60);
        let mut deadline = Deadline::after(minute);
        assert!(!deadline.is_over());
        let boot = &mut deadline.begun.since_boot;
        *boot = boot.saturating_sub(2 * minute);
        assert!(deadline.is_over(), "the machine slept");
        let deadline = Deadline::after(minute);
        tokio::time::advance(minute).await;
        assert!(deadline.is_over(), "the test's own clock counts as well");
    }
}
