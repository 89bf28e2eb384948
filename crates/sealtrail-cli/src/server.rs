//! A ledger behind a URL, read under limits of time: a server that is silent, trickles or breaks off ends a verification
//! with the name of the file, and neither hangs it nor passes for a shorter ledger.

use std::io::{self, ErrorKind, Read};
use std::time::{Duration, Instant};

use sealtrail_verify::Source;

/// How long is waited for a server.
#[derive(Clone, Copy, Debug)]
struct Limits {
    /// For a connection, for an answer, and for the next bytes of a file.
    silence: Duration,
    /// Of so much waiting for one file…
    window: Duration,
    /// …at least so many bytes have to come.
    window_bytes_min: u64,
    /// For one file in all.
    file: Duration,
}

/// 64 KiB in 30 s is what a modem brings; 600 s are a segment of 64 MiB over a slow line. Time in which the verifier does
/// not ask for more does not count.
const LIMITS: Limits = Limits {
    silence: Duration::from_secs(30),
    window: Duration::from_secs(30),
    window_bytes_min: 64 << 10,
    file: Duration::from_secs(600),
};

/// Why a file of a server could not be read.
#[derive(Debug, thiserror::Error)]
enum ServerError {
    #[error("`{url}`: no answer: {why}")]
    NoAnswer { url: String, why: String },
    #[error("`{url}`: answered `{status}`, expected `200` or `404`")]
    Status { url: String, status: u16 },
    #[error("`{url}`: nothing came for `{seconds}` s, after `{bytes}` bytes")]
    Silent { url: String, seconds: u64, bytes: u64 },
    #[error("`{url}`: only `{came}` bytes came in `{seconds}` s, expected at least `{expected}`")]
    Trickles { url: String, came: u64, seconds: u64, expected: u64 },
    #[error("`{url}`: was not there after `{seconds}` s, but `{bytes}` bytes of it")]
    Slow { url: String, seconds: u64, bytes: u64 },
    #[error("`{url}`: broke off after `{bytes}` bytes: {why}")]
    BrokeOff { url: String, bytes: u64, why: String },
}

impl From<ServerError> for io::Error {
    /// Never of a kind that reads as the end of a file, or as a file that is too long: that would be the ledger's fault.
    fn from(error: ServerError) -> Self {
        Self::other(error)
    }
}

/// A ledger behind a URL, with the layout of its directory below it.
pub(crate) struct Server {
    base: String,
    agent: ureq::Agent,
    limits: Limits,
}

impl Server {
    pub(crate) fn new(url: &str) -> Self {
        Self::with_limits(url, LIMITS)
    }

    fn with_limits(url: &str, limits: Limits) -> Self {
        let trimmed = url.trim_end_matches('/');
        let host_only = trimmed.matches('/').count() == 2;
        let base = if host_only { format!("{trimmed}/v1") } else { trimmed.to_owned() };
        let config = ureq::Agent::config_builder()
            .timeout_connect(Some(limits.silence))
            .timeout_recv_response(Some(limits.silence))
            .timeout_per_read(Some(limits.silence))
            .http_status_as_error(false)
            .build();
        Self { base, agent: config.into(), limits }
    }
}

impl Source for Server {
    fn open(&self, path: &str) -> io::Result<Option<Box<dyn Read + Send>>> {
        let url = format!("{}/{path}", self.base);
        let response = match self.agent.get(&url).call() {
            Ok(response) => response,
            Err(error) => return Err(ServerError::NoAnswer { url, why: error.to_string() }.into()),
        };
        match response.status().as_u16() {
            200 => {
                let body = response.into_body();
                let length = body.content_length();
                Ok(Some(Box::new(Paced::new(url, body.into_reader(), length, self.limits))))
            }
            404 => Ok(None),
            status => Err(ServerError::Status { url, status }.into()),
        }
    }
}

/// A file on its way, under the limits.
struct Paced<R> {
    url: String,
    inner: R,
    length: Option<u64>,
    limits: Limits,
    bytes: u64,
    waited: Duration,
    window_waited: Duration,
    window_bytes: u64,
}

impl<R: Read> Paced<R> {
    fn new(url: String, inner: R, length: Option<u64>, limits: Limits) -> Self {
        let (waited, window_waited) = (Duration::ZERO, Duration::ZERO);
        Self { url, inner, length, limits, bytes: 0, waited, window_waited, window_bytes: 0 }
    }

    fn failed(&self, error: &io::Error, waited: Duration) -> ServerError {
        let (url, bytes) = (self.url.clone(), self.bytes);
        if error.kind() == ErrorKind::TimedOut || waited >= self.limits.silence {
            return ServerError::Silent { url, seconds: waited.as_secs(), bytes };
        }
        ServerError::BrokeOff { url, bytes, why: error.to_string() }
    }

    /// Counts what came, and how long it was waited for.
    fn count(&mut self, came: usize, waited: Duration) -> Result<(), ServerError> {
        let url = || self.url.clone();
        if came == 0 {
            let missing =
                self.length.and_then(|length| length.checked_sub(self.bytes)).filter(|left| *left > 0);
            return match missing {
                Some(left) => {
                    let why = format!("`{left}` bytes are missing");
                    Err(ServerError::BrokeOff { url: url(), bytes: self.bytes, why })
                }
                None => Ok(()),
            };
        }
        self.bytes += came as u64;
        self.window_bytes += came as u64;
        self.waited += waited;
        self.window_waited += waited;
        if self.waited >= self.limits.file {
            return Err(ServerError::Slow { url: url(), seconds: self.waited.as_secs(), bytes: self.bytes });
        }
        if self.window_waited >= self.limits.window {
            let (came, expected) = (self.window_bytes, self.limits.window_bytes_min);
            if came < expected {
                let seconds = self.window_waited.as_secs();
                return Err(ServerError::Trickles { url: url(), came, seconds, expected });
            }
            (self.window_waited, self.window_bytes) = (Duration::ZERO, 0);
        }
        Ok(())
    }
}

impl<R: Read> Read for Paced<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let begun = Instant::now();
        let read = self.inner.read(buffer);
        let waited = begun.elapsed();
        match read {
            Ok(came) => {
                self.count(came, waited)?;
                Ok(came)
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => Err(error),
            Err(error) => Err(self.failed(&error, waited).into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::net::{TcpListener, TcpStream};
    use std::thread::{sleep, spawn};

    use super::*;

    const QUICK: Limits = Limits {
        silence: Duration::from_millis(300),
        window: Duration::from_millis(200),
        window_bytes_min: 1000,
        file: Duration::from_millis(900),
    };

    /// Reads `checkpoint` from a server that answers every request in the same way.
    fn read(
        serve: impl Fn(&mut TcpStream) -> io::Result<()> + Send + 'static,
    ) -> io::Result<Option<Vec<u8>>> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut request = [0; 4096];
                // The client may be gone before all is said.
                let _ = stream.read(&mut request).and_then(|_| serve(&mut stream));
            }
        });
        Server::with_limits(&url, QUICK).read("trails/x/checkpoint", 1 << 20)
    }

    fn dribble(stream: &mut TcpStream, length: usize, piece: usize, pause: Duration) -> io::Result<()> {
        write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n")?;
        for _ in 0..length / piece {
            stream.write_all(&vec![b'x'; piece])?;
            sleep(pause);
        }
        Ok(())
    }

    #[track_caller]
    fn refused(read: io::Result<Option<Vec<u8>>>, what: &str) {
        let error = read.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Other, "{error}");
        let text = error.to_string();
        assert!(text.contains("/v1/trails/x/checkpoint`: ") && text.contains(what), "{text}");
    }

    #[test]
    fn a_server_that_answers_is_read() {
        let whole = read(|stream| dribble(stream, 4000, 1000, Duration::from_millis(20)));
        assert_eq!(whole.unwrap().unwrap().len(), 4000);
        assert!(
            read(|stream| write!(stream, "HTTP/1.1 404 x\r\ncontent-length: 0\r\n\r\n")).unwrap().is_none()
        );
        refused(
            read(|stream| write!(stream, "HTTP/1.1 500 x\r\ncontent-length: 0\r\n\r\n")),
            "answered `500`",
        );
    }

    #[test]
    fn a_server_that_trickles_is_given_up_and_the_file_named() {
        let begun = Instant::now();
        refused(read(|stream| dribble(stream, 4000, 1, Duration::from_millis(10))), "bytes came in");
        assert!(begun.elapsed() < QUICK.file);
    }

    #[test]
    fn a_server_that_falls_silent_is_given_up_and_the_file_named() {
        refused(read(|stream| dribble(stream, 4000, 2000, Duration::from_secs(5))), "nothing came");
        refused(
            read(|_| {
                sleep(Duration::from_secs(5));
                Ok(())
            }),
            "no answer",
        );
    }

    #[test]
    fn a_file_that_takes_too_long_is_given_up_and_named() {
        refused(
            read(|stream| dribble(stream, 200_000, 1000, Duration::from_millis(100))),
            "was not there after",
        );
    }

    #[test]
    fn a_connection_that_breaks_off_is_no_shorter_file() {
        refused(
            read(|stream| write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc")),
            "broke off",
        );
        let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n";
        refused(read(move |stream| write!(stream, "{chunked}")), "broke off");
    }

    #[test]
    fn a_verifier_that_takes_its_time_is_no_fault_of_the_server() {
        let mut paced = Paced::new("u".to_owned(), &[b'x'; 50][..], Some(50), QUICK);
        let mut buffer = [0; 5];
        for _ in 0..5 {
            sleep(Duration::from_millis(60));
            assert_eq!(paced.read(&mut buffer).unwrap(), 5);
        }
    }
}
