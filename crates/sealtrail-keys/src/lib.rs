//! Sealtrail keys.
