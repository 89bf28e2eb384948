//! Writes `testdata/vectors` anew, the worked examples of the specification from the same source, and the corpora that
//! fuzz targets start from.
//!
//! ```text
//! golden testdata/vectors docs/spec/09-examples.md    golden files and examples; what is kept stays
//! golden testdata/vectors --corpora fuzz/corpus       inputs for fuzz targets
//! ```
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use sealtrail_testkit::golden::{self, Kept, World};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match arguments.as_slice() {
        [directory, "--corpora", folder] => corpora(Path::new(directory), Path::new(folder)),
        [directory, examples] => write(Path::new(directory), Path::new(examples)),
        _ => {
            eprintln!("usage: golden <directory> <examples> | golden <directory> --corpora <directory>");
            return ExitCode::from(64);
        }
    };
    match result {
        Ok(done) => {
            println!("{done}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Writes the files, and removes golden files that are no longer made.
fn write(directory: &Path, examples: &Path) -> std::io::Result<String> {
    let kept = Kept::load_or_make(directory);
    let mut files = golden::files(&kept);
    files.extend(kept.files());
    for stale in golden::stored(directory)?.into_keys().filter(|path| !files.contains_key(path)) {
        std::fs::remove_file(directory.join(stale))?;
    }
    for (path, text) in &files {
        put(&directory.join(path), text.as_bytes())?;
    }
    put(examples, golden::examples(&World::new(&kept)).as_bytes())?;
    Ok(format!("{} files below {}, examples in {}", files.len(), directory.display(), examples.display()))
}

/// One folder for each fuzz target, one file for each case that it can start from.
fn corpora(directory: &Path, folder: &Path) -> std::io::Result<String> {
    let kept = Kept::load_or_make(directory);
    let seeds = golden::seeds(&World::new(&kept), &kept);
    for (path, bytes) in &seeds {
        put(&folder.join(path), bytes)?;
    }
    Ok(format!("{} inputs below {}", seeds.len(), folder.display()))
}

fn put(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    std::fs::create_dir_all(path.parent().map_or_else(PathBuf::new, Path::to_path_buf))?;
    std::fs::write(path, bytes)
}
