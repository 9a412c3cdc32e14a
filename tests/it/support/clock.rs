//! A wall clock that a scene sets, also while an instance runs: Debian's `libfaketime`. Time that
//! passes (timers, limits) stays real.

use std::path::PathBuf;

use tempfile::TempDir;

use super::node::Spec;

/// A clock for one or several instances.
pub struct Clock {
    dir: TempDir,
}

impl Clock {
    /// A clock that goes on from a time, such as `2026-11-20T11:59:58Z`.
    pub fn at(time: &str) -> Self {
        let clock = Self { dir: TempDir::new().expect("a temporary directory") };
        clock.set(time);
        clock
    }

    /// Lets it go on from another time.
    pub fn set(&self, time: &str) {
        let wanted: jiff::Timestamp = time.parse().expect("RFC 3339");
        let ahead = wanted.as_millisecond() - jiff::Timestamp::now().as_millisecond();
        let new = self.file().with_extension("new");
        std::fs::write(&new, format!("{:+.3}\n", ahead as f64 / 1e3)).expect("written");
        std::fs::rename(new, self.file()).expect("in its place");
    }

    /// An instance that looks at this clock.
    pub fn of(&self, spec: Spec) -> Spec {
        let file = self.file().display().to_string();
        spec.env("LD_PRELOAD", &library().display().to_string())
            .env("FAKETIME_TIMESTAMP_FILE", &file)
            .env("FAKETIME_NO_CACHE", "1")
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
            .env("DONT_FAKE_MONOTONIC", "1")
    }

    fn file(&self) -> PathBuf {
        self.dir.path().join("clock")
    }
}

/// Where Debian keeps it: below the directory of the machine's architecture.
fn library() -> PathBuf {
    let dirs = std::fs::read_dir("/usr/lib").expect("/usr/lib").filter_map(Result::ok);
    let paths = dirs.map(|dir| dir.path().join("faketime/libfaketimeMT.so.1"));
    paths.into_iter().find(|path| path.exists()).expect("the package libfaketime")
}
