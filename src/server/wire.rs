//! The socket of a connection as hyper reads it: what each request's head says is checked on the
//! way (`heads`), and time is limited while nothing is asked.
//!
//! A head must be whole within a time from its first byte, or from the connection's begin. Between
//! two requests a longer time holds. While a request is being answered, and once the connection has
//! become a stream or a WebSocket, neither does.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep};

use super::heads::{HeadCheck, Heads};
use super::line::Line;

/// Bytes read and thrown away after a fault, so that the client gets to read the answer.
const DRAIN_BYTES_MAX: usize = 1024 * 1024;

/// The first byte of a TLS connection (RFC 8446 section 5.1). No HTTP request begins so.
const TLS_HANDSHAKE: u8 = 0x16;

/// What a deadline is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wait {
    /// The rest of a head, or the first one.
    Head,
    /// The next request.
    Next,
}

/// The socket.
pub struct Wire {
    stream: TcpStream,
    line: Line,
    heads: Heads,
    header_time_max: Duration,
    idle_time_max: Duration,
    deadline: Pin<Box<Sleep>>,
    /// What the deadline is for; `None` where there is none.
    wait: Option<Wait>,
    /// Whether no byte has come yet.
    is_new: bool,
    /// What hyper gets to read next, after a cut.
    end: &'static [u8],
    /// Bytes thrown away since the cut.
    drained: Option<usize>,
}

impl Wire {
    /// A connection on which nothing was read.
    pub fn new(
        stream: TcpStream,
        line: Line,
        header_time_max: Duration,
        idle_time_max: Duration,
    ) -> Self {
        let deadline = Box::pin(tokio::time::sleep(header_time_max));
        let (wait, heads) = (Some(Wait::Head), Heads::default());
        let (is_new, end, drained) = (true, &[][..], None);
        Self {
            stream,
            line,
            heads,
            header_time_max,
            idle_time_max,
            deadline,
            wait,
            is_new,
            end,
            drained,
        }
    }

    /// Looks at what was read into the buffer past `before`, and cuts it where it must not go on.
    fn look(&mut self, buffer: &mut ReadBuf<'_>, before: usize) {
        if std::mem::take(&mut self.is_new) && buffer.filled().get(before) == Some(&TLS_HANDSHAKE) {
            self.line.set_tls();
        }
        match self.heads.read(&buffer.filled()[before..]) {
            HeadCheck::Good => {}
            HeadCheck::Fault(request, fault) => self.line.set_fault(request, fault),
            HeadCheck::Cut { request, fault, at, end } => {
                self.line.set_fault(request, fault);
                buffer.set_filled(before + at);
                self.drained = Some(0);
                self.end = end;
                self.give_end(buffer);
            }
        }
    }

    fn give_end(&mut self, buffer: &mut ReadBuf<'_>) {
        let (now, later) = self.end.split_at(self.end.len().min(buffer.remaining()));
        buffer.put_slice(now);
        self.end = later;
    }

    /// After a cut: throws away what comes, and ends where the other side does.
    fn drain(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut chunk = [0; 2048];
        while let Some(drained) = self.drained.filter(|bytes| *bytes < DRAIN_BYTES_MAX) {
            let mut buffer = ReadBuf::new(&mut chunk);
            ready!(Pin::new(&mut self.stream).poll_read(context, &mut buffer))?;
            if buffer.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
            self.drained = Some(drained + buffer.filled().len());
        }
        Poll::Ready(Ok(()))
    }

    /// Nothing is there to be read: whether that has lasted too long.
    fn poll_deadline(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.line.is_busy() {
            self.wait = None;
            return Poll::Pending;
        }
        let is_head = self.is_new || self.heads.is_within_head();
        let wait = if is_head { Wait::Head } else { Wait::Next };
        if self.wait != Some(wait) {
            self.wait = Some(wait);
            self.arm(if is_head { self.header_time_max } else { self.idle_time_max });
        }
        ready!(self.deadline.as_mut().poll(context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }

    fn arm(&mut self, time: Duration) {
        self.deadline.as_mut().reset(Instant::now() + time);
    }

    /// Whoever takes an answer is not idle.
    fn wrote(&mut self, written: &Poll<io::Result<usize>>) {
        if matches!(written, Poll::Ready(Ok(1..))) && self.wait == Some(Wait::Next) {
            self.arm(self.idle_time_max);
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.end.is_empty() {
            this.give_end(buffer);
            return Poll::Ready(Ok(()));
        }
        if this.drained.is_some() {
            return this.drain(context);
        }
        let before = buffer.filled().len();
        match Pin::new(&mut this.stream).poll_read(context, buffer) {
            Poll::Pending => this.poll_deadline(context),
            Poll::Ready(Ok(())) if !this.line.has_switched() => {
                this.look(buffer, before);
                Poll::Ready(Ok(()))
            }
            ready => ready,
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write(context, bytes);
        this.wrote(&written);
        written
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write_vectored(context, bytes);
        this.wrote(&written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}
