//! Power cuts: an instance that is killed continues from the state on its disk.

use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::{StreamExt, stream};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::support::{Node, Spec, effects, eventually, id_of};

const EVENTS: usize = 300;

/// Sends events to `node`, several at once, and kills `victim` in the middle; the second half is
/// sent after that. Gives the acknowledged ids.
async fn burst(node: &Node, victim: &Node) -> Vec<String> {
    let (acknowledged, killed) = (AtomicUsize::new(0), CancellationToken::new());
    let sends = stream::iter(0..EVENTS).map(async |at| {
        if at >= EVENTS / 2 {
            killed.cancelled().await;
        }
        let answer = node.try_invalidate(json!({ "type": "posts", "id": at })).await?;
        acknowledged.fetch_add(1, Ordering::Relaxed);
        Some(id_of(&answer))
    });
    let kill = async {
        eventually("some are acknowledged", async || {
            acknowledged.load(Ordering::Relaxed) >= EVENTS / 4
        })
        .await;
        victim.signal("KILL").await;
        killed.cancel();
    };
    let burst = sends.buffer_unordered(8).collect::<Vec<_>>();
    let (ids, ()): (Vec<Option<String>>, ()) = tokio::join!(burst, kill);
    ids.into_iter().flatten().collect()
}

async fn everything_arrives_once(peer: &Node, ids: &[String]) {
    eventually("every acknowledged event arrives", async || {
        let effects = effects(&peer.journal().await);
        ids.iter().all(|id| effects.contains_key(id))
    })
    .await;
    let journal = effects(&peer.journal().await);
    let twice: Vec<_> = journal.iter().filter(|(_, times)| **times > 1).collect();
    assert!(twice.is_empty(), "took effect more than once: {twice:?}");
}

/// S4 4.1: the work goes on in a later process. R: acknowledged means durable.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sender_killed_in_a_burst_loses_no_acknowledged_event() {
    let peer = Spec::new("b").start().await;
    let mut node = Spec::new("a")
        .mirrors([peer.address()])
        .set("mirrors.rate_per_second", 20)
        .set("mirrors.burst", 1)
        .start()
        .await;
    let ids = burst(&node, &node).await;
    assert!(ids.len() < EVENTS, "it was killed in the middle: {}", ids.len());
    node.ended().await;
    node.restart().await;
    everything_arrives_once(&peer, &ids).await;
    let own = effects(&node.journal().await);
    assert!(ids.iter().all(|id| own.get(id) == Some(&1)), "they are in the sender's journal too");
}

/// R: at least once on the wire, once in effect.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_killed_in_a_burst_gets_everything_once() {
    let mut peer = Spec::new("b").start().await;
    let node = Spec::new("a").mirrors([peer.address()]).start().await;
    let ids = burst(&node, &peer).await;
    assert_eq!(ids.len(), EVENTS, "the sender goes on without its peer");
    peer.ended().await;
    assert_ne!(node.mirror(peer.address()).await["backlog_events"], 0);
    peer.restart().await;
    everything_arrives_once(&peer, &ids).await;
}
