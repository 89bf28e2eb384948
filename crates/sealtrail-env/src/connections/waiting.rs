//! The system's queue of connections that were not accepted yet.

use std::io;
use std::os::fd::AsFd;

/// As many as there are places. The standard library asks for 128, which a flood fills between two turns of the task that
/// accepts; whoever finds the queue full is not told, and its system tries again a second later.
const WAITING_MAX: i32 = 1024;

/// Lets as many connections wait at a listener as it has places, so far as the system allows.
///
/// # Errors
/// Of `listen(2)`.
pub fn let_wait(listener: impl AsFd) -> io::Result<()> {
    Ok(rustix::net::listen(listener, WAITING_MAX)?)
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_crowd_that_connects_at_once_is_let_in() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let_wait(&listener).unwrap();
        let address = listener.local_addr().unwrap();
        // Nobody accepts meanwhile.
        let crowd: Vec<_> =
            (0..400).map(|_| TcpStream::connect_timeout(&address, Duration::from_millis(500))).collect();
        assert!(crowd.iter().all(Result::is_ok));
    }
}
