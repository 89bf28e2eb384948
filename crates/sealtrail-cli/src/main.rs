//! The `sealtrail` command.

fn main() {}
