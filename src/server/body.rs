//! Reading request bodies: whole, within a size and a time, and never decompressed.
//! A body that is too large is drained within bounds, so that the client reads its 413 instead of a
//! reset.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::StatusCode;
use hyper::body::{Body as _, Incoming};
use hyper::header::EXPECT;

use super::Config;
use super::call::ControlCall;
use super::respond::Problem;
use crate::ingest::depth;

/// What is read and thrown away after a 413, so that the client gets to see it.
const DRAIN_BYTES_MAX: usize = 1024 * 1024;
/// How long that may take.
const DRAIN_TIME_MAX: Duration = Duration::from_secs(2);

impl ControlCall {
    /// The whole body.
    ///
    /// # Errors
    /// 413 past `control.body_bytes_max`, 408 past `control.body_ms_max`, 415 where it is encoded,
    /// 400 where the client broke off.
    pub async fn read(&mut self, config: &Config) -> Result<Bytes, Problem> {
        let encoding = self.header("content-encoding").unwrap_or("identity").trim();
        if !encoding.eq_ignore_ascii_case("identity") {
            let detail = "encoded bodies are not taken";
            let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
            return Err(Problem::new(status, "encoded_body", detail).closing());
        }
        let limit = config.body_bytes_max;
        // A client with `Expect: 100-continue` has sent nothing yet; reading would ask it to send.
        if self.headers.contains_key(EXPECT) && self.body.size_hint().lower() > limit as u64 {
            return Err(problem_too_large(limit));
        }
        let read = tokio::time::timeout(config.body_time_max, collect(&mut self.body, limit)).await;
        match read {
            Err(_) => {
                let detail = "the body did not come in time";
                Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "body_timeout", detail).closing())
            }
            Ok(Err(problem)) => Err(problem),
            Ok(Ok(body)) => Ok(body),
        }
    }

    /// A body in which nothing may stand: what it asked for would not be done. `{}` and `null` ask
    /// for nothing.
    ///
    /// # Errors
    /// As [`ControlCall::read`], and 400 where there is something.
    pub async fn read_nothing(&mut self, config: &Config) -> Result<(), Problem> {
        let body = self.read(config).await?;
        match body.trim_ascii() {
            b"" | b"{}" | b"null" => Ok(()),
            _ => Err(Problem::bad_request("unexpected_body", "a body has no meaning here")),
        }
    }

    /// The whole body as JSON text, checked for its depth but not parsed. An absent body reads as
    /// the empty object.
    ///
    /// # Errors
    /// As [`ControlCall::read`], and 400 where it nests too deep.
    pub async fn read_json(&mut self, config: &Config, depth_max: usize) -> Result<Bytes, Problem> {
        let body = self.read(config).await?;
        if depth::exceeds(&body, depth_max) {
            let detail = format!("JSON nested deeper than {depth_max}");
            return Err(Problem::bad_request("too_deep", detail));
        }
        if body.iter().all(u8::is_ascii_whitespace) {
            return Ok(Bytes::from_static(b"{}"));
        }
        Ok(body)
    }
}

async fn collect(body: &mut Incoming, limit: usize) -> Result<Bytes, Problem> {
    let announced = body.size_hint().lower();
    if announced > limit as u64 {
        return Err(too_large(body, limit).await);
    }
    let mut whole = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame
            .map_err(|_| Problem::bad_request("broken_body", "the body broke off").closing())?;
        let Ok(data) = frame.into_data() else { continue };
        if whole.len() + data.len() > limit {
            return Err(too_large(body, limit).await);
        }
        whole.extend_from_slice(&data);
    }
    Ok(whole.freeze())
}

/// Drains within bounds: a client that is still writing would otherwise see a reset instead of the
/// answer.
async fn too_large(body: &mut Incoming, limit: usize) -> Problem {
    let drain = async {
        let mut drained = 0;
        while let Some(Ok(frame)) = body.frame().await {
            drained += frame.data_ref().map_or(0, Bytes::len);
            if drained > DRAIN_BYTES_MAX {
                break;
            }
        }
    };
    drop(tokio::time::timeout(DRAIN_TIME_MAX, drain).await);
    problem_too_large(limit)
}

fn problem_too_large(limit: usize) -> Problem {
    let detail = format!("at most {limit} bytes are taken");
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", detail).closing()
}
