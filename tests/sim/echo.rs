//! The fourth wall: a mirror that strips every mark and sends our own words back as a person would
//! (reliability I3d, F19).

use std::time::Duration;

use cache_mirror::domain::{Demand, Selector, Selectors, Source, TypeName};

use crate::scenes::World;

fn whole(name: &str) -> Selectors {
    Selectors::one(Selector::Type(TypeName::parse(name).expect("type")))
}

/// Releases so far: events by which the quench mirrored what it had held back.
fn releases(world: &World) -> Vec<Selectors> {
    let events = world.node(0).pipeline.journal.after(0, usize::MAX).events;
    let released = events.iter().filter(|event| event.source == Source::Quench);
    released.map(|event| event.demand.selectors()).collect()
}

async fn told_about(names: &[&str]) -> World {
    let world = World::new(2, 1);
    for name in names {
        world.node(0).invalidate(whole(name)).await;
    }
    world.settle(1).await;
    world
}

/// Lets time go by, a second after the other, and the disk with it.
async fn pass(world: &World, seconds: u32) {
    for _ in 0..seconds {
        tokio::time::sleep(Duration::from_secs(1)).await;
        world.node(0).catch_up().await;
    }
}

/// An echo is applied at once and mirrored later, merged with others; nothing of it is dropped.
#[tokio::test(start_paused = true)]
async fn echoes_are_held_back_merged_and_never_dropped() {
    let world = told_about(&["posts", "pages"]).await;
    let node = world.node(0);
    let ticket = node.pipeline.store.ticket();
    for name in ["posts", "pages", "posts"] {
        let event = node.echo(whole(name)).await;
        assert_eq!(event.quenched_for.as_deref(), Some("n1"), "{name}");
    }
    assert_ne!(node.pipeline.store.ticket(), ticket, "applied at once");
    let held = node.pipeline.journal.quenched();
    let held: Vec<_> = held.values().map(Demand::selectors).collect();
    let both: Selectors = [whole("posts"), whole("pages")]
        .iter()
        .flat_map(|one| one.iter().collect::<Vec<_>>())
        .collect();
    assert_eq!(held, std::slice::from_ref(&both));
    pass(&world, 5).await;
    assert_eq!(releases(&world), [both], "one release for all three");
    assert!(node.pipeline.journal.quenched().is_empty());
    world.settle(1).await;
}

/// What was not told to that mirror is no echo, and the admin token is never suspected.
#[tokio::test(start_paused = true)]
async fn only_what_was_told_is_an_echo() {
    let world = told_about(&["posts"]).await;
    let node = world.node(0);
    assert_eq!(node.echo(whole("pages")).await.quenched_for, None);
    assert_eq!(node.invalidate(whole("posts")).await.quenched_for, None);
    world.settle(1).await;
    assert!(releases(&world).is_empty());
}

/// A mirror that answers every word with the same word: at most one event a minute in the long run,
/// and always one more, for ever.
#[tokio::test(start_paused = true)]
async fn a_hostile_mirror_gets_one_event_a_minute() {
    let world = told_about(&["posts"]).await;
    let mut answered = 0;
    for _ in 0..3600 {
        let sends = world.network.arrived.lock().len();
        if sends > answered {
            answered = sends;
            world.node(0).echo(whole("posts")).await;
        }
        pass(&world, 1).await;
    }
    let released = releases(&world).len();
    assert!((50..=70).contains(&released), "{released} in an hour");
}

/// What was held back when the process died is mirrored by the next one.
#[tokio::test(start_paused = true)]
async fn a_held_back_echo_outlives_the_process() {
    let world = told_about(&["posts"]).await;
    assert!(world.node(0).echo(whole("posts")).await.quenched_for.is_some());
    world.restart(0).await;
    pass(&world, 10).await;
    assert_eq!(releases(&world), [whole("posts")]);
    world.settle(1).await;
}
