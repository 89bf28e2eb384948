//! An open: who signs, for which stream, with what evidence, after which epoch (`docs/spec/06-verification.md` 6.4, 6.6).

use std::io;

use sealtrail_core::name::Identity;
use sealtrail_core::statement::{Claims, OpenClaims, Statement, StatementError, UnverifiedStatement};

use super::TrailPass;
use crate::epoch::Epoch;
use crate::opens::{evidence, predecessor};
use crate::{Class, Finding};

/// Clocks at an open may differ by this much before it is said.
const OPEN_SKEW_NS: u64 = 300_000_000_000;

impl TrailPass<'_, '_> {
    pub(super) fn open(
        &mut self,
        index: u64,
        received_ns: u64,
        unverified: UnverifiedStatement,
        has_body: bool,
    ) -> io::Result<()> {
        let id = unverified.identity();
        let at = |class, detail: String| Finding::new(class, detail).trail(self.trail).entry(index).epoch(id);
        let Claims::Open(claims) = unverified.claims().clone() else { return Ok(()) };
        if self.epochs.contains_key(&id) {
            let finding = at(Class::DuplicateEntry, "the epoch is opened twice".to_owned());
            self.state.findings.add(finding);
            return Ok(());
        }
        let statement = match unverified.verify(&claims.public_key) {
            Ok(statement) => statement,
            Err(error) => {
                let foreign = matches!(&error, StatementError::ForeignKey { .. });
                let class = if foreign { Class::ForeignKey } else { Class::BadSignature };
                let finding = at(class, error.to_string());
                self.state.findings.add(finding);
                return Ok(());
            }
        };
        if let Some((class, detail)) = self.stream_finding(index, id, &claims) {
            let finding = at(class, detail);
            self.state.findings.add(finding);
            if class != Class::WrongGenesis {
                return Ok(());
            }
        }
        if has_body {
            let finding = at(Class::SegmentMalformed, "a body stands before an open".to_owned());
            self.state.findings.add(finding);
        }
        self.state.received(received_ns);
        self.state.genesis_seen |= self.control && index == 0;
        self.accept(index, received_ns, &statement, &claims)
    }

    fn stream_finding(&self, index: u64, id: Identity, claims: &OpenClaims) -> Option<(Class, String)> {
        let (stream, instance) = (&claims.place.stream, &claims.place.instance);
        if !self.control {
            let known = self.state.fold.streams.contains(&(stream.clone(), self.trail));
            return (!known)
                .then(|| (Class::UnknownStream, format!("stream `{stream}` may not write to this trail")));
        }
        if stream.as_str() != "control" || instance.as_str() != "ledger" {
            return Some((
                Class::WrongStream,
                format!("control epoch of stream `{stream}`, instance `{instance}`"),
            ));
        }
        let genesis = self.state.policy.genesis.filter(|genesis| index == 0 && *genesis != id)?;
        Some((Class::WrongGenesis, format!("the control trail begins with `{id}`, expected `{genesis}`")))
    }

    /// 6.6: evidence, challenge, predecessor; the open is accepted whatever they give.
    fn accept(
        &mut self,
        index: u64,
        received_ns: u64,
        statement: &Statement,
        claims: &OpenClaims,
    ) -> io::Result<()> {
        let id = statement.identity();
        let state = &mut *self.state;
        let appraised = evidence(state.source, &state.policy, statement, claims, received_ns, self.control)?;
        let mut finding = appraised.finding;
        if let Some(challenge) = claims.challenge
            && finding.is_none()
        {
            finding = state.challenge(challenge)?;
        }
        let mut epoch = Epoch::new(id, self.trail, claims.clone(), received_ns);
        epoch.proven = finding.is_none() && state.policy.accept.is_some();
        epoch.evidence = appraised.kind;
        epoch.simulated = appraised.simulated;
        epoch.measurements = appraised.measurements;
        let instance = (claims.place.stream.clone(), claims.place.instance.clone());
        let known = self.newest.get(&instance).copied();
        let before = predecessor(&mut self.epochs, claims, index, known.is_some());
        let skewed = claims.opened_at_ns.abs_diff(received_ns) > OPEN_SKEW_NS;
        let skew = skewed.then(|| (Class::ClockSkew, "the agent's clock is off at its open".to_owned()));
        for (class, detail) in finding.into_iter().chain(before).chain(skew) {
            state.findings.add(Finding::new(class, detail).trail(self.trail).entry(index).epoch(id));
        }
        // Every epoch of this instance before the newest was succeeded when the one after it came.
        let succeeded = self.newest.insert(instance, id).and_then(|older| self.epochs.get_mut(&older));
        if let Some(older) = succeeded {
            older.succeeded = true;
        }
        self.epochs.insert(id, epoch);
        self.order.push(id);
        Ok(())
    }
}
