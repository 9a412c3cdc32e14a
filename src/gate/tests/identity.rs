//! Identities seen before: event ids, idempotency keys, and one at a time for each.

use std::sync::Arc;

use bytes::Bytes;

use super::*;

/// Calls about the same event go one after the other, others go side by side, and what no disk
/// took is not known until a disk takes something again.
#[tokio::test(start_paused = true)]
async fn a_second_copy_of_an_event_waits_for_the_first() {
    let flights = Arc::new(Flights::default());
    let ids: Vec<EventId> = (0..3).map(|_| EventId::fresh()).collect();
    let mut first = flights.enter([ids[0]]).await;
    first.add(ids[1]);
    let second = tokio::spawn({
        let (flights, both) = (Arc::clone(&flights), [ids[2], ids[1]]);
        async move { drop(flights.enter(both).await) }
    });
    drop(flights.enter([ids[2], ids[2]]).await);
    tokio::task::yield_now().await;
    assert!(!second.is_finished());
    drop(first);
    second.await.expect("gets in");
    assert_eq!(flights.at_work(), 0, "what is done is forgotten");

    flights.lost([ids[0]]);
    assert!(flights.is_lost(ids[0]) && !flights.is_lost(ids[1]));
    flights.landed();
    assert!(!flights.is_lost(ids[0]));
}

#[test]
fn answers_are_kept_by_key_and_bounded() {
    let answers = KeptAnswers::new(2);
    let answer = |text: &'static str| KeptAnswer {
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

/// No two lists of texts have one identity, wherever one text ends and the next begins.
#[test]
fn an_identity_tells_where_its_parts_end() {
    let lists: [&[&str]; 6] =
        [&["a", "b"], &["ab"], &["a b"], &["", "ab"], &["ab", ""], &["a", "b", ""]];
    let ids: std::collections::BTreeSet<String> =
        lists.iter().map(|list| seen::identity(list.iter().map(|text| text.as_bytes()))).collect();
    assert_eq!(ids.len(), lists.len());
}

/// Answers are bounded by their bytes as well: large ones push out more than one.
#[test]
fn kept_answers_are_bounded_in_bytes() {
    let answers = KeptAnswers::new(100_000);
    let body = Bytes::from(vec![b'x'; 1 << 20]);
    for n in 0..100 {
        let answer = KeptAnswer { fingerprint: [0; 32], status: 200, body: body.clone() };
        answers.put(format!("key {n}"), answer);
        assert!(answers.bytes() <= 32 << 20);
    }
    assert!(answers.get("key 0").is_none() && answers.get("key 99").is_some());
}
