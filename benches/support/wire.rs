//! The least HTTP that measures without getting in the way: a kept-alive connection and an SSE
//! reader.
//!
//! A full client costs several times what is measured here. It understands the answers of the two
//! servers it is used with (`Content-Length` for answers, one chunk a frame for streams) and no
//! others.

use std::net::SocketAddr;
use std::time::Instant;

use anyhow::{Context as _, bail};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::mpsc;

/// Frames that may wait for whoever measures; a whole round fits.
const FRAMES_MAX: usize = 1 << 16;

/// A kept-alive connection.
pub struct Client {
    stream: TcpStream,
    buffer: Vec<u8>,
    token: String,
}

impl Client {
    pub async fn connect(address: SocketAddr, token: &str) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::new(), token: token.to_owned() })
    }

    /// Sends one request and reads its whole answer; anything but 2xx is an error.
    pub async fn call(&mut self, method: &str, path: &str, body: &str) -> anyhow::Result<String> {
        let request = self.request(method, path, body);
        self.send(request.as_bytes()).await?;
        self.answer().await.with_context(|| format!("{method} {path}"))
    }

    /// A request as text, for [`Client::send`]; several may be sent before the first is answered.
    pub fn request(&self, method: &str, path: &str, body: &str) -> String {
        format!(
            "{method} {path} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            self.token,
            body.len(),
        )
    }

    pub async fn send(&mut self, requests: &[u8]) -> anyhow::Result<()> {
        Ok(self.stream.write_all(requests).await?)
    }

    /// Reads the next answer; what follows it stays for the next call.
    pub async fn answer(&mut self) -> anyhow::Result<String> {
        let head = loop {
            if let Some(at) = find(&self.buffer, b"\r\n\r\n") {
                break at + 4;
            }
            self.read_more().await?;
        };
        let text = std::str::from_utf8(&self.buffer[..head])?.to_ascii_lowercase();
        let length: usize = match text.split_once("content-length:") {
            Some((_, rest)) => rest.split("\r\n").next().unwrap_or_default().trim().parse()?,
            None => bail!("an answer without Content-Length: {text}"),
        };
        while self.buffer.len() < head + length {
            self.read_more().await?;
        }
        let body = String::from_utf8_lossy(&self.buffer[head..head + length]).into_owned();
        self.buffer.drain(..head + length);
        if !text.starts_with("http/1.1 2") {
            bail!("{} {body}", text.lines().next().unwrap_or_default());
        }
        Ok(body)
    }

    async fn read_more(&mut self) -> anyhow::Result<()> {
        match self.stream.read_buf(&mut self.buffer).await? {
            0 => bail!("the connection was closed"),
            _ => Ok(()),
        }
    }
}

/// One `app-update`, and when it was read.
pub struct Update {
    pub at: Instant,
    pub data: Value,
}

/// Opens the event stream of a gateway or of a Node server; returns after `hello`.
pub async fn stream(address: SocketAddr, token: &str) -> anyhow::Result<TcpStream> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!(
        "GET /api/stream HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {token}\r\n\
         Accept: text/event-stream\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await?;
    let mut buffer = Vec::with_capacity(1 << 10);
    while find(&buffer, b"event: hello").is_none() {
        let read = stream.read_buf(&mut buffer).await?;
        let text = String::from_utf8_lossy(&buffer);
        anyhow::ensure!(read > 0, "no stream: {text}");
    }
    Ok(stream)
}

/// Opens the stream and reads it until it ends or nobody listens.
pub async fn listen(address: SocketAddr, token: &str) -> anyhow::Result<mpsc::Receiver<Update>> {
    let mut stream = stream(address, token).await?;
    let mut buffer = Vec::with_capacity(1 << 16);
    let (updates, inbox) = mpsc::channel(FRAMES_MAX);
    tokio::spawn(async move {
        loop {
            let at = Instant::now();
            while let Some(end) = find(&buffer, b"\n\n") {
                let frame: Vec<u8> = buffer.drain(..end + 2).collect();
                let Some(data) = update(&frame) else { continue };
                if updates.send(Update { at, data }).await.is_err() {
                    return;
                }
            }
            if stream.read_buf(&mut buffer).await.unwrap_or(0) == 0 {
                return;
            }
        }
    });
    Ok(inbox)
}

/// The data of an `app-update`; the chunk's length stands before its first line.
fn update(frame: &[u8]) -> Option<Value> {
    let text = std::str::from_utf8(frame).ok()?;
    if !text.contains("event: app-update\n") {
        return None;
    }
    let data = text.lines().find_map(|line| line.strip_prefix("data: "))?;
    serde_json::from_str(data).context("data is JSON").ok()
}

pub fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}
