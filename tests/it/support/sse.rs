//! A reader of `/api/stream`.

use std::time::Duration;

use serde_json::Value;

use super::node::Node;

/// One server-sent event.
#[derive(Debug, Clone, PartialEq)]
pub struct Frame {
    /// `id:`, where there is one.
    pub id: Option<String>,
    /// `event:`.
    pub event: String,
    /// `data:`, as JSON.
    pub data: Value,
}

/// An open stream.
pub struct Sse {
    response: reqwest::Response,
    text: String,
}

impl Sse {
    /// Opens the stream, from `last_id` on where one is given.
    pub async fn open(node: &Node, last_id: Option<&str>) -> Self {
        let mut request = node.request(reqwest::Method::GET, "/api/stream");
        if let Some(id) = last_id {
            request = request.header("last-event-id", id);
        }
        let response = request.send().await.expect("the stream opens");
        assert_eq!(response.status(), 200, "the stream opens");
        Self::of(response)
    }

    /// One that was opened in another way.
    pub fn of(response: reqwest::Response) -> Self {
        Self { response, text: String::new() }
    }

    /// The next event; `None` where the stream ends or breaks.
    ///
    /// # Panics
    /// Where none comes in time.
    pub async fn next(&mut self) -> Option<Frame> {
        loop {
            if let Some((head, rest)) = self.text.split_once("\n\n") {
                let frame = parse(head);
                self.text = rest.to_owned();
                return Some(frame);
            }
            let chunk = tokio::time::timeout(super::PATIENCE, self.response.chunk()).await;
            let chunk = chunk.expect("an event comes in time").ok().flatten()?;
            self.text.push_str(&String::from_utf8_lossy(&chunk));
        }
    }

    /// The next event of this name; others are passed over.
    ///
    /// # Panics
    /// Where none comes in time: pings alone do not count.
    pub async fn next_of(&mut self, event: &str) -> Option<Frame> {
        let found = async {
            loop {
                let frame = self.next().await?;
                if frame.event == event {
                    return Some(frame);
                }
            }
        };
        tokio::time::timeout(super::PATIENCE, found).await.expect("such an event comes in time")
    }

    /// Whether an `app-update` comes within a time that an event would not need.
    pub async fn is_quiet(&mut self, time: Duration) -> bool {
        tokio::time::timeout(time, self.next_of("app-update")).await.is_err()
    }
}

fn parse(head: &str) -> Frame {
    let mut frame = Frame { id: None, event: String::new(), data: Value::Null };
    for line in head.lines() {
        match line.split_once(": ") {
            Some(("id", id)) => frame.id = Some(id.to_owned()),
            Some(("event", event)) => frame.event = event.to_owned(),
            Some(("data", data)) => {
                frame.data = serde_json::from_str(data).expect("data is JSON");
            }
            _ => {}
        }
    }
    frame
}
