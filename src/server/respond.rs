//! Answers. The only place where an error becomes HTTP: RFC 9457 problem documents, with a stable
//! `code` to branch on and nothing secret in `detail`.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{Either, Full};
use hyper::header::{
    ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER,
    WWW_AUTHENTICATE,
};
use hyper::{Response, StatusCode};
use schemars::JsonSchema;
use serde::Serialize;

use super::sse::SseBody;
use crate::gate::Rejected;
use crate::ingest::body::BadBody;
use crate::ingest::webhook::BadDelivery;
use crate::pipeline;
use crate::store::FillRefusal;

/// Any answer's body.
pub type Body = Either<Full<Bytes>, SseBody>;
/// Any answer.
pub type Answer = Response<Body>;
/// What a handler gives.
pub type Handled = Result<Answer, Problem>;

const NOSNIFF: HeaderName = HeaderName::from_static("x-content-type-options");

/// An error on its way out.
#[derive(Debug, Clone)]
pub struct Problem {
    status: StatusCode,
    code: &'static str,
    detail: String,
    pointer: Option<String>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

/// An RFC 9457 problem.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Problem")]
pub struct ProblemBody<'a> {
    /// A URN that ends in the code.
    r#type: String,
    /// The words of the HTTP status.
    title: &'a str,
    /// The HTTP status.
    status: u16,
    /// What programs branch on; it never changes.
    code: &'a str,
    /// A sentence for people; it may change.
    detail: &'a str,
    /// JSON pointer to the member of the request that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pointer: Option<&'a str>,
}

impl Problem {
    /// A problem with a stable code and a sentence for people.
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self { status, code, detail: detail.into(), pointer: None, headers: vec![] }
    }

    /// 400.
    pub fn bad_request(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, detail)
    }

    /// 422.
    pub fn unprocessable(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, code, detail)
    }

    /// 404.
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", detail)
    }

    /// 405 with what would be allowed.
    pub fn method_not_allowed(allow: &str) -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", format!("use {allow}"))
            .with(ALLOW, allow)
    }

    /// Its status and its code.
    pub fn kind(&self) -> (StatusCode, &'static str) {
        (self.status, self.code)
    }

    /// The same with one more header.
    #[must_use]
    pub fn with(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.push((name, value));
        }
        self
    }

    /// The same, and the connection ends after it: the request's body was not read.
    #[must_use]
    pub fn closing(mut self) -> Self {
        self.headers.retain(|(name, _)| name != CONNECTION);
        self.with(CONNECTION, "close")
    }

    /// The same where there is a body that was not read: a client that is not told would send its
    /// next request into a closed connection.
    #[must_use]
    pub fn closing_if(self, has_body: bool) -> Self {
        if has_body { self.closing() } else { self }
    }

    fn at(mut self, pointer: Option<String>) -> Self {
        self.pointer = pointer;
        self
    }

    fn wait(self, wait: Duration) -> Self {
        let seconds = wait.as_secs_f64().ceil().max(1.0);
        self.with(RETRY_AFTER, &format!("{seconds:.0}"))
    }

    /// The answer.
    pub fn into_answer(self) -> Answer {
        let body = ProblemBody {
            r#type: format!("urn:cache-mirror:problem:{}", self.code),
            title: self.status.canonical_reason().unwrap_or("Error"),
            status: self.status.as_u16(),
            code: self.code,
            detail: &self.detail,
            pointer: self.pointer.as_deref(),
        };
        let body = serde_json::to_vec(&body).unwrap_or_default();
        let mut answer = bytes(self.status, "application/problem+json", body.into());
        answer.headers_mut().extend(self.headers.into_iter().map(|(n, v)| (Some(n), v)));
        answer
    }
}

/// A JSON answer.
pub fn json_answer(status: StatusCode, body: &impl Serialize) -> Answer {
    match serde_json::to_vec(body) {
        Ok(body) => bytes(status, "application/json", body.into()),
        Err(error) => {
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", error.to_string())
                .into_answer()
        }
    }
}

/// An answer of bytes.
pub fn bytes(status: StatusCode, media: &str, body: Bytes) -> Answer {
    let mut answer = Response::new(Either::Left(Full::new(body)));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    let media = HeaderValue::from_str(media);
    headers.insert(
        CONTENT_TYPE,
        media.unwrap_or(HeaderValue::from_static("application/octet-stream")),
    );
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(NOSNIFF, HeaderValue::from_static("nosniff"));
    answer
}

impl From<Rejected> for Problem {
    fn from(rejected: Rejected) -> Self {
        let detail = rejected.to_string();
        let challenge = r#"Bearer realm="cache-mirror""#;
        match rejected {
            Rejected::Missing => Self::new(StatusCode::UNAUTHORIZED, "unauthenticated", detail)
                .with(WWW_AUTHENTICATE, challenge),
            Rejected::Invalid => Self::new(StatusCode::UNAUTHORIZED, "invalid_credentials", detail)
                .with(WWW_AUTHENTICATE, &format!(r#"{challenge}, error="invalid_token""#)),
            Rejected::Forbidden(_) => Self::new(StatusCode::FORBIDDEN, "forbidden", detail),
            Rejected::Address => Self::new(StatusCode::FORBIDDEN, "address_not_allowed", detail),
            Rejected::TooMany(wait) => {
                Self::new(StatusCode::TOO_MANY_REQUESTS, "too_many_requests", detail).wait(wait)
            }
        }
    }
}

impl From<BadBody> for Problem {
    fn from(bad: BadBody) -> Self {
        match bad {
            BadBody::Shape { message, pointer } => {
                Self::bad_request("bad_json", message).at(pointer)
            }
            BadBody::Value { message, pointer } => {
                Self::unprocessable("bad_value", message).at(Some(pointer))
            }
        }
    }
}

impl From<BadDelivery> for Problem {
    fn from(bad: BadDelivery) -> Self {
        let code = match bad {
            BadDelivery::Json(_) => "bad_json",
            BadDelivery::TooDeep(_) => "too_deep",
            BadDelivery::Event(_) => "bad_event",
        };
        Self::bad_request(code, bad.to_string())
    }
}

impl From<pipeline::SubmitError> for Problem {
    fn from(rejected: pipeline::SubmitError) -> Self {
        let detail = rejected.to_string();
        match rejected {
            pipeline::SubmitError::UnknownTypes(_) => Self::unprocessable("unknown_type", detail),
            pipeline::SubmitError::NotDurable => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "not_durable", detail)
                    .wait(Duration::from_secs(1))
            }
            pipeline::SubmitError::Stopping => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "stopping", detail)
                    .wait(Duration::from_secs(1))
            }
        }
    }
}

impl From<FillRefusal> for Problem {
    fn from(refused: FillRefusal) -> Self {
        let status = match refused {
            FillRefusal::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            _ => StatusCode::CONFLICT,
        };
        Self::new(status, refused.as_str(), refused.to_string())
    }
}
