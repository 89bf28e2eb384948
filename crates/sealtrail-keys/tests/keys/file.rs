//! Key files: made once, readable by their owner alone.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;

use sealtrail_core::key::{Signer as _, Verifier as _};
use sealtrail_keys::{KeyFileError, create_key_file, load_key_file};

#[test]
fn a_key_file_is_the_same_key_again() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("checkpoint.key");
    let made = create_key_file(&path).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let loaded = load_key_file(&path).unwrap();
    assert_eq!(loaded.public_key(), made.public_key());
    let signature = loaded.sign(b"note").unwrap();
    assert_eq!(made.public_key().verify(b"note", &signature), Ok(()));
}

#[test]
fn an_existing_key_file_is_never_overwritten() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("checkpoint.key");
    create_key_file(&path).unwrap();
    let before = fs::read(&path).unwrap();
    assert!(matches!(create_key_file(&path), Err(KeyFileError::Io { .. })));
    assert_eq!(fs::read(&path).unwrap(), before);
    assert!(matches!(load_key_file(&directory.path().join("none")), Err(KeyFileError::Io { .. })));
}

#[test]
fn a_key_file_that_others_can_read_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("checkpoint.key");
    create_key_file(&path).unwrap();
    for mode in [0o644, 0o640, 0o604, 0o660, 0o601] {
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        let refused = load_key_file(&path).unwrap_err();
        assert!(matches!(refused, KeyFileError::Exposed { mode: found, .. } if found == mode), "{mode:o}");
        assert!(refused.to_string().contains(&format!("{mode:o}")));
    }
    for mode in [0o600, 0o400] {
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        assert!(load_key_file(&path).is_ok(), "{mode:o}");
    }
}

#[test]
fn a_damaged_key_file_is_no_key() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("checkpoint.key");
    create_key_file(&path).unwrap();
    let good = fs::read(&path).unwrap();
    let damaged = [
        Vec::new(),
        good[..good.len() - 1].to_vec(),
        b"-----BEGIN PRIVATE KEY-----".to_vec(),
        vec![0x30; 10_000],
        good.iter().map(|byte| byte ^ 1).collect(),
    ];
    for bytes in damaged {
        fs::write(&path, bytes).unwrap();
        let refused = load_key_file(&path).unwrap_err();
        assert!(matches!(refused, KeyFileError::Key { .. }), "{refused}");
        // An error names the file and never what stands in it.
        assert!(refused.to_string().contains("checkpoint.key"));
    }
}
