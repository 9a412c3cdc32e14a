//! Clearing N entries that share a tag, and clearing single keys: against Redis and Varnish xkey.
//!
//! `cargo bench --bench purge`; `BENCH_ENTRIES_MAX=1000000` goes on to a million. Ours is the whole
//! invalidation: durable, logged, counted. The others only forget. Redis does it as its users do,
//! `SMEMBERS` and then `UNLINK` by the thousand. After each the last entry must really be gone.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a benchmark prints")]

mod support;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use support::load::{INVALIDATE, together};
use support::processes::{Process, TOKEN};
use support::report::Report;
use support::resp::{Redis, Reply, encode};
use support::wire::{Client, find};
use support::{directory, number, peers};

const SIZES: [usize; 4] = [1_000, 10_000, 100_000, 1_000_000];
/// Requests that wait for their answers at once while filling, and members a command names.
const CHUNK: usize = 1000;
const SINGLE_CLIENTS: usize = 64;
const SINGLE_EACH: usize = 50;
const BODY: &str =
    "a body of a hundred bytes: 0123456789012345678901234567890123456789012345678901";
const STORE: &[&str] = &["store.max_bytes=6000000000", "log.level=error"];
/// The same without counting what was cleared: the answer is then all about the stamp.
const UNCOUNTED: &[&str] =
    &["store.max_bytes=6000000000", "log.level=error", "store.count_ms_max=0"];

fn main() -> anyhow::Result<()> {
    support::main(run())
}

async fn run() -> anyhow::Result<()> {
    let rounds = number("BENCH_ROUNDS", 3);
    let entries_max = number("BENCH_ENTRIES_MAX", 100_000);
    let mut report = Report::default();
    let origin = origin().await?;
    for _ in 0..rounds {
        let dir = directory()?;
        let gateway = Process::gateway_with("gateway", dir.path(), &[], STORE)?;
        ours("gateway", &gateway, entries_max, &mut report).await?;
        drop(gateway);
        let gateway = Process::gateway_with("uncounted", dir.path(), &[], UNCOUNTED)?;
        ours("gateway, uncounted", &gateway, entries_max, &mut report).await?;
        drop(gateway);
        match peers::redis(dir.path(), "no") {
            Ok(redis) => with_redis(&redis, entries_max, &mut report).await?,
            Err(error) => eprintln!("without Redis: {error}"),
        }
        match peers::varnish(dir.path(), origin) {
            Ok(varnish) => with_varnish(&varnish, entries_max, &mut report).await?,
            Err(error) => eprintln!("without Varnish: {error}"),
        }
    }
    report.print(rounds);
    Ok(())
}

fn sizes(entries_max: usize) -> impl Iterator<Item = usize> {
    SIZES.into_iter().filter(move |size| *size <= entries_max)
}

fn tagged(size: usize) -> String {
    format!("tag of {size}, ms")
}

async fn ours(
    kind: &'static str,
    to: &Process,
    entries_max: usize,
    report: &mut Report,
) -> anyhow::Result<()> {
    let mut client = Client::connect(to.address, TOKEN).await?;
    for size in sizes(entries_max) {
        put(&mut client, size, "?tag=t").await?;
        let begun = Instant::now();
        client.call("POST", INVALIDATE, r#"{"tags":["t"],"mirror":false}"#).await?;
        report.value(kind, tagged(size), begun.elapsed().as_secs_f64() * 1e3);
        let last = format!("/api/cache/entries/k{}", size - 1);
        anyhow::ensure!(client.call("GET", &last, "").await.is_err(), "an entry survived");
        // What is freed in the background is not to disturb the next size.
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    put(&mut client, SINGLE_CLIENTS * SINGLE_EACH, "").await?;
    let to = to.address;
    let singles = together(SINGLE_CLIENTS, |one| async move {
        let mut client = Client::connect(to, TOKEN).await?;
        let mut times = Vec::new();
        for number in 0..SINGLE_EACH {
            let key = format!("/api/cache/entries/k{}", one * SINGLE_EACH + number);
            let begun = Instant::now();
            client.call("DELETE", &key, "").await?;
            times.push(begun.elapsed());
        }
        Ok(times)
    });
    report.rate(kind, "single keys here alone, 64 clients", singles.await?.1);
    Ok(())
}

async fn put(client: &mut Client, count: usize, query: &str) -> anyhow::Result<()> {
    for from in (0..count).step_by(CHUNK) {
        let until = count.min(from + CHUNK);
        let path = |number| format!("/api/cache/entries/k{number}{query}");
        let requests: String =
            (from..until).map(|number| client.request("PUT", &path(number), BODY)).collect();
        client.send(requests.as_bytes()).await?;
        for _ in from..until {
            client.answer().await?;
        }
    }
    Ok(())
}

async fn with_redis(to: &Process, entries_max: usize, report: &mut Report) -> anyhow::Result<()> {
    let kind = "redis";
    let mut redis = Redis::connect(to.address).await?;
    for size in sizes(entries_max) {
        set(&mut redis, size).await?;
        let begun = Instant::now();
        let Reply::List(members) = redis.call(&[b"SMEMBERS", b"t"]).await? else {
            anyhow::bail!("no members");
        };
        let keys: Vec<&[u8]> = members
            .iter()
            .filter_map(|reply| match reply {
                Reply::Text(Some(key)) => Some(key.as_slice()),
                _ => None,
            })
            .collect();
        let mut out = Vec::new();
        for keys in keys.chunks(CHUNK) {
            encode(&mut out, &[&[b"UNLINK".as_slice()], keys].concat());
        }
        encode(&mut out, &[b"UNLINK", b"t"]);
        redis.send(&out).await?;
        for _ in 0..=keys.len().div_ceil(CHUNK) {
            redis.reply().await?;
        }
        report.value(kind, tagged(size), begun.elapsed().as_secs_f64() * 1e3);
    }
    set(&mut redis, SINGLE_CLIENTS * SINGLE_EACH).await?;
    let to = to.address;
    let singles = together(SINGLE_CLIENTS, |one| async move {
        let mut redis = Redis::connect(to).await?;
        let mut times = Vec::new();
        for number in 0..SINGLE_EACH {
            let key = format!("k{}", one * SINGLE_EACH + number);
            let begun = Instant::now();
            redis.call(&[b"UNLINK", key.as_bytes()]).await?;
            times.push(begun.elapsed());
        }
        Ok(times)
    });
    report.rate(kind, "single keys here alone, 64 clients", singles.await?.1);
    Ok(())
}

async fn set(redis: &mut Redis, count: usize) -> anyhow::Result<()> {
    for from in (0..count).step_by(CHUNK) {
        let until = count.min(from + CHUNK);
        let mut out = Vec::new();
        for number in from..until {
            let key = format!("k{number}");
            encode(&mut out, &[b"SET", key.as_bytes(), BODY.as_bytes()]);
            encode(&mut out, &[b"SADD", b"t", key.as_bytes()]);
        }
        redis.send(&out).await?;
        for _ in from..until {
            redis.reply().await?;
            redis.reply().await?;
        }
    }
    Ok(())
}

async fn with_varnish(to: &Process, entries_max: usize, report: &mut Report) -> anyhow::Result<()> {
    let kind = "varnish xkey";
    for size in sizes(entries_max) {
        fetch(to.address, size).await?;
        let mut client = Client::connect(to.address, TOKEN).await?;
        let begun = Instant::now();
        let purge = client.request("PURGE", "/", "").replacen("Host:", "xkey-purge: t\r\nHost:", 1);
        client.send(purge.as_bytes()).await?;
        client.answer().await?;
        report.value(kind, tagged(size), begun.elapsed().as_secs_f64() * 1e3);
    }
    fetch(to.address, SINGLE_CLIENTS * SINGLE_EACH).await?;
    let to = to.address;
    let singles = together(SINGLE_CLIENTS, |one| async move {
        let mut client = Client::connect(to, TOKEN).await?;
        let mut times = Vec::new();
        for number in 0..SINGLE_EACH {
            let path = format!("/k{}", one * SINGLE_EACH + number);
            let begun = Instant::now();
            client.call("PURGE", &path, "").await?;
            times.push(begun.elapsed());
        }
        Ok(times)
    });
    report.rate(kind, "single keys here alone, 64 clients", singles.await?.1);
    Ok(())
}

/// Fills Varnish through its origin, by 32 clients.
async fn fetch(from: SocketAddr, count: usize) -> anyhow::Result<()> {
    let filled = together(32, |one| async move {
        let mut client = Client::connect(from, "").await?;
        for number in (one..count).step_by(32) {
            let request = format!("GET /k{number} HTTP/1.1\r\nHost: bench\r\n\r\n");
            client.send(request.as_bytes()).await?;
            client.answer().await?;
        }
        Ok(vec![Duration::ZERO])
    });
    filled.await.map(|_| ())
}

/// The origin behind Varnish: any GET gets the body, tagged.
async fn origin() -> anyhow::Result<SocketAddr> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let answer =
        format!("HTTP/1.1 200 OK\r\nxkey: t\r\nContent-Length: {}\r\n\r\n{BODY}", BODY.len());
    tokio::task::spawn_local(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let answer = answer.clone();
            tokio::task::spawn_local(async move {
                let mut buffer = Vec::new();
                while stream.read_buf(&mut buffer).await.unwrap_or(0) > 0 {
                    while let Some(end) = find(&buffer, b"\r\n\r\n") {
                        buffer.drain(..end + 4);
                        if stream.write_all(answer.as_bytes()).await.is_err() {
                            return;
                        }
                    }
                }
            });
        }
    });
    Ok(address)
}
