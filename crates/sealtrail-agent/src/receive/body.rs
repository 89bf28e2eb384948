//! Reading request bodies: bounded in bytes before and after decompression, in memory over all requests, and in time.

use std::io::{self, Write};

use bytes::Buf;
use flate2::write::MultiGzDecoder;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use sealtrail_env::{Arriving, Memory, NoMemory, Share};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, timeout_at};
use zstd::stream::raw::{DParameter, Decoder as ZstdDecoder, InBuffer, Operation as _, OutBuffer};

/// Memory for request bodies, over all requests at once: three of the longest HTTP bodies, or hundreds of usual ones.
pub(crate) const MEMORY_BYTES_MAX: usize = 64 << 20;

/// What a request takes beside its body: its task, its stream, its head. At most 8,192 requests are going on at once.
const REQUEST_BYTES: usize = 8 << 10;

/// What a gzip decoder takes: its window of 32 KiB, as much output, tables.
const GZIP_BYTES: usize = 96 << 10;

/// What a zstd decoder takes beside its window, which holds no more than came out of it: tables and output.
const ZSTD_BYTES: usize = 320 << 10;

/// Largest zstd window, as a power of two: 8 MiB, what RFC 8878 asks decoders to take and no more.
const ZSTD_WINDOW_LOG_MAX: u32 = 23;

/// What zstd decompresses into at a time: its largest block.
const ZSTD_BUFFER_BYTES: usize = 128 << 10;

/// Most bytes read and thrown away after a refusal, so that the client gets to read the answer.
const DRAIN_BYTES_MAX: usize = 32 << 20;

/// How a body is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Coding {
    Identity,
    Gzip,
    Zstd,
}

impl Coding {
    /// From the name in a header.
    pub(crate) fn from_name(name: &[u8]) -> Option<Self> {
        [("identity", Self::Identity), ("", Self::Identity), ("gzip", Self::Gzip), ("zstd", Self::Zstd)]
            .into_iter()
            .find_map(|(n, coding)| n.as_bytes().eq_ignore_ascii_case(name.trim_ascii()).then_some(coding))
    }
}

/// Why a body was not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReadError {
    /// Over the cap; so many bytes were read, decompressed.
    TooLarge(u64),
    /// The compression is broken; so many bytes were read, decompressed.
    Corrupt(u64),
    /// No memory for it now.
    Busy,
    /// It came too slowly.
    Slow,
    /// The client went away.
    Gone,
}

impl From<NoMemory> for ReadError {
    fn from(_: NoMemory) -> Self {
        Self::Busy
    }
}

/// Bytes of a request, with their share of the memory.
#[derive(Debug)]
pub(crate) struct Payload {
    pub(crate) bytes: Vec<u8>,
    pub(crate) permit: Option<OwnedSemaphorePermit>,
}

/// Collects bytes up to a cap and within the memory there is.
#[derive(Debug)]
struct Sink {
    share: Share,
    bytes: Vec<u8>,
    /// What is taken of the memory beside the bytes.
    overhead: usize,
    bytes_max: usize,
    failed: Option<ReadError>,
}

impl Sink {
    fn new(memory: &Memory, overhead: usize, bytes_max: usize) -> Result<Self, ReadError> {
        let share = memory.share();
        share.grow(overhead)?;
        Ok(Self { share, bytes: Vec::new(), overhead, bytes_max, failed: None })
    }

    fn push(&mut self, more: &[u8]) -> Result<(), ReadError> {
        let length = self.bytes.len() + more.len();
        if length > self.bytes_max {
            return Err(ReadError::TooLarge(length as u64));
        }
        if length > self.bytes.capacity() {
            // Makes room, doubling.
            let capacity = length.max((2 * self.bytes.capacity()).min(self.bytes_max));
            self.share.grow(self.overhead + capacity)?;
            self.bytes.reserve_exact(capacity - self.bytes.len());
        }
        self.bytes.extend_from_slice(more);
        Ok(())
    }

    fn payload(self) -> Result<Payload, ReadError> {
        Ok(Payload { bytes: self.bytes, permit: self.share.keep()? })
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.push(bytes) {
            Ok(()) => Ok(bytes.len()),
            Err(error) => {
                self.failed = Some(error);
                Err(io::ErrorKind::OutOfMemory.into())
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A sink behind a decompressor.
pub(crate) struct Reader {
    inner: Inner,
    /// Bytes that came over the wire, which have the same cap.
    wire_bytes: usize,
    bytes_max: usize,
}

enum Inner {
    Identity(Sink),
    Gzip(Box<MultiGzDecoder<Sink>>),
    Zstd { decoder: Box<ZstdDecoder<'static>>, sink: Sink, at_end: bool, buffer: Vec<u8> },
}

impl Reader {
    /// A reader that gives up beyond `bytes_max`, decompressed.
    pub(crate) fn new(coding: Coding, memory: &Memory, bytes_max: usize) -> Result<Self, ReadError> {
        let sink = |decoder_bytes| Sink::new(memory, REQUEST_BYTES + decoder_bytes, bytes_max);
        let inner = match coding {
            Coding::Identity => Inner::Identity(sink(0)?),
            Coding::Gzip => Inner::Gzip(Box::new(MultiGzDecoder::new(sink(GZIP_BYTES)?))),
            Coding::Zstd => {
                let sink = sink(ZSTD_BYTES)?;
                let mut decoder = ZstdDecoder::new().map_err(|_| ReadError::Busy)?;
                decoder
                    .set_parameter(DParameter::WindowLogMax(ZSTD_WINDOW_LOG_MAX))
                    .map_err(|_| ReadError::Busy)?;
                let buffer = vec![0; ZSTD_BUFFER_BYTES];
                Inner::Zstd { decoder: Box::new(decoder), sink, at_end: false, buffer }
            }
        };
        Ok(Self { inner, wire_bytes: 0, bytes_max })
    }

    /// Takes bytes as they came.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Result<(), ReadError> {
        self.wire_bytes += bytes.len();
        if self.wire_bytes > self.bytes_max {
            return Err(ReadError::TooLarge(self.sink().bytes.len() as u64));
        }
        match &mut self.inner {
            Inner::Identity(sink) => sink.push(bytes),
            Inner::Gzip(decoder) => decoder.write_all(bytes).map_err(|_| failure(decoder.get_ref())),
            Inner::Zstd { decoder, sink, at_end, buffer } => decompress(decoder, sink, at_end, buffer, bytes),
        }
    }

    fn sink(&self) -> &Sink {
        match &self.inner {
            Inner::Identity(sink) | Inner::Zstd { sink, .. } => sink,
            Inner::Gzip(decoder) => decoder.get_ref(),
        }
    }

    /// The next piece of a body, unless its memory goes to others meanwhile; `None` at its end.
    pub(crate) async fn next(
        &self,
        body: &mut Body,
        deadline: Instant,
    ) -> Result<Option<bytes::Bytes>, ReadError> {
        tokio::select! {
            biased;
            data = next(body, deadline) => data,
            () = self.sink().share.taken() => Err(ReadError::Busy),
        }
    }

    /// All has come: what it is, if the compression ends here too.
    pub(crate) fn finish(self) -> Result<Payload, ReadError> {
        match self.inner {
            Inner::Identity(sink) => sink.payload(),
            Inner::Gzip(mut decoder) => {
                decoder.try_finish().map_err(|_| failure(decoder.get_ref()))?;
                decoder.finish().map_err(|_| ReadError::Busy)?.payload()
            }
            Inner::Zstd { sink, at_end: true, .. } => sink.payload(),
            Inner::Zstd { sink, .. } => Err(ReadError::Corrupt(sink.bytes.len() as u64)),
        }
    }
}

fn failure(sink: &Sink) -> ReadError {
    sink.failed.unwrap_or(ReadError::Corrupt(sink.bytes.len() as u64))
}

fn decompress(
    decoder: &mut ZstdDecoder<'_>,
    sink: &mut Sink,
    at_end: &mut bool,
    buffer: &mut [u8],
    bytes: &[u8],
) -> Result<(), ReadError> {
    let mut input = InBuffer::around(bytes);
    loop {
        let mut output = OutBuffer::around(&mut *buffer);
        // Zero: a frame has ended. Another may follow.
        let hint = decoder.run(&mut input, &mut output);
        let written = output.pos();
        let full = written == buffer.len();
        *at_end = hint.map_err(|_| ReadError::Corrupt(sink.bytes.len() as u64))? == 0;
        sink.push(buffer.get(..written).unwrap_or_default())?;
        if input.pos() == bytes.len() && (*at_end || !full) {
            return Ok(());
        }
    }
}

/// The body of a request.
pub(crate) type Body = Arriving<Incoming>;

/// Reads a whole HTTP body.
pub(crate) async fn read(
    body: &mut Body,
    coding: Coding,
    memory: &Memory,
    bytes_max: usize,
    deadline: Instant,
) -> Result<Payload, ReadError> {
    let mut reader = Reader::new(coding, memory, bytes_max)?;
    while let Some(data) = reader.next(body, deadline).await? {
        reader.push(&data)?;
    }
    reader.finish()
}

/// The next piece of a body; `None` at its end.
pub(crate) async fn next(body: &mut Body, deadline: Instant) -> Result<Option<bytes::Bytes>, ReadError> {
    loop {
        match timeout_at(deadline, body.frame()).await {
            Err(_) => return Err(ReadError::Slow),
            Ok(None) => return Ok(None),
            Ok(Some(Err(_))) => return Err(ReadError::Gone),
            Ok(Some(Ok(frame))) => {
                if let Ok(data) = frame.into_data() {
                    return Ok(Some(data));
                }
            }
        }
    }
}

/// Reads on and throws away, within bounds.
pub(crate) async fn drain(body: &mut Body, deadline: Instant) {
    let mut left = DRAIN_BYTES_MAX;
    while let Ok(Some(data)) = next(body, deadline).await {
        let Some(less) = left.checked_sub(data.remaining()) else { return };
        left = less;
    }
}
