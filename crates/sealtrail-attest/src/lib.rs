//! Sealtrail attest.
