//! What everybody may read of a trail: its committed tree, head, proofs and epoch keys.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use bytes::Bytes;
use sealtrail_core::checkpoint::CheckpointBody;
use sealtrail_core::entry::LedgerPart;
use sealtrail_core::hash::Hash;
use sealtrail_core::key::{KeyError, PublicKey, Signer};
use sealtrail_core::merkle::{Nodes, leaf_hash, prove};
use sealtrail_core::name::{Identity, LeafIndex, Name, TrailId, TreeSize};
use sealtrail_core::receipt::{Inclusion, Receipt};
use sealtrail_core::statement::OpenClaims;
use sealtrail_core::tile::{TILE_WIDTH, Tile};

use super::heard::{Heard, Silent};
use super::reader::EntryReader;
use super::{Location, ReadBack};
use crate::storage::{
    DiskFile, EntryIndex, Files, Recalled, TileNodes, TrailTree, read_tile, tiles_of_proof,
};

/// What a trail is called and where it belongs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TrailInfo {
    pub(crate) id: TrailId,
    /// `<ledger name>/<id>`.
    pub(crate) origin: String,
    /// Name for people.
    pub(crate) name: Name,
    /// Retention class of its segments where its statements do not say.
    pub(crate) class: Name,
}

/// A signed tree head. Everything it covers is durable.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    pub(crate) size: TreeSize,
    pub(crate) root: Hash,
    /// The checkpoint note.
    pub(crate) note: Bytes,
}

/// What admission must know of an epoch: who may sign in it, and as whom.
#[derive(Debug)]
pub(crate) struct EpochKey {
    spki: Box<[u8]>,
    /// Parsed when first needed: most epochs of a trail are over.
    key: OnceLock<PublicKey>,
    pub(crate) stream: Name,
    pub(crate) instance: Name,
    pub(crate) open_leaf: u64,
}

/// The part of a trail that is shared between threads. Only its own thread changes it.
pub(crate) struct TrailShared {
    pub(crate) info: TrailInfo,
    pub(super) files: Files,
    signer: Arc<dyn Signer>,
    log: RwLock<Log>,
    head: RwLock<Arc<Head>>,
    epochs: RwLock<HashMap<Identity, Arc<EpochKey>>>,
    pub(super) heard: Heard,
}

/// Tree and entries, committed ones only.
#[derive(Default)]
pub(crate) struct Log {
    pub(crate) tree: TrailTree,
    pub(crate) index: EntryIndex,
    /// The segment being written: number, file, committed bytes.
    pub(crate) active: Option<(u64, Arc<dyn DiskFile>, u64)>,
}

impl TrailShared {
    /// A trail with what its segments hold; signs its head.
    ///
    /// # Errors
    /// [`KeyError`] where the checkpoint key cannot sign.
    pub(crate) fn new(
        info: TrailInfo,
        files: Files,
        signer: Arc<dyn Signer>,
        log: Log,
        epochs: HashMap<Identity, Arc<EpochKey>>,
    ) -> Result<Self, KeyError> {
        let head = sign_head(&info, log.tree.size(), log.tree.root(), signer.as_ref())?;
        let (log, head, epochs) = (RwLock::new(log), RwLock::new(Arc::new(head)), RwLock::new(epochs));
        Ok(Self { info, files, signer, log, head, epochs, heard: Heard::default() })
    }

    /// Who has not been heard of for too long.
    pub(crate) fn silent(&self, now_ns: u64, started_ns: u64) -> Vec<Silent> {
        self.heard.silent(now_ns, started_ns)
    }

    /// The newest committed head.
    pub(crate) fn head(&self) -> Arc<Head> {
        self.head.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn set_head(&self, head: Arc<Head>) {
        *self.head.write().unwrap_or_else(PoisonError::into_inner) = head;
    }

    /// The head as it was at a size, signed again: Ed25519 signs the same text with the same bytes.
    pub(crate) fn head_at(&self, size: TreeSize) -> Option<Head> {
        let root = self.root_at(size)?;
        sign_head(&self.info, size, root, self.signer.as_ref()).ok()
    }

    /// The root as it was at a size; `None` beyond the tree or where the disk does not give back what it needs.
    pub(crate) fn root_at(&self, size: TreeSize) -> Option<Hash> {
        self.prove(None, [size, size], |nodes| prove::root_at(nodes, size))
    }

    /// The proof that the tree at one size begins with that at an earlier one.
    pub(crate) fn consistency(&self, old: TreeSize, new: TreeSize) -> Option<Vec<Hash>> {
        self.prove(None, [old, new], |nodes| prove::consistency(nodes, old, new))
    }

    /// Makes a proof that involves a leaf and these sizes, with what was forgotten read back before the tree is locked:
    /// nobody who commits waits for a disk that is read.
    fn prove<T>(
        &self,
        leaf: Option<u64>,
        sizes: [TreeSize; 2],
        make: impl Fn(&dyn Nodes) -> Option<T>,
    ) -> Option<T> {
        loop {
            let kept_from = self.log().tree.kept_from();
            let recalled = tiles_of_proof(leaf, sizes)
                .filter(|tile| *tile < kept_from)
                .map(|tile| self.recall(tile))
                .collect::<Option<Vec<_>>>()?;
            let log = self.log();
            if log.tree.kept_from() == kept_from {
                return make(&Recalled { tree: &log.tree, tiles: &recalled });
            }
        }
    }

    /// The nodes of a full tile of leaves, from its file, or where that is not what was published, from the entries.
    fn recall(&self, number: u64) -> Option<(u64, TileNodes)> {
        let right = |leaves: Vec<Hash>| {
            let above = self.log().tree.node(TILE_WIDTH.trailing_zeros(), number)?;
            TileNodes::of(leaves).filter(|(_, root)| *root == above)
        };
        let tile = Tile { level: Some(0), number, width: TILE_WIDTH as u16 };
        let from_entries = || {
            let mut reader = self.reader();
            let first = number * TILE_WIDTH;
            (first..first + TILE_WIDTH)
                .map(|leaf| Some(leaf_hash(&reader.entry(leaf)?)))
                .collect::<Option<Vec<Hash>>>()
        };
        let (nodes, _) = read_tile(&self.files, self.info.id, &tile)
            .and_then(right)
            .or_else(|| from_entries().and_then(right))?;
        Some((number, nodes))
    }

    /// Forgets what can be read back from the tiles of the first `published` entries.
    pub(crate) fn forget(&self, published: TreeSize) {
        self.log_mut().tree.forget(published);
    }

    pub(crate) fn sign_head(&self, size: TreeSize, root: Hash) -> Result<Head, KeyError> {
        sign_head(&self.info, size, root, self.signer.as_ref())
    }

    pub(crate) fn log(&self) -> RwLockReadGuard<'_, Log> {
        self.log.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn log_mut(&self) -> RwLockWriteGuard<'_, Log> {
        self.log.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// What admission must know of a committed epoch.
    pub(crate) fn epoch(&self, identity: Identity) -> Option<Arc<EpochKey>> {
        self.epochs.read().unwrap_or_else(PoisonError::into_inner).get(&identity).cloned()
    }

    pub(super) fn add_epoch(&self, identity: Identity, key: EpochKey) {
        let mut epochs = self.epochs.write().unwrap_or_else(PoisonError::into_inner);
        epochs.entry(identity).or_insert_with(|| Arc::new(key));
    }

    /// The receipt of the entry at `leaf` under `head`; `None` beyond the head.
    pub(crate) fn receipt(&self, leaf: u64, ledger_part: LedgerPart, head: &Head) -> Option<Receipt> {
        Some(Receipt { ledger_part, trail: self.inclusion(leaf, head)?, control: None })
    }

    /// The inclusion of a leaf under a head.
    pub(crate) fn inclusion(&self, leaf: u64, head: &Head) -> Option<Inclusion> {
        let sizes = [head.size, head.size];
        let proof =
            self.prove(Some(leaf), sizes, |nodes| prove::inclusion(nodes, LeafIndex(leaf), head.size))?;
        Some(Inclusion { index: LeafIndex(leaf), proof, checkpoint: head.note.to_vec() })
    }

    /// The bytes of a committed entry; `None` beyond the tree or where the disk does not give it back whole.
    pub(crate) fn entry(&self, leaf: u64) -> Option<Vec<u8>> {
        self.reader().entry(leaf)
    }

    /// Reads entries, best in order.
    pub(crate) fn reader(&self) -> EntryReader<'_> {
        EntryReader::new(self)
    }

    /// The leaf of a batch, which may have to be looked for on the disk.
    pub(crate) fn find(&self, epoch: Identity, sequence: u64, location: Location) -> Option<u64> {
        match location {
            Location::Known(slot) => Some(slot.leaf),
            Location::Among(leaves) => self.batch(epoch, sequence, leaves).map(|slot| slot.leaf),
        }
    }

    /// What of a segment file is the trail's.
    pub(crate) fn segment(&self, number: u64) -> SegmentPart {
        let log = self.log();
        match &log.active {
            Some((active, _, end)) if *active == number => SegmentPart::UpTo(*end),
            _ if number < log.index.segments() => SegmentPart::All,
            _ => SegmentPart::Nothing,
        }
    }
}

/// What of a segment file is the trail's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SegmentPart {
    /// It is finished.
    All,
    /// It is being written: so many bytes are committed.
    UpTo(u64),
    /// Nothing, though there may be a file: no entry in it is committed.
    Nothing,
}

impl EpochKey {
    /// The epoch's key.
    ///
    /// # Errors
    /// [`KeyError::Malformed`], which an accepted open rules out.
    pub(crate) fn key(&self) -> Result<&PublicKey, KeyError> {
        if let Some(key) = self.key.get() {
            return Ok(key);
        }
        let key = PublicKey::from_spki(&self.spki)?;
        Ok(self.key.get_or_init(|| key))
    }

    pub(crate) fn new(claims: &OpenClaims, open_leaf: u64) -> Self {
        Self {
            spki: claims.public_key.spki().into(),
            key: OnceLock::new(),
            stream: claims.place.stream.clone(),
            instance: claims.place.instance.clone(),
            open_leaf,
        }
    }
}

impl crate::storage::Entries for TrailShared {
    fn with_tree(&self, read: &mut dyn FnMut(&TrailTree)) {
        read(&self.log().tree);
    }

    fn entry(&self, index: u64) -> Option<Vec<u8>> {
        self.entry(index)
    }
}

fn sign_head(info: &TrailInfo, size: TreeSize, root: Hash, signer: &dyn Signer) -> Result<Head, KeyError> {
    let body = CheckpointBody { origin: info.origin.clone(), size, root };
    Ok(Head { size, root, note: body.sign(signer)?.into() })
}
