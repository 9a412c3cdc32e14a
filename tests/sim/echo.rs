//! Echo detection: a mirror that strips every mark and sends our requests back as a person would.

use std::time::Duration;

use cache_mirror::domain::{Event, Selector, Selectors, TypeName};

use crate::scenes::World;

fn whole(name: &str) -> Selectors {
    Selectors::one(Selector::Type(TypeName::parse(name).expect("type")))
}

/// The sends to the mirror so far.
fn sends(world: &World) -> usize {
    world.network.arrived.lock().len()
}

/// Whether the mirror has it.
fn has(world: &World, event: &Event) -> bool {
    world.node(0).pipeline.journal.has("mirror:n1", event.seq)
}

async fn world_that_sent(names: &[&str]) -> World {
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

/// An echo is applied at once, and the copy to the mirror that returned it goes a second later.
#[tokio::test(start_paused = true)]
async fn the_copy_of_an_echo_is_held_for_that_mirror_and_then_sent() {
    let world = world_that_sent(&["posts", "pages"]).await;
    let node = world.node(0);
    let ticket = node.pipeline.store.ticket();
    let before = sends(&world);
    let echo = node.echo(whole("posts")).await;
    assert_ne!(node.pipeline.store.ticket(), ticket, "applied at once");
    let outcomes = node.pipeline.delivery.outcomes(&echo);
    let n1 = outcomes.iter().find(|outcome| outcome.peer == "n1").expect("a mirror");
    assert_eq!(n1.reason.as_deref(), Some("echo"));
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(!has(&world, &echo) && sends(&world) == before);
    let other = node.invalidate(whole("feed")).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    node.catch_up().await;
    assert!(has(&world, &other) && !has(&world, &echo), "it delays nothing else");
    pass(&world, 3).await;
    assert!(has(&world, &echo));
    world.settle(1).await;
}

/// What was not sent to that mirror is no echo, and neither is what others bring.
#[tokio::test(start_paused = true)]
async fn only_what_was_sent_is_an_echo() {
    let world = world_that_sent(&["posts"]).await;
    let node = world.node(0);
    for event in [node.echo(whole("pages")).await, node.invalidate(whole("posts")).await] {
        let outcomes = node.pipeline.delivery.outcomes(&event);
        assert!(outcomes.iter().all(|outcome| outcome.reason.is_none()), "{outcomes:?}");
    }
    world.settle(1).await;
}

/// A mirror that sends every request back: in the long run at most one send a minute, and always
/// another one.
#[tokio::test(start_paused = true)]
async fn a_hostile_mirror_is_sent_one_event_a_minute() {
    let world = world_that_sent(&["posts"]).await;
    let first = sends(&world);
    let mut answered = 0;
    for _ in 0..3600 {
        if sends(&world) > answered {
            answered = sends(&world);
            world.node(0).echo(whole("posts")).await;
        }
        pass(&world, 1).await;
    }
    let sent = sends(&world) - first;
    assert!((50..=75).contains(&sent), "{sent} in an hour");
}

/// A copy that was held when the process died is sent by the next one.
#[tokio::test(start_paused = true)]
async fn a_held_copy_survives_the_process() {
    let world = world_that_sent(&["posts"]).await;
    let echo = world.node(0).echo(whole("posts")).await;
    assert!(!has(&world, &echo));
    world.restart(0).await;
    pass(&world, 10).await;
    world.settle(1).await;
    assert!(has(&world, &echo));
}
