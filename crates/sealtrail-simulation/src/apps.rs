//! The applications: clients that log, one request after the other, and send again what was not acknowledged.

use sealtrail_agent::stepped::{Answer, Stepped};
use sealtrail_testkit::disk::Random;
use tokio::task::JoinHandle;

use crate::model::{Model, Request, text};

/// A client of one agent.
pub(crate) struct Client {
    pub(crate) agent: u8,
    number: u8,
    random: Random,
    /// Requests it still begins.
    left: u32,
    next: u32,
    waiting: Option<Waiting>,
}

/// A request without success so far.
struct Waiting {
    name: Request,
    records: u32,
    bytes: Vec<u8>,
    tries: u32,
    /// When it is sent, in ms of the world.
    at_ms: u64,
    answer: Option<JoinHandle<Answer>>,
}

impl Client {
    pub(crate) fn new(agent: u8, number: u8, requests: u32, seed: u64) -> Self {
        Self { agent, number, random: Random(seed), left: requests, next: 0, waiting: None }
    }

    /// Whether everything it wanted to log was acknowledged or given up.
    pub(crate) fn is_done(&self) -> bool {
        self.left == 0 && self.waiting.is_none()
    }

    /// The agent died: its connection with it.
    pub(crate) fn disconnect(&mut self, now_ms: u64) {
        if let Some(waiting) = &mut self.waiting {
            if let Some(answer) = waiting.answer.take() {
                answer.abort();
            }
            waiting.at_ms = now_ms + 50;
        }
    }

    /// Looks for answers, sends what is due. `patient`: nothing is given up any more.
    pub(crate) async fn step(
        &mut self,
        now_ms: u64,
        agent: Option<&Stepped>,
        patient: bool,
        model: &mut Model,
    ) -> Result<(), String> {
        if self.waiting.is_none() && self.left > 0 {
            self.begin(now_ms);
        }
        let Some(waiting) = &mut self.waiting else { return Ok(()) };
        if waiting.answer.as_ref().is_some_and(JoinHandle::is_finished) {
            let answer = waiting.answer.take().unwrap().await.map_err(|error| error.to_string())?;
            match answer {
                Answer::Accepted => {
                    model.acknowledge(waiting.name);
                    // Now and then the answer does not reach the client, which then sends the same again.
                    if patient || self.random.below(8) > 0 {
                        self.waiting = None;
                        return Ok(());
                    }
                    waiting.at_ms = now_ms + self.random.below(2_000);
                }
                Answer::Again(_) if !patient && waiting.tries > 3 && self.random.below(10) == 0 => {
                    self.waiting = None;
                    return Ok(());
                }
                Answer::Again(_) => waiting.at_ms = now_ms + 50 + self.random.below(1_000),
                Answer::Refused(why) => return Err(format!("a request was refused: {why}")),
            }
        }
        let Some(agent) = agent.filter(|_| waiting.answer.is_none() && waiting.at_ms <= now_ms) else {
            return Ok(());
        };
        waiting.tries += 1;
        model.send(waiting.name, waiting.records);
        waiting.answer = Some(tokio::spawn(agent.export(waiting.bytes.clone())));
        Ok(())
    }

    fn begin(&mut self, now_ms: u64) {
        self.left -= 1;
        let records = 1 + self.random.below(5) as u32;
        let name = (self.agent, self.number, self.next);
        self.next += 1;
        let bodies: Vec<_> = (0..records)
            .map(|record| {
                // Some of it compresses and some does not, so that sizes vary.
                let filling: String =
                    (0..self.random.below(60)).map(|_| format!("{:x}", self.random.next())).collect();
                // Requests whose records have no time are never taken for resends.
                let time = (1_788_220_800_000_000_000 + u64::from(name.2)).to_string();
                serde_json::json!({ "timeUnixNano": time, "body": { "stringValue": text(name, record) + &filling } })
            })
            .collect();
        let request = serde_json::json!({ "resourceLogs": [{ "scopeLogs": [{ "logRecords": bodies }] }] });
        let at_ms = now_ms + self.random.below(400);
        let bytes = request.to_string().into_bytes();
        self.waiting = Some(Waiting { name, records, bytes, tries: 0, at_ms, answer: None });
    }
}
