//! Signed notes and verifier keys.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sealtrail_core::note::{UnverifiedNote, VerifierKey};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(note) = UnverifiedNote::decode(bytes) {
        assert!(note.text().ends_with('\n'));
        assert!(bytes.starts_with(note.text().as_bytes()));
        assert!(note.verify(&[]).is_err());
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        if let Ok(key) = VerifierKey::parse(text) {
            assert_eq!(key.to_string(), text);
        }
    }
});
