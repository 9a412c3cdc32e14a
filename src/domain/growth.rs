//! How tests show that work grows with the input and not with its square: processor time of this
//! thread at two sizes, the larger four times the smaller.
//!
//! The shortest of several tries counts, and what else runs on the machine does not.

use std::time::Duration;

/// The processor time of this thread so far.
fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    time.try_into().expect("not negative")
}

/// Runs `work` at both sizes. Four times the input may take ten times as long, which leaves room
/// for caches and logarithms; a quadratic way takes sixteen times.
#[track_caller]
pub fn is_not_quadratic(name: &str, size: usize, mut prepare: impl FnMut(usize) -> Box<dyn Fn()>) {
    let mut time_of = |size: usize| {
        let work = prepare(size);
        let once = || {
            let begun = cpu_time();
            work();
            cpu_time().checked_sub(begun).expect("it goes on")
        };
        (0..5).map(|_| once()).min().expect("five tries")
    };
    let (small, large) = (time_of(size), time_of(4 * size));
    assert!(large < small * 10 + Duration::from_millis(2), "{name}: {small:?}, then {large:?}");
}
