//! How much an HTTP/2 client may say without asking for anything (RFC 9113 section 6).

use std::time::Duration;

use tokio::time::Instant;

/// What a connection begins with (section 3.4): no frame.
const PREFACE_BYTES: usize = 24;

/// A frame's length and type; five more bytes of its head say nothing here (section 4.1).
const BEGIN_BYTES: u8 = 4;
const REST_BYTES: usize = 5;

/// Frame types that bring a request.
const DATA: u32 = 0;
const HEADERS: u32 = 1;

/// Frames that a new connection may send beside those of requests: clients send under ten. They cost less time than it takes
/// to accept the connection, so a flood gains nothing by coming again.
const SPARE_FIRST: u64 = 256;

/// Most that are allowed at once, by requests and answers before: two window updates for each 16 KiB of an answer, of which
/// 16 MiB may be on their way when the last byte is written.
const SPARE_MAX: u64 = 2048;

/// So many more with each frame of a request: a PING, window updates of stream and connection, a reset, and these four times.
const WITH_REQUEST: u64 = 16;

/// A byte written allows 1/256 of a frame: a client that reads an answer sends two window updates for 16 KiB, or even for
/// 1 KiB; but what answers a PING (17 bytes) allows a small part of one.
const WRITTEN_BYTES: usize = 256;

/// So many more with each second: keepalive sends under one. 1,024 connections at this rate take a hundredth of a processor.
const EACH_SECOND: u64 = 64;

/// Counts the frames that bring nothing, of an HTTP/2 connection from its first byte on.
#[derive(Debug)]
pub(super) struct Frames {
    /// Bytes to come that are no beginning of a frame.
    skip: usize,
    begin: u32,
    begin_bytes: u8,
    spare: u64,
    since: Instant,
}

/// More than a client has reason to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("more HTTP/2 frames came that belong to no request than a client has reason to send")]
pub(super) struct Flood;

impl Frames {
    pub(super) fn new() -> Self {
        Self { skip: PREFACE_BYTES, begin: 0, begin_bytes: 0, spare: SPARE_FIRST, since: Instant::now() }
    }

    /// These bytes were read, where the last ones ended.
    pub(super) fn came(&mut self, mut bytes: &[u8]) -> Result<(), Flood> {
        let seconds = self.since.elapsed().as_secs();
        if seconds > 0 {
            self.since += Duration::from_secs(seconds);
            self.allow(seconds.saturating_mul(EACH_SECOND));
        }
        while let Some((byte, rest)) = bytes.split_first() {
            if self.skip > 0 {
                let skipped = self.skip.min(bytes.len());
                self.skip -= skipped;
                bytes = bytes.get(skipped..).unwrap_or_default();
                continue;
            }
            bytes = rest;
            self.begin = self.begin << 8 | u32::from(*byte);
            self.begin_bytes += 1;
            if self.begin_bytes == BEGIN_BYTES {
                self.begin_bytes = 0;
                self.frame(self.begin & 0xff, self.begin >> 8)?;
            }
        }
        Ok(())
    }

    fn frame(&mut self, kind: u32, length: u32) -> Result<(), Flood> {
        self.skip = REST_BYTES + length as usize;
        match kind {
            HEADERS => self.allow(WITH_REQUEST),
            DATA if length > 0 => self.allow(WITH_REQUEST),
            _ => self.spare = self.spare.checked_sub(1).ok_or(Flood)?,
        }
        Ok(())
    }

    /// So many bytes were written.
    pub(super) fn wrote(&mut self, bytes: usize) {
        self.allow((bytes / WRITTEN_BYTES) as u64);
    }

    fn allow(&mut self, frames: u64) {
        self.spare = self.spare.saturating_add(frames).min(SPARE_MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTINGS: u8 = 4;
    const PING: u8 = 6;
    const WINDOW_UPDATE: u8 = 8;

    fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        [&length[1..], &[kind, 0, 0, 0, 0, 0], payload].concat()
    }

    fn begun() -> Frames {
        let mut frames = Frames::new();
        frames.came(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").unwrap();
        frames
    }

    #[tokio::test(start_paused = true)]
    async fn frames_that_ask_for_nothing_are_counted_however_they_are_cut() {
        let kinds =
            [frame(SETTINGS, &[]), frame(PING, &[0; 8]), frame(WINDOW_UPDATE, &[0; 4]), frame(0, &[])];
        for cut in [1, 2, 3, 7, 9, 10, 100, 1 << 20] {
            for kind in &kinds {
                let mut frames = begun();
                let spare = [kind, &kinds[1]].into_iter().cycle().take(256).flatten().copied();
                let spare: Vec<u8> = spare.collect();
                assert!(spare.chunks(cut).all(|bytes| frames.came(bytes).is_ok()), "{cut}");
                assert_eq!(frames.came(kind), Err(Flood), "{cut}");
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn pings_of_a_client_that_asks_for_nothing_are_taken_for_ever() {
        let mut frames = begun();
        for _ in 0..1_000_000 {
            tokio::time::advance(Duration::from_millis(100)).await;
            frames.came(&frame(PING, &[0; 8])).unwrap();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_sends_or_reads_may_say_what_belongs_to_it() {
        let update = frame(WINDOW_UPDATE, &[0; 4]);
        let mut frames = begun();
        for _ in 0..10_000 {
            // A long body, in pieces, and PINGs to measure the way.
            frames.came(&[frame(0, &[9; 16_384]), frame(PING, &[0; 8])].concat()).unwrap();
        }
        for _ in 0..10_000 {
            // A request that is taken back.
            frames
                .came(&[frame(1, &[9; 100]), frame(0, &[9; 10]), update.clone(), frame(3, &[0; 4])].concat())
                .unwrap();
        }
        for _ in 0..10_000 {
            // An answer that is read.
            frames.wrote(1024);
            frames.came(&[update.clone(), update.clone()].concat()).unwrap();
        }
        // A long answer, of which all news comes when it is over.
        frames.wrote(16 << 20);
        frames.came(&update.repeat(2048)).unwrap();
        // What is written in answer to a PING does not allow another.
        let pings = (0..10_000).take_while(|_| {
            frames.wrote(17);
            frames.came(&frame(PING, &[0; 8])).is_ok()
        });
        assert_eq!(pings.count(), 0);
    }
}
