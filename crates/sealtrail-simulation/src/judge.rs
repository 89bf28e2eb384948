//! The end: the ledger before the verifier, the verdict before the model.

use std::io::{self, Cursor, Read};
use std::path::PathBuf;

use sealtrail_testkit::disk::SimDisk;
use sealtrail_verify::{BatchView, Options, Outcome, ReceiptInput, Source, Verdict, Visitor, verify};

use crate::agent::STATE;
use crate::model::Found;
use crate::world::World;

/// A simulated disk as a verifier reads it.
struct Image {
    disk: SimDisk,
    directory: PathBuf,
}

impl Source for Image {
    fn open(&self, path: &str) -> io::Result<Option<Box<dyn Read + Send>>> {
        let content = self.disk.content(&self.directory.join(path));
        Ok(content.map(|content| Box::new(Cursor::new(content)) as Box<dyn Read + Send>))
    }
}

/// The texts of all records of the data trail.
#[derive(Default)]
struct Texts(Vec<Found>);

impl Visitor for Texts {
    fn batch(&mut self, batch: &BatchView<'_>) {
        if batch.claims.place.stream.as_str() != "web" {
            return;
        }
        let first = 1 + batch.claims.context_count as usize;
        for line in batch.plain.split(|byte| *byte == b'\n').skip(first).filter(|line| !line.is_empty()) {
            let line: serde_json::Value = serde_json::from_slice(line).unwrap();
            self.0.push((batch.claims.epoch, line["body"].as_str().unwrap_or("no text").to_owned()));
        }
    }
}

impl World<'_> {
    /// Holds the ledger as it stands against everything that was promised.
    pub(crate) fn judge(&mut self) -> Result<Verdict, String> {
        let disk = self.ledger.machine.disk.clone();
        let image = Image { disk, directory: self.base.directory() };
        let receipts: Vec<ReceiptInput> =
            self.relay.receipts().into_iter().chain(self.kept_receipts()).collect();
        let count = receipts.len();
        let mut texts = Texts::default();
        let options = Options { receipts, visitor: Some(&mut texts), ..Options::default() };
        let verdict = verify(&image, Some(self.base.policy().as_bytes()), options);
        if verdict.outcome != Outcome::Verified {
            return Err(format!("the verdict is {:?}: {:?}", verdict.outcome, verdict.findings));
        }
        if !verdict.not_covered.is_empty() {
            return Err(format!("not covered: {:?}", verdict.not_covered));
        }
        let included = verdict.receipts.iter().filter(|receipt| receipt.result == "included").count();
        if included != count {
            return Err(format!("{included} of {count} receipts are included: {:?}", verdict.receipts));
        }
        self.model.judge(&texts.0)?;
        Ok(verdict)
    }

    /// The receipts that the agents keep.
    fn kept_receipts(&self) -> Vec<ReceiptInput> {
        let mut receipts = Vec::new();
        for agent in &self.agents {
            for path in agent.machine.disk.files(&PathBuf::from(STATE).join("receipts")) {
                if path.extension().is_some_and(|extension| extension == "receipt") {
                    let bytes = agent.machine.disk.content(&path).unwrap();
                    receipts.push(ReceiptInput { name: path.display().to_string(), bytes });
                }
            }
        }
        receipts
    }
}
