//! Sealtrail ledger.
