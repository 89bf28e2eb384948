//! Sealtrail verify.
