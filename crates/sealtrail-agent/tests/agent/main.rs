//! A whole agent, over real sockets, against a ledger that signs real checkpoints and can misbehave.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout
)]
// Nothing outside a test binary reaches into it.
#![allow(unreachable_pub)]

mod harness;
mod ledger;
mod otlp;

mod acknowledge;
mod away;
mod bombs;
mod crash;
mod epochs;
mod grpc;
mod hostile;
mod http;
mod resend;
mod speed;
mod stubs;
