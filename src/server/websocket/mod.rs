//! The stream over a WebSocket (RFC 6455): from the answer that changes the protocol to the end of
//! the connection.
//!
//! Only what the hub says goes out, and what a reader says is not listened to: its pings and its
//! close are answered, the rest is read and forgotten. Nothing is buffered beyond the hub's queue
//! and one bounded buffer, however long a message is.

pub mod handshake;

use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::frame::{CloseFrame, Frame};
use tokio_tungstenite::tungstenite::protocol::{Message, Role, WebSocketConfig};

use crate::announce::{Messages, Subscription};

/// Bytes of a message from a reader: nothing is expected of one, so more is a mistake.
const HEARD_BYTES_MAX: usize = 4 * 1024;
/// Bytes read at a time: a close, a ping.
const READ_BYTES: usize = 512;
/// Bytes of one frame of a message: longer ones go out in several, so that a buffer need hold one.
const FRAME_BYTES_MAX: usize = 16 * 1024;
/// Bytes gathered before they are written: small messages that wait together go out together.
const WRITE_BYTES: usize = 16 * 1024;
/// Bytes that wait for one socket: what is gathered, one frame, and the answer to a ping.
const BUFFER_BYTES_MAX: usize = 64 * 1024;
/// Pieces taken from the hub's queue at a time.
const PIECES_MAX: usize = 32;
/// For a reader's answer to our close. Without one the connection ends all the same.
const CLOSE_TIME_MAX: Duration = Duration::from_secs(1);
/// Bytes read of what a reader was still sending, so that it gets to read why it was closed.
const LINGER_BYTES_MAX: u64 = 1 << 20;

type Socket = WebSocketStream<TokioIo<Upgraded>>;

/// Serves one reader, until it goes, is cut off, or the instance stops.
pub async fn serve(upgrade: OnUpgrade, mut subscription: Subscription<Messages>) {
    let cut = subscription.cut.clone();
    let run = async {
        let upgraded = upgrade.await.ok()?;
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BYTES)
            .write_buffer_size(WRITE_BYTES)
            .max_write_buffer_size(BUFFER_BYTES_MAX)
            .max_message_size(Some(HEARD_BYTES_MAX))
            .max_frame_size(Some(HEARD_BYTES_MAX));
        let io = TokioIo::new(upgraded);
        let mut socket = Socket::from_raw_socket(io, Role::Server, Some(config)).await;
        let end = send_all(&mut socket, &mut subscription).await;
        Some((socket, end))
    };
    let ended = tokio::select! {
        () = cut.cancelled() => None,
        ended = run => ended,
    };
    // Its place at the hub is free while it closes.
    drop(subscription);
    if let Some((socket, end)) = ended {
        drop(tokio::time::timeout(CLOSE_TIME_MAX, close(socket, end)).await);
    }
}

/// Sends messages until one side ends the connection; gives the close code.
async fn send_all(socket: &mut Socket, subscription: &mut Subscription<Messages>) -> CloseCode {
    loop {
        tokio::select! {
            pieces = subscription.next_some(PIECES_MAX) => {
                if pieces.is_empty() {
                    return CloseCode::Away;
                }
                if let Err(error) = send(socket, pieces).await {
                    return code(&error);
                }
            }
            heard = socket.next() => match heard {
                Some(Ok(Message::Close(_))) | None => return CloseCode::Normal,
                Some(Ok(_)) => {}
                Some(Err(error)) => return code(&error),
            },
        }
    }
}

/// Sends some pieces, and waits until the system has taken them.
async fn send(socket: &mut Socket, pieces: Vec<Messages>) -> Result<(), Error> {
    for Messages(texts) in pieces {
        for text in texts.iter() {
            for frame in frames(text) {
                socket.feed(Message::Frame(frame)).await?;
            }
        }
    }
    socket.flush().await
}

/// One message in frames of a bounded length, which share its bytes.
fn frames(text: &Bytes) -> impl Iterator<Item = Frame> {
    let starts = (0..text.len()).step_by(FRAME_BYTES_MAX);
    starts.map(|start| {
        let end = text.len().min(start + FRAME_BYTES_MAX);
        let kind = if start == 0 { Data::Text } else { Data::Continue };
        Frame::message(text.slice(start..end), OpCode::Data(kind), end == text.len())
    })
}

fn code(error: &Error) -> CloseCode {
    match error {
        Error::Capacity(_) => CloseCode::Size,
        Error::Utf8(_) => CloseCode::Invalid,
        _ => CloseCode::Protocol,
    }
}

/// Sends or answers the close frame, and waits until the other side has read it.
async fn close(mut socket: Socket, code: CloseCode) {
    // Where the reader closed first, its own code is on its way back already.
    let _ = socket.close(Some(CloseFrame { code, reason: "".into() })).await;
    while let Some(Ok(_)) = socket.next().await {}
    let io = socket.get_mut();
    let _ = io.shutdown().await;
    // Closing a socket with unread bytes resets it, and the peer loses what was sent last.
    let mut rest = io.take(LINGER_BYTES_MAX);
    let mut chunk = [0; 1024];
    while rest.read(&mut chunk).await.is_ok_and(|count| count > 0) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    /// However long a message is, a buffer holds one frame of it; together they are the message.
    #[test]
    fn long_messages_go_in_frames() {
        for (length, expected) in
            [(1, 1), (FRAME_BYTES_MAX, 1), (FRAME_BYTES_MAX + 1, 2), (5 * FRAME_BYTES_MAX, 5)]
        {
            let text: Bytes = (0..length).map(|at| b'a' + (at % 26) as u8).collect();
            let frames: Vec<Frame> = frames(&text).collect();
            assert_eq!(frames.len(), expected, "{length}");
            let whole: Vec<u8> = frames.iter().flat_map(|frame| frame.payload().to_vec()).collect();
            assert_eq!(whole, text);
            for (at, frame) in frames.iter().enumerate() {
                let header = frame.header();
                assert_eq!(header.is_final, at + 1 == expected);
                let kind = if at == 0 { Data::Text } else { Data::Continue };
                assert_eq!(header.opcode, OpCode::Data(kind));
                assert!(frame.payload().len() <= FRAME_BYTES_MAX);
            }
        }
    }
}
