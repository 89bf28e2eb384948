//! Good ledgers with one file damaged, at places drawn from a seed: bits flipped, bytes cut off or added, files removed.

use std::path::{Path, PathBuf};
use std::{env, fs, process};

use sealtrail_core::hash::sha256;

use super::{Case, Expect, FileChange, good::base, plain};
use crate::build::records;

/// `count` damaged ledgers.
#[must_use]
pub fn damaged(count: u64) -> Vec<Case> {
    let scratch = env::temp_dir().join(format!("sealtrail-damaged-{}", process::id()));
    let bases = [base(7), with_tiles()];
    let files: Vec<Vec<(PathBuf, usize)>> = bases
        .iter()
        .map(|case| {
            let _ = fs::remove_dir_all(&scratch);
            case.write(&scratch);
            let mut files = Vec::new();
            list(&scratch, &scratch, &mut files);
            files.sort();
            files
        })
        .collect();
    let _ = fs::remove_dir_all(&scratch);
    (0..count).map(|seed| one(seed, &bases, &files)).collect()
}

fn with_tiles() -> Case {
    let mut ledger = plain(8);
    for n in 0..300 {
        let mut epoch = ledger.epoch.clone();
        ledger.builder.batch(&mut epoch, &records(n, usize::from(n % 16 == 0)), |_| {});
        ledger.epoch = epoch;
    }
    ledger.builder.publish();
    let mut case = Case::of("tiles", &ledger.builder, Expect::Verified);
    case.receipts.push(case.image.receipt(ledger.trail, 280, &*case.key));
    case
}

fn one(seed: u64, bases: &[Case], files: &[Vec<(PathBuf, usize)>]) -> Case {
    let random = sha256(&[b"damage", &seed.to_be_bytes()]);
    let number = |at: usize| u64::from_be_bytes(random[at..at + 8].try_into().unwrap()) as usize;
    let which = usize::from(seed % 4 == 3);
    let base = &bases[which];
    let (path, length) = files[which][number(0) % files[which].len()].clone();
    let shown = path.to_string_lossy().replace(['/', '.'], "-");
    let (what, change) = match number(8) % 8 {
        0 => ("truncated", FileChange::Truncate(path, number(16) % length.max(1))),
        1 => ("extended", FileChange::Append(path, random[..1 + number(16) % 16].to_vec())),
        2 => ("removed", FileChange::Remove(path)),
        _ if length == 0 => ("extended", FileChange::Append(path, vec![1])),
        _ => ("flipped", FileChange::Flip(path, number(16) % (length * 8))),
    };
    Case {
        name: format!("damaged-{seed:04}-{what}-{shown}"),
        image: base.image.clone(),
        key: base.key.clone(),
        policy: base.policy.clone(),
        receipts: base.receipts.clone(),
        changes: vec![change],
        expect: Expect::Any,
    }
}

/// Whether damage to a file means nothing: the trust policy is not damaged here, the hint and partial tiles are not
/// read by a verifier.
fn derived(path: &Path) -> bool {
    let path = path.to_string_lossy();
    path.ends_with("policy.toml") || path.ends_with("ledger.json") || path.contains(".p/")
}

/// All files of a case that mean something to a verifier, with their lengths; its policy is not among them.
fn list(root: &Path, dir: &Path, files: &mut Vec<(PathBuf, usize)>) {
    for item in fs::read_dir(dir).unwrap() {
        let path = item.unwrap().path();
        if path.is_dir() {
            list(root, &path, files);
        } else if !derived(&path) {
            files.push((
                path.strip_prefix(root).unwrap().to_owned(),
                fs::metadata(&path).unwrap().len() as usize,
            ));
        }
    }
}
