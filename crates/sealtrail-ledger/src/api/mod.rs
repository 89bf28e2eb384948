//! The HTTP interface (`docs/spec/08-api.md`).

mod app;
mod body;
mod files;
mod problem;
mod routes;
mod server;
mod statements;
mod status;
mod wire;

pub(crate) use app::App;
pub(crate) use body::BodyReader;
pub(crate) use routes::router;
pub use routes::{OPENAPI, RouteInfo, route_list};
pub use server::ServeError;
pub(crate) use server::{Limits, serve};
pub use status::{SilentInstance, Status, TrailStatus};
