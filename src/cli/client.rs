//! The control API as the command line sees it: a call gives JSON, or an [`Exit`] with the
//! remedy.
//!
//! No proxy, no redirect, limits on time and size. It knows no route; the commands do.

use std::error::Error as _;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::Value;
use url::Url;

use super::{Exit, print};
use crate::net;
use crate::support::Secret;

/// One call, on top of what the command asks the instance to wait.
const TIME_MAX: Duration = Duration::from_secs(10);
/// An answer: the longest listing is some hundred kilobytes.
const ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;

/// A client of one instance.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    base: Url,
    token: Option<Secret>,
    time_max: Duration,
}

/// An answer as it came.
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Client {
    /// For the instance at `base`, which ends in `/`.
    ///
    /// # Errors
    /// The TLS library refuses its configuration.
    pub fn new(base: Url, token: Option<Secret>, patience: Duration) -> Result<Self, Exit> {
        let failed = |error: &dyn std::fmt::Display| Exit::Failed(error.to_string());
        let http = net::builder().map_err(|error| failed(&error))?;
        let http = http.connect_timeout(TIME_MAX).build().map_err(|error| failed(&error))?;
        Ok(Self { http, base, token, time_max: TIME_MAX + patience })
    }

    /// The instance's URL, without the slash at its end.
    pub fn server(&self) -> &str {
        self.base.as_str().trim_end_matches('/')
    }

    /// A document.
    ///
    /// # Errors
    /// As of [`Client::call`].
    pub async fn get(&self, path: &str) -> Result<Value, Exit> {
        self.call(Method::GET, path, None).await.map(|(_, body)| body)
    }

    /// One call with a JSON answer.
    ///
    /// # Errors
    /// [`Exit::Unreachable`] where nothing answers, [`Exit::Denied`] on 401 and 403, else
    /// [`Exit::Failed`], with the details of the answer.
    pub async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<(StatusCode, Value), Exit> {
        let mut request = self.request(method, path)?;
        if let Some(body) = body {
            request = request.header(CONTENT_TYPE, "application/json").body(body.to_string());
        }
        let answer = self.send(request).await?;
        self.answered(&answer).map(|json| (answer.status, json))
    }

    /// The JSON of a good answer.
    ///
    /// # Errors
    /// As of [`Client::call`], but for a server that is not there.
    pub fn answered(&self, answer: &Answer) -> Result<Value, Exit> {
        match serde_json::from_slice(&answer.body).ok() {
            Some(json) if answer.status.is_success() => Ok(json),
            json => Err(self.refused(answer, json.as_ref())),
        }
    }

    /// A request to complete and [`Client::send`].
    ///
    /// # Errors
    /// The path makes no URL.
    pub fn request(&self, method: Method, path: &str) -> Result<RequestBuilder, Exit> {
        let url = self.base.join(path.trim_start_matches('/'));
        let url = url.map_err(|error| Exit::Failed(format!("{path}: {error}")))?;
        let request = self.http.request(method, url);
        Ok(match &self.token {
            Some(token) => request.bearer_auth(token.expose()),
            None => request,
        })
    }

    /// Sends it and reads the answer, whatever its status.
    ///
    /// # Errors
    /// [`Exit::Unreachable`]; [`Exit::Failed`] for an answer too large.
    pub async fn send(&self, request: RequestBuilder) -> Result<Answer, Exit> {
        let request = request.timeout(self.time_max);
        let mut response = request.send().await.map_err(|error| self.unreachable(&error))?;
        let mut body = BytesMut::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.unreachable(&error))? {
            if body.len() + chunk.len() > ANSWER_BYTES_MAX {
                let text = format!("{} answers more than {ANSWER_BYTES_MAX} bytes", self.server());
                return Err(Exit::Failed(text));
            }
            body.extend_from_slice(&chunk);
        }
        let (status, headers) = (response.status(), response.headers().clone());
        Ok(Answer { status, headers, body: body.freeze() })
    }

    /// Opens an answer that has no end.
    ///
    /// # Errors
    /// [`Exit::Unreachable`], or [`Exit::Failed`] where it is no 200.
    pub async fn open(&self, path: &str) -> Result<Response, Exit> {
        let request = self.request(Method::GET, path)?;
        let response = request.send().await.map_err(|error| self.unreachable(&error))?;
        match response.status() {
            StatusCode::OK => Ok(response),
            status => Err(Exit::Failed(format!("{}{path}: {status}", self.server()))),
        }
    }

    fn unreachable(&self, error: &reqwest::Error) -> Exit {
        let server = self.server();
        if error.is_timeout() {
            let seconds = self.time_max.as_secs();
            return Exit::Unreachable(format!(
                "{server} did not answer within {seconds} s. Is it overloaded? see its \
                 logs/cache.json"
            ));
        }
        let cause = cause(error);
        let is_secure = self.base.scheme() == "https";
        if let Some(advice) = net::other_scheme(is_secure, &cause) {
            return Exit::Unreachable(format!("cannot reach {server}: {advice}"));
        }
        Exit::Unreachable(format!(
            "cannot reach {server}: {cause}. Is it running? start it with: cache-mirror serve"
        ))
    }

    fn refused(&self, answer: &Answer, json: Option<&Value>) -> Exit {
        let server = self.server();
        let is_plain = self.base.scheme() == "http";
        if is_plain && json.is_none() && net::is_complaint(answer.status.as_u16(), &answer.body) {
            return Exit::Unreachable(format!("cannot reach {server}: {}", net::SECURE));
        }
        let Some(problem) = json.filter(|_| !answer.status.is_success()) else {
            return Exit::Failed(format!(
                "{server} answers {} without JSON. Is it a cache-mirror? see --server",
                answer.status
            ));
        };
        let mut detail = print::text(problem, "detail");
        if detail.is_empty() {
            detail = answer.status.to_string();
        }
        let pointer = print::text(problem, "pointer");
        if !pointer.is_empty() {
            detail = format!("{detail} (at {pointer})");
        }
        match answer.status {
            StatusCode::UNAUTHORIZED if self.token.is_none() => Exit::Denied(format!(
                "{server} wants a token and none was found: give --token-file, set \
                 CACHE_MIRROR_TOKEN, or run this where the instance's data directory is"
            )),
            StatusCode::UNAUTHORIZED => Exit::Denied(format!(
                "{server} does not accept the token: {detail}. Check --token-file and \
                 CACHE_MIRROR_TOKEN"
            )),
            StatusCode::FORBIDDEN => Exit::Denied(format!("{server} does not allow it: {detail}")),
            StatusCode::TOO_MANY_REQUESTS => {
                let wait = answer.headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok());
                let wait = print::safe(wait.unwrap_or("1"));
                Exit::Failed(format!("{server}: {detail}; try again in {wait} s"))
            }
            status => Exit::Failed(format!("{server}: {detail} ({})", status.as_u16())),
        }
    }
}

/// Reads an answer by its type.
///
/// # Errors
/// [`Exit::Failed`] where it is another document.
pub fn parse<T: DeserializeOwned>(answer: &Value) -> Result<T, Exit> {
    T::deserialize(answer).map_err(|error| {
        Exit::Failed(format!("cannot read the answer: {error}; --json prints it as it came"))
    })
}

/// The innermost cause, without the system's number: the outer ones only name the URL.
fn cause(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut inner = error.source();
    while let Some(next) = inner {
        text = next.to_string();
        inner = next.source();
    }
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut chars = print::safe(text).chars().collect::<Vec<_>>().into_iter();
    let first = chars.next().map(|c| c.to_ascii_lowercase());
    first.into_iter().chain(chars).collect()
}

/// Text as one segment of a path, or as a value in a query.
pub fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                out.push(char::from(byte));
            }
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}
