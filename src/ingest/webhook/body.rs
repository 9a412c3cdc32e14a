//! The body of a delivery as the events that it carries: one, a list of them, or CloudEvents in any
//! of their three forms. It judges only the form; what an event means is the mapping's business.

use hyper::HeaderMap;
use hyper::header::CONTENT_TYPE;
use serde_json::{Map, Value};

use super::template::Path;
use crate::ingest::depth;

/// How events lie in a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Form {
    /// JSON. A list at the top is a batch; else the events are at this path, or the whole is one.
    Json(Option<Path>),
    /// CloudEvents 1.0 over HTTP: structured, binary, or a batch.
    CloudEvents,
}

/// Why a body cannot be taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadDelivery {
    /// No JSON.
    #[error("no JSON: {0}")]
    Json(String),
    /// Too deep.
    #[error("JSON nested deeper than {0}")]
    TooDeep(usize),
    /// JSON that is no event.
    #[error("{0}")]
    Event(&'static str),
}

impl Form {
    /// The events of a body.
    ///
    /// # Errors
    /// Why it holds none.
    pub fn events(
        &self,
        headers: &HeaderMap,
        body: &[u8],
        depth_max: usize,
    ) -> Result<Vec<Value>, BadDelivery> {
        match self {
            Self::CloudEvents => cloud_events(headers, body, depth_max),
            Self::Json(path) => match (read(body, depth_max)?, path) {
                (Value::Array(events), _) => Ok(events),
                (whole, None) => Ok(vec![whole]),
                (whole, Some(path)) => {
                    let found = path.values(&whole, usize::MAX).into_iter().cloned();
                    let members = |found| match found {
                        Value::Array(events) => events,
                        one => vec![one],
                    };
                    Ok(found.flat_map(members).collect())
                }
            },
        }
    }
}

fn read(body: &[u8], depth_max: usize) -> Result<Value, BadDelivery> {
    if depth::exceeds(body, depth_max) {
        return Err(BadDelivery::TooDeep(depth_max));
    }
    serde_json::from_slice(body).map_err(|error| BadDelivery::Json(error.to_string()))
}

/// CloudEvents HTTP Protocol Binding 1.0.2, section 3.
fn cloud_events(
    headers: &HeaderMap,
    body: &[u8],
    depth_max: usize,
) -> Result<Vec<Value>, BadDelivery> {
    let media = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media = media.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let events = match media.as_str() {
        "application/cloudevents+json" => vec![read(body, depth_max)?],
        "application/cloudevents-batch+json" => match read(body, depth_max)? {
            Value::Array(events) => events,
            _ => return Err(BadDelivery::Event("a batch of CloudEvents is a list")),
        },
        _ => vec![binary(headers, &media, body, depth_max)?],
    };
    let is_known = |event: &Value| {
        let text = |name: &str| event.get(name).and_then(Value::as_str).unwrap_or_default();
        text("specversion").starts_with("1.") && !text("type").is_empty()
    };
    if events.iter().all(is_known) {
        Ok(events)
    } else {
        Err(BadDelivery::Event("no CloudEvent: specversion 1.x and a type are needed"))
    }
}

/// Attributes in headers, the data in the body; data that is no JSON is not looked at.
fn binary(
    headers: &HeaderMap,
    media: &str,
    body: &[u8],
    depth_max: usize,
) -> Result<Value, BadDelivery> {
    let attributes = headers.iter().filter_map(|(name, value)| {
        let name = name.as_str().strip_prefix("ce-")?;
        Some((name.to_owned(), Value::String(unescaped(value.as_bytes())?)))
    });
    let mut event: Map<String, Value> = attributes.collect();
    let is_json = media == "application/json" || media.ends_with("+json");
    if is_json && !body.is_empty() {
        event.insert("data".into(), read(body, depth_max)?);
    }
    Ok(Value::Object(event))
}

/// A header's value as the text that it stands for (section 3.1.3.2): percent-decoded, once, and
/// without the quotes of older senders. What is no escape stays as it is.
fn unescaped(value: &[u8]) -> Option<String> {
    let quoted = value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\""));
    percent_encoding::percent_decode(quoted.unwrap_or(value)).decode_utf8().ok().map(Into::into)
}
