//! What this machine can do and what this process takes: the yardsticks beside every figure.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use sealtrail_core::hash::sha256;
use sealtrail_core::merkle::Tree;
use sealtrail_core::name::{LeafIndex, TreeSize};

use crate::failure::Failure;

/// Bytes a second through SHA-256 on one thread, in pieces of 64 KiB.
pub(crate) fn sha256_bytes_per_s() -> f64 {
    let piece = vec![0x5a; 64 << 10];
    let begun = Instant::now();
    let mut bytes = 0;
    while begun.elapsed() < Duration::from_millis(300) {
        for _ in 0..64 {
            std::hint::black_box(sha256(&[&piece]));
            bytes += piece.len();
        }
    }
    bytes as f64 / begun.elapsed().as_secs_f64()
}

/// Inclusion proofs a second that one thread makes from a tree of a million leaves whose nodes are at hand.
pub(crate) fn proofs_per_s() -> f64 {
    const LEAVES: u64 = 1 << 20;
    let mut tree = Tree::default();
    (0..LEAVES).for_each(|n| tree.push(sha256(&[&n.to_be_bytes()])));
    let begun = Instant::now();
    let mut made = 0_u64;
    while begun.elapsed() < Duration::from_millis(300) {
        for n in 0..1000 {
            let index = LeafIndex((made + n).wrapping_mul(0x9e37_79b9_7f4a_7c15) % LEAVES);
            std::hint::black_box(tree.inclusion(index, TreeSize(LEAVES)));
        }
        made += 1000;
    }
    made as f64 / begun.elapsed().as_secs_f64()
}

/// Seconds that one append of 4 KiB and fdatasync take here, the median of 50.
pub(crate) fn fsync_s(dir: &Path) -> std::io::Result<f64> {
    use std::io::Write as _;
    let path = dir.join("fsync");
    let mut file = fs::File::create(&path)?;
    let mut times = Vec::new();
    for _ in 0..50 {
        let begun = Instant::now();
        file.write_all(&[0; 4096])?;
        file.sync_data()?;
        times.push(begun.elapsed().as_secs_f64());
    }
    fs::remove_file(path)?;
    times.sort_by(f64::total_cmp);
    Ok(times.get(times.len() / 2).copied().unwrap_or_default())
}

/// Refuses a directory in memory, where fsync costs nothing and figures mean nothing.
pub(crate) fn require_disk(dir: &Path) -> Result<(), Failure> {
    /// Magic numbers of statfs(2).
    const IN_MEMORY: [(i64, &str); 2] = [(0x0102_1994, "tmpfs"), (0x8584_58f6, "ramfs")];
    let stat =
        rustix::fs::statfs(dir).map_err(|error| Failure::new(format!("`{}`: {error}", dir.display())))?;
    match IN_MEMORY.iter().find(|(magic, _)| *magic == stat.f_type) {
        Some((_, name)) => {
            Err(Failure::new(format!("`{}` is on {name}: figures would mean nothing", dir.display()))
                .hint("give a directory on a real disk with --dir"))
        }
        None => Ok(()),
    }
}

/// Processor seconds that each thread of this process has used, by thread name.
pub(crate) fn thread_seconds() -> BTreeMap<String, f64> {
    let mut seconds = BTreeMap::new();
    for thread in fs::read_dir("/proc/self/task").into_iter().flatten().flatten() {
        let read = |name: &str| fs::read_to_string(thread.path().join(name)).unwrap_or_default();
        // The first number of schedstat is the time spent on a processor in ns (proc(5)).
        let on_processor = read("schedstat").split(' ').next().and_then(|ns| ns.parse::<f64>().ok());
        *seconds.entry(read("comm").trim().to_owned()).or_default() += on_processor.unwrap_or(0.0) / 1e9;
    }
    seconds
}

/// The largest resident set this process has had, in bytes.
pub(crate) fn peak_rss_bytes() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.trim().trim_end_matches("kB").trim().parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}

/// Bytes of all files below a directory, as stored on disk.
pub(crate) fn stored_bytes(dir: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt as _;
    let Ok(items) = fs::read_dir(dir) else { return 0 };
    items
        .flatten()
        .map(|item| match item.metadata() {
            Ok(meta) if meta.is_dir() => stored_bytes(&item.path()),
            Ok(meta) => meta.len().min(meta.blocks() * 512),
            Err(_) => 0,
        })
        .sum()
}
