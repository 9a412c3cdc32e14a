//! Mirrors receive what is mirrored, targets everything that was applied here.

use super::*;
use crate::journal::{CursorClass, Destination};

#[tokio::test]
async fn a_target_receives_local_events_too_but_none_that_end_here() {
    let disk = SimDisk::new();
    let (journal, _) = open_with(&config(), &disk, &["mirror:m", "beside:n"]);
    let ended = Event { ends_here: true, ..local(whole("ended")) };
    let held = Event { quenched_for: Some("m".into()), ..mirrored(whole("held")) };
    let release = Event { source: Source::Quench, ..held.clone() };
    for event in [mirrored(whole("both")), local(whole("here")), ended, held, release] {
        journal.append(event).await.expect("durable");
    }
    let received = |name: &str| -> Vec<String> {
        let backlog = pending(&journal, name).expect("owed");
        backlog.events.iter().map(|event| event.demand.hard.to_string()).collect()
    };
    assert_eq!(received("mirror:m"), ["both", "held"]);
    assert_eq!(received("beside:n"), ["both", "here", "held"]);
    let all = pending(&journal, "beside:n").expect("owed");
    journal.ack("beside:n", &all);
    assert!(journal.is_acknowledged("beside:n", 5) && !journal.is_acknowledged("mirror:m", 5));
}

#[tokio::test]
async fn each_class_keeps_its_backlog_when_the_ring_drops_events_and_after_a_restart() {
    let disk = SimDisk::new();
    let small = Config { events_kept: 2, ..config() };
    let (journal, _) = open_with(&small, &disk, &["mirror:m", "beside:n"]);
    for id in 0..6 {
        let selectors = entity("posts", &id.to_string());
        let event = if id % 2 == 0 { mirrored(selectors) } else { local(selectors) };
        journal.append(event).await.expect("durable");
    }
    let count = |journal: &Journal| {
        let ids = |name| owed(journal, name).hard.members();
        (ids("mirror:m"), ids("beside:n"))
    };
    assert_eq!(count(&journal), (3, 6));
    drop(journal);
    let (again, _) = open_with(&small, &disk.kill(), &["mirror:m", "beside:n"]);
    assert_eq!(count(&again), (3, 6));
}

#[tokio::test]
async fn the_class_is_what_the_caller_gave_and_survives_a_restart() {
    let disk = SimDisk::new();
    let class = CursorClass::Target;
    let target = Destination { name: class.stored_name("n"), class, address: String::new() };
    let (journal, _) = Journal::open(config(), Arc::new(disk.clone()), &[target]).expect("opens");
    journal.append(local(whole("posts"))).await.expect("durable");
    assert_eq!(owed(&journal, "beside:n").hard, whole("posts"));
    drop(journal);
    // Without destinations in the settings, only the files know the class.
    let (again, _) = open_with(&config(), &disk.kill(), &[]);
    again.append(local(whole("pages"))).await.expect("durable");
    assert_eq!(again.backlog_size("beside:n").events, 2);
    assert_eq!(CursorClass::display_name("beside:n"), "n");
}
