//! Parses the body of a webhook into its events: one event, a list, or CloudEvents in one of three
//! forms. It handles the form only; the mapping decides what an event means.

use hyper::HeaderMap;
use hyper::header::CONTENT_TYPE;
use serde_json::{Map, Value};

use super::template::JsonPath;
use crate::ingest::damaged_json::{self, Damage};

/// Where the events are in a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Form {
    /// JSON. A list at the top is a batch. Otherwise the events are at this path, or the whole body
    /// is one event.
    Json(Option<JsonPath>),
    /// CloudEvents 1.0 over HTTP: structured, binary, or a batch.
    CloudEvents,
}

/// Why a body is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadDelivery {
    /// Not JSON.
    #[error("no JSON: {0}")]
    Json(String),
    /// Nested too deep.
    #[error("JSON nested deeper than {0}")]
    TooDeep(usize),
    /// JSON that is not an event.
    #[error("{0}")]
    Event(&'static str),
}

/// The events of a body, and what was wrong with the body.
#[derive(Debug, Default)]
pub struct Events {
    /// The events.
    pub list: Vec<Value>,
    /// What was wrong with the JSON.
    pub damage: Option<Damage>,
    /// Whether the body may contain more than was parsed.
    pub is_broken: bool,
}

impl Events {
    fn read(body: &[u8], depth_max: usize) -> Result<Self, BadDelivery> {
        let damaged_json::Reading { values, damage, is_broken } =
            damaged_json::read(body, depth_max);
        if values.is_empty() {
            return Err(BadDelivery::Json("there is nothing in it".into()));
        }
        Ok(Self { list: values, damage, is_broken })
    }

    /// Replaces each value by the events in it.
    fn flat(self, events: impl Fn(Value) -> Vec<Value>) -> Self {
        Self { list: self.list.into_iter().flat_map(events).collect(), ..self }
    }

    /// The problem of the body, if it explains why nothing was understood.
    pub fn problem(&self, body: &[u8], depth_max: usize) -> Option<BadDelivery> {
        match self.damage? {
            Damage::Inexact => None,
            Damage::Deep => Some(BadDelivery::TooDeep(depth_max)),
            damage => {
                let strict = serde_json::from_slice::<Value>(body).err();
                let strict = strict.map(|error| error.to_string());
                Some(BadDelivery::Json(strict.unwrap_or_else(|| damage.to_string())))
            }
        }
    }
}

impl Form {
    /// Parses the events of a body.
    ///
    /// # Errors
    /// Why it contains none.
    pub fn events(
        &self,
        headers: &HeaderMap,
        body: &[u8],
        depth_max: usize,
    ) -> Result<Events, BadDelivery> {
        match self {
            Self::CloudEvents => cloud_events(headers, body, depth_max),
            Self::Json(path) => {
                let inner = |whole: Value| match (whole, path) {
                    (Value::Array(events), _) => events,
                    (whole, None) => vec![whole],
                    (whole, Some(path)) => {
                        let found = path.values(&whole, usize::MAX).into_iter().cloned();
                        found.flat_map(members).collect()
                    }
                };
                Ok(Events::read(body, depth_max)?.flat(inner))
            }
        }
    }
}

fn members(found: Value) -> Vec<Value> {
    match found {
        Value::Array(events) => events,
        one => vec![one],
    }
}

/// CloudEvents HTTP Protocol Binding 1.0.2, section 3.
fn cloud_events(headers: &HeaderMap, body: &[u8], depth_max: usize) -> Result<Events, BadDelivery> {
    let media = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media = media.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let events = match media.as_str() {
        "application/cloudevents+json" => Events::read(body, depth_max)?,
        "application/cloudevents-batch+json" => {
            let read = Events::read(body, depth_max)?;
            if !read.list.iter().all(Value::is_array) {
                return Err(BadDelivery::Event("a batch of CloudEvents is a list"));
            }
            read.flat(members)
        }
        _ => binary(headers, &media, body, depth_max),
    };
    let is_known = |event: &Value| {
        let text = |name: &str| event.get(name).and_then(Value::as_str).unwrap_or_default();
        text("specversion").starts_with("1.") && !text("type").is_empty()
    };
    // An invalid event must not lose the others of its batch: it is reported as without effect.
    if events.list.is_empty() || events.list.iter().any(is_known) {
        Ok(events)
    } else {
        Err(BadDelivery::Event("no CloudEvent: specversion 1.x and a type are needed"))
    }
}

/// Attributes in headers, data in the body. Data that is not JSON is ignored.
fn binary(headers: &HeaderMap, media: &str, body: &[u8], depth_max: usize) -> Events {
    let mut event = Map::new();
    for (name, value) in headers {
        if let Some(name) = name.as_str().strip_prefix("ce-") {
            damaged_json::put(
                &mut event,
                name.to_owned(),
                Value::String(unescaped(value.as_bytes())),
            );
        }
    }
    let is_json = media == "application/json" || media.ends_with("+json");
    let mut events = Events::default();
    if is_json && !body.is_empty() {
        let damaged_json::Reading { values, damage, is_broken } =
            damaged_json::read(body, depth_max);
        (events.damage, events.is_broken) = (damage, is_broken || values.len() > 1);
        if let Some(data) = values.into_iter().next() {
            damaged_json::put(&mut event, "data".into(), data);
        }
    }
    events.list.push(Value::Object(event));
    events
}

/// Decodes a header's value (section 3.1.3.2): percent-decoded once, without the quotes of older
/// senders. Invalid escapes stay as they are; bytes that are not UTF-8 are marked as unreadable.
fn unescaped(value: &[u8]) -> String {
    let quoted = value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\""));
    percent_encoding::percent_decode(quoted.unwrap_or(value)).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    /// The sender only learns whether the batch was accepted, so it would not send the valid events
    /// again.
    #[test]
    fn an_invalid_event_of_a_batch_does_not_lose_the_others() {
        let media = HeaderValue::from_static("application/cloudevents-batch+json");
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, media)]);
        let read = |body: &str| Form::CloudEvents.events(&headers, body.as_bytes(), 64);
        let good = r#"{"specversion":"1.0","type":"com.x.post.updated","source":"a","id":"1"}"#;
        for (body, expected) in [
            (format!("[{good},{{}}]"), Some(2)),
            (format!(r#"[{{"specversion":"0.3","type":"x"}},{good}]"#), Some(2)),
            (format!("[7,{good},null]"), Some(3)),
            ("[]".into(), Some(0)),
            (r#"[{},{"type":"x"}]"#.into(), None),
            (good.into(), None),
        ] {
            assert_eq!(read(&body).ok().map(|events| events.list.len()), expected, "{body}");
        }
    }
}
