//! What tests share: vectors, ledgers to break, faults. Never shipped.

use std::path::PathBuf;

/// The path of a shared vector or data file, or `None` (and a line that says so) where the shared tree is missing.
///
/// Looks in `SEALTRAIL_SHARED`, by default `../shared` beside the workspace.
///
/// # Panics
/// With `SEALTRAIL_REQUIRE_SHARED=1` a missing file fails the test that asked for it.
#[must_use]
pub fn shared(relative: &str) -> Option<PathBuf> {
    let root = std::env::var_os("SEALTRAIL_SHARED").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared")),
        PathBuf::from,
    );
    let path = root.join(relative);
    if path.exists() {
        return Some(path);
    }
    let required = std::env::var("SEALTRAIL_REQUIRE_SHARED").is_ok_and(|v| v == "1");
    assert!(!required, "shared file `{}` is missing and SEALTRAIL_REQUIRE_SHARED=1", path.display());
    println!("skipped: shared file `{}` is missing", path.display());
    None
}
