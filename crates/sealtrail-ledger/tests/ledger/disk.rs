//! A disk in memory that loses what was not synced, fills up, and breaks on request.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::{self, ErrorKind, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use sealtrail_ledger::storage::{Disk, DiskFile};

/// Bytes that reach a disk together or not at all.
const SECTOR: usize = 512;

/// What an operation does, for faults that look for one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Op {
    Write,
    Sync,
    SyncDir,
    Create,
    Rename,
    SetSize,
    Preallocate,
    Remove,
}

type Fault = Arc<dyn Fn(Op, &Path, u64) -> Option<ErrorKind> + Send + Sync>;

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
}

#[derive(Clone, Default)]
struct Inode {
    content: Vec<u8>,
    durable: Vec<u8>,
    pending: Vec<Change>,
}

#[derive(Clone)]
enum Change {
    Write(usize, Vec<u8>),
    SetSize(usize),
}

#[derive(Clone)]
enum NameChange {
    Dir(PathBuf),
    Link(PathBuf, u64),
    Rename(PathBuf, PathBuf, u64),
    Unlink(PathBuf),
}

impl NameChange {
    fn parent(&self) -> &Path {
        match self {
            Self::Dir(path) | Self::Link(path, _) | Self::Rename(_, path, _) | Self::Unlink(path) => {
                path.parent().unwrap()
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
        self.names.values().map(|inode| self.inodes[inode].content.len() as u64).sum()
    }

    fn room_for(&self, bytes: u64) -> io::Result<()> {
        match self.capacity {
            Some(capacity) if self.used() + bytes > capacity => Err(ErrorKind::StorageFull.into()),
            _ => Ok(()),
        }
    }

    fn change_name(&mut self, change: NameChange) {
        change.apply(&mut self.names, &mut self.dirs);
        self.pending_names.push(change);
    }

    fn inode(&self, path: &Path) -> io::Result<u64> {
        self.names.get(path).copied().ok_or_else(|| ErrorKind::NotFound.into())
    }
}

impl SimDisk {
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

    pub fn die_at(&self, operation: u64) {
        self.state().dies_at = Some(operation);
    }

    pub fn set_fault(&self, fault: impl Fn(Op, &Path, u64) -> Option<ErrorKind> + Send + Sync + 'static) {
        self.state().fault = Some(Arc::new(fault));
    }

    pub fn heal(&self) {
        self.state().fault = None;
    }

    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.state().capacity = bytes;
    }

    pub fn used(&self) -> u64 {
        self.state().used()
    }

    pub fn operations(&self) -> u64 {
        self.state().operations
    }

    /// What the machine finds when it is switched on again: all that was synced, and by chance some of the rest, sector by
    /// sector and name by name.
    pub fn crashed(&self, seed: u64) -> Self {
        let old = self.state();
        let mut random = Random(seed);
        let (mut names, mut dirs) = (old.durable_names.clone(), old.durable_dirs.clone());
        // A journal keeps the order of names; some of its end is lost.
        let kept = random.below(old.pending_names.len() as u64 + 1) as usize;
        for change in &old.pending_names[..kept] {
            change.apply(&mut names, &mut dirs);
        }
        let mut inodes = HashMap::new();
        // In the order of names, so that a seed gives one outcome.
        for number in names.values() {
            let inode = &old.inodes[number];
            let mut content = inode.durable.clone();
            for change in &inode.pending {
                change.apply(&mut content, || random.below(2) == 0);
            }
            inodes.insert(*number, Inode { durable: content.clone(), content, pending: Vec::new() });
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
        Self { state: Arc::new(Mutex::new(state)) }
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
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

struct SimFile {
    disk: SimDisk,
    inode: u64,
    path: PathBuf,
}

impl SimFile {
    fn open(disk: &SimDisk, inode: u64, path: &Path) -> Arc<dyn DiskFile> {
        Arc::new(Self { disk: disk.clone(), inode, path: path.to_owned() })
    }

    fn change(&self, op: Op, change: Change) -> io::Result<()> {
        let mut state = self.disk.state();
        state.step(op, &self.path)?;
        let length = state.inodes[&self.inode].content.len();
        let wanted = match &change {
            Change::Write(offset, bytes) => offset + bytes.len(),
            Change::SetSize(size) => *size,
        };
        state.room_for(wanted.saturating_sub(length) as u64)?;
        let inode = state.inodes.get_mut(&self.inode).unwrap();
        change.apply(&mut inode.content, || true);
        inode.pending.push(change);
        Ok(())
    }
}

impl Disk for SimDisk {
    fn create_dirs(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        let missing: Vec<PathBuf> = path
            .ancestors()
            .filter(|dir| dir.parent().is_some() && !state.dirs.contains(*dir))
            .map(Path::to_owned)
            .collect();
        if missing.is_empty() {
            return Ok(());
        }
        state.step(Op::Create, path)?;
        for dir in missing.into_iter().rev() {
            state.change_name(NameChange::Dir(dir));
        }
        Ok(())
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let inode = self.state().inode(path)?;
        Ok(SimFile::open(self, inode, path))
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
        state.inodes.insert(inode, Inode::default());
        state.change_name(NameChange::Link(path.to_owned(), inode));
        drop(state);
        Ok(SimFile::open(self, inode, path))
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
        let (now, later): (Vec<_>, Vec<_>) = pending.into_iter().partition(|change| change.parent() == path);
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
        state.step(Op::Sync, &self.path)?;
        let inode = state.inodes.get_mut(&self.inode).unwrap();
        inode.durable = inode.content.clone();
        inode.pending.clear();
        Ok(())
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
