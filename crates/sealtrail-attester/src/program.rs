//! Digests of the program file.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use aws_lc_rs::digest::{Algorithm, Context};

use crate::AttesterError;

/// The file of the running program, also where another one has taken its place in the directory since (Linux `proc(5)`).
pub const RUNNING_PROGRAM: &str = "/proc/self/exe";

/// Bytes read at a time: large enough that reading costs nothing beside hashing, small enough for any stack of buffers.
const CHUNK_BYTES: usize = 64 * 1024;

/// The digest of the file's bytes so far, to finish or to continue.
pub(crate) fn hash_file(path: &Path, algorithm: &'static Algorithm) -> Result<Context, AttesterError> {
    let failed = |source| AttesterError::Io { doing: "read the program", path: path.to_owned(), source };
    let mut file = File::open(path).map_err(failed)?;
    let mut context = Context::new(algorithm);
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        match file.read(&mut chunk).map_err(failed)? {
            0 => return Ok(context),
            length => context.update(chunk.get(..length).unwrap_or_default()),
        }
    }
}

/// The finished digest as an array of its length.
pub(crate) fn finish<const N: usize>(context: Context) -> [u8; N] {
    let mut bytes = [0; N];
    for (to, from) in bytes.iter_mut().zip(context.finish().as_ref()) {
        *to = *from;
    }
    bytes
}
