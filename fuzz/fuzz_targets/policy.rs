//! Trust policies: reading one never panics, and what is read can decide about a ledger.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sealtrail_verify::TrustPolicy;

fuzz_target!(|bytes: &[u8]| {
    let _ = TrustPolicy::parse(bytes);
});
