//! Counters, as plain atomics, and their Prometheus text form.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::refusal::Class;

/// Upper bounds of the commit time buckets, in µs: from a fast disk's sync to one that is in trouble.
const COMMIT_BUCKETS_US: [u64; 9] = [250, 500, 1_000, 2_500, 5_000, 10_000, 50_000, 250_000, 1_000_000];

/// What the ledger counts.
#[derive(Debug)]
pub(crate) struct Metrics {
    admitted: AtomicU64,
    repeated: AtomicU64,
    records: AtomicU64,
    stored_bytes: AtomicU64,
    refused: [AtomicU64; Class::ALL.len()],
    commits: AtomicU64,
    commit_us: AtomicU64,
    commit_buckets: [AtomicU64; COMMIT_BUCKETS_US.len()],
    pub(crate) connections: AtomicU64,
    pub(crate) connections_refused: AtomicU64,
    pub(crate) connections_flooding: AtomicU64,
    pub(crate) requests: AtomicU64,
    pub(crate) publish_failures: AtomicU64,
    pub(crate) quarantine_dropped: AtomicU64,
    pub(crate) refusals_unrecorded: AtomicU64,
    pub(crate) control_records_dropped: AtomicU64,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            admitted: AtomicU64::default(),
            repeated: AtomicU64::default(),
            records: AtomicU64::default(),
            stored_bytes: AtomicU64::default(),
            refused: [const { AtomicU64::new(0) }; Class::ALL.len()],
            commits: AtomicU64::default(),
            commit_us: AtomicU64::default(),
            commit_buckets: [const { AtomicU64::new(0) }; COMMIT_BUCKETS_US.len()],
            connections: AtomicU64::default(),
            connections_refused: AtomicU64::default(),
            connections_flooding: AtomicU64::default(),
            requests: AtomicU64::default(),
            publish_failures: AtomicU64::default(),
            quarantine_dropped: AtomicU64::default(),
            refusals_unrecorded: AtomicU64::default(),
            control_records_dropped: AtomicU64::default(),
        }
    }
}

impl Metrics {
    pub(crate) fn add(counter: &AtomicU64, count: u64) {
        counter.fetch_add(count, Ordering::Relaxed);
    }

    pub(crate) fn committed(&self, took: Duration) {
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        Self::add(&self.commits, 1);
        Self::add(&self.commit_us, us);
        for (bound, bucket) in COMMIT_BUCKETS_US.iter().zip(&self.commit_buckets) {
            if us <= *bound {
                Self::add(bucket, 1);
            }
        }
    }

    pub(crate) fn admitted(&self, again: bool) {
        Self::add(if again { &self.repeated } else { &self.admitted }, 1);
    }

    pub(crate) fn content(&self, records: u64, stored_bytes: u64) {
        Self::add(&self.records, records);
        Self::add(&self.stored_bytes, stored_bytes);
    }

    pub(crate) fn refused(&self, class: Class) {
        if let Some(counter) = self.refused.get(class as usize) {
            Self::add(counter, 1);
        }
    }

    pub(crate) fn refusals(&self, class: Class) -> u64 {
        self.refused.get(class as usize).map_or(0, |counter| counter.load(Ordering::Relaxed))
    }

    /// Statements entered, and statements that stood there before.
    pub(crate) fn statements(&self) -> (u64, u64) {
        (self.admitted.load(Ordering::Relaxed), self.repeated.load(Ordering::Relaxed))
    }

    /// The Prometheus text form; `gauges` are values that others know.
    pub(crate) fn render(&self, gauges: &[(&str, &str, u64)]) -> String {
        let mut text = String::new();
        let plain = [
            ("sealtrail_statements_admitted_total", "Statements entered", &self.admitted),
            ("sealtrail_statements_repeated_total", "Statements that stood there before", &self.repeated),
            ("sealtrail_records_total", "Records in entered batches", &self.records),
            ("sealtrail_stored_bytes_total", "Bytes of stored bodies entered", &self.stored_bytes),
            ("sealtrail_connections_total", "Connections accepted", &self.connections),
            ("sealtrail_connections_refused_total", "Connections over the cap", &self.connections_refused),
            (
                "sealtrail_connections_flooding_total",
                "Connections ended because frames kept coming that ask for nothing",
                &self.connections_flooding,
            ),
            ("sealtrail_requests_total", "HTTP requests", &self.requests),
            ("sealtrail_publish_failures_total", "Failed attempts to publish", &self.publish_failures),
            ("sealtrail_quarantine_dropped_total", "Refused statements not kept", &self.quarantine_dropped),
            (
                "sealtrail_refusals_unrecorded_total",
                "Refusals beyond what the control trail takes",
                &self.refusals_unrecorded,
            ),
            (
                "sealtrail_control_records_dropped_total",
                "Control records that waited too long for room",
                &self.control_records_dropped,
            ),
        ];
        for (name, help, counter) in plain {
            let value = counter.load(Ordering::Relaxed);
            // Writing to a string does not fail.
            let _ = writeln!(text, "# HELP {name} {help}.\n# TYPE {name} counter\n{name} {value}");
        }
        for (name, help, value) in gauges {
            let _ = writeln!(text, "# HELP {name} {help}.\n# TYPE {name} gauge\n{name} {value}");
        }
        self.render_refusals(&mut text);
        self.render_commits(&mut text);
        text
    }

    fn render_refusals(&self, text: &mut String) {
        let name = "sealtrail_refused_total";
        let _ = writeln!(text, "# HELP {name} Requests and statements not taken.\n# TYPE {name} counter");
        for class in Class::ALL {
            let _ = writeln!(text, "{name}{{class=\"{}\"}} {}", class.as_str(), self.refusals(*class));
        }
    }

    fn render_commits(&self, text: &mut String) {
        let name = "sealtrail_commit_seconds";
        let _ = writeln!(text, "# HELP {name} Time from write to signed head.\n# TYPE {name} histogram");
        for (bound, bucket) in COMMIT_BUCKETS_US.iter().zip(&self.commit_buckets) {
            let seconds = Duration::from_micros(*bound).as_secs_f64();
            let _ = writeln!(text, "{name}_bucket{{le=\"{seconds}\"}} {}", bucket.load(Ordering::Relaxed));
        }
        let count = self.commits.load(Ordering::Relaxed);
        let sum = Duration::from_micros(self.commit_us.load(Ordering::Relaxed)).as_secs_f64();
        let _ =
            writeln!(text, "{name}_bucket{{le=\"+Inf\"}} {count}\n{name}_sum {sum}\n{name}_count {count}");
    }
}
