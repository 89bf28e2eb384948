//! Statements: what is accepted is in its one form, and a signature by a stranger never verifies.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sealtrail_core::key::{Algorithm, PublicKey, Verifier as _};
use sealtrail_core::statement::{Claims, Kind, UnverifiedStatement, binding};

fuzz_target!(|bytes: &[u8]| {
    for kind in [Kind::Open, Kind::Batch] {
        if let Ok(claims) = Claims::decode(kind, bytes) {
            // Uncritical claims are not kept; what is kept is read back as it was.
            assert_eq!(Claims::decode(kind, &claims.encode()).as_ref(), Ok(&claims));
            assert!(claims.encode().len() <= bytes.len());
            assert!(binding(bytes).is_ok());
        }
    }
    let Ok(statement) = UnverifiedStatement::decode(bytes) else { return };
    let Claims::Open(open) = statement.claims() else {
        // The base point: a key that signed none of this.
        let mut raw = [0x66; 32];
        raw[0] = 0x58;
        let key = PublicKey::from_raw(Algorithm::Ed25519, &raw).unwrap();
        assert!(statement.key_id() == key.key_id() || statement.verify(&key).is_err());
        return;
    };
    let key = open.public_key.clone();
    let identity = statement.identity();
    if let Ok(verified) = statement.verify(&key) {
        assert_eq!(verified.identity(), identity);
    }
});
