//! The accept loop: every connection has a time for each thing it may take time over.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::response::{IntoResponse as _, Response};
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use sealtrail_env::{Arriving, Place, Places, Watched, connections_max, let_wait};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinSet, yield_now};
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
const STREAMS_MAX: u32 = 8;

/// Bytes of an answer that wait for one HTTP/2 stream's client to read, a piece of a file (32 KiB) not counted. So a
/// connection that reads nothing of what it asks for holds 384 KiB.
const SEND_BYTES_MAX: usize = 16 << 10;

/// Most bytes of bodies on an HTTP/2 connection, all streams together, that came and wait to be read: for room in the
/// memory, say, of which they are no part yet. A client may send so many before it has read any other number (RFC 9113
/// section 6.9.2). They are on their way again in a round trip, and those who speak HTTP/2 here stand next to the ledger.
const WINDOW_BYTES: u32 = (64 << 10) - 1;

/// How long to wait after the system refused a connection, for want of file descriptors say.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Longest wait between two looks at a preface that has not come to its end.
const SNIFF_PAUSE_MAX: Duration = Duration::from_millis(500);

/// A connection is looked at this many times within each of its times.
const LOOKS: u32 = 8;

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
            connections_max: connections_max(config.connections_max),
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
/// [`ServeError`] where the listener's address is not loopback, or connections cannot wait at it.
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
    let_wait(&listener).map_err(|source| ServeError::Listen { address, source })?;
    let places = Places::new(limits.connections_max);
    let (stop, stopped) = watch::channel(false);
    let mut connections = JoinSet::new();
    let mut shutdown = pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            () = &mut shutdown => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => continue,
            accepted = listener.accept() => accepted,
        };
        let Ok((stream, from)) = accepted else {
            sleep(ACCEPT_PAUSE).await;
            continue;
        };
        Metrics::add(&metrics.connections, 1);
        let Some((place, another_left)) = places.take(from.ip()) else {
            Metrics::add(&metrics.connections_refused, 1);
            continue;
        };
        Metrics::add(&metrics.connections_refused, another_left.into());
        connections.spawn(connection(
            stream,
            router.clone(),
            limits,
            place,
            Arc::clone(&metrics),
            stopped.clone(),
        ));
        if another_left {
            // It is read before the next one comes, which may take a place from it.
            yield_now().await;
        }
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
async fn connection(
    stream: TcpStream,
    router: Router,
    limits: Limits,
    place: Place,
    metrics: Arc<Metrics>,
    mut stopped: watch::Receiver<bool>,
) {
    // Answers are small and awaited; without this they would wait for the client's acknowledgements.
    let _ = stream.set_nodelay(true);
    // A connection on which nothing was said yet is let go at once when the ledger stops.
    let version = tokio::select! {
        version = timeout(limits.header, sniff(&stream)) => version,
        () = place.leave() => return,
        _ = stopped.wait_for(|stopped| *stopped) => return,
    };
    let Ok(Some(version)) = version else { return };
    let begin = place.requests();
    let service = service_fn(move |request: Request<Incoming>| {
        let begun = begin();
        let answer = router.clone().call(request.map(|body| Arriving::new(body, begun.clone())));
        async move {
            let _begun = begun;
            let late = || Refusal::new(Class::Unavailable, "the answer took too long");
            let answer: Result<Response, std::convert::Infallible> =
                match timeout(limits.request, answer).await {
                    Ok(answer) => answer,
                    Err(_) => Ok(Problem(late()).into_response()),
                };
            answer
        }
    });
    let over = over(&place, limits);
    match version {
        Version::Http1 => {
            let mut builder = http1::Builder::new();
            builder
                .timer(TokioTimer::new())
                .header_read_timeout(limits.header)
                .max_headers(HEADERS_MAX)
                .max_buf_size(HEADER_BYTES_MAX as usize * 4);
            let io = TokioIo::new(Watched::http1(stream, &place));
            let connection = builder.serve_connection(io, service);
            drive(connection, over, stopped, |c| c.graceful_shutdown()).await;
        }
        Version::Http2 => {
            let mut builder = http2::Builder::new(TokioExecutor::new());
            builder
                .timer(TokioTimer::new())
                .max_concurrent_streams(STREAMS_MAX)
                .max_header_list_size(HEADER_BYTES_MAX)
                .max_send_buf_size(SEND_BYTES_MAX)
                .initial_stream_window_size(WINDOW_BYTES)
                .initial_connection_window_size(WINDOW_BYTES);
            let io = TokioIo::new(Watched::http2(stream, &place));
            let connection = builder.serve_connection(io, service);
            drive(connection, over, stopped, |c| c.graceful_shutdown()).await;
            Metrics::add(&metrics.connections_flooding, place.flooded().into());
        }
    }
}

/// Comes back when a connection's place goes to another, when its client sent no whole request for as long as a header may
/// take, or when nothing has moved for too long and the ledger owes no answer.
async fn over(place: &Place, limits: Limits) {
    let look = limits.header.min(limits.stall) / LOOKS;
    loop {
        tokio::select! {
            () = place.leave() => return,
            () = sleep(look) => {}
        }
        // A body that is arriving has its own time, and what it was answered is sent first.
        let strange = place.stranger_for() >= limits.header && place.idle_for() >= look;
        if strange || place.still_for().max(place.unread_for()) >= limits.stall {
            return;
        }
    }
}

/// Drives a connection until it ends, is over, or has been told to stop and has answered what it was asked.
async fn drive<C: Future>(
    connection: C,
    over: impl Future<Output = ()>,
    mut stopped: watch::Receiver<bool>,
    stop: impl Fn(Pin<&mut C>),
) {
    let mut connection = pin!(connection);
    let mut over = pin!(over);
    let mut told = false;
    loop {
        tokio::select! {
            _ = &mut connection => return,
            () = &mut over => return,
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
    let mut pause = Duration::from_millis(5);
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
        // Part of a preface: what was seen is seen again at once, so waiting takes a timer, and ever longer, since a client
        // that stops here would otherwise cost more than one that speaks.
        sleep(pause).await;
        pause = (2 * pause).min(SNIFF_PAUSE_MAX);
    }
}
