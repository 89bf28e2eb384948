//! A batch: its place in its epoch, its body, its totals and clock (`docs/spec/06-verification.md` 6.5, 6.7).

use std::io;

use sealtrail_core::statement::{BatchClaims, Claims};

use super::{Pending, SeenLater, TrailPass};
use crate::content::{BatchView, Checked, Content};
use crate::{Class, Finding};

impl TrailPass<'_, '_> {
    /// A batch that comes back from the workers, in order: the rest of 6.4, then 6.5 and 6.7.
    pub(super) fn batch(&mut self, pending: &Pending, checked: Option<Checked>) -> io::Result<()> {
        let at = |class, detail: String| Finding::new(class, detail).trail(self.trail).entry(pending.entry);
        let content = match checked {
            Some(Checked::Signed(content)) => content,
            Some(Checked::BadSignature(detail)) => {
                let finding = at(Class::BadSignature, detail);
                self.state.findings.add(finding);
                return Ok(());
            }
            None => return Err(io::Error::other("a verification thread died")),
        };
        let Claims::Batch(claims) = content.statement.claims().clone() else { return Ok(()) };
        let Some(epoch) = self.epochs.get_mut(&claims.epoch) else { return Ok(()) };
        let at = |class, detail: String| at(class, detail).epoch(claims.epoch).sequence(claims.sequence);
        let place = (&epoch.open.place.stream, &epoch.open.place.instance);
        if place != (&claims.place.stream, &claims.place.instance) {
            let detail = "stream or instance are not those of the epoch's open".to_owned();
            self.state.findings.add(at(Class::WrongStream, detail));
            return Ok(());
        }
        self.state.received(pending.received_ns);
        let placed = epoch.place(content.statement.identity(), &claims);
        let mut found = placed.findings;
        if let Some((class, detail)) = &content.error {
            found.push((*class, detail.clone()));
        }
        if placed.part {
            found.extend(epoch.compare(&claims, content.lines, placed.late, pending.received_ns));
            if epoch.superseded() {
                found.push((Class::Superseded, "its epoch was already succeeded by another".to_owned()));
            }
            if epoch.silence(pending.received_ns) {
                found.push((
                    Class::Silence,
                    "nothing was logged for more than three heartbeats before it".to_owned(),
                ));
            }
            let awaited = epoch.awaited.iter().find(|awaited| awaited.sequence == claims.sequence);
            if let Some(awaited) = awaited.filter(|awaited| awaited.identity != content.statement.identity())
            {
                let detail = format!("the open at entry `{}` named another batch", awaited.open_entry);
                found.push((Class::PredecessorMismatch, detail));
            }
        }
        found.into_iter().for_each(|(class, detail)| self.state.findings.add(at(class, detail)));
        if placed.part {
            self.seen(pending.entry, &claims, placed.late)?;
        }
        self.count(pending, &claims, &content, placed.part);
        Ok(())
    }

    fn seen(&mut self, entry: u64, claims: &BatchClaims, late: bool) -> io::Result<()> {
        let Some(hash) = claims.seen else { return Ok(()) };
        let state = &mut *self.state;
        let finding = |class, detail: &str| {
            Finding::new(class, detail)
                .trail(self.trail)
                .entry(entry)
                .epoch(claims.epoch)
                .sequence(claims.sequence)
        };
        let unknown =
            || finding(Class::SeenUnknown, "has seen a control checkpoint that is not this ledger's");
        let Some((size, root)) = state.notes.get(state.source, &state.policy, hash)? else {
            state.findings.add(unknown());
            return Ok(());
        };
        if self.control {
            self.seen_later.push(SeenLater { finding: unknown(), size, root });
        } else if state.contradicts(size, &root) {
            state.findings.add(unknown());
            return Ok(());
        }
        let Some(epoch) = self.epochs.get_mut(&claims.epoch).filter(|_| !late) else { return Ok(()) };
        if size < epoch.seen_size {
            state.findings.add(finding(Class::SeenBackwards, "has seen a smaller control trail than before"));
        }
        epoch.seen_size = epoch.seen_size.max(size);
        Ok(())
    }

    /// Counts what was covered; folds control records; shows the batch to whoever reads records.
    fn count(&mut self, pending: &Pending, claims: &BatchClaims, content: &Content, part: bool) {
        let state = &mut *self.state;
        let proven = self.epochs.get(&claims.epoch).is_some_and(|epoch| epoch.proven);
        state.covered.batches += 1;
        state.encrypted += u64::from(content.encrypted);
        state.unproven += u64::from(!proven);
        let place = (self.trail, pending.entry);
        let folds = self.control && part;
        if folds && content.error.is_none() {
            content.events.iter().for_each(|event| state.fold_event(event, place));
        }
        if folds {
            claims.published.iter().for_each(|item| state.fold_published(item, place));
        }
        if content.error.is_some() {
            return;
        }
        if let Some(lines) = content.lines {
            let records = u64::from(claims.record_count);
            state.covered.records += records;
            state.covered.line_bytes += lines.bytes;
            state.covered.proven_records += if proven { records } else { 0 };
            self.outcome.records += records;
        }
        // The control trail may be walked more than once.
        let again = self.control && pending.entry < state.shown;
        if let Some(visitor) = state.visitor.as_mut().filter(|_| !again) {
            if self.control {
                state.shown = pending.entry + 1;
            }
            let statement = &content.statement;
            visitor.batch(&BatchView { entry: pending.entry, statement, claims, plain: &content.plain });
        }
    }
}
