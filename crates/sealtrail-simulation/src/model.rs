//! The reference model: what was promised to whom, and what is found in the end.

use std::collections::BTreeMap;

use sealtrail_core::name::Identity;

/// A request's name in the world: agent, client, number.
pub(crate) type Request = (u8, u8, u32);

/// A record as it is found in the ledger: its epoch, and its text.
pub(crate) type Found = (Identity, String);

/// What is known of every request that was ever sent.
#[derive(Default)]
pub(crate) struct Model {
    requests: BTreeMap<Request, Sent>,
    /// Agents whose clock was set so far forward that requests may be forgotten and sealed twice.
    forgetful: Vec<u8>,
}

#[derive(Default)]
struct Sent {
    records: u32,
    /// Whether success was answered.
    acknowledged: bool,
}

/// How the text of a record begins: its request's name and its number within that. The rest is filling.
pub(crate) fn text(request: Request, record: u32) -> String {
    format!("{}.{}.{}.{record}.", request.0, request.1, request.2)
}

fn parse(text: &str) -> Option<(Request, u32)> {
    let mut parts = text.split('.');
    let mut part = || parts.next()?.parse::<u32>().ok();
    Some(((part()? as u8, part()? as u8, part()?), part()?))
}

impl Model {
    /// A request of so many records is sent.
    pub(crate) fn send(&mut self, request: Request, records: u32) {
        self.requests.entry(request).or_default().records = records;
    }

    /// Success is answered.
    pub(crate) fn acknowledge(&mut self, request: Request) {
        self.requests.entry(request).or_default().acknowledged = true;
    }

    /// An agent may forget which requests it knows.
    pub(crate) fn forgive_twice(&mut self, agent: u8) {
        self.forgetful.push(agent);
    }

    /// Records sent and acknowledged.
    pub(crate) fn totals(&self) -> (u64, u64) {
        let sum = |all: bool| {
            let requests = self.requests.values().filter(|sent| all || sent.acknowledged);
            requests.map(|sent| u64::from(sent.records)).sum()
        };
        (sum(true), sum(false))
    }

    /// Holds all records of a ledger, in its order, against what is known.
    pub(crate) fn judge(&self, found: &[Found]) -> Result<(), String> {
        // Of every request the records found, epoch by epoch, and where the last of them stood.
        let mut places: BTreeMap<Request, (Vec<(Identity, u32)>, usize)> = BTreeMap::new();
        for (place, (epoch, text)) in found.iter().enumerate() {
            let Some((request, record)) =
                parse(text).filter(|(request, _)| self.requests.contains_key(request))
            else {
                return Err(format!("a record that nobody sent: `{text}`"));
            };
            let (epochs, last) = places.entry(request).or_default();
            *last = place;
            if record == 0 {
                epochs.push((*epoch, 0));
            }
            let Some((begun, next)) = epochs.last_mut() else {
                return Err(format!("request {request:?} begins with record {record}"));
            };
            if begun != epoch || *next != record {
                return Err(format!(
                    "record {record} of request {request:?} is found where {next} was expected"
                ));
            }
            *next += 1;
        }
        let mut before: Option<(Request, usize)> = None;
        for (request, sent) in &self.requests {
            let Some((epochs, last)) = places.get(request) else {
                if sent.acknowledged {
                    return Err(format!("request {request:?} was acknowledged and is not there"));
                }
                continue;
            };
            let whole = epochs.iter().filter(|(_, records)| *records == sent.records).count();
            if sent.acknowledged && whole == 0 {
                return Err(format!("request {request:?} was acknowledged and is there in part: {epochs:?}"));
            }
            // A request that is cut over several batches and not acknowledged may lose its end in a crash, and its beginning
            // then stands there twice. What is there whole is there once.
            let again = epochs.iter().take(epochs.len() - 1).any(|(_, records)| *records == sent.records);
            if (whole > 1 || again) && !self.forgetful.contains(&request.0) {
                return Err(format!("request {request:?} is there {whole} times: {epochs:?}"));
            }
            if before
                .is_some_and(|(other, place)| (other.0, other.1) == (request.0, request.1) && place > *last)
            {
                return Err(format!("request {request:?} stands before {before:?}"));
            }
            before = Some((*request, *last));
        }
        Ok(())
    }
}
