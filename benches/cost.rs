//! What an idle instance costs: the time from its start to its first answer, and its memory.
//!
//! `cargo bench --bench cost`. Ours is the answer of `/healthz`, to whoever read the
//! address that it prints; Redis and Node count from when they accept or print. All start with an
//! empty directory. Asked every 0.2 ms, so that the figure is good to about that.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a benchmark prints")]

mod support;

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use support::processes::{Process, TOKEN};
use support::report::Report;
use support::wire::Client;
use support::{directory, number, peers};

fn main() -> anyhow::Result<()> {
    support::main(run())
}

async fn run() -> anyhow::Result<()> {
    let rounds = number("BENCH_ROUNDS", 9);
    let mut report = Report::default();
    for round in 0..=rounds {
        let mut figures = Report::default();
        let dir = directory()?;
        gateway("gateway", dir.path(), &[], &mut figures).await?;
        let https = ["mirrors.urls=https://127.0.0.1:9"];
        gateway("with an https mirror", dir.path(), &https, &mut figures).await?;
        let begun = Instant::now();
        match peers::redis(dir.path(), "everysec") {
            Ok(redis) => note("redis", &redis, begun, &mut figures).await?,
            Err(error) => eprintln!("without Redis: {error}"),
        }
        let begun = Instant::now();
        match peers::node(&[]) {
            Ok(node) => note("node", &node, begun, &mut figures).await?,
            Err(error) => eprintln!("without Node: {error}"),
        }
        // The first round brings the programs into memory.
        if round > 0 {
            report.add(figures);
        }
    }
    report.print(rounds);
    let binary = std::fs::metadata(env!("CARGO_BIN_EXE_cache-mirror"))?.len();
    println!("the program: {:.1} MB", binary as f64 / 1e6);
    Ok(())
}

async fn gateway(
    kind: &'static str,
    dir: &Path,
    more: &[&str],
    figures: &mut Report,
) -> anyhow::Result<()> {
    let begun = Instant::now();
    let gateway = Process::gateway_with(&kind.replace(' ', "-"), dir, &[], more)?;
    first_answer(gateway.address).await?;
    note(kind, &gateway, begun, figures).await
}

async fn first_answer(address: SocketAddr) -> anyhow::Result<()> {
    let mut client = Client::connect(address, TOKEN).await?;
    client.call("GET", "/healthz", "").await.map(drop)
}

async fn note(
    kind: &'static str,
    process: &Process,
    begun: Instant,
    figures: &mut Report,
) -> anyhow::Result<()> {
    figures.value(kind, "start to first answer, ms", begun.elapsed().as_secs_f64() * 1e3);
    // Whatever it does after its start is over by then.
    tokio::time::sleep(Duration::from_millis(300)).await;
    let (rss, pss) = process.memory()?;
    figures.value(kind, "idle RSS, MB", rss);
    figures.value(kind, "idle PSS, MB", pss);
    Ok(())
}
