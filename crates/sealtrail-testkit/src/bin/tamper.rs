//! Plays the thief of a ledger's disk and key: `tamper KIND LEDGER-DIR OUT-DIR`.
//!
//! Reads a stopped ledger's directory, its checkpoint key included, does one kind of harm as well as that key allows, and
//! writes the result with fresh, well-signed checkpoints. Used by `make demo`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::indexing_slicing
)]

use std::path::Path;
use std::process::ExitCode;
use std::rc::Rc;

use sealtrail_core::body::{Compressor, Decompressor};
use sealtrail_core::key::Algorithm;
use sealtrail_core::name::TrailId;
use sealtrail_core::statement::{Claims, UnverifiedStatement, seal};
use sealtrail_keys::load_key_file;
use sealtrail_testkit::build::Builder;
use sealtrail_testkit::image::{Image, Logged};

const USAGE: &str = "\
usage: tamper KIND LEDGER-DIR OUT-DIR

Reads a stopped ledger's directory, its checkpoint key included, does harm to it and writes the result, well signed, to
OUT-DIR. The ledger itself stays as it is.

kinds of harm:
  alter-record      one letter of one record, its body compressed again
  remove-batch      a batch from the middle of the largest trail
  swap-batches      two batches in each other's place
  truncate-tail     the newest batch, and every trace of it in the control trail
  re-sign           a batch signed again with a key that was never attested
  replay-elsewhere  the trail's entries copied into a trail `billing`
";

/// Wrong usage, as `sealtrail` ends on it.
const WRONG_USAGE: u8 = 64;

const KINDS: [&str; 6] =
    ["alter-record", "remove-batch", "swap-batches", "truncate-tail", "re-sign", "replay-elsewhere"];

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if args.iter().any(|arg| arg == "--help" || arg == "-h") {
        print!("{USAGE}");
        return ExitCode::SUCCESS;
    }
    let wrong = |what: String| {
        eprint!("error: {what}\n\n{USAGE}");
        ExitCode::from(WRONG_USAGE)
    };
    let [kind, from, to] = args.as_slice() else {
        return wrong(format!("`{}` arguments were given, expected 3", args.len()));
    };
    if !KINDS.contains(&kind.as_str()) {
        return wrong(format!("there is no kind `{kind}`"));
    }
    if !Path::new(from).join("private/checkpoint.key").is_file() {
        return wrong(format!("`{from}` is not a ledger's directory with its key"));
    }
    harm(kind, from, to);
    ExitCode::SUCCESS
}

fn harm(kind: &str, from: &str, to: &str) {
    let key = Rc::new(load_key_file(&Path::new(from).join("private/checkpoint.key")).unwrap());
    let mut image = Image::read(Path::new(from));
    let trail = *image
        .trails
        .iter()
        .filter(|(id, _)| **id != image.control)
        .max_by_key(|(_, entries)| entries.len())
        .expect("a data trail")
        .0;
    let entries = image.trails.get_mut(&trail).unwrap();
    match kind {
        "alter-record" => alter_record(entries),
        "remove-batch" => drop(entries.remove(middle_batch(entries))),
        "swap-batches" => {
            let at = middle_batch(entries);
            entries.swap(at, at + 1);
        }
        "truncate-tail" => {
            // Cuts the newest batch and every trace that the control trail had of it.
            entries.pop();
            let size = entries.len() as u64;
            let control = image.control;
            image.trails.get_mut(&control).unwrap().retain(|logged| largest_published(logged) <= size);
        }
        "re-sign" => re_sign(entries),
        "replay-elsewhere" => image = replay_elsewhere(image, trail, &key),
        other => unreachable!("`{other}` is none of `KINDS`"),
    }
    image.write(Path::new(to), &*key);
}

/// A batch with records from the middle of the trail, not the last.
fn middle_batch(entries: &[Logged]) -> usize {
    let with_body: Vec<usize> = (0..entries.len() - 1).filter(|at| entries[*at].body.is_some()).collect();
    with_body[with_body.len() / 2]
}

/// Changes one letter in one record and compresses the body again.
fn alter_record(entries: &mut [Logged]) {
    let at = middle_batch(entries);
    let stored = entries[at].body.clone().unwrap();
    let mut plain = Decompressor::new().unwrap().decompress(&stored).unwrap().to_vec();
    let place = plain.len() - plain.iter().rev().position(|b| b.is_ascii_lowercase()).unwrap() - 1;
    plain[place] = if plain[place] == b'x' { b'y' } else { b'x' };
    entries[at].body = Some(Compressor::new().unwrap().compress(&plain).unwrap());
}

fn re_sign(entries: &mut [Logged]) {
    let at = middle_batch(entries);
    let (statement, _) = entries[at].parts();
    let unverified = UnverifiedStatement::decode(&statement).unwrap();
    let signer = sealtrail_keys::generate(Algorithm::Es256).unwrap();
    let signed = seal(unverified.claims(), &*signer).unwrap();
    entries[at] = entries[at].with_statement(&signed.bytes);
}

fn largest_published(logged: &Logged) -> u64 {
    let (statement, _) = logged.parts();
    let unverified = UnverifiedStatement::decode(&statement).unwrap();
    match unverified.claims() {
        Claims::Batch(claims) => claims.published.iter().map(|published| published.size.0).max().unwrap_or(0),
        Claims::Open(_) => 0,
    }
}

/// As the ledger's operator: a trail `billing` for the same stream, filled with copies of this trail's entries.
fn replay_elsewhere(image: Image, trail: TrailId, key: &Rc<sealtrail_keys::Ed25519Key>) -> Image {
    let copies = image.trails[&trail].clone();
    let (statement, _) = copies[0].parts();
    let unverified = UnverifiedStatement::decode(&statement).unwrap();
    let stream = unverified.claims().place().stream.clone();
    let mut builder = Builder::resume(image, Rc::clone(key));
    let billing = builder.trail("billing");
    builder.stream(stream.as_str(), billing);
    builder.image.trails.insert(billing, copies);
    builder.image
}
