//! Accept loops and what keeps a connection from being held for nothing.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulConnection;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{Instant, sleep, timeout};

use super::{Grpc, Http};
use crate::status::{Counter, Status};

/// Connections at once, on each listener: every container of a large node, several times over.
const CONNECTIONS_MAX: usize = 1024;

/// Calls at once on one gRPC connection.
const STREAMS_MAX: u32 = 64;

/// Longest wait for a request's head; with keep-alive also for the next one's. SDKs export every few seconds.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a connection may live without a request going on: above what HEAD_TIMEOUT sees, for HTTP/2 and slow first
/// bytes.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);

/// How often idleness is looked for.
const IDLE_CHECK: Duration = Duration::from_secs(5);

/// How long a connection that was asked to end may take.
const GRACE: Duration = Duration::from_secs(10);

/// Longest request head: OTLP clients send under 1 KiB, proxies add a few.
const HEAD_BYTES_MAX: usize = 16 << 10;

/// Flow-control windows: a 1,000-record request (about 275 KiB) goes through without a round trip.
const WINDOW_BYTES: u32 = 1 << 20;

/// How long to wait when the system has no more file descriptors.
const ACCEPT_RETRY: Duration = Duration::from_millis(50);

/// Which protocol a listener speaks.
#[derive(Clone, Debug)]
pub(crate) enum Protocol {
    Grpc(Grpc),
    Http(Http),
}

impl From<Grpc> for Protocol {
    fn from(grpc: Grpc) -> Self {
        Self::Grpc(grpc)
    }
}

impl From<Http> for Protocol {
    fn from(http: Http) -> Self {
        Self::Http(http)
    }
}

/// Accepts connections until told to end, then lets those that there are finish their requests.
pub(crate) async fn serve(
    listener: TcpListener,
    protocol: impl Into<Protocol>,
    status: Status,
    mut end: watch::Receiver<bool>,
) {
    let protocol = protocol.into();
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = end.wait_for(|end| *end) => break,
        };
        match accepted {
            Ok((stream, _)) => match Arc::clone(&places).try_acquire_owned() {
                Ok(place) => {
                    let end = end.clone();
                    tokio::spawn(connection(stream, protocol.clone(), status.clone(), end, place));
                }
                // Closed at once: the client finds out now and comes again, instead of waiting in a queue.
                Err(_) => status.count(Counter::ConnectionsRefused, 1),
            },
            Err(_) => sleep(ACCEPT_RETRY).await,
        }
    }
    drop(listener);
    let all = u32::try_from(CONNECTIONS_MAX).unwrap_or(u32::MAX);
    // Those that do not finish in time are cut off when the runtime ends.
    let _ = timeout(GRACE, places.acquire_many(all)).await;
}

async fn connection(
    stream: TcpStream,
    protocol: Protocol,
    status: Status,
    end: watch::Receiver<bool>,
    _place: OwnedSemaphorePermit,
) {
    // An answer is one small segment; nothing is gained by holding it back.
    let _ = stream.set_nodelay(true);
    let io = TokioIo::new(stream);
    let activity = Activity::default();
    match protocol {
        Protocol::Grpc(grpc) => {
            let calls = activity.clone();
            let service = service_fn(move |request| calls.during(grpc.clone().answer(request)));
            let connection = http2::Builder::new(TokioExecutor::new())
                .timer(TokioTimer::new())
                .max_concurrent_streams(STREAMS_MAX)
                .max_header_list_size(HEAD_BYTES_MAX as u32)
                .initial_stream_window_size(WINDOW_BYTES)
                .initial_connection_window_size(4 * WINDOW_BYTES)
                .keep_alive_interval(Some(IDLE_TIMEOUT / 2))
                .keep_alive_timeout(GRACE)
                .serve_connection(io, service);
            watch_over(connection, &activity, &status, end).await;
        }
        Protocol::Http(http) => {
            let calls = activity.clone();
            let service = service_fn(move |request| calls.during(http.clone().answer(request)));
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD_TIMEOUT)
                .max_header_size(HEAD_BYTES_MAX)
                .serve_connection(io, service);
            watch_over(connection, &activity, &status, end).await;
        }
    }
}

/// Drives a connection; ends it when nothing goes on for too long, or when the agent ends.
async fn watch_over(
    connection: impl GracefulConnection,
    activity: &Activity,
    status: &Status,
    mut end: watch::Receiver<bool>,
) {
    let mut connection = pin!(connection);
    let mut idle_since = Instant::now();
    loop {
        tokio::select! {
            // How a connection ended is the client's business; its requests were answered or were not.
            _ = &mut connection => return,
            _ = end.wait_for(|end| *end) => break,
            () = sleep(IDLE_CHECK) => {
                if activity.take() {
                    idle_since = Instant::now();
                } else if idle_since.elapsed() >= IDLE_TIMEOUT {
                    status.count(Counter::ConnectionsIdle, 1);
                    break;
                }
            }
        }
    }
    connection.as_mut().graceful_shutdown();
    let _ = timeout(GRACE, connection).await;
}

/// Requests going on in a connection, and whether there were any since last asked.
#[derive(Clone, Debug, Default)]
struct Activity(Arc<(AtomicUsize, AtomicUsize)>);

impl Activity {
    fn during<F: Future>(&self, work: F) -> impl Future<Output = F::Output> + use<F> {
        let guard = Going::new(self.clone());
        async move {
            let done = work.await;
            drop(guard);
            done
        }
    }

    fn take(&self) -> bool {
        self.0.1.swap(0, Ordering::Relaxed) > 0 || self.0.0.load(Ordering::Relaxed) > 0
    }
}

/// Counts a request while it lives, however it ends.
struct Going(Activity);

impl Going {
    fn new(activity: Activity) -> Self {
        activity.0.0.fetch_add(1, Ordering::Relaxed);
        activity.0.1.fetch_add(1, Ordering::Relaxed);
        Self(activity)
    }
}

impl Drop for Going {
    fn drop(&mut self) {
        self.0.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}
