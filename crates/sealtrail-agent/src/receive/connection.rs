//! Accept loops and what keeps a connection from being held for nothing.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulConnection;
use sealtrail_env::{Arriving, Place, Places, Request, Watched};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::yield_now;
use tokio::time::{sleep, timeout};

use super::{Grpc, Http};
use crate::status::{Counter, Status};

/// Connections at once, on each listener: every container of a large node, several times over.
pub(crate) const CONNECTIONS_MAX: usize = 1024;

/// Calls at once on one gRPC connection: a Collector has ten by default. A call costs up to 16 KiB before its body is read,
/// so 1,024 connections with nothing but calls cost 256 MiB.
const STREAMS_MAX: u32 = 16;

/// Longest wait for a request's head; with keep-alive also for the next one's. SDKs export every few seconds.
const HEAD_TIMEOUT: Duration = Duration::from_secs(20);

/// How long a connection may take to its first whole request, and a client to read its answer: above the 8 s that a body
/// has, and together with LOOK within 15 s.
const FIRST_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a connection may live without a request going on: above what HEAD_TIMEOUT sees, for HTTP/2.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);

/// How often a connection is looked at.
const LOOK: Duration = Duration::from_secs(2);

/// How long a connection that was asked to end may take.
const GRACE: Duration = Duration::from_secs(10);

/// Longest request head: OTLP clients send under 1 KiB, proxies add a few.
const HEAD_BYTES_MAX: usize = 16 << 10;

/// What is read from an HTTP/1 connection at once. hyper would go up to 400 KiB on a connection whose bodies are long, and keep
/// that; a 1,000-record request takes five reads.
const READ_BYTES: usize = 64 << 10;

/// Flow-control windows: a 1,000-record request (about 275 KiB) goes through without a round trip, and what 1,024
/// connections can have on their way stays within 2 GiB even if none of it were read.
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
    places: Places,
    protocol: impl Into<Protocol>,
    status: Status,
    mut end: watch::Receiver<bool>,
) {
    let protocol = protocol.into();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = end.wait_for(|end| *end) => break,
        };
        match accepted {
            Ok((stream, from)) => match places.take(from.ip()) {
                Some((place, another_left)) => {
                    status.count(Counter::ConnectionsRefused, another_left.into());
                    tokio::spawn(connection(stream, protocol.clone(), status.clone(), end.clone(), place));
                    if another_left {
                        // It is read before the next one comes, which may take a place from it.
                        yield_now().await;
                    }
                }
                // Closed at once: the client finds out now and comes again, instead of waiting in a queue.
                None => status.count(Counter::ConnectionsRefused, 1),
            },
            Err(_) => sleep(ACCEPT_RETRY).await,
        }
    }
    drop(listener);
    // Those that do not finish in time are cut off when the runtime ends.
    let _ = timeout(GRACE, places.empty()).await;
}

async fn connection(
    stream: TcpStream,
    protocol: Protocol,
    status: Status,
    end: watch::Receiver<bool>,
    place: Place,
) {
    // An answer is one small segment; nothing is gained by holding it back.
    let _ = stream.set_nodelay(true);
    let begin = place.requests();
    match protocol {
        Protocol::Grpc(grpc) => {
            let service = service_fn(move |request: http::Request<Incoming>| {
                let begun = begin();
                let request = request.map(|body| Arriving::new(body, Arc::clone(&begun)));
                during(begun, grpc.clone().answer(request))
            });
            let io = TokioIo::new(Watched::http2(stream, &place));
            let connection = http2::Builder::new(TokioExecutor::new())
                .timer(TokioTimer::new())
                .max_concurrent_streams(STREAMS_MAX)
                .max_header_list_size(HEAD_BYTES_MAX as u32)
                .initial_stream_window_size(WINDOW_BYTES)
                .initial_connection_window_size(2 * WINDOW_BYTES)
                .keep_alive_interval(Some(IDLE_TIMEOUT / 2))
                .keep_alive_timeout(GRACE)
                .serve_connection(io, service);
            watch_over(connection, &place, &status, end).await;
        }
        Protocol::Http(http) => {
            let service = service_fn(move |request: http::Request<Incoming>| {
                let begun = begin();
                let request = request.map(|body| Arriving::new(body, Arc::clone(&begun)));
                during(begun, http.clone().answer(request))
            });
            let io = TokioIo::new(Watched::http1(stream, &place));
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD_TIMEOUT)
                .max_header_size(HEAD_BYTES_MAX)
                .max_buf_size(READ_BYTES)
                .serve_connection(io, service);
            watch_over(connection, &place, &status, end).await;
        }
    }
}

/// Drives a connection; ends it when nothing goes on for too long, or when the agent ends.
async fn watch_over(
    connection: impl GracefulConnection,
    place: &Place,
    status: &Status,
    mut end: watch::Receiver<bool>,
) {
    let mut connection = pin!(connection);
    loop {
        tokio::select! {
            // How a connection ended is the client's business; its requests were answered or were not.
            _ = &mut connection => return status.count(Counter::ConnectionsFlooding, place.flooded().into()),
            () = place.leave() => return,
            _ = end.wait_for(|end| *end) => break,
            () = sleep(LOOK) => {
                // Such a client is owed nothing, or does not take it: no goodbye is waited for.
                if place.stranger_for().max(place.unread_for()) >= FIRST_TIMEOUT {
                    return status.count(Counter::ConnectionsIdle, 1);
                }
                if place.idle_for() >= IDLE_TIMEOUT {
                    status.count(Counter::ConnectionsIdle, 1);
                    break;
                }
            }
        }
    }
    connection.as_mut().graceful_shutdown();
    let _ = timeout(GRACE, connection).await;
}

/// Keeps a request counted while it is being answered, however that ends.
async fn during<T>(request: Arc<Request>, work: impl Future<Output = T>) -> T {
    let done = work.await;
    drop(request);
    done
}
