//! Connections from clients that nobody knows: who has a place, who gives way, and what a client is waited for
//! (`docs/adr/0015-who-keeps-us-waiting-gives-way.md`).

mod arriving;
mod frames;
mod places;
mod waiting;
mod watched;

pub use arriving::Arriving;
pub use places::{Place, Places, Request};
pub use waiting::let_wait;
pub use watched::Watched;
