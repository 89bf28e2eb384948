//! Control records on their way into the control trail.

use std::sync::Arc;

use crate::metrics::Metrics;

use super::Record;

/// Most records in one control batch: at under 1 KiB each they stay far below the plain body's 8 MiB.
const RECORDS_MAX: usize = 1024;

/// Most records held while the disk is full. Beyond, the oldest stay, and of new ones only the number.
const PENDING_MAX: usize = 65_536;

/// Records that wait for a batch.
pub(crate) struct Pending {
    records: Vec<Record>,
    dropped: u64,
    metrics: Arc<Metrics>,
}

/// What goes into one batch.
pub(super) struct Taken {
    pub(super) records: Vec<Record>,
    /// Whether nothing waits behind them.
    pub(super) last: bool,
}

impl Pending {
    pub(crate) fn new(metrics: Arc<Metrics>) -> Self {
        Self { records: Vec::new(), dropped: 0, metrics }
    }

    pub(super) fn push(&mut self, record: Record) {
        if self.records.len() < PENDING_MAX {
            self.records.push(record);
        } else {
            self.dropped += 1;
            Metrics::add(&self.metrics.control_records_dropped, 1);
        }
    }

    /// The oldest records, as many as a batch takes; behind the last of them the number of those that were dropped.
    pub(super) fn next(&self) -> Taken {
        let mut records: Vec<Record> = self.records.iter().take(RECORDS_MAX).cloned().collect();
        let last = records.len() == self.records.len();
        if last && self.dropped > 0 {
            records.push(Record::RecordsDropped { count: self.dropped });
        }
        Taken { records, last }
    }

    /// These are in the trail.
    pub(super) fn remove(&mut self, taken: &Taken) {
        self.records.drain(..taken.records.len().min(self.records.len()));
        if taken.last {
            self.dropped = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Found in a review: what did not fit was dropped, and nobody counted it.
    #[test]
    fn records_that_are_dropped_are_counted_in_the_trail() {
        let mut pending = Pending::new(Arc::default());
        for _ in 0..PENDING_MAX + 7 {
            pending.push(Record::LedgerStopped);
        }
        let (mut records, mut batches) = (Vec::new(), 0);
        loop {
            let taken = pending.next();
            pending.remove(&taken);
            batches += 1;
            let last = taken.last;
            records.extend(taken.records);
            if last {
                break;
            }
        }
        assert_eq!((records.len(), batches), (PENDING_MAX + 1, PENDING_MAX / RECORDS_MAX));
        assert_eq!(records.pop(), Some(Record::RecordsDropped { count: 7 }));
        let text = pending.metrics.render(&[]);
        assert!(text.contains("sealtrail_control_records_dropped_total 7"), "{text}");
        pending.push(Record::LedgerStopped);
        assert_eq!(pending.next().records, [Record::LedgerStopped]);
    }
}
