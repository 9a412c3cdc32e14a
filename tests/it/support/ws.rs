//! A reader of `/api/stream` over a WebSocket.

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::node::Node;
use super::sse::Frame;

/// The lines of a good handshake, with the example key of RFC 6455.
pub const HANDSHAKE: &str = "Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
/// The answer to that key.
pub const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// An open WebSocket.
pub struct Ws {
    socket: WebSocketStream<TcpStream>,
    /// The code that it was closed with.
    pub code: Option<u16>,
}

impl Ws {
    /// Opens one with the admin token, from `last_id` on where one is given.
    pub async fn open(node: &Node, last_id: Option<&str>) -> Self {
        let query = last_id.map(|id| format!("?last_event_id={id}")).unwrap_or_default();
        let token = format!("Authorization: Bearer {}\r\n", node.token);
        Self::ask(node.address(), &query, &token).await.expect("the handshake is good")
    }

    /// Asks for one.
    ///
    /// # Errors
    /// The head of the answer, where it is another one.
    pub async fn ask(address: &str, query: &str, headers: &str) -> Result<Self, String> {
        let mut stream = TcpStream::connect(address).await.expect("it listens");
        let request = format!(
            "GET /api/stream{query} HTTP/1.1\r\nHost: {address}\r\n{HANDSHAKE}{headers}\r\n"
        );
        stream.write_all(request.as_bytes()).await.expect("it can be asked");
        let mut received = vec![];
        let end = loop {
            if let Some(at) = received.windows(4).position(|four| four == b"\r\n\r\n") {
                break at + 4;
            }
            let read = tokio::time::timeout(super::PATIENCE, stream.read_buf(&mut received)).await;
            assert!(read.expect("in time").expect("it reads") > 0, "no answer");
        };
        let head = String::from_utf8_lossy(&received[..end]).into_owned();
        if !head.starts_with("HTTP/1.1 101 ") {
            return Err(head);
        }
        assert!(head.contains(ACCEPT), "{head}");
        let rest = received.split_off(end);
        let socket = WebSocketStream::from_partially_read(stream, rest, Role::Client, None).await;
        Ok(Self { socket, code: None })
    }

    /// What comes next, answers to pings included; `None` where it ends or breaks.
    ///
    /// # Panics
    /// Where nothing comes in time.
    pub async fn message(&mut self) -> Option<Message> {
        let next = tokio::time::timeout(super::PATIENCE, self.socket.next()).await;
        let message = next.expect("a message comes in time")?.ok();
        if let Some(Message::Close(Some(close))) = &message {
            self.code = Some(close.code.into());
        }
        message
    }

    /// The next event; `None` at the end.
    pub async fn next(&mut self) -> Option<Frame> {
        loop {
            if let Message::Text(text) = self.message().await? {
                return Some(parse(&text));
            }
        }
    }

    /// The next event of this name; others are passed over.
    pub async fn next_of(&mut self, event: &str) -> Option<Frame> {
        loop {
            let frame = self.next().await?;
            if frame.event == event {
                return Some(frame);
            }
        }
    }

    /// Sends, and returns whether it succeeded.
    pub async fn send(&mut self, message: Message) -> bool {
        self.socket.send(message).await.is_ok()
    }

    /// The socket below, for bytes that no client would send.
    pub fn raw(&mut self) -> &mut TcpStream {
        self.socket.get_mut()
    }
}

fn parse(text: &str) -> Frame {
    let mut message: Value = serde_json::from_str(text).expect("a message is JSON");
    let member = |name: &str| message[name].as_str().map(ToOwned::to_owned);
    let (id, event) = (member("id"), member("event").expect("a name"));
    Frame { id, event, data: message["data"].take() }
}
