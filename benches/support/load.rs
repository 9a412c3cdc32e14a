//! The loads: some clients that each ask one after the other, and how long each answer took.
//! Closed loops, bounded in count, over loopback only.

use std::future::Future;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde_json::json;

use super::processes::TOKEN;
use super::report::Spread;
use super::wire::Client;

pub const INVALIDATE: &str = "/api/cache/invalidate";

/// The body of an invalidation of one id.
pub fn event(id: &str, is_mirrored: bool) -> String {
    json!({ "type": "posts", "id": id, "mirror": is_mirrored }).to_string()
}

/// Runs the clients side by side. Each gives the times of its answers; together: their spread, and
/// how many a second.
pub async fn together<F>(
    clients: usize,
    client: impl Fn(usize) -> F,
) -> anyhow::Result<(Spread, f64)>
where
    F: Future<Output = anyhow::Result<Vec<Duration>>> + 'static,
{
    let begun = Instant::now();
    let mut running = tokio::task::JoinSet::new();
    for number in 0..clients {
        running.spawn_local(client(number));
    }
    let mut times = Vec::new();
    while let Some(client) = running.join_next().await {
        times.extend(client??);
    }
    let rate = times.len() as f64 / begun.elapsed().as_secs_f64();
    Ok((Spread::of(times), rate))
}

/// How long an invalidation of one id takes to be answered, and how many a second.
pub async fn answers(to: SocketAddr, clients: usize, each: usize) -> anyhow::Result<(Spread, f64)> {
    together(clients, |client| async move {
        let mut connection = Client::connect(to, TOKEN).await?;
        let mut times = Vec::with_capacity(each);
        for number in 0..each {
            let body = event(&format!("answer-{client}-{number}"), false);
            let begun = Instant::now();
            connection.call("POST", INVALIDATE, &body).await?;
            times.push(begun.elapsed());
        }
        Ok(times)
    })
    .await
}
