//! Being asked to stop.

use tokio::signal::unix::{SignalKind, signal};

/// Ends when the process is asked to stop, by SIGTERM or SIGINT.
pub(crate) async fn stop_asked() {
    let Ok(mut terminate) = signal(SignalKind::terminate()) else { return };
    let Ok(mut interrupt) = signal(SignalKind::interrupt()) else { return };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}
