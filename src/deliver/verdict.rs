//! The meaning of an answer. Only an acknowledgement moves a cursor, so an unclear answer is never
//! one: HTML from a captive portal, a redirect and `"success": false` with 200 are all retried.

use std::time::Duration;

use serde_json::Value;

pub use super::throttle::RETRY_AFTER_MAX;
use crate::net::HttpAnswer;

/// The verdict on one answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AnswerVerdict {
    /// The event has arrived.
    Acknowledged,
    /// 401: the token is not valid.
    Unauthorized,
    /// 429: wait. This is no failed attempt.
    Throttled(Option<Duration>),
    /// Anything else: the reason for the log, and the least time to wait if the answer names one.
    Refused(String, Option<Duration>),
}

/// Judges an answer to an invalidation.
pub fn judge(answer: &HttpAnswer) -> AnswerVerdict {
    let wait = answer.retry_after.map(|wait| wait.min(RETRY_AFTER_MAX));
    match answer.status {
        401 => AnswerVerdict::Unauthorized,
        429 => AnswerVerdict::Throttled(wait),
        200..=299 => match reason_against(answer) {
            None => AnswerVerdict::Acknowledged,
            Some(reason) => AnswerVerdict::Refused(reason, wait),
        },
        300..=399 => AnswerVerdict::Refused("redirect".into(), wait),
        _ => AnswerVerdict::Refused(format!("http {}", answer.status), wait),
    }
}

/// Why a 2xx is no acknowledgement; `None` if it is one.
fn reason_against(answer: &HttpAnswer) -> Option<String> {
    if answer.body.iter().all(u8::is_ascii_whitespace) {
        return None;
    }
    match answer.content_type.as_deref() {
        Some("text/plain") => None,
        Some(media) if media == "application/json" || media.ends_with("+json") => {
            reason_in_json(&answer.body)
        }
        // Without a content type, only JSON is clear.
        None => reason_in_json(&answer.body),
        Some(media) => Some(format!("an answer of type {media}")),
    }
}

fn reason_in_json(body: &[u8]) -> Option<String> {
    let Ok(body) = serde_json::from_slice::<Value>(body) else {
        return Some("an answer that is no JSON".into());
    };
    ["success", "ok", "revalidated"]
        .into_iter()
        .find(|field| body.get(field) == Some(&Value::Bool(false)))
        .map(|field| format!("the answer says {field}: false"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, media: &str, body: &'static str) -> HttpAnswer {
        HttpAnswer {
            status,
            content_type: (!media.is_empty()).then(|| media.to_owned()),
            body: body.into(),
            ..HttpAnswer::default()
        }
    }

    /// Acceptance "unclear" (10): any 2xx that does not deny it counts.
    #[test]
    fn doubt_is_no_acknowledgement() {
        for (status, media, body, is_ack) in [
            (200, "application/json", r#"{"success":true}"#, true),
            (200, "application/json", r#"{"anything":1}"#, true),
            (200, "application/json", "[]", true),
            (204, "", "", true),
            (200, "text/html", "  \n", true),
            (200, "text/plain", "OK", true),
            (202, "application/problem+json", "{}", true),
            (200, "", r#"{"ok":true}"#, true),
            (200, "application/json", r#"{"success":false}"#, false),
            (200, "application/json", r#"{"ok":false}"#, false),
            (200, "application/json", r#"{"revalidated":false}"#, false),
            (200, "application/json", r#"{"succ"#, false),
            (200, "text/html", "<h1>Welcome</h1>", false),
            (200, "", "<h1>Welcome</h1>", false),
            (302, "", "", false),
            (404, "application/json", "{}", false),
            (500, "", "", false),
        ] {
            let verdict = judge(&answer(status, media, body));
            assert_eq!(verdict == AnswerVerdict::Acknowledged, is_ack, "{status} {media} {body}");
        }
        assert_eq!(judge(&answer(401, "", "")), AnswerVerdict::Unauthorized);
    }

    #[test]
    fn retry_after_is_bounded() {
        let mut slow = answer(429, "", "");
        slow.retry_after = Some(Duration::from_secs(1_000_000));
        assert_eq!(judge(&slow), AnswerVerdict::Throttled(Some(RETRY_AFTER_MAX)));
    }
}
