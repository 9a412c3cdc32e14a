//! A disk in memory that loses unsynced writes, for tests of the journal and of whole instances.
//!
//! [`SimDisk::cut_power`] decides for every unsynced write, creation and removal by a seeded
//! generator whether it is kept, lost or torn; [`SimDisk::kill`] keeps all of them, as the page
//! cache does. Both return the handle of the next process life, and every older handle fails. After
//! a failed sync the fate of its writes is decided at once: they never become durable later, as on
//! Linux. The directory can be removed, replaced and put back; open files then have no name.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};

use super::disk::{Disk, DiskFile, DiskLock, PathState};

/// The faults of a disk.
#[derive(Debug, Clone, Copy, Default)]
pub struct Faults {
    /// This sync fails (counted from 1 since the faults were set; directory syncs count too).
    pub sync_fails_at: Option<u64>,
    /// Every later sync fails as well.
    pub sync_fails_on: bool,
    /// No file can grow; a write that would grow one is cut short.
    pub is_full: bool,
    /// Writing the overflow slot fails.
    pub slot_fails: bool,
    /// After so many changes every change fails: the machine is about to lose power.
    pub stops_after: Option<u64>,
}

#[derive(Debug, Clone, Default)]
struct SimFile {
    /// Identifies the file, like an inode.
    number: u64,
    durable: Vec<u8>,
    seen: Vec<u8>,
    unsynced: Vec<(usize, Vec<u8>)>,
    is_named: bool,
}

#[derive(Debug)]
struct World {
    files: BTreeMap<PathBuf, SimFile>,
    removed: BTreeMap<PathBuf, SimFile>,
    /// The last number given to a file or directory.
    numbers: u64,
    /// The directory; `None` after it was removed.
    dir: Option<u64>,
    life: u64,
    locked_in: Option<(u64, u64)>,
    faults: Faults,
    syncs: u64,
    syncs_before_faults: u64,
    changes_since_faults: u64,
}

impl Default for World {
    fn default() -> Self {
        Self {
            files: BTreeMap::new(),
            removed: BTreeMap::new(),
            numbers: 0,
            dir: Some(0),
            life: 0,
            locked_in: None,
            faults: Faults::default(),
            syncs: 0,
            syncs_before_faults: 0,
            changes_since_faults: 0,
        }
    }
}

/// A removed directory, which can be put back.
#[derive(Debug, Clone)]
pub struct Away {
    dir: Option<u64>,
    files: BTreeMap<PathBuf, SimFile>,
}

/// The handle of one process life to a simulated disk.
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

    /// The process dies; its writes are in the page cache and stay.
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

    /// The machine loses power; the seed decides about each unsynced write.
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

    /// Sets the faults from now on.
    pub fn set_faults(&self, faults: Faults) {
        let mut world = self.world.lock();
        world.faults = faults;
        world.syncs_before_faults = world.syncs;
        world.changes_since_faults = 0;
    }

    /// Syncs since the disk was created.
    pub fn syncs(&self) -> u64 {
        self.world.lock().syncs
    }

    /// Removes the directory with its files; open files lose their names.
    pub fn take_away(&self) -> Away {
        let mut world = self.world.lock();
        world.removed.clear();
        Away { dir: world.dir.take(), files: std::mem::take(&mut world.files) }
    }

    /// Puts a removed directory back, in place of the current one.
    pub fn put_back(&self, away: Away) {
        let mut world = self.world.lock();
        (world.dir, world.files) = (away.dir, away.files);
    }

    /// Replaces the directory by another one with these files.
    pub fn replace(&self, files: &BTreeMap<PathBuf, Vec<u8>>) {
        let mut world = self.world.lock();
        world.files = BTreeMap::new();
        world.dir = Some(world.number());
        files.iter().for_each(|(path, bytes)| world.put_file(path, bytes));
    }

    /// Removes some files, as another program would.
    pub fn take_files(&self, is_taken: impl Fn(&Path) -> bool) {
        self.world.lock().files.retain(|path, _| !is_taken(path));
    }

    /// Makes every operation wait until the returned value is dropped.
    pub fn hold(&self) -> impl Drop + '_ {
        PausedDisk(self.world.lock())
    }

    /// The files as a process reads them.
    pub fn files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let world = self.world.lock();
        world.files.iter().map(|(path, file)| (path.clone(), file.seen.clone())).collect()
    }

    /// A disk with exactly these files, all durable.
    pub fn with_files(files: &BTreeMap<PathBuf, Vec<u8>>) -> Self {
        let disk = Self::new();
        files.iter().for_each(|(path, bytes)| disk.world.lock().put_file(path, bytes));
        disk
    }

    fn enter(&self) -> io::Result<MutexGuard<'_, World>> {
        let world = self.world.lock();
        if world.life == self.life { Ok(world) } else { Err(io::Error::other("another life")) }
    }

    /// Enters an operation that changes the disk.
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
    /// Counts a sync; returns whether it fails.
    fn sync_fails(&mut self) -> bool {
        self.syncs += 1;
        let count = self.syncs - self.syncs_before_faults;
        self.faults
            .sync_fails_at
            .is_some_and(|at| count == at || (self.faults.sync_fails_on && count > at))
    }

    fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    fn put_file(&mut self, path: &Path, bytes: &[u8]) {
        let file = SimFile {
            number: self.number(),
            durable: bytes.to_vec(),
            seen: bytes.to_vec(),
            unsynced: Vec::new(),
            is_named: true,
        };
        self.files.insert(path.to_owned(), file);
    }

    fn file(&mut self, path: &Path) -> io::Result<&mut SimFile> {
        self.files.get_mut(path).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// Without a directory, no name in it can be used.
    fn dir(&self) -> io::Result<u64> {
        self.dir.ok_or_else(|| io::ErrorKind::NotFound.into())
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

    /// Decides about every unsynced write: kept, lost, or one part of it lost.
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

/// SplitMix64 (Steele, Lea, Flood 2014): the same seed always gives the same disk.
#[derive(Debug, Clone)]
pub struct Chance(pub u64);

impl Chance {
    /// The next number below `bound`, which must be at least 1.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % bound.max(1)
    }
}

struct PausedDisk<'a>(#[allow(dead_code, reason = "held, not read")] MutexGuard<'a, World>);

impl Drop for PausedDisk<'_> {
    fn drop(&mut self) {}
}

/// The lock of one process life on one directory.
struct SimLock(SimDisk, u64);

impl DiskLock for SimLock {
    fn path_state(&self) -> PathState {
        match self.0.world.lock().dir {
            None => PathState::Missing,
            Some(dir) if dir == self.1 => PathState::Ours,
            Some(_) => PathState::Replaced,
        }
    }
}

impl Drop for SimLock {
    fn drop(&mut self) {
        let mut world = self.0.world.lock();
        if world.locked_in == Some((self.0.life, self.1)) {
            world.locked_in = None;
        }
    }
}

impl Disk for SimDisk {
    fn create_dir(&self, _: &Path) -> io::Result<()> {
        let mut world = self.enter()?;
        if world.dir.is_none() {
            world.dir = Some(world.number());
        }
        Ok(())
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let world = self.enter()?;
        world.dir()?;
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
        world.dir()?;
        let number = world.number();
        world.files.insert(path.to_owned(), SimFile { number, ..SimFile::default() });
        Ok(Box::new(SimHandle { disk: self.clone(), path: path.to_owned(), number }))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let number = self.enter()?.file(path)?.number;
        Ok(Box::new(SimHandle { disk: self.clone(), path: path.to_owned(), number }))
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

    fn try_lock(&self, _: &Path) -> io::Result<Option<Box<dyn DiskLock>>> {
        let mut world = self.enter()?;
        let dir = world.dir()?;
        if world.locked_in == Some((self.life, dir)) {
            return Ok(None);
        }
        world.locked_in = Some((self.life, dir));
        Ok(Some(Box::new(SimLock(self.clone(), dir))))
    }
}

struct SimHandle {
    disk: SimDisk,
    path: PathBuf,
    number: u64,
}

impl SimHandle {
    fn slot_refuses(&self, world: &World) -> bool {
        world.faults.slot_fails && self.path.extension().is_some_and(|name| name == "slot")
    }

    /// Writes and syncs of a file without a name succeed, but have no effect.
    fn has_name(&self, world: &World) -> bool {
        world.files.get(&self.path).is_some_and(|file| file.number == self.number)
    }
}

impl DiskFile for SimHandle {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut world = self.disk.change()?;
        if self.slot_refuses(&world) {
            return Err(io::Error::other("simulated EIO"));
        }
        if !self.has_name(&world) {
            return Ok(());
        }
        let is_full = world.faults.is_full;
        let file = world.file(&self.path)?;
        let offset = usize::try_from(offset).map_err(io::Error::other)?;
        let free = file.seen.len().saturating_sub(offset);
        if is_full && bytes.len() > free {
            file.write(offset, &bytes[..free]);
            return Err(io::ErrorKind::StorageFull.into());
        }
        file.write(offset, bytes);
        Ok(())
    }

    fn sync_data(&mut self) -> io::Result<()> {
        let mut world = self.disk.change()?;
        let seed = world.syncs;
        let fails = world.sync_fails() || self.slot_refuses(&world);
        if !self.has_name(&world) {
            return if fails { Err(io::Error::other("simulated EIO")) } else { Ok(()) };
        }
        let file = world.file(&self.path)?;
        if fails {
            file.settle(&mut Chance(seed));
            return Err(io::Error::other("simulated EIO"));
        }
        file.sync();
        Ok(())
    }

    fn path_state(&self) -> PathState {
        let world = self.disk.world.lock();
        match world.files.get(&self.path) {
            None => PathState::Missing,
            Some(file) if file.number == self.number => PathState::Ours,
            Some(_) => PathState::Replaced,
        }
    }
}
