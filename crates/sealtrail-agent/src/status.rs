//! What the agent says about itself: state, troubles, counters, notices.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use sealtrail_core::name::Identity;

/// Notices kept for whoever asks: a screen or two. Older ones are forgotten; troubles and counters say the same.
const NOTICES_MAX: usize = 256;

/// Where the agent is in its life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Sending what an earlier process left in the outbox.
    #[default]
    Draining,
    /// Asking the ledger to begin an epoch.
    Opening,
    /// Taking records.
    Ready,
    /// Closing its epoch and sending the rest.
    Closing,
    /// Ended.
    Stopped,
}

/// How much a notice matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Good to know.
    Info,
    /// Somebody should look.
    Warning,
    /// Something promised is not being kept.
    Error,
}

/// One thing that happened, for the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// How much it matters.
    pub level: Level,
    /// What happened, in one line.
    pub text: String,
}

/// The counters, each since the process began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counter {
    /// Requests answered with success.
    RequestsAccepted,
    /// Those among them that held no record, though they were not empty.
    RequestsWithoutRecords,
    /// Requests told to come again.
    RequestsDeferred,
    /// Requests that cannot be taken: malformed or too large.
    RequestsRejected,
    /// Connections turned away because there were too many.
    ConnectionsRefused,
    /// Connections ended because nothing came.
    ConnectionsIdle,
    /// Connections ended because their clients kept sending what asks for nothing.
    ConnectionsFlooding,
    /// Batches sealed, heartbeats included.
    BatchesSealed,
    /// Batches with a verified receipt.
    BatchesCommitted,
    /// Batches that the ledger refused for good.
    BatchesRefused,
    /// Records received in requests, resends included.
    RecordsReceived,
    /// Record lines sealed.
    RecordsSealed,
    /// Records given up.
    RecordsDropped,
    /// Records of resends.
    RecordsResent,
    /// Stub lines sealed.
    RecordsStubbed,
    /// Lines touched by redaction.
    RecordsRedacted,
    /// Calls to the ledger that failed or went unanswered.
    LedgerCallsFailed,
    /// Answers of the ledger that did not hold: a proof, a signature, a form.
    LedgerAnswersInvalid,
}

const COUNTERS: [(Counter, &str, &str); 18] = [
    (Counter::RequestsAccepted, "requests_accepted", "OTLP requests answered with success"),
    (
        Counter::RequestsWithoutRecords,
        "requests_without_records",
        "OTLP requests answered with success and a warning: not empty, but without a record",
    ),
    (Counter::RequestsDeferred, "requests_deferred", "OTLP requests told to come again"),
    (Counter::RequestsRejected, "requests_rejected", "OTLP requests malformed or too large"),
    (
        Counter::ConnectionsRefused,
        "connections_refused",
        "Connections turned away because there were too many",
    ),
    (Counter::ConnectionsIdle, "connections_idle", "Connections ended because nothing came"),
    (
        Counter::ConnectionsFlooding,
        "connections_flooding",
        "Connections ended because frames kept coming that ask for nothing",
    ),
    (Counter::BatchesSealed, "batches_sealed", "Batches sealed, heartbeats included"),
    (Counter::BatchesCommitted, "batches_committed", "Batches with a verified receipt"),
    (Counter::BatchesRefused, "batches_refused", "Batches that the ledger refused"),
    (Counter::RecordsReceived, "records_received", "Records received, resends included"),
    (Counter::RecordsSealed, "records_sealed", "Record lines sealed"),
    (Counter::RecordsDropped, "records_dropped", "Records given up"),
    (Counter::RecordsResent, "records_resent", "Records of requests recognised as resends"),
    (Counter::RecordsStubbed, "records_stubbed", "Stub lines sealed"),
    (Counter::RecordsRedacted, "records_redacted", "Record lines touched by redaction"),
    (Counter::LedgerCallsFailed, "ledger_calls_failed", "Calls to the ledger that failed or went unanswered"),
    (Counter::LedgerAnswersInvalid, "ledger_answers_invalid", "Answers of the ledger that did not hold"),
];

/// The agent's state at one moment.
#[derive(Clone, Debug, Default, serde::Serialize)]
pub struct Snapshot {
    /// Where it is in its life.
    pub phase: Phase,
    /// Its epoch, hex, once it has one.
    pub epoch: Option<String>,
    /// What is wrong at present, by part: `ledger`, `receipt`, `refused`, `history`, `overdue`, `outbox`.
    pub troubles: BTreeMap<String, String>,
    /// Bytes in the outbox without a receipt.
    pub outbox_pending_bytes: u64,
    /// Batches in the outbox without a receipt.
    pub outbox_pending_batches: u64,
    /// Counters by name.
    pub counters: BTreeMap<String, u64>,
}

impl Snapshot {
    /// One counter.
    #[must_use]
    pub fn counter(&self, counter: Counter) -> u64 {
        let name = COUNTERS.iter().find(|(c, ..)| *c == counter).map(|(_, name, _)| *name);
        name.and_then(|name| self.counters.get(name)).copied().unwrap_or_default()
    }

    /// Prometheus text exposition.
    #[must_use]
    pub fn prometheus(&self) -> String {
        let mut text = String::new();
        for (_, name, help) in COUNTERS {
            let value = self.counters.get(name).copied().unwrap_or_default();
            // Writing to a string cannot fail.
            let _ = write!(
                text,
                "# HELP sealtrail_agent_{name}_total {help}.\n# TYPE sealtrail_agent_{name}_total counter\nsealtrail_agent_{name}_total {value}\n"
            );
        }
        let ready = u8::from(self.phase == Phase::Ready);
        let mut gauge = |name: &str, help: &str, value: u64| {
            let _ = write!(
                text,
                "# HELP sealtrail_agent_{name} {help}.\n# TYPE sealtrail_agent_{name} gauge\nsealtrail_agent_{name} {value}\n"
            );
        };
        gauge("ready", "Whether records are taken", ready.into());
        gauge("outbox_pending_bytes", "Bytes in the outbox without a receipt", self.outbox_pending_bytes);
        gauge(
            "outbox_pending_batches",
            "Batches in the outbox without a receipt",
            self.outbox_pending_batches,
        );
        text.push_str("# HELP sealtrail_agent_trouble What is wrong at present.\n# TYPE sealtrail_agent_trouble gauge\n");
        for part in ["ledger", "receipt", "refused", "history", "overdue", "outbox"] {
            let value = u8::from(self.troubles.contains_key(part));
            let _ = writeln!(text, "sealtrail_agent_trouble{{part=\"{part}\"}} {value}");
        }
        text
    }
}

#[derive(Debug, Default)]
struct Inner {
    phase: Phase,
    epoch: Option<Identity>,
    troubles: BTreeMap<String, String>,
    notices: VecDeque<Notice>,
}

#[derive(Debug, Default)]
struct Shared {
    inner: Mutex<Inner>,
    counters: [AtomicU64; COUNTERS.len()],
}

/// Shared by all parts of a running agent.
#[derive(Clone, Debug, Default)]
pub struct Status(Arc<Shared>);

impl Status {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        // Whoever panicked while holding it left plain values behind.
        self.0.inner.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Adds to a counter.
    pub(crate) fn count(&self, counter: Counter, by: u64) {
        if let Some(cell) = self.0.counters.get(counter as usize) {
            cell.fetch_add(by, Ordering::Relaxed);
        }
    }

    /// Enters a phase.
    pub(crate) fn enter(&self, phase: Phase) {
        self.inner().phase = phase;
    }

    /// The present phase.
    #[must_use]
    pub fn phase(&self) -> Phase {
        self.inner().phase
    }

    /// Names the epoch.
    pub(crate) fn set_epoch(&self, epoch: Identity) {
        self.inner().epoch = Some(epoch);
    }

    /// Something is wrong with a part, until [`Self::clear`]. Tells the operator when it is new.
    pub(crate) fn trouble(&self, part: &'static str, text: String) {
        let mut inner = self.inner();
        if inner.troubles.get(part) != Some(&text) {
            push(&mut inner.notices, Level::Error, format!("{part}: {text}"));
            inner.troubles.insert(part.to_owned(), text);
        }
    }

    /// A part is well again.
    pub(crate) fn clear(&self, part: &'static str) {
        let mut inner = self.inner();
        if inner.troubles.remove(part).is_some() {
            push(&mut inner.notices, Level::Info, format!("{part}: well again"));
        }
    }

    /// Tells the operator something.
    pub(crate) fn notice(&self, level: Level, text: String) {
        push(&mut self.inner().notices, level, text);
    }

    /// Takes the notices since the last call, oldest first.
    #[must_use]
    pub fn take_notices(&self) -> Vec<Notice> {
        self.inner().notices.drain(..).collect()
    }

    /// The state now.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let inner = self.inner();
        let counters = COUNTERS.iter().zip(&self.0.counters);
        Snapshot {
            phase: inner.phase,
            epoch: inner.epoch.map(|epoch| hex::encode(epoch.0)),
            troubles: inner.troubles.clone(),
            outbox_pending_bytes: 0,
            outbox_pending_batches: 0,
            counters: counters
                .map(|((_, name, _), n)| ((*name).to_owned(), n.load(Ordering::Relaxed)))
                .collect(),
        }
    }
}

fn push(notices: &mut VecDeque<Notice>, level: Level, text: String) {
    if notices.len() >= NOTICES_MAX {
        notices.pop_front();
    }
    notices.push_back(Notice { level, text });
}
