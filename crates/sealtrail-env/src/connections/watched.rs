//! A stream whose place knows what moves on it, and that leaves others their turn.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::frames::Frames;
use super::places::{Connection, Place};

/// Read in one turn of a connection's task, then it is the next one's: 900 of the smallest HTTP/2 frames, a tenth of a
/// millisecond. tokio alone would let it read 128 times, and whoever has one request waits for all that have thousands of
/// frames. A long body loses nothing: the way through tokio's queue is a hundredth of the time that these bytes take.
const TURN_BYTES: usize = 8 << 10;

/// A stream whose every byte is noted, and whether the client takes what is written.
#[derive(Debug)]
pub struct Watched {
    stream: TcpStream,
    connection: Arc<Connection>,
    /// Of an HTTP/2 connection.
    frames: Option<Frames>,
    turn_bytes: usize,
}

impl Watched {
    /// The stream of the HTTP/1 connection with this place.
    #[must_use]
    pub fn http1(stream: TcpStream, place: &Place) -> Self {
        Self { stream, connection: place.connection(), frames: None, turn_bytes: 0 }
    }

    /// The stream of the HTTP/2 connection with this place, of which nothing was read. It fails for a client that goes on
    /// saying what asks for nothing ([`Place::flooded`]).
    #[must_use]
    pub fn http2(stream: TcpStream, place: &Place) -> Self {
        Self { frames: Some(Frames::new()), ..Self::http1(stream, place) }
    }

    fn came(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.turn_bytes += bytes.len();
        self.connection.moved();
        let Some(frames) = &mut self.frames else { return Ok(()) };
        frames.came(bytes).map_err(|flood| {
            self.connection.flooded();
            io::Error::new(io::ErrorKind::ConnectionAborted, flood)
        })
    }

    fn wrote(&mut self, polled: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        self.connection.blocked(polled.is_pending());
        if polled.is_ready() {
            self.connection.moved();
        }
        if let (Poll::Ready(Ok(bytes)), Some(frames)) = (&polled, &mut self.frames) {
            frames.wrote(*bytes);
        }
        polled
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.turn_bytes >= TURN_BYTES {
            self.turn_bytes = 0;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(context, buffer);
        if polled.is_pending() {
            self.turn_bytes = 0;
        }
        ready!(polled)?;
        match buffer.filled().get(before..) {
            None | Some([]) => Poll::Ready(Ok(())),
            Some(bytes) => Poll::Ready(self.came(bytes)),
        }
    }
}

impl AsyncWrite for Watched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.wrote(polled)
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
        self.wrote(polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::io::Write as _;

    use super::super::Places;
    use super::*;

    /// A client, and its stream with a place for one.
    async fn pair(make: fn(TcpStream, &Place) -> Watched) -> (std::net::TcpStream, Watched, Place) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (stream, from) = listener.accept().await.unwrap();
        let (place, _) = Places::new(1).take(from.ip()).unwrap();
        (client, make(stream, &place), place)
    }

    /// What one poll of a task reads that takes all it gets: bytes, and how it ended if it did.
    async fn turn(stream: &mut Watched, piece: usize) -> (usize, Option<io::ErrorKind>) {
        let (mut bytes, mut space) = (0, vec![0; piece]);
        poll_fn(|context| {
            loop {
                let mut buffer = ReadBuf::new(&mut space);
                match Pin::new(&mut *stream).poll_read(context, &mut buffer) {
                    Poll::Pending => return Poll::Ready((bytes, None)),
                    Poll::Ready(Err(error)) => return Poll::Ready((bytes, Some(error.kind()))),
                    Poll::Ready(Ok(())) => bytes += buffer.filled().len(),
                }
            }
        })
        .await
    }

    #[tokio::test]
    async fn a_connection_with_much_to_say_leaves_others_their_turn() {
        let (mut client, mut stream, place) = pair(Watched::http1).await;
        client.write_all(&[0; 100_000]).unwrap();
        stream.stream.readable().await.unwrap();
        let (mut all, mut turns) = (0, 0);
        while all < 100_000 {
            let (bytes, failed) = turn(&mut stream, 1000).await;
            assert!(failed.is_none() && bytes < TURN_BYTES + 1000, "{bytes} bytes in one turn");
            (all, turns) = (all + bytes, turns + 1);
            tokio::task::yield_now().await;
        }
        assert!(turns > 100_000 / (TURN_BYTES + 1000) && !place.flooded());
    }

    #[tokio::test]
    async fn a_flood_of_frames_ends_in_its_first_turns() {
        let (mut client, mut stream, place) = pair(Watched::http2).await;
        client.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").unwrap();
        client.write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0].repeat(5_000)).unwrap();
        stream.stream.readable().await.unwrap();
        let (mut all, mut end) = (0, None);
        while end.is_none() && all < 45_000 {
            let (bytes, failed) = turn(&mut stream, 8192).await;
            (all, end) = (all + bytes, failed);
            tokio::task::yield_now().await;
        }
        assert_eq!(end, Some(io::ErrorKind::ConnectionAborted), "after {all} bytes");
        assert!(all < 3 * TURN_BYTES && place.flooded());
    }
}
