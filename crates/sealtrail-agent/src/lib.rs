//! Sealtrail agent.
