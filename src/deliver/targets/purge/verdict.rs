//! Judges the answers of caches and CDNs. Only what their documentation defines as success is an
//! acknowledgement. The message of a refusal names the target and how to fix it, and never quotes
//! the answer, which might repeat our token.

use std::time::Duration;

use super::Purge;
use crate::deliver::verdict::{AnswerVerdict, RETRY_AFTER_MAX};
use crate::net::HttpAnswer;

/// Wait after refused credentials: short enough to notice a fix soon, long enough not to look like
/// an attack.
const REFUSED_WAIT: Duration = Duration::from_secs(60);

/// Judges the answer to one call.
pub fn judge(purge: &Purge, answer: &HttpAnswer) -> AnswerVerdict {
    let (rules, name) = (purge.dialect.rules(), purge.name.as_str());
    let wait = answer.retry_after.map(|wait| wait.min(RETRY_AFTER_MAX));
    let refused =
        |why: String, wait| AnswerVerdict::Refused(format!("http {}{why}", answer.status), wait);
    match answer.status {
        status if rules.is_done(status) => AnswerVerdict::Acknowledged,
        200..=299 => match rules.rejection(name, answer) {
            None => AnswerVerdict::Acknowledged,
            Some(reason) => {
                let detail = rules.detail(name, answer).map(|detail| format!(": {detail}"));
                AnswerVerdict::Refused(format!("{reason}{}", detail.unwrap_or_default()), wait)
            }
        },
        401 | 403 => {
            let wait = wait.unwrap_or_default().max(REFUSED_WAIT);
            refused(format!(": {}", rules.unauthorized_hint(name)), Some(wait))
        }
        404 => refused(format!(": {}", rules.not_found_hint(name)), wait),
        405 | 501 => {
            refused(format!(": the purge target {name} does not support this request"), wait)
        }
        429 => AnswerVerdict::Throttled(wait),
        300..=399 => AnswerVerdict::Refused("redirect".into(), wait),
        _ => {
            let detail = rules.detail(name, answer).map(|detail| format!(": {detail}"));
            refused(detail.unwrap_or_default(), wait)
        }
    }
}
