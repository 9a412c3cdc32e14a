//! Small programs over the core, each run in every order.
//! The ones called `*_is_caught` hold a mistake on purpose and must fail.

use loom::sync::Arc;
use loom::sync::atomic::{AtomicBool, Ordering};
use loom::thread;

use super::generation::{Freshness, Generation, NewestBan, Stamps, Watch};

/// One entry with one tag, and one ban that means it.
struct World {
    generation: Generation,
    stamps: Stamps,
    newest_ban: NewestBan,
    watch: Watch,
    /// Set once an invalidation has been acknowledged.
    acknowledged: AtomicBool,
}

impl World {
    fn new() -> Arc<Self> {
        let generation = Generation::new();
        let watch = Watch::new(generation.current());
        Arc::new(Self {
            generation,
            stamps: Stamps::new(),
            newest_ban: NewestBan::new(),
            watch,
            acknowledged: AtomicBool::new(false),
        })
    }

    fn check(&self) -> Freshness {
        let ban = || match self.newest_ban.get() {
            newest if newest > self.watch.checked() => Freshness::Gone,
            _ => Freshness::Fresh,
        };
        self.watch.check(&self.generation, ban, std::iter::once(&self.stamps))
    }

    /// A lookup: never fresh if it began after the acknowledgement.
    fn look(&self) {
        let is_after = self.acknowledged.load(Ordering::Acquire);
        let freshness = self.check();
        assert!(!(is_after && freshness == Freshness::Fresh), "stale after the acknowledgement");
    }

    fn acknowledge(&self) {
        self.acknowledged.store(true, Ordering::Release);
    }
}

/// Runs the actors against each other in every order, then looks once more.
fn race(actors: &'static [fn(&World)]) {
    loom::model(move || {
        let world = World::new();
        let running: Vec<_> = actors
            .iter()
            .map(|actor| {
                let world = Arc::clone(&world);
                thread::spawn(move || actor(&world))
            })
            .collect();
        running.into_iter().for_each(|actor| actor.join().expect("no assertion failed"));
        world.look();
    });
}

fn stamp_hard(world: &World) {
    let next = world.generation.current() + 1;
    world.stamps.stamp_hard(next);
    world.generation.publish(next);
    world.acknowledge();
}

fn stamp_soft(world: &World) {
    let next = world.generation.current() + 1;
    world.stamps.stamp_soft(next, 7);
    world.generation.publish(next);
    world.acknowledge();
}

fn publish_first(world: &World) {
    let next = world.generation.current() + 1;
    world.generation.publish(next);
    world.stamps.stamp_hard(next);
    world.acknowledge();
}

fn strike_key(world: &World) {
    world.watch.clear();
    world.generation.publish(world.generation.current() + 1);
    world.acknowledge();
}

fn publish_before_marking_stale(world: &World) {
    world.generation.publish(world.generation.current() + 1);
    world.watch.mark_stale(7);
    world.acknowledge();
}

fn ban(world: &World) {
    let next = world.generation.current() + 1;
    world.newest_ban.set(next);
    world.generation.publish(next);
    world.acknowledge();
}

fn enforce_then_retire(world: &World) {
    if world.newest_ban.get() != 0 {
        world.watch.clear();
        world.newest_ban.set(0);
    }
}

fn retire_then_enforce(world: &World) {
    if world.newest_ban.get() != 0 {
        world.newest_ban.set(0);
        world.watch.clear();
    }
}

#[test]
fn a_hard_stamp_is_seen_by_every_lookup_after_it() {
    race(&[stamp_hard, World::look, World::look]);
}

#[test]
fn a_soft_stamp_is_seen_with_its_time() {
    fn look_at_the_time(world: &World) {
        if let Freshness::Stale { since_ms } = world.check() {
            assert_eq!(since_ms, 7);
        }
    }
    race(&[stamp_soft, look_at_the_time, World::look]);
}

#[test]
fn a_mark_made_before_the_publication_needs_no_stamp() {
    race(&[strike_key, World::look]);
}

#[test]
fn a_ban_may_be_retired_once_it_is_enforced() {
    race(&[ban, enforce_then_retire, World::look]);
}

#[test]
#[should_panic(expected = "stale after the acknowledgement")]
fn publishing_before_stamping_is_caught() {
    race(&[publish_first, World::look]);
}

#[test]
#[should_panic(expected = "stale after the acknowledgement")]
fn marking_after_publishing_is_caught() {
    race(&[publish_before_marking_stale, World::look]);
}

#[test]
#[should_panic]
fn retiring_a_ban_before_enforcing_it_is_caught() {
    race(&[ban, retire_then_enforce, World::look]);
}
