//! The receiver's listeners, bound before anything is read or written.

use std::net::{SocketAddr, TcpListener};

use crate::agent::StartError;
use crate::config::OtlpConfig;

/// Listeners for OTLP, bound but not yet served: a client that connects waits.
#[derive(Debug)]
pub struct Listeners {
    pub(crate) grpc: TcpListener,
    pub(crate) http: TcpListener,
}

impl Listeners {
    /// Binds the addresses of a configuration.
    ///
    /// # Errors
    /// [`StartError::Config`]: an address that other machines reach, and that was not allowed; [`StartError::Listen`]: it is
    /// taken, or not this machine's.
    pub fn bind(config: &OtlpConfig) -> Result<Self, StartError> {
        config.check()?;
        Ok(Self { grpc: listen(config.grpc)?, http: listen(config.http)? })
    }

    /// The addresses of gRPC and HTTP, with the ports that the system chose.
    pub(crate) fn addresses(&self) -> Result<(SocketAddr, SocketAddr), StartError> {
        let address = |listener: &TcpListener| listener.local_addr().map_err(StartError::System);
        Ok((address(&self.grpc)?, address(&self.http)?))
    }
}

fn listen(address: SocketAddr) -> Result<TcpListener, StartError> {
    let failed = |source| StartError::Listen { address, source };
    let listener = TcpListener::bind(address).map_err(failed)?;
    listener.set_nonblocking(true).map_err(failed)?;
    sealtrail_env::let_wait(&listener).map_err(failed)?;
    Ok(listener)
}
