//! The listeners of `sealtrail dev`, bound before anything is created: an address that cannot be had leaves nothing behind.

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpListener};

use sealtrail_agent::{ConfigError, Listeners, OtlpConfig, StartError};

use crate::failure::Failure;

/// Listeners of ledger and agent.
pub(crate) struct Listening {
    pub(crate) ledger: TcpListener,
    pub(crate) agent: Listeners,
}

impl Listening {
    pub(crate) fn bind(ledger: &sealtrail_ledger::Config, otlp: &OtlpConfig) -> Result<Self, Failure> {
        ledger.check().map_err(|error| {
            Failure::from_error(&error).hint("keep the ledger on --listen 127.0.0.1:7600")
        })?;
        let agent = Listeners::bind(otlp).map_err(|error| match &error {
            StartError::Config(ConfigError::Remote { .. }) => {
                Failure::from_error(&error).hint("here that is --otlp-allow-remote; or listen on 127.0.0.1")
            }
            StartError::Listen { address, source } => {
                let flag = if *address == otlp.grpc { "--otlp-grpc" } else { "--otlp-http" };
                hinted(Failure::from_error(&error), source, *address, flag)
            }
            _ => Failure::from_error(&error),
        })?;
        let refused = |source: io::Error| {
            let what = format!("cannot listen on `{}`: {source}", ledger.listen);
            hinted(Failure::new(what), &source, ledger.listen, "--listen")
        };
        let ledger_listener = TcpListener::bind(ledger.listen).map_err(refused)?;
        ledger_listener.set_nonblocking(true).map_err(refused)?;
        Ok(Self { ledger: ledger_listener, agent })
    }
}

/// Says what to do where an address cannot be had.
fn hinted(failure: Failure, source: &io::Error, address: SocketAddr, flag: &str) -> Failure {
    match source.kind() {
        ErrorKind::AddrInUse => failure.hint(format!(
            "another program has it, perhaps another `sealtrail dev` or a collector; any free port: {flag} {}:0",
            address.ip()
        )),
        _ => failure.hint(format!("an address of this machine, any free port: {flag} 127.0.0.1:0")),
    }
}
