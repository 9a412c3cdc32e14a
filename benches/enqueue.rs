//! What a durable answer costs: an invalidation over HTTP against an `XADD` with `appendfsync
//! always`, by 1 client and by 64, each asking one after the other.
//!
//! `cargo bench --bench enqueue`. Both are on disk before they answer; ours also clears, resolves
//! the graph, writes a log line and speaks HTTP and JSON. The load is the same program for both.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a benchmark prints")]

mod support;

use std::time::Instant;

use support::load::{answers, event, together};
use support::processes::Process;
use support::report::{Report, Spread};
use support::resp::Redis;
use support::{directory, number, peers};

/// Clients, and the events of each.
const LOADS: [(usize, usize); 2] = [(1, 1000), (64, 200)];

fn main() -> anyhow::Result<()> {
    support::main(run())
}

async fn run() -> anyhow::Result<()> {
    let rounds = number("BENCH_ROUNDS", 5);
    let mut report = Report::default();
    for round in 0..=rounds {
        let mut figures = Report::default();
        let dir = directory()?;
        let gateway = Process::gateway("gateway", dir.path(), &[])?;
        for (clients, each) in LOADS {
            let measured = answers(gateway.address, clients, each).await?;
            note(&mut figures, "gateway", clients, &measured);
        }
        drop(gateway);
        match peers::redis(dir.path(), "always") {
            Ok(redis) => against(&redis, &mut figures).await?,
            Err(error) => eprintln!("without Redis: {error}"),
        }
        // The first round warms the disk, the loopback and the scheduler.
        if round > 0 {
            report.add(figures);
        }
    }
    report.print(rounds);
    Ok(())
}

async fn against(redis: &Process, figures: &mut Report) -> anyhow::Result<()> {
    for (clients, each) in LOADS {
        let to = redis.address;
        let measured = together(clients, |client| async move {
            let mut connection = Redis::connect(to).await?;
            let mut times = Vec::with_capacity(each);
            for number in 0..each {
                let body = event(&format!("answer-{client}-{number}"), false);
                let begun = Instant::now();
                connection.call(&[b"XADD", b"s", b"*", b"e", body.as_bytes()]).await?;
                times.push(begun.elapsed());
            }
            Ok(times)
        });
        note(figures, "redis XADD always", clients, &measured.await?);
    }
    Ok(())
}

fn note(report: &mut Report, kind: &'static str, clients: usize, measured: &(Spread, f64)) {
    report.latency(kind, &format!("answer, {clients} clients"), &measured.0);
    report.rate(kind, &format!("answers, {clients} clients"), measured.1);
}
