//! Random lives on a random disk: what was accepted is owed until it is acknowledged.
//! Seeded, with the power cut anywhere, so that each life can be lived again.

use super::*;
use crate::journal::WriteRefusal;
use crate::journal::sim::{Chance, Faults};

const DESTINATIONS: [&str; 3] = ["a", "b", "c"];

/// What must hold, kept beside the journal in the plainest form.
struct Witness {
    config: Config,
    disk: SimDisk,
    journal: Journal,
    chance: Chance,
    /// For each destination: what was accepted and not yet covered by an acknowledged send.
    owed: [Vec<Demand>; 3],
    /// A send, and how many of the owed were accepted before it was taken.
    in_flight: [Option<(Backlog, usize)>; 3],
    /// Whether the last destination is one at present.
    is_listed: bool,
    accepted: Vec<(EventId, u64)>,
    last: (u64, u64),
    version: u64,
    /// Something was answered `Lost`: the numbers of this life may be forgotten in a crash.
    is_lost: bool,
    damages: usize,
}

impl Witness {
    fn new(seed: u64) -> Self {
        let mut chance = Chance(seed);
        let config = Config {
            segment_bytes: 1 << (11 + chance.below(4)),
            events_kept: [1, 3, 10, 100][chance.below(4) as usize],
            backlog_members_max: [1, 4, 1_000][chance.below(3) as usize],
            ..config()
        };
        let disk = SimDisk::new();
        let (journal, _) = open_with(&config, &disk, &DESTINATIONS);
        Self {
            config,
            disk,
            journal,
            chance,
            owed: Default::default(),
            in_flight: Default::default(),
            is_listed: true,
            accepted: Vec::new(),
            last: (0, 0),
            version: 0,
            is_lost: false,
            damages: 0,
        }
    }

    fn event(&mut self) -> Event {
        let id = self.chance.below(1_000).to_string();
        let name =
            ["posts", "pages", "feed", "menus", "tags", "users"][self.chance.below(6) as usize];
        let selectors = match self.chance.below(20) {
            0 => Selectors::all(),
            1..=4 => whole(name),
            _ => entity(name, &id),
        };
        let mode = if self.chance.below(4) == 0 { Mode::Soft } else { Mode::Hard };
        let mut event = mirrored(Selectors::default());
        event.demand = Demand::new(mode, selectors);
        if self.chance.below(4) == 0 {
            event.scope = Scope::Local;
        }
        event
    }

    async fn append(&mut self) {
        let event = self.event();
        match self.journal.append(event.clone()).await {
            Ok(receipt) => {
                self.accepted.push((event.id, receipt.seq));
                self.accept(event, receipt);
            }
            Err(WriteRefusal::Degraded(receipt)) => self.accept(event, receipt),
            // Not promised over a crash, so nothing may rest on it, its numbers included.
            Err(WriteRefusal::Lost(_)) => self.is_lost = true,
            Err(WriteRefusal::Closed) => panic!("nobody closed it"),
        }
    }

    fn accept(&mut self, event: Event, receipt: Arc<Event>) {
        let now = (receipt.epoch, receipt.seq);
        assert!(now > self.last, "{now:?} after {:?}", self.last);
        assert!(self.is_lost || receipt.seq > self.last.1, "{now:?} after {:?}", self.last);
        self.last = now;
        self.version = self.version.max(receipt.version);
        if event.scope == Scope::Mirrored {
            self.owe(event.demand);
        }
    }

    fn owe(&mut self, demand: Demand) {
        self.owed.iter_mut().for_each(|owed| owed.push(demand.clone()));
    }

    fn send(&mut self) {
        let at = self.chance.below(3) as usize;
        let limits = Limits {
            events_max: 1 + self.chance.below(4) as usize,
            bytes_max: 4_096,
            members_max: usize::MAX,
        };
        // Some events are held, others of them at each send, and now and then none.
        let salt = self.chance.below(4);
        let is_held = |id: &EventId| salt > 0 && id.to_string().as_bytes()[35] % 4 < salt as u8;
        let events = self.journal.after(0, usize::MAX).events;
        let held = events.iter().map(|event| event.id).filter(is_held).collect();
        let sent = self.journal.pending_but(DESTINATIONS[at], 0, limits, &held);
        let is_free = |event: &Arc<Event>| !held.contains(&event.id);
        assert!(sent.iter().flat_map(|sent| &sent.events).all(is_free));
        self.in_flight[at] = sent.map(|sent| (sent, self.owed[at].len()));
    }

    /// Only what was accepted before a send was taken can be settled by its acknowledgement.
    fn acknowledge(&mut self) {
        let at = self.chance.below(3) as usize;
        let Some((sent, before)) = self.in_flight[at].take() else { return };
        self.journal.ack(DESTINATIONS[at], &sent);
        let demand = sent.demand();
        let mut index = 0;
        self.owed[at].retain(|owed| {
            index += 1;
            index > before || !demand.covers(owed)
        });
    }

    /// The last destination goes, and is owed on, or comes again.
    async fn reconfigure(&mut self) {
        self.is_listed = !self.is_listed;
        let listed = &DESTINATIONS[..if self.is_listed { 3 } else { 2 }];
        let done = self.journal.reconfigure(names(listed)).await.expect("nobody closed it");
        assert_eq!(
            (done.returned.len(), done.removed.len()),
            match self.is_listed {
                true => (1, 0),
                false => (0, 1),
            }
        );
    }

    fn restart(&mut self, disk: SimDisk) {
        self.disk = disk;
        let (journal, recovered) = open_with(&self.config, &self.disk, &DESTINATIONS);
        self.journal = journal;
        self.in_flight = Default::default();
        self.is_listed = true;
        let is_all = |destination: &&str| owed(&self.journal, destination).hard.is_all();
        let everybody_needs_all = DESTINATIONS.iter().all(is_all);
        assert!(recovered.damaged.is_none() || everybody_needs_all, "{recovered:?}");
        self.damages += usize::from(recovered.damaged.is_some());
        // Also where an opening in between found the damage: `all` stands for it.
        if everybody_needs_all {
            self.accepted.clear();
        }
        if std::mem::take(&mut self.is_lost) {
            self.accepted.clear();
            self.version = 0;
            self.last.1 = 0;
        }
    }

    /// The power goes in the middle of a commit, and again in the middle of the next opening.
    async fn interrupt(&mut self) {
        let stops = |after| Faults { stops_after: Some(after), ..Faults::default() };
        self.disk.set_faults(stops(self.chance.below(12)));
        for _ in 0..self.chance.below(3) {
            self.append().await;
        }
        let disk = self.disk.cut_power(self.chance.below(u64::MAX));
        disk.set_faults(stops(self.chance.below(20)));
        // It may open, degraded or not, or fail; nothing is asked of it.
        let opened =
            Journal::open(self.config.clone(), Arc::new(disk.clone()), &names(&DESTINATIONS));
        drop(opened);
        let disk = disk.cut_power(self.chance.below(u64::MAX));
        self.restart(disk);
    }

    fn check(&mut self) {
        for (destination, owed_events) in DESTINATIONS.iter().zip(&self.owed) {
            if !self.is_listed && *destination == DESTINATIONS[2] {
                assert_eq!(self.journal.cursor(destination), None);
                assert_eq!(pending(&self.journal, destination), None);
                continue;
            }
            let pending = owed(&self.journal, destination);
            for demand in owed_events {
                assert!(pending.covers(demand), "{destination} lacks {demand:?} of {pending:?}");
            }
            let is_settled = self.journal.is_acknowledged(destination, self.journal_head());
            assert_eq!(is_settled, pending.is_empty());
        }
        let version = self.journal.versions().version;
        assert!(version >= self.version, "{version} after {}", self.version);
        self.version = version;
        for (id, seq) in &self.accepted {
            let is_there = self.journal.event(*id).is_some_and(|event| event.seq == *seq);
            assert!(is_there || self.journal.after(seq - 1, 1).gap, "event {seq} vanished");
        }
    }

    fn journal_head(&self) -> u64 {
        *self.journal.head().borrow()
    }

    async fn live(&mut self, steps: usize, faults: impl Fn(&mut Chance) -> Faults) {
        for _ in 0..steps {
            match self.chance.below(24) {
                0 => {
                    let disk = self.disk.kill();
                    self.restart(disk);
                }
                1 => {
                    let seed = self.chance.below(u64::MAX);
                    let disk = self.disk.cut_power(seed);
                    self.restart(disk);
                }
                2 => self.disk.set_faults(faults(&mut self.chance)),
                14 => self.interrupt().await,
                15 => self.reconfigure().await,
                3..=8 => self.send(),
                9..=13 => self.acknowledge(),
                _ => self.append().await,
            }
            self.check();
        }
    }
}

#[tokio::test]
async fn nothing_accepted_is_missing_in_any_of_many_lives() {
    let mut damages = 0;
    for seed in 0..300 {
        let mut witness = Witness::new(seed);
        witness.live(60, |_| Faults::default()).await;
        damages += witness.damages;
    }
    // A journal that always called for `all` would pass everything above.
    assert!(damages < 100, "{damages} of some 1,500 restarts on a sound disk were damage");
}

#[tokio::test]
async fn nothing_accepted_is_missing_on_a_disk_that_fails() {
    for seed in 1_000..1_300 {
        let mut witness = Witness::new(seed);
        let faults = |chance: &mut Chance| Faults {
            sync_fails_at: (chance.below(2) == 0).then(|| 1 + chance.below(6)),
            sync_fails_on: chance.below(2) == 0,
            is_full: chance.below(3) == 0,
            slot_fails: chance.below(4) == 0,
            stops_after: None,
        };
        witness.live(60, faults).await;
    }
}

#[tokio::test]
async fn a_single_failed_sync_anywhere_costs_nothing() {
    for at in 1..50 {
        let disk = SimDisk::new();
        let (journal, _) = open(&disk);
        disk.set_faults(Faults { sync_fails_at: Some(at), ..Faults::default() });
        for id in 0..50 {
            let done = journal.append(mirrored(entity("posts", &id.to_string()))).await;
            assert!(done.is_ok(), "sync {at}, event {id}: {done:?}");
        }
        assert!(journal.health().last_error.is_some(), "sync {at} was never reached");
        drop(journal);
        let (again, recovered) = open(&disk.cut_power(at));
        assert_eq!(recovered.damaged, None, "sync {at}");
        assert_eq!(pending(&again, "a").expect("due").events.len(), 50, "sync {at}");
    }
}
