//! A disk in memory that loses what was not synced, for tests of the journal and of whole nodes.
//!
//! [`SimDisk::cut_power`] decides for every un-synced write, creation and removal by a seeded
//! generator whether it is kept, lost or torn; [`SimDisk::kill`] keeps all of it, as the page cache
//! does. Both give the handle of the next life and make every older handle fail. After a failed
//! sync the writes it was for are decided at once and never become durable later, as on Linux.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};

use super::disk::{Disk, DiskFile};

/// What is to go wrong, and when.
#[derive(Debug, Clone, Copy, Default)]
pub struct Faults {
    /// This sync fails (counted from 1 since the faults were set; directory syncs count too).
    pub sync_fails_at: Option<u64>,
    /// So does every later one.
    pub sync_fails_on: bool,
    /// No file may grow any more; a write that would grow one is cut short.
    pub is_full: bool,
    /// Writing the overflow slot fails.
    pub slot_fails: bool,
    /// After so many changes nothing happens any more: the machine is about to lose its power.
    pub stops_after: Option<u64>,
}

#[derive(Debug, Clone, Default)]
struct SimFile {
    durable: Vec<u8>,
    seen: Vec<u8>,
    unsynced: Vec<(usize, Vec<u8>)>,
    is_named: bool,
}

#[derive(Debug, Default)]
struct World {
    files: BTreeMap<PathBuf, SimFile>,
    removed: BTreeMap<PathBuf, SimFile>,
    life: u64,
    locked_in: Option<u64>,
    faults: Faults,
    syncs: u64,
    syncs_before_faults: u64,
    changes_since_faults: u64,
}

/// One life's handle to a simulated disk.
#[derive(Debug, Clone, Default)]
pub struct SimDisk {
    world: Arc<Mutex<World>>,
    life: u64,
}

impl SimDisk {
    /// An empty disk.
    pub fn new() -> Self {
        Self::default()
    }

    /// The process dies; what it wrote is in the page cache and stays.
    #[must_use]
    pub fn kill(&self) -> Self {
        let mut world = self.world.lock();
        for file in world.files.values_mut() {
            file.sync();
            file.is_named = true;
        }
        world.removed.clear();
        self.next_life(&mut world)
    }

    /// The machine dies; what was not synced is at the mercy of the seed.
    #[must_use]
    pub fn cut_power(&self, seed: u64) -> Self {
        let mut chance = Chance(seed);
        let mut world = self.world.lock();
        for (path, file) in std::mem::take(&mut world.removed) {
            if chance.below(2) == 0 {
                world.files.entry(path).or_insert(file);
            }
        }
        world.files.retain(|_, file| file.is_named || chance.below(2) == 0);
        for file in world.files.values_mut() {
            file.settle(&mut chance);
            file.seen.clone_from(&file.durable);
            file.is_named = true;
        }
        self.next_life(&mut world)
    }

    fn next_life(&self, world: &mut World) -> Self {
        world.life += 1;
        world.faults = Faults::default();
        Self { world: Arc::clone(&self.world), life: world.life }
    }

    /// From now on these things go wrong.
    pub fn set_faults(&self, faults: Faults) {
        let mut world = self.world.lock();
        world.faults = faults;
        world.syncs_before_faults = world.syncs;
        world.changes_since_faults = 0;
    }

    /// Syncs since the disk was made.
    pub fn syncs(&self) -> u64 {
        self.world.lock().syncs
    }

    /// Makes every operation wait until the answer is dropped.
    pub fn hold(&self) -> impl Drop + '_ {
        Held(self.world.lock())
    }

    /// The files as a process sees them.
    pub fn files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let world = self.world.lock();
        world.files.iter().map(|(path, file)| (path.clone(), file.seen.clone())).collect()
    }

    /// A disk on which exactly these files are, durable.
    pub fn with_files(files: &BTreeMap<PathBuf, Vec<u8>>) -> Self {
        let disk = Self::new();
        for (path, bytes) in files {
            let file = SimFile {
                durable: bytes.clone(),
                seen: bytes.clone(),
                unsynced: Vec::new(),
                is_named: true,
            };
            disk.world.lock().files.insert(path.clone(), file);
        }
        disk
    }

    fn enter(&self) -> io::Result<MutexGuard<'_, World>> {
        let world = self.world.lock();
        if world.life == self.life { Ok(world) } else { Err(io::Error::other("another life")) }
    }

    /// For what changes the disk.
    fn change(&self) -> io::Result<MutexGuard<'_, World>> {
        let mut world = self.enter()?;
        world.changes_since_faults += 1;
        match world.faults.stops_after {
            Some(after) if world.changes_since_faults > after => Err(io::Error::other("stopped")),
            _ => Ok(world),
        }
    }
}

impl World {
    /// Counts a sync; says whether it is one that fails.
    fn sync_fails(&mut self) -> bool {
        self.syncs += 1;
        let count = self.syncs - self.syncs_before_faults;
        self.faults
            .sync_fails_at
            .is_some_and(|at| count == at || (self.faults.sync_fails_on && count > at))
    }

    fn file(&mut self, path: &Path) -> io::Result<&mut SimFile> {
        self.files.get_mut(path).ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl SimFile {
    fn write(&mut self, offset: usize, bytes: &[u8]) {
        put(&mut self.seen, offset, bytes);
        self.unsynced.push((offset, bytes.to_vec()));
    }

    fn sync(&mut self) {
        for (offset, bytes) in std::mem::take(&mut self.unsynced) {
            put(&mut self.durable, offset, &bytes);
        }
    }

    /// Decides every un-synced write: kept, lost, cut, or in part.
    fn settle(&mut self, chance: &mut Chance) {
        for (offset, bytes) in std::mem::take(&mut self.unsynced) {
            let cut = usize::try_from(chance.below(bytes.len() as u64 + 1)).unwrap_or(0);
            match chance.below(6) {
                0 | 1 => put(&mut self.durable, offset, &bytes),
                2 | 3 => {}
                4 => put(&mut self.durable, offset, &bytes[..cut]),
                _ => put(&mut self.durable, offset + cut, &bytes[cut..]),
            }
        }
    }
}

fn put(content: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    if bytes.is_empty() {
        return;
    }
    let end = offset + bytes.len();
    content.resize(content.len().max(end), 0);
    content[offset..end].copy_from_slice(bytes);
}

/// SplitMix64 (Steele, Lea, Flood 2014): a seed gives the same disk every time.
#[derive(Debug, Clone)]
pub struct Chance(pub u64);

impl Chance {
    /// The next number below a bound, which is at least 1.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % bound.max(1)
    }
}

struct Held<'a>(#[allow(dead_code, reason = "held, not read")] MutexGuard<'a, World>);

impl Drop for Held<'_> {
    fn drop(&mut self) {}
}

struct SimLock(SimDisk);

impl Drop for SimLock {
    fn drop(&mut self) {
        let mut world = self.0.world.lock();
        if world.locked_in == Some(self.0.life) {
            world.locked_in = None;
        }
    }
}

impl Disk for SimDisk {
    fn create_dir(&self, _: &Path) -> io::Result<()> {
        self.enter().map(drop)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let world = self.enter()?;
        let inside = world.files.keys().filter(|path| path.parent() == Some(dir));
        let names = inside.filter_map(|path| path.file_name());
        Ok(names.map(|name| name.to_string_lossy().into_owned()).collect())
    }

    fn read(&self, path: &Path) -> io::Result<Option<Vec<u8>>> {
        Ok(self.enter()?.files.get(path).map(|file| file.seen.clone()))
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let mut world = self.change()?;
        if world.files.contains_key(path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        world.files.insert(path.to_owned(), SimFile::default());
        Ok(Box::new(SimHandle { disk: self.clone(), path: path.to_owned() }))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.enter()?.file(path)?;
        Ok(Box::new(SimHandle { disk: self.clone(), path: path.to_owned() }))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut world = self.change()?;
        let file = world.files.remove(path).ok_or(io::ErrorKind::NotFound)?;
        if file.is_named {
            world.removed.insert(path.to_owned(), file);
        }
        Ok(())
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let mut world = self.change()?;
        if world.sync_fails() {
            return Err(io::Error::other("simulated EIO"));
        }
        world.removed.retain(|path, _| path.parent() != Some(dir));
        for (path, file) in &mut world.files {
            file.is_named |= path.parent() == Some(dir);
        }
        Ok(())
    }

    fn try_lock(&self, _: &Path) -> io::Result<Option<Box<dyn Send>>> {
        let mut world = self.enter()?;
        if world.locked_in == Some(self.life) {
            return Ok(None);
        }
        world.locked_in = Some(self.life);
        Ok(Some(Box::new(SimLock(self.clone()))))
    }
}

struct SimHandle {
    disk: SimDisk,
    path: PathBuf,
}

impl SimHandle {
    fn slot_refuses(&self, world: &World) -> bool {
        world.faults.slot_fails && self.path.extension().is_some_and(|name| name == "slot")
    }
}

impl DiskFile for SimHandle {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut world = self.disk.change()?;
        if self.slot_refuses(&world) {
            return Err(io::Error::other("simulated EIO"));
        }
        let is_full = world.faults.is_full;
        let file = world.file(&self.path)?;
        let offset = usize::try_from(offset).map_err(io::Error::other)?;
        let room = file.seen.len().saturating_sub(offset);
        if is_full && bytes.len() > room {
            file.write(offset, &bytes[..room]);
            return Err(io::ErrorKind::StorageFull.into());
        }
        file.write(offset, bytes);
        Ok(())
    }

    fn sync_data(&mut self) -> io::Result<()> {
        let mut world = self.disk.change()?;
        let seed = world.syncs;
        let fails = world.sync_fails() || self.slot_refuses(&world);
        let file = world.file(&self.path)?;
        if fails {
            file.settle(&mut Chance(seed));
            return Err(io::Error::other("simulated EIO"));
        }
        file.sync();
        Ok(())
    }
}
