//! Work that blocks, kept off the threads that serve others.

use tokio::runtime::{Handle, RuntimeFlavor};

/// Runs what blocks or takes long on a thread for such work; `None` where that broke off. A runtime of one thread serves
/// nobody else and keeps an order of its own, so there the work is done in its place.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    if Handle::current().runtime_flavor() == RuntimeFlavor::CurrentThread {
        return Some(work());
    }
    tokio::task::spawn_blocking(work).await.ok()
}
