//! What can be checked of a batch without its neighbours: signature, body, lines. Runs on worker threads.

use std::sync::Arc;

use sealtrail_core::body::{BodyError, BodyKey, Decompressor, STUBS_MAX, check_stored, open, split_lines};
use sealtrail_core::key::PublicKey;
use sealtrail_core::line::check;
use sealtrail_core::statement::{BatchClaims, Claims, Statement, StatementError, UnverifiedStatement};

use crate::Class;
use crate::control::ControlEvent;

/// A batch whose body was found to be the signed one, for those who read records.
#[derive(Debug)]
pub struct BatchView<'a> {
    /// Leaf index of its entry.
    pub entry: u64,
    /// The statement.
    pub statement: &'a Statement,
    /// Its claims.
    pub claims: &'a BatchClaims,
    /// The plain body: header, context and record lines, each with its newline. Empty where there is none.
    pub plain: &'a [u8],
}

/// One batch to check.
pub(crate) struct Job {
    pub(crate) statement: UnverifiedStatement,
    pub(crate) key: Arc<PublicKey>,
    pub(crate) body: Option<Vec<u8>>,
    /// Whether control events are to be read.
    pub(crate) control: bool,
    /// Whether the plain body is wanted.
    pub(crate) keep: bool,
}

/// What came out.
pub(crate) enum Checked {
    /// The signature does not hold.
    BadSignature(String),
    /// It does.
    Signed(Box<Content>),
}

/// A signed batch and what its body holds.
pub(crate) struct Content {
    pub(crate) statement: Statement,
    /// What is wrong with the body: the one finding of 6.7's first list.
    pub(crate) error: Option<(Class, String)>,
    /// Counts, where the lines were read.
    pub(crate) lines: Option<Lines>,
    pub(crate) encrypted: bool,
    pub(crate) events: Vec<ControlEvent>,
    pub(crate) plain: Vec<u8>,
}

/// What the lines of a body sum up to.
#[derive(Clone, Copy, Default)]
pub(crate) struct Lines {
    pub(crate) stubs: u64,
    pub(crate) redacted: u64,
    pub(crate) bytes: u64,
}

impl Job {
    pub(crate) fn run(self, decompressor: &mut Decompressor, keys: &[BodyKey]) -> Checked {
        let statement = match self.statement.verify(&*self.key) {
            Ok(statement) => statement,
            Err(error) => return Checked::BadSignature(reason(&error)),
        };
        let mut content = Content {
            statement,
            error: None,
            lines: None,
            encrypted: false,
            events: Vec::new(),
            plain: Vec::new(),
        };
        if let Claims::Batch(claims) = content.statement.claims().clone() {
            let stored = self.body.as_deref();
            if let Err(error) = content.check(&claims, stored, self.control, self.keep, decompressor, keys) {
                content.error = Some(error);
            }
        }
        Checked::Signed(Box::new(content))
    }
}

fn reason(error: &StatementError) -> String {
    error.to_string()
}

impl Content {
    fn check(
        &mut self,
        claims: &BatchClaims,
        stored: Option<&[u8]>,
        control: bool,
        keep: bool,
        decompressor: &mut Decompressor,
        keys: &[BodyKey],
    ) -> Result<(), (Class, String)> {
        if claims.stored_length == 0 && stored.is_some() {
            return Err((Class::SegmentMalformed, "a body stands before a batch without one".to_owned()));
        }
        check_stored(claims, stored.unwrap_or_default()).map_err(class)?;
        let Some(stored) = stored else {
            self.lines = Some(Lines::default());
            return Ok(());
        };
        let key = claims.encryption.and_then(|e| keys.iter().find(|key| key.id() == e.key_id));
        if claims.encryption.is_some() && key.is_none() {
            self.encrypted = true;
            return Ok(());
        }
        let opened = open(claims, stored, key, decompressor).map_err(class)?;
        let lines = check_lines(claims, opened.plain)?;
        self.lines = Some(lines);
        if control {
            self.events = ControlEvent::read(opened.plain, claims.context_count);
        }
        if keep {
            self.plain = opened.plain.to_vec();
        }
        Ok(())
    }
}

fn check_lines(claims: &BatchClaims, plain: &[u8]) -> Result<Lines, (Class, String)> {
    let form =
        |leaf: usize, error: check::LineError| (Class::LineForm, format!("line of leaf `{leaf}`: {error}"));
    let mut counted = Lines::default();
    let mut contexts = Vec::with_capacity(claims.context_count as usize);
    for (leaf, line) in split_lines(plain).enumerate().skip(1) {
        counted.bytes += line.len() as u64;
        if contexts.len() < claims.context_count as usize {
            contexts.push(check::context(line).map_err(|error| form(leaf, error))?);
            continue;
        }
        let record = check::record(line, &contexts).map_err(|error| form(leaf, error))?;
        counted.stubs += u64::from(record.stub);
        counted.redacted += u64::from(record.redacted);
    }
    if counted.stubs > u64::from(STUBS_MAX) {
        return Err((
            Class::LineForm,
            format!("`{}` stubs, at most `{STUBS_MAX}` are allowed", counted.stubs),
        ));
    }
    Ok(counted)
}

fn class(error: BodyError) -> (Class, String) {
    let class = match &error {
        BodyError::Missing => Class::BodyMissing,
        BodyError::StoredHash { .. } => Class::StoredHashMismatch,
        BodyError::Decrypt | BodyError::Frame(_) | BodyError::Unterminated => Class::BodyMalformed,
        BodyError::Count { .. } => Class::CountMismatch,
        BodyError::Header(_) | BodyError::HeaderLength => Class::LineForm,
        BodyError::RecordRoot => Class::RecordRootMismatch,
    };
    (class, error.to_string())
}
