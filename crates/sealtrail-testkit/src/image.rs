//! A whole ledger in memory: read from a directory, changed at will, written back with the signatures an attacker could
//! make who holds the ledger's key.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::path::Path;

use sealtrail_core::artefact;
use sealtrail_core::checkpoint::CheckpointBody;
use sealtrail_core::entry::{Entry, LedgerPart};
use sealtrail_core::hash::{Hash, sha256};
use sealtrail_core::key::Signer;
use sealtrail_core::merkle::{Tree, leaf_hash};
use sealtrail_core::name::{LeafIndex, LedgerName, Name, TrailId, TreeSize};
use sealtrail_core::receipt::{Inclusion, Receipt, ReceiptFile};
use sealtrail_core::segment::{IndexPair, ItemHead, ItemKind, SegmentHeader, file_end, file_name, push_item};
use sealtrail_core::statement::{Claims, Known, Predecessor, UnverifiedStatement};
use sealtrail_core::tile::{TILE_WIDTH, Tile, push_entry};

/// An entry and the body before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logged {
    /// The entry's bytes.
    pub entry: Vec<u8>,
    /// The stored body, where it has one.
    pub body: Option<Vec<u8>>,
}

impl Logged {
    /// The statement's envelope and the ledger part.
    #[must_use]
    pub fn parts(&self) -> (Vec<u8>, LedgerPart) {
        let entry = Entry::decode(&self.entry).unwrap();
        (entry.statement.to_vec(), entry.ledger_part)
    }

    /// When the ledger says it came.
    #[must_use]
    pub fn received_at_ns(&self) -> u64 {
        self.parts().1.received_at_ns
    }

    /// How a later open would name the epoch that ends with this entry.
    #[must_use]
    pub fn as_predecessor(&self) -> Predecessor {
        let unverified = UnverifiedStatement::decode(&self.parts().0).unwrap();
        let identity = unverified.identity();
        let known = Known::Ledger;
        match unverified.claims() {
            Claims::Open(_) => Predecessor { epoch: identity, sequence: None, identity, known },
            Claims::Batch(claims) => {
                Predecessor { epoch: claims.epoch, sequence: Some(claims.sequence), identity, known }
            }
        }
    }

    /// The same entry around another statement.
    #[must_use]
    pub fn with_statement(&self, statement: &[u8]) -> Self {
        let (_, ledger_part) = self.parts();
        Self { entry: Entry { statement, ledger_part }.encode(), body: self.body.clone() }
    }
}

/// A ledger.
#[derive(Clone, Debug)]
pub struct Image {
    /// Its name.
    pub name: LedgerName,
    /// Its control trail.
    pub control: TrailId,
    /// Trails by id.
    pub trails: BTreeMap<TrailId, Vec<Logged>>,
    /// Artefacts by hash. A test may put bytes under a hash that is not theirs.
    pub artefacts: BTreeMap<Hash, Vec<u8>>,
    /// Entries in one segment file when written.
    pub segment_entries: usize,
}

impl Image {
    /// Reads a ledger's directory.
    #[must_use]
    pub fn read(dir: &Path) -> Self {
        let hint: serde_json::Value =
            serde_json::from_slice(&fs::read(dir.join("ledger.json")).unwrap()).unwrap();
        let mut image = Self {
            name: LedgerName::new(hint["ledger"].as_str().unwrap()).unwrap(),
            control: TrailId::from_hex(hint["control"].as_str().unwrap()).unwrap(),
            trails: BTreeMap::new(),
            artefacts: BTreeMap::new(),
            segment_entries: 1000,
        };
        for trail in fs::read_dir(dir.join("trails")).unwrap() {
            let trail = trail.unwrap();
            let id = TrailId::from_hex(trail.file_name().to_str().unwrap()).unwrap();
            image.trails.insert(id, read_trail(&trail.path()));
        }
        for prefix in fs::read_dir(dir.join("artefacts")).unwrap() {
            for file in fs::read_dir(prefix.unwrap().path()).unwrap() {
                let bytes = fs::read(file.unwrap().path()).unwrap();
                image.artefacts.insert(sha256(&[&bytes]), bytes);
            }
        }
        image
    }

    /// The tree over a trail's entries.
    #[must_use]
    pub fn tree(&self, trail: TrailId) -> Tree {
        let mut tree = Tree::default();
        self.trails[&trail].iter().for_each(|logged| tree.push(leaf_hash(&logged.entry)));
        tree
    }

    /// A signed checkpoint of a trail at its present size.
    #[must_use]
    pub fn checkpoint(&self, trail: TrailId, key: &dyn Signer) -> Vec<u8> {
        let tree = self.tree(trail);
        let origin = self.name.origin(trail);
        CheckpointBody { origin, size: tree.size(), root: tree.root() }.sign(key).unwrap()
    }

    /// A receipt file for an entry, under the checkpoint of the present size.
    #[must_use]
    pub fn receipt(&self, trail: TrailId, index: usize, key: &dyn Signer) -> Vec<u8> {
        let (statement, ledger_part) = self.trails[&trail][index].parts();
        let tree = self.tree(trail);
        let index = LeafIndex(index as u64);
        let proof = tree.inclusion(index, tree.size()).unwrap();
        let trail = Inclusion { index, proof, checkpoint: self.checkpoint(trail, key) };
        ReceiptFile { statement, receipt: Receipt { ledger_part, trail, control: None } }.encode()
    }

    /// Writes the ledger as its directory would be, checkpoints signed with `key`.
    pub fn write(&self, dir: &Path, key: &dyn Signer) {
        fs::create_dir_all(dir).unwrap();
        let public = key.public_key().raw().try_into().unwrap();
        let ledger = sealtrail_core::checkpoint::LedgerKey::new(self.name.clone(), public);
        let vkey = ledger.verifier_key(self.control).to_string();
        let hint = serde_json::json!({
            "control": self.control.to_string(), "ledger": self.name.as_str(), "version": 1, "vkey": vkey
        });
        fs::write(dir.join("ledger.json"), hint.to_string()).unwrap();
        for (hash, bytes) in &self.artefacts {
            let path = dir.join(artefact::path(hash));
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
        for id in self.trails.keys() {
            let trail = dir.join("trails").join(id.to_string());
            fs::create_dir_all(trail.join("segments")).unwrap();
            self.write_segments(*id, &trail.join("segments"));
            self.write_tiles(*id, &trail);
            fs::write(trail.join("checkpoint"), self.checkpoint(*id, key)).unwrap();
        }
    }

    fn write_segments(&self, trail: TrailId, dir: &Path) {
        let entries = &self.trails[&trail];
        let chunks: Vec<&[Logged]> =
            if entries.is_empty() { vec![&[]] } else { entries.chunks(self.segment_entries).collect() };
        for (number, chunk) in chunks.iter().enumerate() {
            let header = SegmentHeader {
                trail,
                number: number as u64,
                first_index: (number * self.segment_entries) as u64,
                retention_class: Name::new("standard").unwrap(),
            };
            let mut bytes = header.file_start();
            let mut pairs = Vec::new();
            for logged in *chunk {
                let mut pair = IndexPair { body: 0, entry: 0 };
                if let Some(body) = &logged.body {
                    pair.body = bytes.len() as u64;
                    push_item(&mut bytes, ItemKind::Body, body);
                }
                pair.entry = bytes.len() as u64;
                push_item(&mut bytes, ItemKind::Entry, &logged.entry);
                pairs.push(pair);
            }
            if number + 1 < chunks.len() {
                let offset = bytes.len() as u64;
                bytes.extend(file_end(&pairs, offset));
            } else {
                bytes.extend([0; 64]);
            }
            fs::write(dir.join(file_name(number as u64)), bytes).unwrap();
        }
    }

    fn write_tiles(&self, trail: TrailId, dir: &Path) {
        let tree = self.tree(trail);
        let put = |tile: Tile, bytes: &[u8]| {
            let path = dir.join(tile.path());
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        };
        for level in 0..8_u8 {
            let hashes = tree.level(u32::from(level) * 8);
            for (number, chunk) in hashes.chunks(TILE_WIDTH as usize).enumerate() {
                let width = chunk.len() as u16;
                put(Tile { level: Some(level), number: number as u64, width }, &chunk.concat());
            }
        }
        for (number, chunk) in self.trails[&trail].chunks(TILE_WIDTH as usize).enumerate() {
            let mut bundle = Vec::new();
            chunk.iter().for_each(|logged| push_entry(&mut bundle, &logged.entry));
            put(Tile { level: None, number: number as u64, width: chunk.len() as u16 }, &bundle);
        }
    }

    /// Size and root of a trail as it stands.
    #[must_use]
    pub fn head(&self, trail: TrailId) -> (TreeSize, Hash) {
        let tree = self.tree(trail);
        (tree.size(), tree.root())
    }
}

fn read_trail(dir: &Path) -> Vec<Logged> {
    let mut entries = Vec::new();
    for number in 0.. {
        let Ok(mut file) = fs::File::open(dir.join("segments").join(file_name(number))) else { break };
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).unwrap();
        let mut rest = &bytes[sealtrail_core::segment::MAGIC.len()..];
        let mut body = None;
        while let Some((head, after)) = rest.split_first_chunk::<9>() {
            // What is no item ends the segment: it may be damaged there.
            let Ok(Some(head)) = ItemHead::decode(*head) else { break };
            let Some((payload, after)) = after.split_at_checked(head.length as usize) else { break };
            match head.kind {
                ItemKind::Body => body = Some(payload.to_vec()),
                ItemKind::Entry => entries.push(Logged { entry: payload.to_vec(), body: body.take() }),
                ItemKind::Header => {}
                ItemKind::Index => break,
            }
            rest = after;
        }
    }
    entries
}
