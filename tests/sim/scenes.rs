//! What happens to the instances, and what must be true afterwards.

use std::sync::Arc;
use std::time::Duration;

use cache_mirror::domain::{Label, Selector, Selectors, TypeName};
use cache_mirror::journal::sim::SimDisk;

use crate::network::{Network, Weather};
use crate::node::Node;

/// Seeds tried at every run; nightly runs try more.
const SEEDS: u64 = 12;
const EVENTS: u64 = 40;
/// Every back-off is over long before, so who is not done by then never will be.
const PATIENCE: Duration = Duration::from_secs(24 * 3600);

pub struct World {
    pub network: Arc<Network>,
    count: usize,
    accepted: Vec<(usize, String)>,
}

impl World {
    pub fn new(count: usize, seed: u64) -> Self {
        let network = Arc::new(Network::new(count, seed));
        for at in 0..count {
            let node = Node::start(&network, at, count, SimDisk::new());
            network.put(at, Some(node));
        }
        Self { network, count, accepted: vec![] }
    }

    pub fn node(&self, at: usize) -> Arc<Node> {
        self.network.node(at).expect("it runs")
    }

    fn draw_at(&self) -> usize {
        usize::try_from(self.network.draw(self.count as u64)).expect("few")
    }

    async fn invalidate(&mut self, at: usize, number: u64) {
        let name = TypeName::parse(["posts", "pages"][usize::from(number.is_multiple_of(2))])
            .expect("type");
        let label = Label::parse(&number.to_string()).expect("label");
        let selector = match number % 5 {
            0 => Selector::Tag(label),
            1 => Selector::Type(name),
            _ => Selector::Entity(name, label),
        };
        let event = self.node(at).invalidate(Selectors::one(selector)).await;
        self.accepted.push((at, event.id.to_string()));
    }

    /// Kills an instance and starts it again on what its disk then holds.
    pub async fn restart(&self, at: usize) {
        let disk = self.node(at).disk.clone();
        self.network.put(at, None);
        let pause = Duration::from_millis(self.network.draw(5_000));
        tokio::time::sleep(pause).await;
        let disk = match self.network.draw(2) {
            0 => disk.kill(),
            _ => disk.cut_power(self.network.draw(u64::MAX)),
        };
        let node = Node::start(&self.network, at, self.count, disk);
        self.network.put(at, Some(node));
    }

    fn is_settled(&self) -> bool {
        (0..self.count).all(|at| self.node(at).is_settled((0..self.count).filter(|to| *to != at)))
    }

    pub async fn settle(&self, seed: u64) {
        let settling = async {
            while !self.is_settled() {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        let settled = tokio::time::timeout(PATIENCE, settling).await;
        let views: Vec<_> =
            (0..self.count).map(|at| self.node(at).pipeline.delivery.view()).collect();
        assert!(settled.is_ok(), "seed {seed} never settles: {views:#?}");
    }

    /// Every accepted event has its effect exactly once everywhere, whatever its origin.
    fn check_effects(&self, seed: u64) {
        for at in 0..self.count {
            let effects = self.node(at).effects();
            for (origin, id) in &self.accepted {
                let count = effects.get(id).copied().unwrap_or(0);
                assert_eq!(count, 1, "seed {seed}: event {id} of n{origin} at n{at}");
            }
        }
    }

    /// Whoever sends an event is the one who accepted it: forwarding depth is 1.
    fn check_no_forwarding(&self, seed: u64) {
        for (from, to, body) in self.network.arrived.lock().iter() {
            for (origin, id) in &self.accepted {
                assert!(
                    !body.contains(id.as_str()) || origin == from,
                    "seed {seed}: n{from} sent n{to} what n{origin} accepted: {body}"
                );
            }
            assert_ne!(from, to, "seed {seed}: n{from} sent to itself: {body}");
        }
    }

    async fn check_quiet(&self, seed: u64) {
        let before = self.network.arrived.lock().len();
        tokio::time::sleep(Duration::from_secs(3600)).await;
        let after = self.network.arrived.lock().len();
        assert_eq!(before, after, "seed {seed}: somebody still talks");
    }

    async fn end(&self, seed: u64) {
        self.settle(seed).await;
        self.check_effects(seed);
        self.check_no_forwarding(seed);
        self.check_quiet(seed).await;
    }
}

fn seeds() -> Vec<u64> {
    match std::env::var("SIM_SEED").ok().and_then(|text| text.parse().ok()) {
        Some(seed) => vec![seed],
        None => (1..=SEEDS).collect(),
    }
}

/// Without faults each event is sent exactly n-1 times, although each instance also lists itself.
#[tokio::test(start_paused = true)]
async fn without_faults_every_event_is_sent_to_each_other_once() {
    for count in [2, 3, 5] {
        let mut world = World::new(count, 1);
        for number in 0..10 {
            world.invalidate(number as usize % count, number).await;
            world.settle(1).await;
        }
        world.end(1).await;
        assert_eq!(world.network.arrived.lock().len(), 10 * (count - 1));
    }
}

/// Lost requests, lost answers, and duplicated requests.
#[tokio::test(start_paused = true)]
async fn lost_and_duplicated_messages_lose_and_duplicate_nothing() {
    for seed in seeds() {
        let mut world = World::new(3, seed);
        world.network.set_weather(Weather { lost_requests: 20, lost_answers: 20, doubled: 20 });
        for number in 0..EVENTS {
            let at = world.draw_at();
            world.invalidate(at, number).await;
            let pause = Duration::from_millis(world.network.draw(2_000));
            tokio::time::sleep(pause).await;
        }
        world.end(seed).await;
    }
}

/// Links that are cut and healed, and instances that die and come back, in the same weather.
#[tokio::test(start_paused = true)]
async fn partitions_and_restarts_lose_and_duplicate_nothing() {
    for seed in seeds() {
        let count = 3 + usize::try_from(seed % 3).expect("small");
        let mut world = World::new(count, seed);
        world.network.set_weather(Weather { lost_requests: 10, lost_answers: 10, doubled: 10 });
        for number in 0..EVENTS {
            let at = world.draw_at();
            world.invalidate(at, number).await;
            let (a, b) = (world.draw_at(), world.draw_at());
            match world.network.draw(8) {
                0 | 1 if a != b => world.network.cut(a, b, true),
                2 | 3 => world.network.cut(a, b, false),
                4 => world.restart(a).await,
                _ => {}
            }
            let pause = Duration::from_millis(world.network.draw(20_000));
            tokio::time::sleep(pause).await;
        }
        for a in 0..count {
            (0..count).for_each(|b| world.network.cut(a, b, false));
        }
        world.end(seed).await;
    }
}
