//! The log lines of calls, one for each call and address, with the messages that the site's own
//! systems use. Answers are shortened, and secrets in them masked.

use std::net::SocketAddr;
use std::time::Duration;

use url::Url;

use super::revalidate::CallMessages;
use super::{Target, TargetCall};
use crate::activity::{Activity, Level, joined};
use crate::deliver::peer::Peer;
use crate::deliver::verdict::AnswerVerdict;
use crate::domain::Status;
use crate::net::HttpAnswer;

/// Bytes of an answer that are logged.
const ANSWER_BYTES_MAX: usize = 256;
/// Replaces a secret.
const MASK: &str = "***";

/// The result of one call to one address.
pub(super) struct CallResult {
    pub(super) address: Option<SocketAddr>,
    pub(super) answer: Option<HttpAnswer>,
    pub(super) verdict: AnswerVerdict,
    pub(super) took: Duration,
}

impl CallResult {
    /// The error, unless the call was acknowledged.
    pub(super) fn error(&self) -> Option<String> {
        match &self.verdict {
            AnswerVerdict::Acknowledged => None,
            AnswerVerdict::Unauthorized => Some("http 401".into()),
            AnswerVerdict::Throttled(_) => Some("http 429".into()),
            AnswerVerdict::Refused(reason, _) => Some(reason.clone()),
        }
    }
}

/// When a failed call is retried.
#[derive(Clone, Copy)]
pub(super) struct Retry {
    pub(super) attempt: u32,
    pub(super) wait: Duration,
    /// Whether it is logged at its full level; otherwise at debug.
    pub(super) is_logged: bool,
}

/// Logs one call to one address.
pub(super) fn log_call(
    peer: &Peer,
    target: &Target,
    call: &TargetCall,
    (ids, events): (Option<&str>, u64),
    result: &CallResult,
    retry: Option<Retry>,
) {
    let messages = messages(target, &call.url);
    let shown = result.answer.as_ref().map(|answer| shown(target, &answer.body));
    let shown = shown.as_deref().filter(|text| !text.is_empty());
    let error = result.error();
    let (level, msg, is_done) = match (&error, &result.answer) {
        (None, _) => (Level::Info, messages.done, true),
        (Some(_), Some(_)) => (Level::Warn, messages.refused, false),
        (Some(_), None) => (Level::Warn, messages.broken, false),
    };
    let level = if retry.is_some_and(|retry| !retry.is_logged) { Level::Debug } else { level };
    let status = if is_done { Status::Delivered } else { Status::Failed };
    // A repeated failure does not list the event ids again; the final success does.
    let ids = ids.filter(|_| retry.is_none_or(|retry| retry.attempt <= 1));
    let address = result.address.map(|address| address.ip().to_string());
    let (paths, tags) = (joined(&call.paths), joined(&call.tags));
    Activity {
        level,
        event: target.activity(),
        msg: &msg,
        event_id: ids.filter(|ids| !ids.contains(',')),
        event_ids: ids.filter(|ids| ids.contains(',')),
        events: Some(events),
        peer: Some(&peer.config.name),
        address: address.as_deref(),
        status: Some(status.as_str()),
        http_status: result.answer.as_ref().map(|answer| u64::from(answer.status)),
        attempt: retry.map(|retry| u64::from(retry.attempt)),
        wait_ms: retry.map(|retry| u64::try_from(retry.wait.as_millis()).unwrap_or(u64::MAX)),
        duration_ms: Some(result.took.as_secs_f64() * 1e3),
        paths: (!paths.is_empty()).then_some(&paths),
        tags: (!tags.is_empty()).then_some(&tags),
        response: shown.filter(|_| is_done),
        body: shown.filter(|_| !is_done),
        error: error.as_deref(),
        ..Activity::default()
    }
    .emit();
}

fn messages(target: &Target, url: &Url) -> CallMessages {
    match target {
        Target::Revalidate(revalidate) => revalidate.messages(url),
        Target::Purge(_) => CallMessages {
            done: "purged".into(),
            refused: "purge refused, will be retried".into(),
            broken: "purge failed, will be retried".into(),
        },
    }
}

/// The beginning of an answer, with secrets masked.
fn shown(target: &Target, body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let text = match target {
        Target::Revalidate(it) => masked(&text, it.secret.expose()),
        // A page of the site, or an answer that may repeat our token in another encoding.
        Target::Purge(_) => return String::new(),
    };
    text[..text.floor_char_boundary(ANSWER_BYTES_MAX)].trim().to_owned()
}

/// The text with every occurrence of a secret masked, in any encoding: see [`secret_length`].
fn masked(text: &str, secret: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        match secret_length(rest, secret) {
            Some(length) if !secret.is_empty() => {
                out.push_str(MASK);
                rest = &rest[length..];
            }
            _ => {
                out.push(next);
                rest = &rest[next.len_utf8()..];
            }
        }
    }
    out
}

/// The length of the secret at the beginning of the text, if it is there. Each character may be
/// literal, after backslashes, or encoded: `\u002f` in JSON, `%2F` in a URL, `&#47;` in HTML.
fn secret_length(text: &str, secret: &str) -> Option<usize> {
    let mut rest = text;
    for letter in secret.chars() {
        rest = without(rest, letter)?;
    }
    Some(text.len() - rest.len())
}

/// The text after one character in any encoding.
fn without(text: &str, letter: char) -> Option<&str> {
    let bare = text.trim_start_matches('\\');
    if letter == '\\' {
        let rest = text.strip_prefix("\\\\").or_else(|| text.strip_prefix(letter));
        if rest.is_some() {
            return rest;
        }
    } else if let Some(rest) = bare.strip_prefix(letter) {
        return Some(rest);
    }
    let mut units = [0; 2];
    let units = letter.encode_utf16(&mut units).iter().map(|unit| format!("u{unit:04x}"));
    let json = Some(bare).filter(|bare| bare.len() < text.len());
    let json = json.and_then(|bare| after(bare, units));
    let mut bytes = [0; 4];
    let bytes = letter.encode_utf8(&mut bytes).bytes().map(|byte| format!("%{byte:02x}"));
    json.or_else(|| after(text, bytes)).or_else(|| entity(text, letter))
}

/// The text after these pieces, ignoring case and backslashes before each piece.
fn after(text: &str, pieces: impl Iterator<Item = String>) -> Option<&str> {
    let mut rest = text;
    for piece in pieces {
        let head = rest.trim_start_matches('\\');
        let is_it = head.get(..piece.len()).is_some_and(|it| it.eq_ignore_ascii_case(&piece));
        rest = is_it.then(|| &head[piece.len()..])?;
    }
    Some(rest)
}

/// The text after an HTML entity that stands for the character.
fn entity(text: &str, letter: char) -> Option<&str> {
    let (name, rest) = text.strip_prefix('&')?.split_once(';')?;
    let named = match name {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => name.strip_prefix('#').and_then(|number| {
            let hex = number.strip_prefix(['x', 'X']);
            let code = hex.map_or_else(|| number.parse(), |hex| u32::from_str_radix(hex, 16));
            char::from_u32(code.ok()?)
        }),
    };
    (named == Some(letter)).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_masked_in_every_encoding() {
        for (text, secret, expected) in [
            (r#"{"secret":"hunter2"}"#, "hunter2", r#"{"secret":"***"}"#),
            (r#"{"secret":"a\"b\\c"}"#, r#"a"b\c"#, r#"{"secret":"***"}"#),
            (r#"no a"b\c here"#, r#"a"b\c"#, "no *** here"),
            (r#"{"s":"Ab\/Cd+Ef"}"#, "Ab/Cd+Ef", r#"{"s":"***"}"#),
            (r#"{"s":"Ab/Cd\u002BEf"}"#, "Ab/Cd+Ef", r#"{"s":"***"}"#),
            (r#"{"s":"{\"t\":\"Ab\\\/Cd\\u002bEf\"}"}"#, "Ab/Cd+Ef", r#"{"s":"{\"t\":\"***\"}"}"#),
            ("?secret=Ab%2FCd%2bEf&x", "Ab/Cd+Ef", "?secret=***&x"),
            ("<p>Ab&#x2F;Cd&#43;Ef &amp; more", "Ab/Cd+Ef", "<p>*** &amp; more"),
            (r"p\u00e4ss \ud83d\ude00 p%C3%A4ss", "p\u{e4}ss", r"*** \ud83d\ude00 ***"),
            ("Ab/Cd", "Ab/Cd+Ef", "Ab/Cd"),
            ("nothing", "", "nothing"),
        ] {
            assert_eq!(masked(text, secret), expected);
        }
    }
}
