//! How a command fails: an exit code, what was wrong, what to do.

use std::fmt::Display;
use std::process::ExitCode;

/// A command that could not do its work.
#[derive(Debug)]
pub(crate) struct Failure {
    code: u8,
    message: String,
    hint: Option<String>,
}

/// Could not check, could not run.
pub(crate) const COULD_NOT: u8 = 2;

/// Wrong usage.
pub(crate) const USAGE: u8 = 64;

impl Failure {
    /// Could not do it: exit 2.
    pub(crate) fn new(message: impl Display) -> Self {
        Self { code: COULD_NOT, message: message.to_string(), hint: None }
    }

    /// Wrong usage: exit 64.
    pub(crate) fn usage(message: impl Display) -> Self {
        Self { code: USAGE, message: message.to_string(), hint: None }
    }

    /// From an error and all its causes.
    pub(crate) fn from_error(error: &dyn std::error::Error) -> Self {
        let mut message = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            message = format!("{message}: {cause}");
            source = cause.source();
        }
        Self::new(message)
    }

    /// Adds what to do.
    pub(crate) fn hint(mut self, hint: impl Display) -> Self {
        self.hint = Some(hint.to_string());
        self
    }

    /// Tells the user and gives the exit code.
    #[expect(clippy::print_stderr, reason = "the command line speaks to its user here")]
    pub(crate) fn report(&self) -> ExitCode {
        eprintln!("error: {}", self.message);
        if let Some(hint) = &self.hint {
            eprintln!("hint: {hint}");
        }
        ExitCode::from(self.code)
    }
}
