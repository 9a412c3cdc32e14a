//! Requests that come again: idempotency keys, and one call at a time for each identity.

use std::sync::Arc;

use bytes::Bytes;

use super::*;

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
    let ids: std::collections::BTreeSet<String> = lists
        .iter()
        .map(|list| idempotency::identity(list.iter().map(|text| text.as_bytes())))
        .collect();
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
