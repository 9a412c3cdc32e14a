//! One event to many readers of server-sent events: against nchan.
//!
//! `cargo bench --bench sse` for 1,000 readers and, where the limit on open files allows it,
//! 10,000 (`BENCH_READERS=1000` picks). The reader is this process for both kinds; each event is
//! sent when every reader has the one before.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a benchmark prints")]

mod support;

use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::Notify;

use support::load::{INVALIDATE, event};
use support::processes::{Process, TOKEN};
use support::report::{Report, Spread};
use support::wire::{Client, find};
use support::{WAIT_MAX, directory, number, peers};

const EVENTS: usize = 20;
/// Open files besides one for each reader.
const SPARE: usize = 200;

/// What readers have seen of the event under way.
#[derive(Default)]
struct Seen {
    readers: Cell<usize>,
    expected: Cell<usize>,
    all: Notify,
    times: std::cell::RefCell<Vec<Instant>>,
}

fn main() -> anyhow::Result<()> {
    support::main(run())
}

async fn run() -> anyhow::Result<()> {
    let rounds = number("BENCH_ROUNDS", 3);
    let wanted = std::env::var("BENCH_READERS").unwrap_or_else(|_| "1000,10000".to_owned());
    for readers in wanted.split(',') {
        let readers: usize = readers.trim().parse()?;
        if readers + SPARE > open_files_max()? {
            eprintln!("without {readers} readers: the limit on open files is too low");
            continue;
        }
        let mut report = Report::default();
        for _ in 0..rounds {
            let dir = directory()?;
            let gateway = Process::gateway_with(
                "gateway",
                dir.path(),
                &[],
                &["log.level=error", "control.connections_per_address_max=0"],
            )?;
            measure("gateway", &gateway, readers, &mut report).await?;
            drop(gateway);
            match peers::nchan(dir.path()) {
                Ok(nchan) => measure("nchan", &nchan, readers, &mut report).await?,
                Err(error) => eprintln!("without nchan: {error}"),
            }
        }
        println!("{readers} readers");
        report.print(rounds);
    }
    Ok(())
}

fn open_files_max() -> anyhow::Result<usize> {
    let text = std::fs::read_to_string("/proc/self/limits")?;
    let line = text.lines().find(|line| line.starts_with("Max open files")).unwrap_or_default();
    Ok(line.split_whitespace().nth(3).and_then(|word| word.parse().ok()).unwrap_or(1024))
}

async fn measure(
    kind: &'static str,
    server: &Process,
    readers: usize,
    report: &mut Report,
) -> anyhow::Result<()> {
    let seen = Rc::new(Seen::default());
    let path = if kind == "nchan" { "/sub" } else { "/api/stream" };
    let memory = server.memory()?.1;
    for _ in 0..readers {
        read(server.address, path, Rc::clone(&seen)).await?;
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    let memory = server.memory()?.1 - memory;
    let mut client = Client::connect(server.address, TOKEN).await?;
    let (mut any, mut last) = (Vec::new(), Vec::new());
    let cpu = server.cpu()?;
    for number in 0..EVENTS {
        let body = event(&format!("event-{number}"), false);
        seen.readers.set(0);
        seen.expected.set(readers);
        seen.times.borrow_mut().clear();
        let begun = Instant::now();
        client.call("POST", if kind == "nchan" { "/pub" } else { INVALIDATE }, &body).await?;
        let all = async {
            while seen.readers.get() < readers {
                seen.all.notified().await;
            }
        };
        tokio::time::timeout(WAIT_MAX, all).await?;
        let times: Vec<Duration> = seen.times.borrow().iter().map(|at| *at - begun).collect();
        // The first wakes everything up.
        if number > 0 {
            last.extend(times.iter().max().copied());
            any.extend(times);
        }
    }
    let cpu = (server.cpu()? - cpu) * 1e6 / (EVENTS * readers) as f64;
    report.latency(kind, "an event at any reader", &Spread::of(any));
    report.latency(kind, "an event at the last reader", &Spread::of(last));
    report.value(kind, "processor time a delivery, us", cpu);
    report.value(kind, "memory a reader, KB", memory * 1e3 / readers as f64);
    Ok(())
}

/// One reader; every `event-` it sees counts once, however the bytes are cut.
async fn read(address: SocketAddr, path: &str, seen: Rc<Seen>) -> anyhow::Result<()> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {TOKEN}\r\n\
         Accept: text/event-stream\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await?;
    tokio::task::spawn_local(async move {
        let mut buffer = [0; 2048];
        while let Ok(count @ 1..) = stream.read(&mut buffer).await {
            if find(&buffer[..count], b"\"event-").is_none() {
                continue;
            }
            seen.times.borrow_mut().push(Instant::now());
            seen.readers.set(seen.readers.get() + 1);
            if seen.readers.get() == seen.expected.get() {
                seen.all.notify_one();
            }
        }
    });
    Ok(())
}
