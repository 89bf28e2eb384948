//! What must hold whatever the input.

mod bodies;
mod claims;
mod encoding;
mod hostile;
mod proofs;
mod receipts;
mod statements;
mod trees;
