//! Sealtrail attester.
