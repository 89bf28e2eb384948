//! A disk in memory that loses what was not synced, fills up, and breaks on request.
//!
//! It is stricter than most: a name is durable once its directory was synced, not when its file was, and only if the
//! directory's own name is; a sync that failed has written some of what it should have and forgets the rest, whatever is
//! read back and whatever later syncs say; a write that failed may have been written in part.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::{self, ErrorKind, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use sealtrail_env::{Disk, DiskFile};

/// Bytes that reach a disk together or not at all.
const SECTOR: usize = 512;

/// Bytes in which files take up room.
const BLOCK: u64 = 4096;

/// What an operation does, for faults that look for one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Op {
    /// Writing within a file.
    Write,
    /// Making a file's content durable.
    Sync,
    /// Making a directory's names durable.
    SyncDir,
    /// Making a file or directory.
    Create,
    /// Renaming.
    Rename,
    /// Cutting off or extending.
    SetSize,
    /// Preallocating.
    Preallocate,
    /// Removing.
    Remove,
}

type Fault = Arc<dyn Fn(Op, &Path, u64) -> Option<ErrorKind> + Send + Sync>;

/// What a power failure did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Damage {
    /// Writes and changes of size of which nothing was kept.
    pub lost: u64,
    /// Writes of which some sectors were kept and some not.
    pub torn: u64,
    /// Changes of names that were lost.
    pub names_lost: u64,
    /// Changes of names that were kept although an earlier one was lost.
    pub names_reordered: u64,
}

/// The disk. Clones are the same disk.
#[derive(Clone)]
pub struct SimDisk {
    state: Arc<Mutex<State>>,
}

#[derive(Clone, Default)]
struct State {
    names: BTreeMap<PathBuf, u64>,
    dirs: BTreeSet<PathBuf>,
    durable_names: BTreeMap<PathBuf, u64>,
    durable_dirs: BTreeSet<PathBuf>,
    /// Changes of names, in order, that no directory sync has made durable.
    pending_names: Vec<NameChange>,
    inodes: HashMap<u64, Inode>,
    next_inode: u64,
    operations: u64,
    by_kind: BTreeMap<Op, u64>,
    /// The operation at which everything stops.
    dies_at: Option<u64>,
    dead: bool,
    fault: Option<Fault>,
    capacity: Option<u64>,
    full: u64,
    locked: BTreeSet<PathBuf>,
    /// Every operation that changed something, by kind and name, for runs to be compared.
    trace: Option<Vec<(Op, PathBuf)>>,
}

#[derive(Clone, Default)]
struct Inode {
    content: Vec<u8>,
    durable: Vec<u8>,
    pending: Vec<Change>,
    /// Its newest name.
    name: PathBuf,
    modified: u64,
}

#[derive(Clone)]
enum Change {
    Write(usize, Vec<u8>),
    SetSize(usize),
}

#[derive(Clone, PartialEq)]
enum NameChange {
    Dir(PathBuf),
    Link(PathBuf, u64),
    Rename(PathBuf, PathBuf, u64),
    Unlink(PathBuf),
}

impl NameChange {
    fn parent(&self) -> Option<&Path> {
        match self {
            Self::Dir(path) | Self::Link(path, _) | Self::Rename(_, path, _) | Self::Unlink(path) => {
                path.parent()
            }
        }
    }

    fn apply(&self, names: &mut BTreeMap<PathBuf, u64>, dirs: &mut BTreeSet<PathBuf>) {
        match self {
            Self::Dir(path) => drop(dirs.insert(path.clone())),
            Self::Link(path, inode) => drop(names.insert(path.clone(), *inode)),
            Self::Rename(from, to, inode) => {
                names.remove(from);
                names.insert(to.clone(), *inode);
            }
            Self::Unlink(path) => drop(names.remove(path)),
        }
    }
}

impl Change {
    fn apply(&self, content: &mut Vec<u8>, mut keep: impl FnMut() -> bool) {
        match self {
            Self::SetSize(size) => {
                if keep() {
                    content.resize(*size, 0);
                }
            }
            Self::Write(offset, bytes) => {
                if content.len() < offset + bytes.len() {
                    content.resize(offset + bytes.len(), 0);
                }
                let mut at = 0;
                while at < bytes.len() {
                    let end = bytes.len().min((offset + at) / SECTOR * SECTOR + SECTOR - offset);
                    if keep() {
                        content[offset + at..offset + end].copy_from_slice(&bytes[at..end]);
                    }
                    at = end;
                }
            }
        }
    }
}

impl State {
    /// Counts an operation and lets it fail if it has to.
    fn step(&mut self, op: Op, path: &Path) -> io::Result<()> {
        self.operations += 1;
        *self.by_kind.entry(op).or_default() += 1;
        if let Some(trace) = &mut self.trace {
            trace.push((op, path.to_owned()));
        }
        if self.dead || self.dies_at.is_some_and(|at| self.operations >= at) {
            self.dead = true;
            return Err(io::Error::other("the machine is off"));
        }
        match self.fault.as_ref().and_then(|fault| fault(op, path, self.operations)) {
            Some(kind) => Err(kind.into()),
            None => Ok(()),
        }
    }

    fn used(&self) -> u64 {
        let blocks = |inode| (self.inodes[inode].content.len() as u64).div_ceil(BLOCK) * BLOCK;
        self.names.values().map(blocks).sum()
    }

    fn room_for(&mut self, bytes: u64) -> io::Result<()> {
        match self.capacity {
            Some(capacity) if bytes > 0 && self.used() + bytes > capacity => {
                self.full += 1;
                Err(ErrorKind::StorageFull.into())
            }
            _ => Ok(()),
        }
    }

    fn change_name(&mut self, change: NameChange) {
        if let NameChange::Link(path, inode) | NameChange::Rename(_, path, inode) = &change {
            self.inodes.get_mut(inode).unwrap().name.clone_from(path);
        }
        change.apply(&mut self.names, &mut self.dirs);
        self.pending_names.push(change);
    }

    fn inode(&self, path: &Path) -> io::Result<u64> {
        if self.dead {
            return Err(io::Error::other("the machine is off"));
        }
        self.names.get(path).copied().ok_or_else(|| ErrorKind::NotFound.into())
    }
}

impl Default for SimDisk {
    fn default() -> Self {
        Self::new()
    }
}

impl SimDisk {
    /// An empty disk.
    pub fn new() -> Self {
        Self { state: Arc::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Another disk with the same content, its counters at zero.
    pub fn snapshot(&self) -> Self {
        let mut state = self.state().clone();
        (state.operations, state.dies_at, state.dead, state.fault) = (0, None, false, None);
        state.by_kind.clear();
        Self { state: Arc::new(Mutex::new(state)) }
    }

    /// Dies at this operation.
    pub fn die_at(&self, operation: u64) {
        self.state().dies_at = Some(operation);
    }

    /// Asks before each operation whether it fails; told are its kind, the file's name, its number.
    pub fn set_fault(&self, fault: impl Fn(Op, &Path, u64) -> Option<ErrorKind> + Send + Sync + 'static) {
        self.state().fault = Some(Arc::new(fault));
    }

    /// No more faults.
    pub fn heal(&self) {
        self.state().fault = None;
    }

    /// Has room for so many bytes.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.state().capacity = bytes;
    }

    /// Whether it has room for so many bytes only.
    pub fn has_capacity(&self) -> bool {
        self.state().capacity.is_some()
    }

    /// Bytes of all files, in whole blocks.
    pub fn used(&self) -> u64 {
        self.state().used()
    }

    /// Operations so far.
    pub fn operations(&self) -> u64 {
        self.state().operations
    }

    /// Nothing works any more, as after the process or the machine died.
    pub fn switch_off(&self) {
        self.state().dead = true;
    }

    /// Whether it was switched off, or died at the operation it was told to.
    pub fn is_off(&self) -> bool {
        self.state().dead
    }

    /// How often there was no room.
    pub fn times_full(&self) -> u64 {
        self.state().full
    }

    /// Writes down every operation from now on.
    pub fn trace(&self) {
        self.state().trace = Some(Vec::new());
    }

    /// The operations since [`Self::trace`].
    pub fn traced(&self) -> Vec<(Op, PathBuf)> {
        self.state().trace.clone().unwrap_or_default()
    }

    /// What the next process finds after this one was killed: everything, synced or not.
    pub fn killed(&self) -> Self {
        let disk = self.snapshot();
        disk.state().locked.clear();
        disk
    }

    /// What the machine finds when it is switched on again: all that was synced, and by chance some of the rest, sector by
    /// sector and name by name.
    pub fn crashed(&self, seed: u64) -> Self {
        self.crashed_with(seed, false).0
    }

    /// As [`Self::crashed`], and what was damaged. Where `reorder` is set, names that were not synced are kept or lost each
    /// for itself; otherwise only the newest of them are lost, as with a journal.
    pub fn crashed_with(&self, seed: u64, reorder: bool) -> (Self, Damage) {
        let old = self.state();
        let mut random = Random(seed);
        let mut damage = Damage::default();
        let (mut names, mut dirs) = (old.durable_names.clone(), old.durable_dirs.clone());
        let prefix = random.below(old.pending_names.len() as u64 + 1);
        for (number, change) in (0..).zip(&old.pending_names) {
            let kept = if reorder { random.below(2) == 0 } else { number < prefix };
            // Nothing can stand in a directory that is not there.
            let parent = change.parent();
            if kept && parent.is_none_or(|parent| parent.parent().is_none() || dirs.contains(parent)) {
                damage.names_reordered += u64::from(damage.names_lost > 0);
                change.apply(&mut names, &mut dirs);
            } else {
                damage.names_lost += 1;
            }
        }
        // What stands in a directory whose own name was lost cannot be found any more.
        let whole =
            |path: &Path| path.ancestors().skip(1).all(|dir| dir.parent().is_none() || dirs.contains(dir));
        names.retain(|path, _| whole(path));
        let keep_percent = [0, 50, 50, 90][random.below(4) as usize];
        let mut inodes = HashMap::new();
        // In the order in which they were made: names may hold digests, and a seed has one outcome.
        let mut by_number: Vec<_> = names.iter().map(|(name, number)| (number, name)).collect();
        by_number.sort();
        for (number, name) in by_number {
            let inode = &old.inodes[number];
            let mut content = inode.durable.clone();
            for (place, change) in (0..).zip(&inode.pending) {
                let (mut kept, mut gone) = (0, 0);
                // Each has chances of its own, which do not depend on how long others are.
                let mut random = Random(seed ^ (number << 40) ^ (place << 20));
                random.next();
                change.apply(&mut content, || {
                    let keep = random.below(100) < keep_percent;
                    if keep {
                        kept += 1
                    } else {
                        gone += 1
                    }
                    keep
                });
                damage.lost += u64::from(kept == 0 && gone > 0);
                damage.torn += u64::from(kept > 0 && gone > 0);
            }
            let inode = Inode {
                durable: content.clone(),
                content,
                name: name.clone(),
                modified: inode.modified,
                ..Inode::default()
            };
            inodes.insert(*number, inode);
        }
        let state = State {
            durable_names: names.clone(),
            durable_dirs: dirs.clone(),
            names,
            dirs,
            inodes,
            next_inode: old.next_inode,
            ..State::default()
        };
        (Self { state: Arc::new(Mutex::new(state)) }, damage)
    }

    /// A file's content as it would be read now; `None` where there is none.
    pub fn content(&self, path: &Path) -> Option<Vec<u8>> {
        let state = self.state();
        state.names.get(path).map(|inode| state.inodes[inode].content.clone())
    }

    /// Whether a directory is there.
    pub fn has_dir(&self, path: &Path) -> bool {
        self.state().dirs.contains(path)
    }

    /// The names of all files below a directory, in order.
    pub fn files(&self, below: &Path) -> Vec<PathBuf> {
        self.state().names.keys().filter(|name| name.starts_with(below)).cloned().collect()
    }

    /// Writes everything below `from` to a real directory.
    pub fn dump(&self, from: &Path, to: &Path) {
        let state = self.state();
        for dir in &state.dirs {
            if let Ok(relative) = dir.strip_prefix(from) {
                std::fs::create_dir_all(to.join(relative)).unwrap();
            }
        }
        for (path, inode) in &state.names {
            let Ok(relative) = path.strip_prefix(from) else { continue };
            std::fs::create_dir_all(to.join(relative).parent().unwrap()).unwrap();
            std::fs::write(to.join(relative), &state.inodes[inode].content).unwrap();
        }
    }
}

/// A small generator (SplitMix64), so that every run can be had again.
pub struct Random(pub u64);

impl Random {
    /// 64 bits.
    #[expect(clippy::should_implement_trait, reason = "it never ends")]
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

struct SimFile {
    disk: SimDisk,
    inode: u64,
    /// The file whose lock this holds.
    lock: Option<PathBuf>,
}

impl Drop for SimFile {
    fn drop(&mut self) {
        if let Some(path) = &self.lock {
            self.disk.state().locked.remove(path);
        }
    }
}

impl SimFile {
    fn open(disk: &SimDisk, inode: u64) -> Arc<dyn DiskFile> {
        Arc::new(Self { disk: disk.clone(), inode, lock: None })
    }

    fn change(&self, op: Op, change: Change) -> io::Result<()> {
        let mut state = self.disk.state();
        let name = state.inodes[&self.inode].name.clone();
        let length = state.inodes[&self.inode].content.len();
        let wanted = match &change {
            Change::Write(offset, bytes) => offset + bytes.len(),
            Change::SetSize(size) => *size,
        };
        let allowed =
            state.step(op, &name).and_then(|()| state.room_for(wanted.saturating_sub(length) as u64));
        let change = match (&allowed, change) {
            (Ok(()), change) => change,
            (Err(_), _) if state.dead => return allowed,
            // Half of a write that fails may have been written.
            (Err(_), Change::Write(offset, mut bytes)) => {
                let room = length.saturating_sub(offset);
                let half = bytes.len() / 2;
                bytes.truncate(if state.capacity.is_some() { half.min(room) } else { half });
                Change::Write(offset, bytes)
            }
            (Err(_), Change::SetSize(_)) => return allowed,
        };
        let modified = state.operations;
        let inode = state.inodes.get_mut(&self.inode).unwrap();
        change.apply(&mut inode.content, || true);
        inode.pending.push(change);
        inode.modified = modified;
        allowed
    }
}

impl Disk for SimDisk {
    fn create_dirs(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        // Counts although it may be there already: directories named by digests are there or not by chance.
        state.step(Op::Create, path)?;
        let mut wanted: Vec<PathBuf> = path
            .ancestors()
            .filter(|dir| dir.parent().is_some() && (*dir == path || !state.dirs.contains(*dir)))
            .map(Path::to_owned)
            .collect();
        wanted.reverse();
        wanted.into_iter().for_each(|dir| state.change_name(NameChange::Dir(dir)));
        Ok(())
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let inode = self.state().inode(path)?;
        Ok(SimFile::open(self, inode))
    }

    fn open_read(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        self.open(path)
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.state();
        state.step(Op::Create, path)?;
        if !state.dirs.contains(path.parent().unwrap()) {
            return Err(ErrorKind::NotFound.into());
        }
        let inode = state.next_inode;
        state.next_inode += 1;
        state.inodes.insert(inode, Inode { name: path.to_owned(), ..Inode::default() });
        state.change_name(NameChange::Link(path.to_owned(), inode));
        drop(state);
        Ok(SimFile::open(self, inode))
    }

    fn create_private(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        self.create(path)
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Arc<dyn DiskFile>>> {
        if !self.state().names.contains_key(path) {
            self.create(path)?;
        }
        let mut state = self.state();
        let inode = state.inode(path)?;
        if !state.locked.insert(path.to_owned()) {
            return Ok(None);
        }
        drop(state);
        Ok(Some(Arc::new(SimFile { disk: self.clone(), inode, lock: Some(path.to_owned()) })))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.step(Op::Rename, to)?;
        let inode = state.inode(from)?;
        if !state.dirs.contains(to.parent().unwrap()) {
            return Err(ErrorKind::NotFound.into());
        }
        state.change_name(NameChange::Rename(from.to_owned(), to.to_owned(), inode));
        Ok(())
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.step(Op::Remove, path)?;
        state.inode(path)?;
        state.change_name(NameChange::Unlink(path.to_owned()));
        Ok(())
    }

    fn remove_dirs(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.step(Op::Remove, path)?;
        let below: Vec<PathBuf> = state.names.keys().filter(|name| name.starts_with(path)).cloned().collect();
        for name in below {
            state.change_name(NameChange::Unlink(name));
        }
        Ok(())
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.step(Op::SyncDir, path)?;
        let pending = std::mem::take(&mut state.pending_names);
        let (now, later): (Vec<_>, Vec<_>) =
            pending.into_iter().partition(|change| change.parent() == Some(path));
        let State { durable_names, durable_dirs, .. } = &mut *state;
        now.iter().for_each(|change| change.apply(durable_names, durable_dirs));
        state.pending_names = later;
        Ok(())
    }

    fn list(&self, path: &Path) -> io::Result<Vec<(String, u64)>> {
        let state = self.state();
        if !state.dirs.contains(path) {
            return Err(ErrorKind::NotFound.into());
        }
        let files = state.names.iter().map(|(name, inode)| (name, state.inodes[inode].content.len() as u64));
        let all = files.chain(state.dirs.iter().map(|dir| (dir, 0)));
        let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
        Ok(all.filter(|(n, _)| n.parent() == Some(path)).map(|(n, bytes)| (name(n), bytes)).collect())
    }

    fn modified_ns(&self, path: &Path) -> io::Result<u64> {
        let state = self.state();
        Ok(state.inodes[&state.inode(path)?].modified)
    }

    fn read(&self, path: &Path, max: usize) -> io::Result<Vec<u8>> {
        let state = self.state();
        let content = &state.inodes[&state.inode(path)?].content;
        if content.len() > max { Err(ErrorKind::FileTooLarge.into()) } else { Ok(content.clone()) }
    }
}

impl DiskFile for SimFile {
    fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        let state = self.disk.state();
        let content = &state.inodes[&self.inode].content;
        let from = content.get(offset as usize..).and_then(|rest| rest.get(..bytes.len()));
        bytes.copy_from_slice(from.ok_or(ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn write_all_at(&self, slices: &mut [IoSlice<'_>], offset: u64) -> io::Result<()> {
        let bytes: Vec<u8> = slices.iter().flat_map(|slice| slice.iter().copied()).collect();
        self.change(Op::Write, Change::Write(offset as usize, bytes))
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.disk.state();
        let name = state.inodes[&self.inode].name.clone();
        let done = state.step(Op::Sync, &name);
        let (dead, operations) = (state.dead, state.operations);
        let inode = state.inodes.get_mut(&self.inode).unwrap();
        match &done {
            Ok(()) => {
                let Inode { durable, pending, .. } = inode;
                pending.drain(..).for_each(|change| change.apply(durable, || true));
            }
            // Some of it was written, and the kernel forgets that the rest was not: it is read back until the power fails.
            Err(_) if !dead => {
                let mut random = Random(operations);
                let Inode { durable, pending, .. } = inode;
                pending.drain(..).for_each(|change| change.apply(durable, || random.below(2) == 0));
            }
            Err(_) => {}
        }
        done
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.disk.state().inodes[&self.inode].content.len() as u64)
    }

    fn set_size(&self, size: u64) -> io::Result<()> {
        self.change(Op::SetSize, Change::SetSize(size as usize))
    }

    fn preallocate(&self, size: u64) -> io::Result<()> {
        let length = self.size()?;
        self.change(Op::Preallocate, Change::SetSize(size.max(length) as usize))
    }
}
