//! A ledger without threads of its own: its parts take their turns when the caller says so, and requests are handed in
//! without a listener. So a simulation decides on the order of everything, and can have the same order again. What takes
//! the turns is what [`Ledger`] runs.

use std::path::Path;
use std::sync::mpsc::{Receiver, sync_channel};

use axum::Router;
use axum::body::{Body, to_bytes};
use bytes::Bytes;
use http::{Request, StatusCode};
use tokio::sync::mpsc;
use tower::Service as _;

use crate::api::{Status, router};
use crate::config::Config;
use crate::control::{ControlError, ControlThread, Message};
use crate::env::Environment;
use crate::trail::{Command, Sequencer};

use super::open::{Ready, read_back};
use super::{Ledger, LedgerError};

/// A ledger whose parts are stepped. Dropped it is as if the process had been killed.
pub struct Stepped {
    ledger: Ledger,
    control: Option<(ControlThread, Receiver<Message>)>,
    sequencers: Vec<(Sequencer, mpsc::Receiver<Command>)>,
    router: Router,
}

impl std::fmt::Debug for Stepped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Stepped({:?})", self.ledger)
    }
}

impl Stepped {
    /// Opens a ledger as [`Ledger::open_with`] does.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub fn open(directory: &Path, config: Config, env: Environment) -> Result<Self, LedgerError> {
        let Ready { ledger, control, sequencers } = read_back(directory, config, env)?;
        let router = router(ledger.app.clone());
        Ok(Self { ledger, control: Some(control), sequencers, router })
    }

    /// Answers a request as the listener does. On a runtime of one thread, where the sequencers are stepped meanwhile.
    pub fn answer(
        &self,
        request: Request<Bytes>,
    ) -> impl Future<Output = (StatusCode, Bytes)> + Send + use<> {
        let answer = self.router.clone().call(request.map(Body::from));
        async move {
            let Ok(answer) = answer.await;
            let status = answer.status();
            match to_bytes(answer.into_body(), usize::MAX).await {
                Ok(body) => (status, body),
                // A body that breaks off is no answer.
                Err(_) => (StatusCode::BAD_GATEWAY, Bytes::new()),
            }
        }
    }

    /// Lets every trail's sequencer commit one group.
    pub fn step_trails(&mut self) {
        for (sequencer, commands) in &mut self.sequencers {
            if let Ok(first) = commands.try_recv() {
                sequencer.turn(first, commands);
            }
        }
    }

    /// Lets the control thread take one message and do what is due.
    pub fn step_control(&mut self) {
        let Some((control, messages)) = &mut self.control else { return };
        if !control.turn(messages.try_recv().ok()) {
            self.control = None;
        }
    }

    /// What the ledger is doing.
    #[must_use]
    pub fn status(&self) -> Status {
        self.ledger.status()
    }

    /// Closes as [`Ledger::close`] does.
    ///
    /// # Errors
    /// [`LedgerError`] where that could not be written.
    pub fn close(mut self) -> Result<(), LedgerError> {
        self.step_trails();
        for (mut sequencer, _) in self.sequencers {
            sequencer.writer.close();
        }
        let Some((mut control, messages)) = self.control else { return Err(ControlError::Gone.into()) };
        while let Ok(message) = messages.try_recv() {
            control.turn(Some(message));
        }
        let (reply, answer) = sync_channel(1);
        control.turn(Some(Message::Stop(reply)));
        Ok(answer.recv().map_err(|_| ControlError::Gone)??)
    }
}
