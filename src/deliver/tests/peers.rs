//! The state of one peer, and what decides its kind.

use super::*;
use crate::deliver::identity::ParsedIdentity;
use crate::deliver::identity::ProbeResult;
use crate::deliver::peer::{ONESELF_AFTER, PauseReason, Peer, PeerState};
use crate::support::Secret;

fn peer() -> Peer {
    with_kind(None)
}

fn with_kind(kind: Option<ConfiguredKind>) -> Peer {
    let login = Login { credentials: None, means: LoginMethod::Bearer(Secret::new("t")) };
    let base = url::Url::parse("http://127.0.0.1:1/").expect("url");
    let name = "p".into();
    let peer = PeerConfig {
        name,
        base,
        rate_per_second: 1.0,
        burst: 1,
        login,
        network: None,
        class: DestinationClass::Mirror,
        kind,
    };
    Peer::new(peer, &config(vec![]))
}

fn cache_mirror() -> ProbeResult {
    let body = serde_json::json!({ "instance": "b", "version": "0", "protocol": 1,
        "proof": "0".repeat(64) });
    ProbeResult::CacheMirror(Box::new(
        ParsedIdentity::parse(body.to_string().as_bytes()).expect("valid"),
    ))
}

/// A load-balanced name that answered as this instance once and as another later gets its events.
#[test]
fn oneself_only_while_no_other_process_ever_answered() {
    let only_self = peer();
    (0..ONESELF_AFTER).for_each(|_| _ = only_self.identified(ProbeResult::Oneself));
    assert_eq!(only_self.kind().as_str(), "self");
    only_self.identified(ProbeResult::Unclear { is_another: false });
    assert_eq!(only_self.kind().as_str(), "self", "an error page of a proxy proves nothing");

    only_self.identified(ProbeResult::Absent);
    (0..10).for_each(|_| _ = only_self.identified(ProbeResult::Oneself));
    assert_eq!(only_self.kind().as_str(), "unknown");
}

/// No answer of a proxy turns a cache-mirror into a legacy server.
#[tokio::test(start_paused = true)]
async fn a_cache_mirror_never_becomes_legacy_by_probes() {
    for kind in [None, Some(ConfiguredKind::CacheMirror)] {
        let peer = with_kind(kind);
        if kind.is_none() {
            peer.identified(cache_mirror());
        }
        for _ in 0..20 {
            peer.with(PeerState::note_legacy_ack);
            peer.identified(ProbeResult::Absent);
            peer.identified(ProbeResult::Unclear { is_another: true });
            tokio::time::advance(Duration::from_secs(60)).await;
        }
        assert_eq!(peer.kind().as_str(), "cache-mirror");
    }
    let remembered = peer();
    remembered.remember_cache_mirror();
    (0..9).for_each(|_| _ = remembered.identified(ProbeResult::Absent));
    assert_eq!(remembered.kind().as_str(), "cache-mirror");
}

/// Three answers without an identity path over half a minute, with an acknowledgement among them,
/// are the proof. Less is none.
#[tokio::test(start_paused = true)]
async fn a_legacy_server_is_known_by_proof_only() {
    for (absent, every_s, has_ack, kind) in [
        (3, 15, true, "legacy"),
        (3, 15, false, "unknown"),
        (2, 60, true, "unknown"),
        (9, 3, true, "unknown"),
    ] {
        let peer = peer();
        peer.identified(ProbeResult::Absent);
        if has_ack {
            peer.with(PeerState::note_legacy_ack);
        }
        for _ in 1..absent {
            tokio::time::advance(Duration::from_secs(every_s)).await;
            peer.identified(ProbeResult::Unclear { is_another: true });
            peer.identified(ProbeResult::Absent);
        }
        assert_eq!(peer.kind().as_str(), kind, "{absent} {every_s} {has_ack}");
        peer.identified(cache_mirror());
        assert_eq!(peer.kind().as_str(), "cache-mirror");
    }
}

#[test]
fn the_kind_in_the_settings_holds() {
    let peer = with_kind(Some(ConfiguredKind::Legacy));
    assert_eq!(peer.kind().as_str(), "legacy");
    peer.identified(cache_mirror());
    assert_eq!(peer.kind().as_str(), "legacy");
}

#[test]
fn the_breaker_opens_once_and_closes_once() {
    let peer = peer();
    let fail = || peer.failed("x", Duration::ZERO, 2).1;
    assert_eq!([fail(), fail(), fail()], [false, true, false]);
    assert!(peer.succeeded());
    assert!(!peer.succeeded());
}

#[test]
fn an_operators_pause_outlives_a_success_and_a_retry() {
    let peer = peer();
    peer.pause();
    peer.retry();
    peer.succeeded();
    assert_eq!(peer.with(|state| state.pause), Some(PauseReason::Operator));
    peer.resume();
    assert_eq!(peer.with(|state| state.pause), None);
}
