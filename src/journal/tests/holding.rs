//! Copies that are held for one destination: how much of them is kept, and who is owed them when
//! the destination changes its name, its form, or the process.

use std::collections::BTreeSet;

use super::*;
use crate::journal::Destination;

fn hold(journal: &Journal, destination: &str, events: &[&Arc<Event>]) -> Option<Backlog> {
    let ids: BTreeSet<EventId> = events.iter().map(|event| event.id).collect();
    journal.pending_but(destination, 0, ALL_OF_IT, &ids)
}

fn large(nth: usize) -> Selectors {
    let entities = (0..100).map(|at| entity("posts", &format!("{nth:0>50}-{at:0>50}")));
    entities.fold(Selectors::default(), |mut all, one| {
        all.join(&one);
        all
    })
}

/// Held copies leave the ring but not the memory: past a part of what the ring may take they go.
#[tokio::test]
async fn held_copies_are_bounded_by_bytes_and_none_is_lost() {
    let disk = SimDisk::new();
    let config = Config { events_kept: 4, backlog_members_max: 1 << 20, ..config() };
    let (journal, _) = open_with(&config, &disk, &["a", "b"]);
    let mut held_most = 0;
    let mut sent: BTreeSet<u64> = BTreeSet::new();
    let mut events: Vec<Arc<Event>> = vec![];
    for nth in 0..200 {
        events.push(journal.append(mirrored(large(nth))).await.expect("durable"));
        for destination in ["a", "b"] {
            let all: Vec<&Arc<Event>> = events.iter().collect();
            if let Some(backlog) = hold(&journal, destination, &all) {
                journal.ack(destination, &backlog);
                let seqs = backlog.events.iter().map(|event| event.seq);
                sent.extend(seqs.filter(|_| destination == "a"));
            }
        }
        let is_held = |event: &&Arc<Event>| {
            journal.is_held("a", event.seq) || journal.is_held("b", event.seq)
        };
        held_most = held_most.max(events.iter().filter(is_held).count());
    }
    // An event is about 10 kB as a record; a quarter of 1 MiB holds some twenty for both.
    assert!((5..=30).contains(&held_most), "{held_most} copies were held at once");
    assert!(sent.len() > 150, "{} went", sent.len());
    let owed_to = |journal: &Journal| owed(journal, "a").hard;
    let kept = events.iter().filter(|event| !sent.contains(&event.seq));
    for event in kept {
        assert!(owed_to(&journal).covers(&event.demand.hard), "event {} is lost", event.seq);
    }
    journal.flush().await;
    let (again, _) = open_with(&config, &disk.kill(), &["a", "b"]);
    for event in events.iter().filter(|event| !sent.contains(&event.seq)) {
        assert!(owed_to(&again).covers(&event.demand.hard), "event {} is lost", event.seq);
    }
}

/// What is released makes room for other copies.
#[tokio::test]
async fn released_copies_leave_room_for_others() {
    let config = Config { bytes_kept: 4 * 30_000, ..config() };
    let (journal, _) = open_with(&config, &SimDisk::new(), &["a"]);
    for nth in 0..50 {
        let event = journal.append(mirrored(large(nth))).await.expect("durable");
        assert_eq!(hold(&journal, "a", &[&event]), None, "{nth}");
        assert!(journal.is_held("a", event.seq), "{nth}");
        let released = pending(&journal, "a").expect("due");
        assert_eq!(released.events, [event]);
        journal.ack("a", &released);
    }
}

/// Somebody else remembers from then on what is owed of them.
#[tokio::test]
async fn what_is_let_go_is_owed_as_any_other_event() {
    for kept in [2, 1_000] {
        let disk = SimDisk::new();
        let config = Config { events_kept: kept, ..config() };
        let (journal, _) = open_with(&config, &disk, &["a"]);
        let first = journal.append(mirrored(whole("posts"))).await.expect("durable");
        assert_eq!(hold(&journal, "a", &[&first]), None);
        let mut others = vec![];
        for at in 0..6 {
            let event = journal.append(mirrored(entity("pages", &at.to_string()))).await;
            others.push(event.expect("durable"));
            let sent = hold(&journal, "a", &[&first]).expect("due");
            journal.ack("a", &sent);
        }
        journal.let_go("b", std::slice::from_ref(&first));
        assert!(journal.is_held("a", first.seq), "another destination's");
        journal.let_go("a", std::slice::from_ref(&others[0]));
        assert!(journal.is_held("a", first.seq), "another event");
        journal.let_go("a", std::slice::from_ref(&first));
        assert!(!journal.is_held("a", first.seq) && !journal.has("a", first.seq));
        assert!(owed(&journal, "a").hard.covers(&whole("posts")), "kept {kept}");
        journal.flush().await;
        let (again, _) = open_with(&config, &disk.kill(), &["a"]);
        assert!(owed(&again, "a").hard.covers(&whole("posts")), "kept {kept}: over a restart");
        let whole_of_it = pending(&journal, "a").expect("due");
        journal.ack("a", &whole_of_it);
        assert_eq!(pending(&journal, "a"), None, "kept {kept}: nothing is owed twice");
    }
}

/// The same place under another name, at a reload and at a start.
#[tokio::test]
async fn held_copies_go_with_a_destination_to_its_new_name() {
    let disk = SimDisk::new();
    let at = |name: &str| Destination {
        address: "http://b/".to_owned(),
        ..Destination::from(&name.to_owned())
    };
    let small = Config { events_kept: 2, ..config() };
    let open = |disk: &SimDisk, name: &str| {
        Journal::open(small.clone(), Arc::new(disk.clone()), &[at(name)]).expect("opens").0
    };
    let journal = open(&disk, "mirror:old");
    let first = journal.append(mirrored(whole("posts"))).await.expect("durable");
    assert_eq!(hold(&journal, "mirror:old", &[&first]), None);
    for id in ["1", "2", "3", "4"] {
        journal.append(mirrored(entity("pages", id))).await.expect("durable");
        let sent = hold(&journal, "mirror:old", &[&first]).expect("due");
        journal.ack("mirror:old", &sent);
    }
    journal.reconfigure(vec![at("mirror:new")]).await.expect("open");
    assert!(!journal.is_held("mirror:old", first.seq));
    assert!(journal.is_held("mirror:new", first.seq), "it is held under the new name");
    assert_eq!(hold(&journal, "mirror:new", &[&first]), None, "and nothing else is owed");
    assert_eq!(pending(&journal, "mirror:new").expect("due").events, [Arc::clone(&first)]);
    journal.flush().await;
    let again = open(&disk.kill(), "mirror:third");
    assert!(owed(&again, "mirror:third").hard.covers(&whole("posts")), "and over a restart");
    let released = pending(&journal, "mirror:new").expect("due");
    journal.ack("mirror:new", &released);
    assert_eq!(pending(&journal, "mirror:new"), None);
}
