//! How much an HTTP/2 client may say without asking for anything (RFC 9113 section 6).

use std::time::Duration;

use tokio::time::Instant;

/// What a connection begins with (section 3.4): no frame.
const PREFACE_BYTES: usize = 24;

/// A frame's length, type and flags; four more bytes of its head say nothing here (section 4.1).
const BEGIN_BYTES: usize = 5;
const REST_BYTES: usize = 4;

/// Frame types that bring a request.
const DATA: u8 = 0;
const HEADERS: u8 = 1;

/// The flag of DATA with padding: a length and up to 255 bytes that bring nothing (section 6.1).
const PADDED: u8 = 8;
const PADDING_BYTES_MAX: u32 = 256;

/// Frames that a new connection may send beside those of requests: clients send under ten. They cost less time than it takes
/// to accept the connection, so a flood gains nothing by coming again.
const SPARE_FIRST: u64 = 256;

/// Most that are allowed at once, by requests and answers before: two window updates for each 16 KiB of an answer, of which
/// 16 MiB may be on their way when the last byte is written.
const SPARE_MAX: u64 = 2048;

/// So many more with each HEADERS: a PING, its answer, window updates of stream and connection, DATA of a short request and
/// one that only ends it, a reset, and these twice.
const WITH_REQUEST: u64 = 16;

/// So many bytes of DATA allow one more, so a full frame of 16 KiB allows 16: clients send a PING and two window updates
/// with it at most.
const BROUGHT_BYTES: u32 = 1 << 10;

/// DATA that brings fewer bytes counts like a frame that brings nothing. A short request is one such frame, which its
/// HEADERS allow; longer ones come in pieces of 16 KiB, or as a proxy reads them from its network, of 1.4 KiB.
const DATA_BYTES_MIN: u32 = 256;

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
    begin: [u8; BEGIN_BYTES],
    begin_bytes: usize,
    spare: u64,
    /// Bytes of DATA that have allowed nothing yet.
    brought: u32,
    since: Instant,
}

/// More than a client has reason to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("more HTTP/2 frames came that belong to no request than a client has reason to send")]
pub(super) struct Flood;

impl Frames {
    pub(super) fn new() -> Self {
        Self {
            skip: PREFACE_BYTES,
            begin: [0; BEGIN_BYTES],
            begin_bytes: 0,
            spare: SPARE_FIRST,
            brought: 0,
            since: Instant::now(),
        }
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
            if let Some(place) = self.begin.get_mut(self.begin_bytes) {
                *place = *byte;
            }
            self.begin_bytes += 1;
            if self.begin_bytes == BEGIN_BYTES {
                self.begin_bytes = 0;
                let [a, b, c, kind, flags] = self.begin;
                self.frame(u32::from_be_bytes([0, a, b, c]), kind, flags)?;
            }
        }
        Ok(())
    }

    fn frame(&mut self, length: u32, kind: u8, flags: u8) -> Result<(), Flood> {
        self.skip = REST_BYTES + length as usize;
        match kind {
            HEADERS => {
                self.allow(WITH_REQUEST);
                Ok(())
            }
            DATA if flags & PADDED == 0 => self.data(length),
            DATA => self.data(length.saturating_sub(PADDING_BYTES_MAX)),
            // A long one is more to read and to hold.
            _ => self.spend(1 + u64::from(length / BROUGHT_BYTES)),
        }
    }

    fn data(&mut self, bytes: u32) -> Result<(), Flood> {
        self.brought += bytes;
        self.allow(u64::from(self.brought / BROUGHT_BYTES));
        self.brought %= BROUGHT_BYTES;
        if bytes < DATA_BYTES_MIN { self.spend(1) } else { Ok(()) }
    }

    fn spend(&mut self, frames: u64) -> Result<(), Flood> {
        self.spare = self.spare.checked_sub(frames).ok_or(Flood)?;
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

    fn flagged(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        [&length[1..], &[kind, flags, 0, 0, 0, 0], payload].concat()
    }

    fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
        flagged(kind, 0, payload)
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

    /// Found in a review: a byte of DATA allowed sixteen PINGs, again and again.
    #[tokio::test(start_paused = true)]
    async fn data_allows_what_its_bytes_are_worth() {
        let pings = |count| frame(PING, &[0; 8]).repeat(count);
        let least = DATA_BYTES_MIN as usize;
        for (what, round) in [
            ("a byte", [frame(0, &[9]), pings(16)].concat()),
            ("a byte alone", frame(0, &[9])),
            ("nothing but padding", [flagged(0, PADDED, &[255; 256]), pings(16)].concat()),
            ("a byte and padding", flagged(0, PADDED, &[255; 257])),
            ("a piece", [frame(0, &vec![9; least]), pings(1)].concat()),
            ("a full frame", [frame(0, &[9; 16_384]), pings(17)].concat()),
            ("long frames of no known type", [frame(0, &[9; 16_384]), frame(99, &[0; 16_384])].concat()),
        ] {
            let mut frames = begun();
            let rounds = (0..1000).take_while(|_| frames.came(&round).is_ok()).count();
            assert!(rounds <= 512, "{what}: {rounds} rounds were taken");
        }
        // Pieces count in their sum: of four that allow one more, one PING each four.
        let mut frames = begun();
        for _ in 0..10_000 {
            frames.came(&[frame(0, &vec![9; least]).repeat(4), pings(1)].concat()).unwrap();
        }
    }

    /// What gRPC clients and curl send with a request of a few bytes, and more of it than any of them does.
    #[tokio::test(start_paused = true)]
    async fn short_requests_without_end_are_no_flood() {
        let (ping, update) = (frame(PING, &[0; 8]), frame(WINDOW_UPDATE, &[0; 4]));
        let (head, end) = (frame(1, &[9; 40]), flagged(0, 1, &[]));
        let bytes = |count| frame(0, &vec![9; count]);
        for (client, request) in [
            (
                "a window update, then PING and answer to one",
                [head.clone(), update.clone(), bytes(5), ping.repeat(2)].concat(),
            ),
            (
                "an end of its own, both windows, PINGs",
                [head.clone(), bytes(100), end.clone(), update.repeat(2), ping.repeat(2)].concat(),
            ),
            (
                "a message in two pieces, then a reset",
                [head.clone(), bytes(5), bytes(95), end, frame(3, &[0; 4]), update.repeat(4), ping.repeat(2)]
                    .concat(),
            ),
            ("trailers", [head.clone(), bytes(1), head].concat()),
        ] {
            let mut frames = begun();
            let taken = (0..100_000).take_while(|_| frames.came(&request).is_ok()).count();
            assert_eq!(taken, 100_000, "{client}");
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
