//! What the attesters keep in files.

use std::fs;
use std::path::Path;

use sealtrail_attester::{Attester, AttesterError, Mode, NitroSim, STORED_BYTES_MAX, Software};

use crate::{mode, place};

fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn keys_are_their_owners() {
    let (directory, program) = place();
    let software = directory.path().join("deep/er");
    Software::open(&software.join("root.key"), &program).unwrap();
    let nitro = directory.path().join("nitro");
    NitroSim::open(&nitro, &program, Mode::Production).unwrap();
    assert_eq!(names(&software), ["root.key"]);
    assert_eq!(names(&nitro), ["root.cer", "root.key"]);
    for file in [software.join("root.key"), nitro.join("root.key"), nitro.join("root.cer")] {
        assert_eq!(mode(&file), 0o600, "{}", file.display());
    }
    for created in [directory.path().join("deep"), software, nitro] {
        assert_eq!(mode(&created), 0o700, "{}", created.display());
    }
}

/// Two processes that start at once end with one root.
#[test]
fn created_once() {
    let (directory, program) = place();
    for round in 0..20 {
        let nitro = directory.path().join(format!("nitro{round}"));
        let key = nitro.join("software.key");
        let roots: Vec<_> = std::thread::scope(|scope| {
            let open = || {
                let nitro = NitroSim::open(&nitro, &program, Mode::Production).unwrap();
                let software = Software::open(&key, &program).unwrap();
                (nitro.reference_value().root(), software.reference_value().root())
            };
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(open)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(roots.iter().all(|root| *root == roots[0]), "round {round}");
        assert_eq!(names(&nitro), ["root.cer", "root.key", "software.key"], "round {round}");
    }
}

/// If the process dies between key and certificate, nobody has seen a root yet.
#[test]
fn a_missing_certificate_is_made_anew() {
    let (directory, program) = place();
    let nitro = directory.path().join("nitro");
    let before = NitroSim::open(&nitro, &program, Mode::Production).unwrap().reference_value();
    assert_eq!(NitroSim::open(&nitro, &program, Mode::Production).unwrap().reference_value(), before);
    fs::remove_file(nitro.join("root.cer")).unwrap();
    let after = NitroSim::open(&nitro, &program, Mode::Production).unwrap().reference_value();
    assert_ne!(after.root(), before.root());
}

#[test]
fn a_certificate_of_another_key_is_refused() {
    let (directory, program) = place();
    let (one, two) = (directory.path().join("one"), directory.path().join("two"));
    for nitro in [&one, &two] {
        NitroSim::open(nitro, &program, Mode::Production).unwrap();
    }
    fs::copy(two.join("root.cer"), one.join("root.cer")).unwrap();
    let mixed = NitroSim::open(&one, &program, Mode::Production).err().unwrap();
    assert!(matches!(mixed, AttesterError::RootMismatch { .. }), "{mixed}");
    fs::remove_file(two.join("root.key")).unwrap();
    let keyless = NitroSim::open(&two, &program, Mode::Production).err().unwrap();
    assert!(matches!(keyless, AttesterError::RootMismatch { .. }), "{keyless}");
    assert_eq!(names(&two), ["root.cer"], "no key was made beside it");
}

#[test]
fn other_contents_are_refused() {
    let (directory, program) = place();
    let key = directory.path().join("root.key");
    let nitro = directory.path().join("nitro");
    NitroSim::open(&nitro, &program, Mode::Production).unwrap();
    let p384 = fs::read(nitro.join("root.key")).unwrap();
    let long = vec![0; usize::try_from(STORED_BYTES_MAX).unwrap() + 1];
    let contents = [Vec::new(), b"hello".to_vec(), p384[..p384.len() - 1].to_vec(), long];
    for bytes in contents.iter().chain([&p384]) {
        fs::write(&key, bytes).unwrap();
        let refused = Software::open(&key, &program).err().unwrap();
        assert!(matches!(refused, AttesterError::Stored { .. }), "{refused}");
        assert_eq!(&fs::read(&key).unwrap(), bytes, "left as it was");
    }
    fs::remove_file(&key).unwrap();
    Software::open(&key, &program).unwrap();
    let p256 = fs::read(&key).unwrap();
    for bytes in contents.iter().chain([&p256]) {
        fs::write(nitro.join("root.key"), bytes).unwrap();
        let refused = NitroSim::open(&nitro, &program, Mode::Production).err().unwrap();
        assert!(matches!(refused, AttesterError::Stored { .. }), "{refused}");
    }
    fs::write(nitro.join("root.key"), &p384).unwrap();
    for bytes in &contents {
        fs::write(nitro.join("root.cer"), bytes).unwrap();
        let refused = NitroSim::open(&nitro, &program, Mode::Production).err().unwrap();
        assert!(matches!(refused, AttesterError::Stored { .. }), "{refused}");
    }
}

#[test]
fn files_that_cannot_be_used_are_named() {
    let (directory, program) = place();
    let missing = directory.path().join("missing");
    let key = directory.path().join("root.key");
    let refused = Software::open(&key, &missing).err().unwrap();
    assert_eq!(refused.to_string(), format!("cannot read the program `{}`", missing.display()));
    assert!(!key.exists(), "no root is made for a program that is not there");
    // A file where a directory should be.
    let below = program.join("root.key");
    let refused = Software::open(&below, &program).err().unwrap();
    assert!(refused.to_string().ends_with(&format!("`{}`", below.display())), "{refused}");
    let refused = Software::open(directory.path(), &program).err().unwrap();
    assert_eq!(refused.to_string(), format!("cannot read `{}`", directory.path().display()));
}
