//! Where events arrive: one ear for each peer, and who has heard what when.
//!
//! Every ear only looks for `"ev-NUMBER"` in the bytes that come, whatever the form around it, so
//! that receiving costs the same for every kind. A sink is an ear that poses as a server: it tells
//! gateways that it is one, logs everybody in, and acknowledges whatever it is sent.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

use super::support::WAIT_MAX;
use super::support::wire::find;

/// Who has heard what.
pub struct Heard {
    ears: Vec<Vec<Option<Instant>>>,
    missing: usize,
    pub last: Instant,
}

/// Shared by all ears of a run.
#[derive(Clone)]
pub struct Ears {
    heard: Rc<RefCell<Heard>>,
    all: Rc<Notify>,
}

impl Ears {
    pub fn new() -> Self {
        let heard = Heard { ears: Vec::new(), missing: 0, last: Instant::now() };
        Self { heard: Rc::new(RefCell::new(heard)), all: Rc::default() }
    }

    /// Forgets, and expects events `0..events` at each of `peers` ears.
    pub fn expect(&self, peers: usize, events: usize) {
        let ears = vec![vec![None; events]; peers];
        *self.heard.borrow_mut() = Heard { ears, missing: peers * events, last: Instant::now() };
    }

    /// Waits until every ear has heard every event.
    pub async fn all(&self) -> anyhow::Result<()> {
        let wait = async {
            while self.heard.borrow().missing > 0 {
                self.all.notified().await;
            }
        };
        let missing = || format!("{} never heard", self.heard.borrow().missing);
        tokio::time::timeout(WAIT_MAX, wait).await.with_context(missing)
    }

    /// When the last ear heard the last event.
    pub fn last(&self) -> Instant {
        self.heard.borrow().last
    }

    /// How long after `begun` each ear heard an event.
    pub fn since(&self, event: usize, begun: Instant) -> Vec<Duration> {
        let heard = self.heard.borrow();
        heard.ears.iter().filter_map(|ear| Some(ear[event]? - begun)).collect()
    }

    /// Takes in what came; gives how much of it may be forgotten.
    fn hear(&self, ear: usize, bytes: &[u8], at: Instant) -> usize {
        let mut heard = self.heard.borrow_mut();
        let mut done = 0;
        while let Some(start) = find(&bytes[done..], b"\"ev-") {
            let digits = done + start + 4;
            let Some(length) = bytes[digits..].iter().position(|byte| *byte == b'"') else {
                return done + start;
            };
            let text = std::str::from_utf8(&bytes[digits..digits + length]).unwrap_or_default();
            heard.note(ear, text.parse().unwrap_or(usize::MAX), at);
            done = digits + length;
        }
        if heard.missing == 0 {
            self.all.notify_waiters();
            self.all.notify_one();
        }
        done.max(bytes.len().saturating_sub(4))
    }

    /// A stream that is only listened to.
    pub fn listen(&self, ear: usize, mut stream: TcpStream) {
        let ears = self.clone();
        tokio::task::spawn_local(async move {
            let mut buffer = Vec::with_capacity(1 << 16);
            while stream.read_buf(&mut buffer).await.unwrap_or(0) > 0 {
                let done = ears.hear(ear, &buffer, Instant::now());
                buffer.drain(..done);
            }
        });
    }

    /// A server of its own for this ear.
    pub async fn sink(&self, ear: usize) -> anyhow::Result<SocketAddr> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let ears = self.clone();
        tokio::task::spawn_local(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let ears = ears.clone();
                tokio::task::spawn_local(async move { ears.serve(ear, stream).await });
            }
        });
        Ok(address)
    }

    async fn serve(&self, ear: usize, mut stream: TcpStream) {
        drop(stream.set_nodelay(true));
        let mut buffer = Vec::with_capacity(1 << 16);
        while stream.read_buf(&mut buffer).await.unwrap_or(0) > 0 {
            let at = Instant::now();
            while let Some((head, end)) = request(&buffer) {
                self.hear(ear, &buffer[head..end], at);
                let body = answer(&buffer[..head], ear);
                buffer.drain(..end);
                let length = body.len();
                let answer = format!(
                    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\
                     Content-Length: {length}\r\n\r\n{body}"
                );
                if stream.write_all(answer.as_bytes()).await.is_err() {
                    return;
                }
            }
        }
    }
}

impl Heard {
    fn note(&mut self, ear: usize, event: usize, at: Instant) {
        let place = self.ears.get_mut(ear).and_then(|events| events.get_mut(event));
        if let Some(place @ None) = place {
            *place = Some(at);
            self.missing -= 1;
            self.last = at;
        }
    }
}

/// The ends of the head and of the body of the first whole request.
fn request(bytes: &[u8]) -> Option<(usize, usize)> {
    let head = find(bytes, b"\r\n\r\n")? + 4;
    let text = std::str::from_utf8(&bytes[..head]).ok()?.to_ascii_lowercase();
    let length = text.split_once("content-length:").map_or(0, |(_, rest)| {
        rest.split("\r\n").next().unwrap_or_default().trim().parse().unwrap_or(0)
    });
    (bytes.len() >= head + length).then_some((head, head + length))
}

fn answer(head: &[u8], ear: usize) -> String {
    if find(head, b"/_cache-mirror/identity").is_some() {
        let proof = "0".repeat(64);
        return format!(
            r#"{{"instance":"sink-{ear}","version":"0","protocol":1,"features":["batch"],
            "paths":{{"login":"/api/auth/login","invalidate":"/api/cache/invalidate"}},
            "graph":"","proof":"{proof}"}}"#
        );
    }
    match find(head, b"/auth/login").is_some() {
        true => r#"{"access_token":"stand-in","expires_in":3600}"#.to_owned(),
        false => r#"{"success":true}"#.to_owned(),
    }
}
