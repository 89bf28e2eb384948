//! The accept loop: every connection has a time for each thing it may take time over.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::Router;
use axum::response::{IntoResponse as _, Response};
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tower::Service as _;

use crate::config::{ConfigError, HttpConfig, check_loopback, ms};
use crate::metrics::Metrics;
use crate::refusal::{Class, Refusal};

use super::problem::Problem;

/// What an HTTP/2 connection begins with (RFC 9113 section 3.4).
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Largest request header in bytes: the longest path has under 200, and proxies add a few lines.
const HEADER_BYTES_MAX: u32 = 16 << 10;

/// Most header lines.
const HEADERS_MAX: usize = 64;

/// Requests at once on one HTTP/2 connection: an agent keeps two or three under way.
const STREAMS_MAX: u32 = 64;

/// Buffer of an HTTP/2 stream and connection: a batch of 1,000 records arrives without waiting for an update.
const WINDOW_BYTES: u32 = 1 << 20;

/// How long to wait after the system refused a connection, for want of file descriptors say.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Why the interface could not be served.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// An address that must not be listened on.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The address cannot be listened on.
    #[error("cannot listen on `{address}`")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
}

/// The times and numbers of [`HttpConfig`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    connections_max: usize,
    header: Duration,
    request: Duration,
    stall: Duration,
    grace: Duration,
}

impl Limits {
    pub(crate) fn new(config: &HttpConfig) -> Self {
        Self {
            connections_max: config.connections_max,
            header: ms(config.header_timeout_ms),
            request: ms(config.request_timeout_ms),
            stall: ms(config.stall_timeout_ms),
            grace: ms(config.grace_ms),
        }
    }
}

/// Serves until `shutdown`, then lets open requests end within the grace period.
///
/// # Errors
/// [`ServeError`] where the listener's address is not loopback.
pub(crate) async fn serve(
    router: Router,
    listener: TcpListener,
    limits: Limits,
    metrics: Arc<Metrics>,
    shutdown: impl Future<Output = ()>,
) -> Result<(), ServeError> {
    let unknown = SocketAddr::from(([0, 0, 0, 0], 0));
    let address = listener.local_addr().map_err(|source| ServeError::Listen { address: unknown, source })?;
    check_loopback(address)?;
    let permits = Arc::new(Semaphore::new(limits.connections_max));
    let (stop, stopped) = watch::channel(false);
    let mut connections = JoinSet::new();
    let mut shutdown = pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            () = &mut shutdown => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => continue,
            accepted = listener.accept() => accepted,
        };
        let Ok((stream, _)) = accepted else {
            sleep(ACCEPT_PAUSE).await;
            continue;
        };
        Metrics::add(&metrics.connections, 1);
        let Ok(permit) = permits.clone().try_acquire_owned() else {
            Metrics::add(&metrics.connections_refused, 1);
            continue;
        };
        let (router, stopped) = (router.clone(), stopped.clone());
        connections.spawn(async move {
            let _permit = permit;
            connection(stream, router, limits, stopped).await;
        });
    }
    drop(listener);
    // Connections that have ended already do not listen any more.
    let _ = stop.send(true);
    let drained = timeout(limits.grace, async { while connections.join_next().await.is_some() {} });
    if drained.await.is_err() {
        connections.shutdown().await;
    }
    Ok(())
}

/// Serves one connection to its end. However it ends, the client sees it; there is nobody to tell here.
async fn connection(stream: TcpStream, router: Router, limits: Limits, mut stopped: watch::Receiver<bool>) {
    // Answers are small and awaited; without this they would wait for the client's acknowledgements.
    let _ = stream.set_nodelay(true);
    // A connection on which nothing was said yet is let go at once when the ledger stops.
    let version = tokio::select! {
        version = timeout(limits.header, sniff(&stream)) => version,
        _ = stopped.wait_for(|stopped| *stopped) => return,
    };
    let Ok(Some(version)) = version else { return };
    let activity = Arc::new(Activity::default());
    let io = TokioIo::new(Watched { stream, activity: activity.clone() });
    let requests = activity.clone();
    let service = service_fn(move |request: Request<Incoming>| {
        let guard = requests.begin();
        let answer = router.clone().call(request);
        async move {
            let _guard = guard;
            let late = || Refusal::new(Class::Unavailable, "the answer took too long");
            let answer: Result<Response, std::convert::Infallible> =
                match timeout(limits.request, answer).await {
                    Ok(answer) => answer,
                    Err(_) => Ok(Problem(late()).into_response()),
                };
            answer
        }
    });
    let stalled = activity.stalled(limits.stall);
    match version {
        Version::Http1 => {
            let mut builder = http1::Builder::new();
            builder
                .timer(TokioTimer::new())
                .header_read_timeout(limits.header)
                .max_headers(HEADERS_MAX)
                .max_buf_size(HEADER_BYTES_MAX as usize * 4);
            let connection = builder.serve_connection(io, service);
            drive(connection, stalled, stopped, |c| c.graceful_shutdown()).await;
        }
        Version::Http2 => {
            let mut builder = http2::Builder::new(TokioExecutor::new());
            builder
                .timer(TokioTimer::new())
                .max_concurrent_streams(STREAMS_MAX)
                .max_header_list_size(HEADER_BYTES_MAX)
                .initial_stream_window_size(WINDOW_BYTES)
                .initial_connection_window_size(WINDOW_BYTES);
            let connection = builder.serve_connection(io, service);
            drive(connection, stalled, stopped, |c| c.graceful_shutdown()).await;
        }
    }
}

/// Drives a connection until it ends, stalls, or has been told to stop and has answered what it was asked.
async fn drive<C: Future>(
    connection: C,
    stalled: impl Future<Output = ()>,
    mut stopped: watch::Receiver<bool>,
    stop: impl Fn(Pin<&mut C>),
) {
    let mut connection = pin!(connection);
    let mut stalled = pin!(stalled);
    let mut told = false;
    loop {
        tokio::select! {
            _ = &mut connection => return,
            () = &mut stalled => return,
            _ = stopped.wait_for(|stopped| *stopped), if !told => {
                told = true;
                stop(connection.as_mut());
            }
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    Http1,
    Http2,
}

/// Tells the version by the first bytes, which stay unread. `None` where the connection ends first.
async fn sniff(stream: &TcpStream) -> Option<Version> {
    let mut bytes = [0; PREFACE.len()];
    loop {
        let count = stream.peek(&mut bytes).await.ok()?;
        let found = bytes.get(..count)?;
        if found.is_empty() {
            return None;
        }
        if !PREFACE.starts_with(found) {
            return Some(Version::Http1);
        }
        if count == PREFACE.len() {
            return Some(Version::Http2);
        }
        // Part of a preface: what was seen is seen again at once, so waiting takes a timer.
        sleep(Duration::from_millis(5)).await;
    }
}

/// What goes on on a connection.
struct Activity {
    start: Instant,
    /// ms from the start to the last byte in either direction.
    last_ms: AtomicU64,
    requests: AtomicUsize,
}

impl Default for Activity {
    fn default() -> Self {
        Self { start: Instant::now(), last_ms: AtomicU64::new(0), requests: AtomicUsize::new(0) }
    }
}

impl Activity {
    fn note(&self) {
        let ms = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last_ms.store(ms, Ordering::Relaxed);
    }

    fn begin(self: &Arc<Self>) -> Counted {
        self.requests.fetch_add(1, Ordering::Relaxed);
        Counted(self.clone())
    }

    /// Ends when nothing has moved for `limit` and the ledger owes no answer.
    async fn stalled(&self, limit: Duration) {
        loop {
            let last = Duration::from_millis(self.last_ms.load(Ordering::Relaxed));
            let idle = self.start.elapsed().saturating_sub(last);
            if idle >= limit && self.requests.load(Ordering::Relaxed) == 0 {
                return;
            }
            // An answer the ledger owes has its own time limit.
            sleep(limit.saturating_sub(idle).max(limit / 8)).await;
        }
    }
}

/// A request that is being answered.
struct Counted(Arc<Activity>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.requests.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A stream whose every byte is noted.
struct Watched {
    stream: TcpStream,
    activity: Arc<Activity>,
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(context, buffer);
        if buffer.filled().len() > before {
            self.activity.note();
        }
        polled
    }
}

impl AsyncWrite for Watched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(context, bytes);
        if polled.is_ready() {
            self.activity.note();
        }
        polled
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        if polled.is_ready() {
            self.activity.note();
        }
        polled
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
