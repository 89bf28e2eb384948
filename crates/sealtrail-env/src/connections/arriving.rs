//! A request body that says when it has come to its end.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http_body::{Body, Frame, SizeHint};

use super::Request;

/// The body of a request; once it is at its end the client is owed an answer.
#[derive(Debug)]
pub struct Arriving<B> {
    body: B,
    request: Arc<Request>,
}

impl<B: Body> Arriving<B> {
    /// The body of this request.
    pub fn new(body: B, request: Arc<Request>) -> Self {
        if body.is_end_stream() {
            request.whole();
        }
        Self { body, request }
    }
}

impl<B: Body + Unpin> Body for Arriving<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        match &polled {
            Poll::Ready(None) => self.request.whole(),
            Poll::Ready(Some(Ok(_))) if self.body.is_end_stream() => self.request.whole(),
            _ => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
