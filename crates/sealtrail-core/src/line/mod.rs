//! Lines (`docs/spec/01-lines.md`).

pub mod check;
