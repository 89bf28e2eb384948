//! The way between agents and ledger: loses, delays and doubles, and remembers every receipt that went over it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode};
use sealtrail_agent::{Call, Network, NetworkError};
use sealtrail_core::cbor::Decoder;
use sealtrail_core::receipt::{Receipt, ReceiptFile};
use sealtrail_testkit::disk::Random;
use sealtrail_verify::ReceiptInput;
use tokio::sync::{mpsc, oneshot};

use crate::faults::{Fault, Kind, Side, Tally};

/// Longer than an agent waits for an answer.
const TOO_LATE: Duration = Duration::from_secs(70);

/// What the ledger answers.
pub(crate) type Answer = (StatusCode, Bytes);

/// A request that has arrived at the ledger.
pub(crate) struct Delivery {
    pub(crate) request: Request<Bytes>,
    pub(crate) answer: oneshot::Sender<Answer>,
}

/// The relay. Clones are the same.
#[derive(Clone)]
pub(crate) struct Relay(Arc<Mutex<State>>);

struct State {
    random: Random,
    /// Percent of requests that something happens to.
    trouble: u64,
    kinds: Vec<Kind>,
    tally: Tally,
    ledger: mpsc::UnboundedSender<Delivery>,
    receipts: Vec<ReceiptInput>,
    /// Size of the largest checkpoint that the ledger let out.
    size: u64,
}

impl Relay {
    /// A relay, and what arrives at the ledger. Of these kinds of trouble so many percent of requests meet one.
    pub(crate) fn new(
        seed: u64,
        trouble: u64,
        kinds: Vec<Kind>,
    ) -> (Self, mpsc::UnboundedReceiver<Delivery>) {
        let (ledger, arriving) = mpsc::unbounded_channel();
        let trouble = if kinds.is_empty() { 0 } else { trouble };
        let state = State {
            random: Random(seed),
            trouble,
            kinds,
            tally: Tally::default(),
            ledger,
            receipts: Vec::new(),
            size: 0,
        };
        (Self(Arc::new(Mutex::new(state))), arriving)
    }

    /// No more trouble.
    pub(crate) fn heal(&self) {
        self.0.lock().unwrap().trouble = 0;
    }

    /// Every receipt that the ledger gave.
    pub(crate) fn receipts(&self) -> Vec<ReceiptInput> {
        self.0.lock().unwrap().receipts.clone()
    }

    /// Size of the largest checkpoint that the ledger let out.
    pub(crate) fn size(&self) -> u64 {
        self.0.lock().unwrap().size
    }

    pub(crate) fn tally(&self) -> Tally {
        self.0.lock().unwrap().tally.clone()
    }

    fn land(&self, kind: Kind) {
        self.0.lock().unwrap().tally.land(Fault(Side::Relay, kind));
    }

    /// Hands a request to the ledger and waits for what it says.
    async fn deliver(&self, request: Request<Bytes>) -> Result<Answer, NetworkError> {
        let (answer, answered) = oneshot::channel();
        let sent = Request::from_parts(request.clone().into_parts().0, request.body().clone());
        let ledger = self.0.lock().unwrap().ledger.clone();
        let away = |_| NetworkError::Away("connection reset".to_owned());
        // The world ends with its receiver.
        let _ = ledger.send(Delivery { request: sent, answer });
        let answer = answered.await.map_err(away)?;
        self.remember(&request, &answer);
        Ok(answer)
    }

    /// Keeps the receipts of an answer.
    fn remember(&self, request: &Request<Bytes>, answer: &Answer) {
        if answer.0 != StatusCode::OK || !request.uri().path().ends_with("/batches") {
            return;
        }
        let statements = statements(request.body());
        let mut state = self.0.lock().unwrap();
        for (statement, receipt) in statements.into_iter().zip(receipts(&answer.1)) {
            let Some(receipt) = receipt else { break };
            let size = std::str::from_utf8(&receipt.trail.checkpoint).unwrap().lines().nth(1).unwrap();
            state.size = state.size.max(size.parse().unwrap());
            let name = format!("given {}", state.receipts.len());
            let bytes = ReceiptFile { statement, receipt }.encode();
            state.receipts.push(ReceiptInput { name, bytes });
        }
    }
}

/// The statements of a batches request.
fn statements(body: &[u8]) -> Vec<Vec<u8>> {
    let mut decoder = Decoder::new(body);
    decoder.array_of(3).unwrap();
    decoder.uint(1).unwrap();
    decoder.uint(u64::MAX).unwrap();
    let count = decoder.array(1 << 10).unwrap();
    let mut statements = Vec::new();
    for _ in 0..count {
        decoder.array_of(2).unwrap();
        statements.push(decoder.bytes(1 << 30).unwrap().to_vec());
        decoder.bytes(1 << 30).unwrap();
    }
    statements
}

/// The receipts of an answer to batches; `None` for a refusal.
fn receipts(body: &[u8]) -> Vec<Option<Receipt>> {
    let mut decoder = Decoder::new(body);
    decoder.array_of(4).unwrap();
    decoder.uint(1).unwrap();
    let count = decoder.array(1 << 10).unwrap();
    let mut receipts = Vec::new();
    for _ in 0..count {
        decoder.array_of(2).unwrap();
        receipts.push(match decoder.uint(599).unwrap() {
            200 => Some(Receipt::decode(decoder.bytes(1 << 30).unwrap()).unwrap()),
            _ => {
                decoder.text(1 << 30).unwrap();
                None
            }
        });
    }
    receipts
}

impl Network for Relay {
    fn call(&self, request: Request<Bytes>, _: usize) -> Call {
        let relay = self.clone();
        let (kind, way, back, silent) = {
            let mut state = self.0.lock().unwrap();
            let (met, kinds) = (state.random.below(100) < state.trouble, state.kinds.len() as u64);
            let kind = met.then(|| state.random.below(kinds) as usize).map(|kind| state.kinds[kind]);
            if let Some(kind) = kind {
                state.tally.inject(Fault(Side::Relay, kind));
            }
            let mut delay = |most| Duration::from_millis(state.random.below(most));
            (kind, delay(80), delay(80), state.random.below(4) == 0)
        };
        let lost = async move |relay: &Self, kind| {
            relay.land(kind);
            if silent {
                std::future::pending::<()>().await;
            }
            Err(NetworkError::Away("connection reset".to_owned()))
        };
        Box::pin(async move {
            match kind {
                Some(Kind::RequestLost) => return lost(&relay, Kind::RequestLost).await,
                Some(Kind::Late) => {
                    // Whoever sent it does not decide any more whether it arrives.
                    tokio::spawn(async move {
                        tokio::time::sleep(TOO_LATE).await;
                        if relay.deliver(request).await.is_ok() {
                            relay.land(Kind::Late);
                        }
                    });
                    return std::future::pending().await;
                }
                Some(Kind::Duplicate) => {
                    let (relay, request) = (relay.clone(), request.clone());
                    tokio::spawn(async move {
                        tokio::time::sleep(way + back).await;
                        if relay.deliver(request).await.is_ok() {
                            relay.land(Kind::Duplicate);
                        }
                    });
                }
                _ => {}
            }
            tokio::time::sleep(way).await;
            let answer = relay.deliver(request).await?;
            tokio::time::sleep(back).await;
            match kind {
                Some(Kind::AnswerLost) if answer.0.is_success() => lost(&relay, Kind::AnswerLost).await,
                _ => Ok(answer),
            }
        })
    }
}
