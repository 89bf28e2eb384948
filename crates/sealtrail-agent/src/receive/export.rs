//! What happens to a request once it is read, the same for both protocols.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::answer::{Code, Refusal};
use super::body::{Payload, ReadError};
use super::digest::RequestKey;
use crate::config::Acknowledge;
use crate::otlp::{Encoding, Reason};
use crate::progress::{Fate, Progress};
use crate::seal::{Deferred, Intake, Received, RequestStub, Verdict};
use crate::status::{Counter, Status};
use sealtrail_env::{Environment, Memory};

/// An answer comes within this: OTel SDKs give up after 10 s.
pub(crate) const ANSWER_WITHIN: Duration = Duration::from_secs(8);

/// When a client told to come again should do so.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The same, where what is in the way takes longer to pass: the ledger is away.
const RETRY_AFTER_LONG: Duration = Duration::from_secs(5);

/// A stub is left of it, and the client does not send it again.
const TOO_LARGE: &str = "request is too large, expected at most 4 MiB over gRPC and 20 MiB over HTTP, decompressed: it was \
                         not taken, set the exporter to send fewer records at once";

const CORRUPT: &str = "request is not framed or compressed as its headers say: it was not taken, look at the exporter's \
                       compression and at proxies in between";

/// A warning in OTLP's sense: success, nothing rejected, and something to read.
const NO_RECORD: &str = "request holds no log record in a place that OTLP knows: nothing was recorded, see that the \
                         exporter sends logs, in JSON as `resourceLogs`, `scopeLogs` and `logRecords`, spelled so";

/// What success means at present.
#[derive(Clone, Debug, Default)]
pub(crate) struct Answering(Arc<AtomicBool>);

impl Answering {
    /// From now on.
    pub(crate) fn set(&self, acknowledge: Acknowledge) {
        self.0.store(acknowledge == Acknowledge::Committed, Ordering::Relaxed);
    }

    fn get(&self) -> Acknowledge {
        if self.0.load(Ordering::Relaxed) { Acknowledge::Committed } else { Acknowledge::Sealed }
    }
}

/// The receiver's side of the pipeline.
#[derive(Clone, Debug)]
pub(crate) struct Exporter {
    pub(crate) env: Environment,
    pub(crate) key: RequestKey,
    pub(crate) intake: Intake,
    pub(crate) progress: Progress,
    pub(crate) status: Status,
    pub(crate) answering: Answering,
    pub(crate) memory: Memory,
}

/// What to answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Success, perhaps with a warning, and how many records were dropped for good.
    Accepted(Option<String>, u64),
    /// 400, INVALID_ARGUMENT.
    Invalid(String),
    /// 413, RESOURCE_EXHAUSTED without RetryInfo.
    TooLarge(String),
    /// 503, UNAVAILABLE, with the time to come again.
    Deferred(Deferred),
    /// The body broke off. Mostly nobody is there to hear it; whoever is should come again.
    Gone,
}

impl Outcome {
    /// The status that tells a refusal.
    pub(crate) fn refusal(&self) -> Option<Refusal> {
        match self {
            Self::Accepted(..) => None,
            Self::Gone => Some(Refusal {
                code: Code::Unavailable,
                message: "the request broke off: nothing was taken, send it again".to_owned(),
                retry_after: Some(RETRY_AFTER),
            }),
            Self::Invalid(message) => Some(Refusal::final_(Code::InvalidArgument, message)),
            Self::TooLarge(message) => Some(Refusal::final_(Code::ResourceExhausted, message)),
            Self::Deferred(why) => {
                let after = match why {
                    Deferred::NotReady | Deferred::OutboxFull => RETRY_AFTER_LONG,
                    Deferred::Busy | Deferred::Slow | Deferred::Late | Deferred::Lost => RETRY_AFTER,
                };
                Some(Refusal { code: Code::Unavailable, message: why.to_string(), retry_after: Some(after) })
            }
        }
    }
}

impl Exporter {
    /// Whether a request may come at all; asked before its body is read.
    pub(crate) fn check(&self) -> Result<(), Outcome> {
        self.intake.check().map_err(|why| self.count(Outcome::Deferred(why)))
    }

    /// Takes a request that was read, or could not be, and waits until it is safe.
    pub(crate) async fn export(
        &self,
        encoding: Encoding,
        read: Result<Payload, ReadError>,
        deadline: Instant,
    ) -> Outcome {
        let outcome = match read {
            Ok(payload) => self.take(encoding, payload, deadline).await,
            Err(ReadError::TooLarge(length)) => {
                let message = TOO_LARGE.to_owned();
                self.stub(length, Reason::TooLarge, Outcome::TooLarge(message))
            }
            Err(ReadError::Corrupt(length)) => {
                let message = CORRUPT.to_owned();
                self.stub(length, Reason::Malformed, Outcome::Invalid(message))
            }
            Err(ReadError::Busy) => Outcome::Deferred(Deferred::Busy),
            Err(ReadError::Slow) => Outcome::Deferred(Deferred::Slow),
            Err(ReadError::Gone) => Outcome::Gone,
        };
        self.count(outcome)
    }

    async fn take(&self, encoding: Encoding, payload: Payload, deadline: Instant) -> Outcome {
        let received = Received {
            encoding,
            digest: self.key.digest(encoding, &payload.bytes),
            bytes: payload.bytes,
            received_at_ns: self.env.clock.wall_ns(),
            _permit: payload.permit,
        };
        let verdict = match self.intake.offer(received) {
            Ok(verdict) => verdict,
            Err(why) => return Outcome::Deferred(why),
        };
        match timeout_at(deadline, verdict).await {
            Err(_) => Outcome::Deferred(Deferred::Late),
            Ok(Err(_)) => Outcome::Deferred(Deferred::NotReady),
            Ok(Ok(Verdict::Deferred(why))) => Outcome::Deferred(why),
            Ok(Ok(Verdict::NoRecord)) => {
                self.status.count(Counter::RequestsWithoutRecords, 1);
                Outcome::Accepted(Some(NO_RECORD.to_owned()), 0)
            }
            Ok(Ok(Verdict::Unparseable)) => Outcome::Invalid(unparseable(encoding)),
            Ok(Ok(Verdict::Accepted { ordinal, stubs, dropped })) => {
                let fate = match ordinal {
                    Some(ordinal) => {
                        timeout_at(deadline, self.progress.wait(ordinal, self.answering.get())).await
                    }
                    None => Ok(Fate::Safe),
                };
                match fate {
                    Ok(Fate::Safe) => Outcome::Accepted(warning(stubs, dropped), dropped),
                    Ok(Fate::Lost) => Outcome::Deferred(Deferred::Lost),
                    Err(_) => Outcome::Deferred(Deferred::Late),
                }
            }
        }
    }

    fn stub(&self, length: u64, reason: Reason, outcome: Outcome) -> Outcome {
        let received_at_ns = self.env.clock.wall_ns();
        match self.intake.offer_stub(RequestStub { length, reason, received_at_ns }) {
            Ok(()) => outcome,
            Err(why) => Outcome::Deferred(why),
        }
    }

    fn count(&self, outcome: Outcome) -> Outcome {
        let counter = match &outcome {
            Outcome::Accepted(..) => Counter::RequestsAccepted,
            Outcome::Invalid(_) | Outcome::TooLarge(_) => Counter::RequestsRejected,
            Outcome::Deferred(_) => Counter::RequestsDeferred,
            Outcome::Gone => return outcome,
        };
        self.status.count(counter, 1);
        outcome
    }
}

fn unparseable(encoding: Encoding) -> String {
    let form = match encoding {
        Encoding::Protobuf => "protobuf",
        Encoding::Json => "JSON",
    };
    format!(
        "request is not an ExportLogsServiceRequest in {form}: it was not taken, see that the exporter sends logs, in the \
         form that its content type says"
    )
}

fn warning(stubs: u64, dropped: u64) -> Option<String> {
    let some = |count: u64, one: &str, many: &str| match count {
        0 => None,
        1 => Some(format!("1 record {one}")),
        count => Some(format!("{count} records {many}")),
    };
    let parts = [
        some(
            stubs,
            "could not be mapped and is sealed as a stub",
            "could not be mapped and are sealed as stubs",
        ),
        some(dropped, "was dropped and counted", "were dropped and counted"),
    ];
    let text = parts.into_iter().flatten().collect::<Vec<_>>().join("; ");
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_says_what_was_wrong_and_what_to_do_in_one_header() {
        let deferred = [
            Deferred::NotReady,
            Deferred::OutboxFull,
            Deferred::Busy,
            Deferred::Slow,
            Deferred::Late,
            Deferred::Lost,
        ];
        let encodings = [Encoding::Protobuf, Encoding::Json];
        let outcomes = deferred.into_iter().map(Outcome::Deferred).chain([
            Outcome::Gone,
            Outcome::TooLarge(TOO_LARGE.to_owned()),
            Outcome::Invalid(CORRUPT.to_owned()),
        ]);
        for outcome in outcomes.chain(encodings.map(|encoding| Outcome::Invalid(unparseable(encoding)))) {
            let refusal = outcome.refusal().unwrap();
            let (wrong, advice) = refusal.message.split_once(": ").unwrap();
            assert!(!wrong.is_empty() && refusal.message.len() <= 256, "{refusal:?}");
            assert_eq!(advice.contains("send it again"), refusal.retry_after.is_some(), "{refusal:?}");
        }
    }
}
