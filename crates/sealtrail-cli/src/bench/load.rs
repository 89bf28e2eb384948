//! Load over the wire: connections that send prepared requests one after the other and wait for each answer.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// What a run of load gave.
pub(crate) struct Run {
    /// From the first byte sent to the last answer.
    pub(crate) elapsed: Duration,
    /// Time of each answer, sorted.
    pub(crate) answers: Vec<Duration>,
}

impl Run {
    /// The time within which this part of all answers came.
    pub(crate) fn quantile(&self, part: f64) -> Duration {
        let at = ((self.answers.len() as f64 * part) as usize).min(self.answers.len().saturating_sub(1));
        self.answers.get(at).copied().unwrap_or_default()
    }
}

/// A request that is sent again and again, each time with another time in its first record, so that none is a resend.
#[derive(Clone, Debug)]
pub(crate) struct Template {
    bytes: Vec<u8>,
    patch_at: usize,
}

impl Template {
    /// From a request and the time, as it stands in it, of its first record.
    pub(crate) fn new(bytes: Vec<u8>, time_ns: u64) -> Option<Self> {
        let needle = time_ns.to_le_bytes();
        let patch_at = bytes.windows(8).position(|window| window == needle)?;
        Some(Self { bytes, patch_at })
    }

    /// The request as it was made.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    fn patched(&mut self, number: usize) -> &[u8] {
        let time = (1_767_000_000_000_000_000 + number as u64).to_le_bytes();
        if let Some(place) = self.bytes.get_mut(self.patch_at..self.patch_at + 8) {
            place.copy_from_slice(&time);
        }
        &self.bytes
    }
}

/// What to send.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    /// Where to.
    pub(crate) address: SocketAddr,
    /// Number of the first request; numbers tell requests apart.
    pub(crate) first: usize,
    /// How many requests.
    pub(crate) count: usize,
    /// Over how many connections.
    pub(crate) connections: usize,
    /// Time from one request to the next; zero sends as fast as answers come.
    pub(crate) interval: Duration,
}

/// Sends requests, the templates taking turns. Pushback is retried, every other answer than 200 ends the run. The time of
/// an answer counts from when its request was due.
pub(crate) fn send(load: &Load, templates: &[Template]) -> io::Result<Run> {
    let next = AtomicUsize::new(0);
    let begun = Instant::now();
    let answers = thread::scope(|scope| {
        let workers: Vec<_> = (0..load.connections)
            .map(|_| {
                let worker = thread::Builder::new().name("load".to_owned());
                worker.spawn_scoped(scope, || connection(load, templates, &next, begun))
            })
            .collect::<io::Result<_>>()?;
        let joined = workers.into_iter().map(|worker| {
            worker.join().unwrap_or_else(|_| Err(io::Error::other("a load generator's thread panicked")))
        });
        joined.collect::<io::Result<Vec<_>>>()
    })?;
    let elapsed = begun.elapsed();
    let mut answers: Vec<Duration> = answers.into_iter().flatten().collect();
    answers.sort_unstable();
    Ok(Run { elapsed, answers })
}

fn connection(
    load: &Load,
    templates: &[Template],
    next: &AtomicUsize,
    run_begun: Instant,
) -> io::Result<Vec<Duration>> {
    let mut templates = templates.to_vec();
    let turns = templates.len().max(1);
    let stream = TcpStream::connect(load.address)?;
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut writer = stream;
    let mut times = Vec::new();
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        let Some(template) = templates.get_mut(number % turns).filter(|_| number < load.count) else { break };
        let request = template.patched(load.first + number);
        let mut begun = Instant::now();
        if !load.interval.is_zero() {
            let due = run_begun + load.interval.saturating_mul(u32::try_from(number).unwrap_or(u32::MAX));
            thread::sleep(due.saturating_duration_since(begun));
            begun = due;
        }
        let mut tries = 0;
        loop {
            let head = format!(
                "POST /v1/logs HTTP/1.1\r\nhost: bench\r\ncontent-type: application/x-protobuf\r\ncontent-length: {}\r\n\r\n",
                request.len()
            );
            writer.write_all(head.as_bytes())?;
            writer.write_all(request)?;
            match answer(&mut reader)? {
                200 => break,
                429 | 503 if tries < 30 => {
                    tries += 1;
                    thread::sleep(Duration::from_millis(100));
                }
                status => return Err(io::Error::other(format!("the agent answered {status}"))),
            }
        }
        times.push(begun.elapsed());
    }
    Ok(times)
}

/// Reads one answer, returns its status.
fn answer(reader: &mut BufReader<TcpStream>) -> io::Result<u16> {
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let status = line.split(' ').nth(1).and_then(|status| status.parse().ok());
    let status = status.ok_or_else(|| io::Error::other(format!("not an answer: `{}`", line.trim())))?;
    let mut length = 0;
    loop {
        line.clear();
        reader.read_line(&mut line)?;
        let header = line.trim().to_ascii_lowercase();
        if header.is_empty() {
            break;
        }
        if let Some(value) = header.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or(0);
        }
    }
    io::copy(&mut reader.by_ref().take(length), &mut io::sink())?;
    Ok(status)
}
