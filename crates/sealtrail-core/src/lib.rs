//! Sealtrail core.

pub mod line;
