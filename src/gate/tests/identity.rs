//! Identities seen before: event ids, idempotency keys, and one at a time for each.

use std::sync::Arc;

use bytes::Bytes;

use super::*;

#[test]
fn event_ids_are_forgotten_oldest_first() {
    let ids: Vec<EventId> = (0..5).map(|_| EventId::fresh()).collect();
    let seen = SeenEvents::new(3, ids[..2].iter().copied());
    assert!(seen.contains(ids[0]) && seen.contains(ids[1]) && !seen.contains(ids[2]));
    seen.remember([ids[1], ids[1]]);
    seen.remember(ids[2..].iter().copied());
    let known: Vec<bool> = ids.iter().map(|id| seen.contains(*id)).collect();
    assert_eq!(known, [false, false, true, true, true]);
}

/// After a restart what the journal remembers is known.
#[test]
fn a_gate_knows_what_the_journal_remembers() {
    let id = EventId::fresh();
    assert!(Gate::new(config(), [id]).seen.contains(id));
}

#[test]
fn answers_are_kept_by_key_and_bounded() {
    let answers = Answers::new(2);
    let answer = |text: &'static str| Answer {
        fingerprint: [0; 32],
        status: 200,
        body: Bytes::from_static(text.as_bytes()),
    };
    for key in ["a", "b", "b", "c"] {
        answers.put(key.into(), answer("x"));
    }
    assert!(answers.get("a").is_none(), "the oldest goes first");
    assert!(answers.get("b").is_some() && answers.get("c").is_some());
    answers.put("b".into(), answer("y"));
    assert_eq!(answers.get("b").expect("kept").body, "y");
    assert!(answers.get("c").is_some());
}

/// While the first with an identity is at work, the second waits; another identity need not.
#[tokio::test(start_paused = true)]
async fn one_at_a_time_for_one_identity() {
    let lanes = Arc::new(Lanes::default());
    let first = lanes.enter("b").await;
    let second = tokio::spawn({
        let lanes = Arc::clone(&lanes);
        async move { drop(lanes.enter("b").await) }
    });
    for n in 0..100 {
        drop(lanes.enter(&format!("c{n}")).await);
    }
    assert!(!second.is_finished());
    assert_eq!(lanes.at_work(), 1, "who is done is forgotten");
    drop(first);
    second.await.expect("gets in");
    assert_eq!(lanes.at_work(), 0);
}
