//! Sealtrail core.
