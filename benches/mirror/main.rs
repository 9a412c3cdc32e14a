//! An event at A, applied at 1, 10 and 50 peers: how long until a peer has it, and how many a
//! second until every peer has all.
//!
//! `cargo bench --bench mirror`. First the senders alone, all telling the same cheap sinks: ours
//! (durable, with a JWT, retried), a Node server that POSTs to each by `fetch` and `Promise.all`,
//! and Redis Pub/Sub. Then whole meshes seen through each peer's event stream: real gateways, each
//! with a journal of its own, against real Node servers. `BENCH_PEERS=1,10` picks sizes.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a benchmark prints")]

mod ears;
#[path = "../support/mod.rs"]
mod support;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use ears::Ears;
use support::load::{INVALIDATE, event, together};
use support::processes::{Process, TOKEN, acquainted};
use support::report::{Report, Spread};
use support::resp::Redis;
use support::wire::{self, Client};
use support::{directory, number, peers};

const CLIENTS: usize = 64;
/// Events one after the other, and the pause between them: 50 a second, as the yardstick has it.
const SINGLE_EVENTS: usize = 100;
const PAUSE: Duration = Duration::from_millis(20);

/// Who sends, how many events a storm has at so many peers, and which instances receive.
#[derive(Clone, Copy)]
struct Case {
    kind: &'static str,
    storm: usize,
    is_redis: bool,
}

fn main() -> anyhow::Result<()> {
    support::main(run())
}

async fn run() -> anyhow::Result<()> {
    let rounds = number("BENCH_ROUNDS", 3);
    let sizes = std::env::var("BENCH_PEERS").unwrap_or_else(|_| "1,10,50".to_owned());
    for size in sizes.split(',') {
        let size: usize = size.trim().parse()?;
        let mut report = Report::default();
        for round in 0..=rounds {
            let mut figures = Report::default();
            alone(size, &mut figures).await?;
            meshes(size, &mut figures).await?;
            if round > 0 {
                report.add(figures);
            }
        }
        println!("{size} peers");
        report.print(rounds);
    }
    Ok(())
}

/// Fewer for whom each takes long: what counts is the rate.
fn slow_storm(peers: usize) -> usize {
    (6400 / peers).clamp(192, 1280)
}

/// The senders alone, to the same sinks.
async fn alone(size: usize, figures: &mut Report) -> anyhow::Result<()> {
    let ears = Ears::new();
    let mut sinks = Vec::new();
    for ear in 0..size {
        sinks.push(ears.sink(ear).await?);
    }
    let dir = directory()?;
    let gateway = Process::gateway("from", dir.path(), &sinks)?;
    acquainted(&gateway, size).await?;
    let case = Case { kind: "gateway", storm: 6400, is_redis: false };
    measure(case, gateway.address, size, &ears, figures).await?;
    drop(gateway);
    match peers::node(&sinks) {
        Ok(node) => {
            let case = Case { kind: "node fetch", storm: slow_storm(size), is_redis: false };
            measure(case, node.address, size, &ears, figures).await?;
        }
        Err(error) => eprintln!("without Node: {error}"),
    }
    match peers::redis(dir.path(), "no") {
        Ok(redis) => {
            for ear in 0..size {
                let mut reader = Redis::connect(redis.address).await?;
                reader.call(&[b"SUBSCRIBE", b"c"]).await?;
                ears.listen(ear, reader.into_stream());
            }
            let case = Case { kind: "redis pub/sub", storm: 6400, is_redis: true };
            measure(case, redis.address, size, &ears, figures).await?;
        }
        Err(error) => eprintln!("without Redis: {error}"),
    }
    Ok(())
}

/// Whole meshes, seen through the event stream of every peer.
async fn meshes(size: usize, figures: &mut Report) -> anyhow::Result<()> {
    let dir = directory()?;
    let start = |number: usize| Process::gateway(&format!("to-{number}"), dir.path(), &[]);
    let to = (0..size).map(start).collect::<anyhow::Result<Vec<_>>>()?;
    let addresses: Vec<SocketAddr> = to.iter().map(|process| process.address).collect();
    let from = Process::gateway("from", dir.path(), &addresses)?;
    acquainted(&from, size).await?;
    let case = Case { kind: "gateways", storm: 64 * 50, is_redis: false };
    through_streams(case, &from, &addresses, figures).await?;
    drop((from, to));
    let Ok(to) = (0..size).map(|_| peers::node(&[])).collect::<anyhow::Result<Vec<_>>>() else {
        return Ok(());
    };
    let addresses: Vec<SocketAddr> = to.iter().map(|process| process.address).collect();
    let from = peers::node(&addresses)?;
    let case = Case { kind: "nodes", storm: slow_storm(size), is_redis: false };
    through_streams(case, &from, &addresses, figures).await
}

async fn through_streams(
    case: Case,
    from: &Process,
    to: &[SocketAddr],
    figures: &mut Report,
) -> anyhow::Result<()> {
    let ears = Ears::new();
    for (ear, address) in to.iter().enumerate() {
        ears.listen(ear, wire::stream(*address, TOKEN).await?);
    }
    measure(case, from.address, to.len(), &ears, figures).await
}

async fn measure(
    case: Case,
    from: SocketAddr,
    peers: usize,
    ears: &Ears,
    figures: &mut Report,
) -> anyhow::Result<()> {
    let mut sender = EventSender::connect(from, case).await?;
    ears.expect(peers, SINGLE_EVENTS);
    let (mut any, mut last) = (Vec::new(), Vec::new());
    let mut begun = Vec::new();
    for number in 0..SINGLE_EVENTS {
        begun.push(Instant::now());
        sender.submit(number).await?;
        tokio::time::sleep(PAUSE).await;
    }
    ears.all().await.with_context(|| format!("{}, one by one", case.kind))?;
    for (number, begun) in begun.into_iter().enumerate() {
        let times = ears.since(number, begun);
        last.extend(times.iter().max().copied());
        any.extend(times);
    }
    figures.latency(case.kind, "an event at any peer", &Spread::of(any));
    figures.latency(case.kind, "an event at the last peer", &Spread::of(last));
    ears.expect(peers, case.storm);
    let each = case.storm / CLIENTS;
    let begun = Instant::now();
    together(CLIENTS, |client| async move {
        let mut sender = EventSender::connect(from, case).await?;
        let mut times = Vec::new();
        for number in 0..each {
            let begun = Instant::now();
            sender.submit(client * each + number).await?;
            times.push(begun.elapsed());
        }
        Ok(times)
    })
    .await?;
    ears.all().await.with_context(|| format!("{}, the storm", case.kind))?;
    let rate = case.storm as f64 / (ears.last() - begun).as_secs_f64();
    figures.rate(case.kind, "applied at every peer, 64 clients", rate);
    Ok(())
}

/// Submits events to the first instance.
enum EventSender {
    Http(Client),
    Redis(Redis),
}

impl EventSender {
    async fn connect(to: SocketAddr, case: Case) -> anyhow::Result<Self> {
        Ok(match case.is_redis {
            true => Self::Redis(Redis::connect(to).await?),
            false => Self::Http(Client::connect(to, TOKEN).await?),
        })
    }

    async fn submit(&mut self, number: usize) -> anyhow::Result<()> {
        let body = event(&format!("ev-{number}"), true);
        match self {
            Self::Http(client) => client.call("POST", INVALIDATE, &body).await.map(drop),
            Self::Redis(redis) => redis.call(&[b"PUBLISH", b"c", body.as_bytes()]).await.map(drop),
        }
    }
}
