//! The ledger's files (`docs/spec/04-log.md` 4.8): the same paths as on disk, and no others.

use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::Response;
use bytes::Bytes;
use http::header::{ACCEPT_RANGES, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, RANGE};
use http::{HeaderMap, HeaderValue, StatusCode};
use http_body::{Frame, SizeHint};
use sealtrail_core::segment::file_name;
use sealtrail_core::tile::{TILE_WIDTH, Tile};
use sealtrail_env::{Disk, blocking};

use crate::refusal::{Class, Refusal};
use crate::trail::SegmentPart;

use super::App;
use super::problem::Problem;

/// Bytes read and sent at a time: what is held of a file for a client that does not take it.
const CHUNK_BYTES: u64 = 32 << 10;

const IMMUTABLE: &str = "public, max-age=31536000, immutable";
const CHANGING: &str = "no-cache";
const TEXT: &str = "text/plain; charset=utf-8";
const BYTES: &str = "application/octet-stream";

fn none() -> Refusal {
    Refusal::new(Class::NotFound, "no such file")
}

/// `GET /v1/ledger.json`
pub(super) async fn ledger_json(State(app): State<Arc<App>>) -> Result<Response, Problem> {
    File::new(app.files.layout.ledger_json(), "application/json", CHANGING).serve_replaced(&app).await
}

/// `GET /v1/trails/{trail}/checkpoint`
pub(super) async fn checkpoint(
    State(app): State<Arc<App>>,
    Path(trail): Path<String>,
) -> Result<Response, Problem> {
    let trail = app.readable(&trail)?.info.id;
    File::new(app.files.layout.checkpoint(trail), TEXT, CHANGING).serve_replaced(&app).await
}

/// `GET /v1/trails/{trail}/tile/{path}`
pub(super) async fn tile(
    State(app): State<Arc<App>>,
    Path((trail, path)): Path<(String, String)>,
) -> Result<Response, Problem> {
    let trail = app.readable(&trail)?.info.id;
    let tile = Tile::parse(&format!("tile/{path}")).ok_or_else(none)?;
    let full = u64::from(tile.width) == TILE_WIDTH;
    let cache = if full { IMMUTABLE } else { CHANGING };
    File::new(app.files.layout.tile(trail, &tile), BYTES, cache).serve(&app, None).await
}

/// `GET /v1/trails/{trail}/segments/{name}`
pub(super) async fn segment(
    State(app): State<Arc<App>>,
    Path((trail, name)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let shared = app.readable(&trail)?;
    let number = name.strip_suffix(".seg").and_then(|digits| digits.parse().ok());
    let number: u64 = number.filter(|number| file_name(*number) == name).ok_or_else(none)?;
    let (cache, bytes_max) = match shared.segment(number) {
        SegmentPart::All => (IMMUTABLE, None),
        SegmentPart::UpTo(committed) => (CHANGING, Some(committed)),
        SegmentPart::Nothing => return Err(none().into()),
    };
    let mut file = File::new(app.files.layout.segment(shared.info.id, number), BYTES, cache);
    file.bytes_max = bytes_max;
    file.serve(&app, headers.get(RANGE)).await
}

/// `GET /v1/artefacts/{prefix}/{name}`
pub(super) async fn artefact(
    State(app): State<Arc<App>>,
    Path((prefix, name)): Path<(String, String)>,
) -> Result<Response, Problem> {
    let mut hash = [0; 32];
    hex::decode_to_slice(&name, &mut hash).map_err(|_| none())?;
    let canonical = sealtrail_core::artefact::path(&hash) == format!("artefacts/{prefix}/{name}");
    if !canonical {
        return Err(none().into());
    }
    File::new(app.files.layout.artefact(&hash), BYTES, IMMUTABLE).serve(&app, None).await
}

/// A file to serve.
struct File {
    path: PathBuf,
    media_type: &'static str,
    cache: &'static str,
    /// Bytes to show at most.
    bytes_max: Option<u64>,
}

impl File {
    fn new(path: PathBuf, media_type: &'static str, cache: &'static str) -> Self {
        Self { path, media_type, cache, bytes_max: None }
    }

    /// Serves a file that others take the place of, whole and as it is now. It is a short one.
    async fn serve_replaced(self, app: &App) -> Result<Response, Problem> {
        let (disk, path) = (app.files.disk.clone(), self.path.clone());
        let read = move || {
            let file = disk.open_read(&path)?;
            let mut bytes = vec![0; usize::try_from(file.size()?.min(CHUNK_BYTES)).unwrap_or(0)];
            file.read_exact_at(&mut bytes, 0)?;
            Ok(bytes)
        };
        let bytes = found(blocking(read).await)?;
        let end = bytes.len() as u64;
        Ok(self.answer(StatusCode::OK, 0..end, end, Body::from(bytes)))
    }

    /// Serves a file whose bytes never change, or a part of it.
    async fn serve(self, app: &App, range: Option<&HeaderValue>) -> Result<Response, Problem> {
        let (disk, path) = (app.files.disk.clone(), self.path.clone());
        let bytes = found(blocking(move || disk.open_read(&path)?.size()).await)?;
        let bytes = self.bytes_max.map_or(bytes, |max| bytes.min(max));
        let (status, part) = match range.map(|range| parse_range(range, bytes)) {
            None | Some(Range::Whole) => (StatusCode::OK, 0..bytes),
            Some(Range::Part(start, end)) => (StatusCode::PARTIAL_CONTENT, start..end),
            Some(Range::Outside) => {
                let refusal = Refusal::new(Class::Range, format!("the file has `{bytes}` bytes"));
                return Err(refusal.into());
            }
        };
        let (disk, path) = (app.files.disk.clone(), self.path.clone());
        let body = Body::new(FileBody { disk, path, at: part.start, end: part.end, reading: None });
        Ok(self.answer(status, part, bytes, body))
    }

    fn answer(self, status: StatusCode, part: std::ops::Range<u64>, bytes: u64, body: Body) -> Response {
        let mut response = Response::new(body);
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(self.media_type));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static(self.cache));
        headers.insert(CONTENT_LENGTH, HeaderValue::from(part.end - part.start));
        headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        if status == StatusCode::PARTIAL_CONTENT {
            let range = format!("bytes {}-{}/{bytes}", part.start, part.end - 1);
            let range = HeaderValue::from_str(&range).unwrap_or(HeaderValue::from_static("bytes */*"));
            headers.insert(CONTENT_RANGE, range);
        }
        response
    }
}

/// What was read, where there is such a file.
fn found<T>(read: Option<io::Result<T>>) -> Result<T, Problem> {
    match read {
        Some(Ok(read)) => Ok(read),
        Some(Err(error)) if error.kind() == io::ErrorKind::NotFound => Err(none().into()),
        _ => Err(Refusal::new(Class::Unavailable, "the file cannot be read").into()),
    }
}

/// What a Range header (RFC 9110 section 14.2) asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Range {
    /// The whole file: no range, or one in a form that may be ignored.
    Whole,
    /// From, up to and without.
    Part(u64, u64),
    /// Nothing that is there.
    Outside,
}

/// One range of bytes; several at once are answered with the whole file, as the RFC allows.
fn parse_range(header: &HeaderValue, bytes: u64) -> Range {
    let asked = header.to_str().ok().and_then(|text| text.strip_prefix("bytes="));
    let Some((first, last)) = asked.and_then(|range| range.split_once('-')) else { return Range::Whole };
    match (first.parse::<u64>().ok(), last.parse::<u64>().ok()) {
        (Some(first), _) if first >= bytes => Range::Outside,
        (Some(first), None) if last.is_empty() => Range::Part(first, bytes),
        (Some(first), Some(last)) if first <= last => Range::Part(first, bytes.min(last.saturating_add(1))),
        (None, Some(0)) if first.is_empty() => Range::Outside,
        (None, Some(last)) if first.is_empty() && bytes > 0 => Range::Part(bytes.saturating_sub(last), bytes),
        _ => Range::Whole,
    }
}

/// Bytes that are being read; `None` where that broke off.
type Reading = Pin<Box<dyn Future<Output = Option<io::Result<Bytes>>> + Send>>;

/// A part of a file, read as fast as the client takes it. The file is open only while a piece of it is read: clients that take
/// nothing would otherwise use up the descriptors, and the ledger could open no file of its own.
struct FileBody {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    at: u64,
    end: u64,
    reading: Option<Reading>,
}

impl http_body::Body for FileBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if self.at >= self.end && self.reading.is_none() {
            return Poll::Ready(None);
        }
        let (disk, path, at) = (self.disk.clone(), self.path.clone(), self.at);
        let count = usize::try_from((self.end - self.at).min(CHUNK_BYTES)).unwrap_or(0);
        let reading = self.reading.get_or_insert_with(|| {
            Box::pin(blocking(move || {
                let mut chunk = vec![0; count];
                disk.open_read(&path)?.read_exact_at(&mut chunk, at)?;
                Ok(chunk.into())
            }))
        });
        let read = ready!(reading.as_mut().poll(context));
        self.reading = None;
        let chunk = match read {
            Some(Ok(chunk)) => chunk,
            Some(Err(error)) => return Poll::Ready(Some(Err(error))),
            None => return Poll::Ready(Some(Err(io::Error::other("reading broke off")))),
        };
        self.at += chunk.len() as u64;
        Poll::Ready(Some(Ok(Frame::data(chunk))))
    }

    fn is_end_stream(&self) -> bool {
        self.at >= self.end
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.end - self.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        for (text, range) in [
            ("bytes=0-9", Range::Part(0, 10)),
            ("bytes=5-", Range::Part(5, 100)),
            ("bytes=-10", Range::Part(90, 100)),
            ("bytes=-1000", Range::Part(0, 100)),
            ("bytes=90-1000", Range::Part(90, 100)),
            ("bytes=100-", Range::Outside),
            ("bytes=-0", Range::Outside),
            ("bytes=9-5", Range::Whole),
            ("bytes=0-1,5-6", Range::Whole),
            ("lines=1-2", Range::Whole),
            ("bytes=--1", Range::Whole),
        ] {
            assert_eq!(parse_range(&HeaderValue::from_static(text), 100), range, "{text}");
        }
    }
}
