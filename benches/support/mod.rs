//! What the whole-process benchmarks share: processes, connections, loads and tables.
//!
//! Each script is `cargo bench --bench NAME`. It starts everything it measures on free loopback
//! ports, measures the kinds in turns, prints one table and ends by itself. Peers come from the
//! system's packages; one that is not installed is left out and said so on stderr.

#![allow(dead_code, reason = "each benchmark uses its own part")]

pub mod load;
pub mod peers;
pub mod processes;
pub mod report;
pub mod resp;
pub mod wire;

use std::future::Future;
use std::path::Path;
use std::time::Duration;

/// No single wait is longer; a round that hits it fails the benchmark.
pub const WAIT_MAX: Duration = Duration::from_secs(30);

/// A benchmark's `main`: one thread, so that the load takes no more than one core.
pub fn main(run: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    // `cargo test --benches` asks for a list of tests; there are none.
    if !std::env::args().any(|argument| argument == "--bench") {
        return Ok(());
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async { tokio::task::LocalSet::new().run_until(run).await })
}

/// A number from the environment, for longer or larger runs.
pub fn number(name: &str, default: usize) -> usize {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// A directory on the disk that is measured: below `target/`, or `BENCH_DIR`.
pub fn directory() -> anyhow::Result<tempfile::TempDir> {
    let root = std::env::var_os("BENCH_DIR").unwrap_or_else(|| env!("CARGO_TARGET_TMPDIR").into());
    std::fs::create_dir_all(Path::new(&root))?;
    Ok(tempfile::tempdir_in(root)?)
}
