//! Whole processes over sockets: an event at A until a listener at B reads it, and what an answer
//! from a synced journal costs.
//!
//! `cargo bench --bench propagation` prints a table. Two gateways, built as for release, are
//! measured against a stand-in for a hand-made mirror (`support/node_peer.mjs`), both by this one
//! process and its one clock, in turns: only the ratios within a round mean anything on a machine
//! that others share. What stands in the table is the median of the rounds, with the least and the
//! most. `BENCH_DIR=/dev/shm` takes the disk out of the journals, to see its share.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a benchmark prints")]

#[path = "../support/mod.rs"]
mod support;

use std::collections::HashSet;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use support::load::{INVALIDATE, answers, event};
use support::processes::{Process, TOKEN, acquainted};
use support::report::{Report, Spread};
use support::wire::{Client, Update};
use support::{WAIT_MAX, directory, peers, wire};

const ROUNDS: usize = 5;
/// Events one after the other, and the pause between them: long enough for the mirror's answer.
const SINGLE_EVENTS: usize = 200;
const PAUSE: Duration = Duration::from_millis(5);
const CLIENTS: usize = 64;
/// Events of all clients together. The gateway's are within what a backlog names one by one.
const STORM_EVENTS: usize = 6_400;

/// A sender and its mirror.
struct Pair {
    from: Process,
    to: Process,
}

fn main() -> anyhow::Result<()> {
    support::main(run())
}

async fn run() -> anyhow::Result<()> {
    let mut report = Report::default();
    for round in 0..=ROUNDS {
        let mut figures = Report::default();
        measure("gateway", gateways().await?, &mut figures).await?;
        match nodes() {
            Ok(nodes) => measure("node", (nodes, None), &mut figures).await?,
            Err(error) => eprintln!("without the stand-in: {error}"),
        }
        // The first round warms the disk, the loopback and the scheduler.
        if round > 0 {
            report.add(figures);
        }
    }
    report.print(ROUNDS);
    Ok(())
}

async fn gateways() -> anyhow::Result<(Pair, Option<tempfile::TempDir>)> {
    let dir = directory()?;
    let to = Process::gateway("to", dir.path(), &[])?;
    let from = Process::gateway("from", dir.path(), &[to.address])?;
    acquainted(&from, 1).await?;
    Ok((Pair { from, to }, Some(dir)))
}

fn nodes() -> anyhow::Result<Pair> {
    let to = peers::node(&[])?;
    Ok(Pair { from: peers::node(&[to.address])?, to })
}

/// One kind of pair, everything once; its directory goes with it.
async fn measure(
    kind: &'static str,
    (pair, _dir): (Pair, Option<tempfile::TempDir>),
    report: &mut Report,
) -> anyhow::Result<()> {
    let single = singles(&pair).await.context("one after the other")?;
    report.latency(kind, "A to B, one at a time", &single);
    let (accepted, applied) = storm(&pair).await.context("the storm")?;
    report.rate(kind, "accepted at A, 64 clients", accepted);
    report.rate(kind, "applied at B, 64 clients", applied);
    let (one, _) = answers(pair.from.address, 1, 400).await.context("answers")?;
    report.latency(kind, "answer, 1 client", &one);
    let (many, rate) = answers(pair.from.address, CLIENTS, 100).await.context("answers")?;
    report.latency(kind, "answer, 64 clients", &many);
    report.rate(kind, "answers, 64 clients", rate);
    Ok(())
}

/// From the first byte sent to A until the listener at B has read the event.
async fn singles(pair: &Pair) -> anyhow::Result<Spread> {
    let mut updates = wire::listen(pair.to.address, TOKEN).await?;
    let mut client = Client::connect(pair.from.address, TOKEN).await?;
    let mut times = Vec::with_capacity(SINGLE_EVENTS);
    for number in 0..SINGLE_EVENTS {
        let id = format!("single-{number}");
        let begun = Instant::now();
        client.call("POST", INVALIDATE, &event(&id, true)).await?;
        let update = next(&mut updates).await?;
        anyhow::ensure!(update.data["id"] == id, "{id} became {}", update.data);
        times.push(update.at - begun);
        tokio::time::sleep(PAUSE).await;
    }
    Ok(Spread::of(times))
}

async fn next(updates: &mut tokio::sync::mpsc::Receiver<Update>) -> anyhow::Result<Update> {
    let update = tokio::time::timeout(WAIT_MAX, updates.recv()).await.context("no update")?;
    update.context("the stream was cut")
}

/// Events a second, accepted at A and applied at B, until B has every id: none may be missing.
async fn storm(pair: &Pair) -> anyhow::Result<(f64, f64)> {
    let mut updates = wire::listen(pair.to.address, TOKEN).await?;
    let each = STORM_EVENTS / CLIENTS;
    let begun = Instant::now();
    let mut clients = tokio::task::JoinSet::new();
    for client in 0..CLIENTS {
        let address = pair.from.address;
        clients.spawn_local(async move {
            let mut connection = Client::connect(address, TOKEN).await?;
            for number in 0..each {
                let body = event(&format!("storm-{client}-{number}"), true);
                connection.call("POST", INVALIDATE, &body).await?;
            }
            anyhow::Ok(Instant::now())
        });
    }
    let mut seen: HashSet<String> = HashSet::with_capacity(STORM_EVENTS);
    let mut applied = begun;
    while seen.len() < STORM_EVENTS {
        let update = next(&mut updates).await.with_context(|| format!("{} seen", seen.len()))?;
        let ids = update.data["ids"].as_array().context("ids")?;
        anyhow::ensure!(!ids.is_empty(), "the backlog was widened: {}", update.data);
        seen.extend(ids.iter().filter_map(|id| id.as_str().map(ToOwned::to_owned)));
        applied = update.at;
    }
    let mut accepted = begun;
    while let Some(client) = clients.join_next().await {
        accepted = accepted.max(client??);
    }
    let rate = |until: Instant| STORM_EVENTS as f64 / (until - begun).as_secs_f64();
    Ok((rate(accepted), rate(applied)))
}
