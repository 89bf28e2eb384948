//! Entries and entry bundles.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sealtrail_core::entry::Entry;
use sealtrail_core::tile::{push_entry, split_bundle};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(entry) = Entry::decode(bytes) {
        assert_eq!(entry.encode(), bytes);
    }
    if let Some(entries) = split_bundle(bytes) {
        let mut bundle = Vec::new();
        entries.iter().for_each(|entry| push_entry(&mut bundle, entry));
        assert_eq!(bundle, bytes);
    }
});
