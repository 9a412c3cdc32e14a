//! A connection that sends exactly the given bytes, because no client library would.

use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{Node, PATIENCE};

/// An answer, read by its Content-Length.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Reply {
    pub fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.filter(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value).next()
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }

    /// The stable code of a problem document.
    pub fn code(&self) -> String {
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{self:?}");
        self.json()["code"].as_str().unwrap_or_default().to_owned()
    }
}

pub struct Raw {
    stream: TcpStream,
    unread: Vec<u8>,
    /// The last request was a HEAD: its answer has a length and no body.
    is_head: bool,
}

impl Raw {
    pub async fn open(node: &Node) -> Self {
        let stream = TcpStream::connect(node.address()).await.expect("it listens");
        Self { stream, unread: vec![], is_head: false }
    }

    /// Sends; if the other side has closed already, its answer can still be read.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.is_head = bytes.as_ref().starts_with(b"HEAD ");
        self.stream.write_all(bytes.as_ref()).await.is_ok()
    }

    /// The next answer; `None` where the connection ends without one.
    pub async fn reply(&mut self) -> Option<Reply> {
        let head_end = loop {
            if let Some(at) = self.unread.windows(4).position(|four| four == b"\r\n\r\n") {
                break at + 4;
            }
            if !self.more().await {
                return None;
            }
        };
        let head = String::from_utf8_lossy(&self.unread[..head_end]).into_owned();
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok())?;
        let mut reply = Reply { status, head, body: String::new() };
        let announced = reply.header("content-length").and_then(|text| text.parse().ok());
        let length: usize = announced.filter(|_| !self.is_head).unwrap_or(0);
        while self.unread.len() < head_end + length {
            if !self.more().await {
                break;
            }
        }
        let rest = self.unread.split_off((head_end + length).min(self.unread.len()));
        reply.body = String::from_utf8_lossy(&self.unread[head_end..]).into_owned();
        self.unread = rest;
        Some(reply)
    }

    async fn more(&mut self) -> bool {
        let mut chunk = [0; 8192];
        let read = tokio::time::timeout(PATIENCE, self.stream.read(&mut chunk)).await;
        match read.expect("it answers or closes in time") {
            Ok(0) | Err(_) => false,
            Ok(count) => {
                self.unread.extend_from_slice(&chunk[..count]);
                true
            }
        }
    }

    /// Whether the connection ends here, without more bytes.
    pub async fn is_over(&mut self) -> bool {
        self.reply().await.is_none() && self.unread.is_empty()
    }

    /// Whether nothing comes and it does not end, for longer than either takes.
    pub async fn is_open(&mut self) -> bool {
        tokio::time::timeout(Duration::from_millis(150), self.more()).await.is_err()
    }
}

/// One request on a new connection: its answer, and whether the connection was closed after it.
pub async fn ask(node: &Node, request: &str) -> (Reply, bool) {
    let mut raw = Raw::open(node).await;
    raw.send(request).await;
    let reply = raw.reply().await.unwrap_or_else(|| panic!("no answer to {request:?}"));
    let is_over = !raw.is_open().await;
    (reply, is_over)
}

/// The lines that every good request needs.
pub fn usual(node: &Node) -> String {
    format!("Host: {}\r\nAuthorization: Bearer {}\r\n", node.address(), node.token)
}

/// A whole good invalidation.
pub fn invalidation(node: &Node, json: &str) -> String {
    let length = json.len();
    let usual = usual(node);
    format!(
        "POST /api/cache/invalidate HTTP/1.1\r\n{usual}Content-Type: application/json\r\n\
         Content-Length: {length}\r\n\r\n{json}"
    )
}
