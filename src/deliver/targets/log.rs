//! The log lines of calls: one for each call to each address, in the words that the site's own
//! systems use for it. What a site answers is shown shortened and without the secret.

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

/// Bytes of an answer that are shown.
const ANSWER_BYTES_MAX: usize = 256;
/// What stands in place of a secret.
const MASK: &str = "***";

/// What became of one call to one address.
pub(super) struct CallResult {
    pub(super) address: Option<SocketAddr>,
    pub(super) answer: Option<HttpAnswer>,
    pub(super) verdict: AnswerVerdict,
    pub(super) took: Duration,
}

impl CallResult {
    /// Why it is no acknowledgement, if it is none.
    pub(super) fn error(&self) -> Option<String> {
        match &self.verdict {
            AnswerVerdict::Acknowledged => None,
            AnswerVerdict::Unauthorized => Some("http 401".into()),
            AnswerVerdict::Throttled(_) => Some("http 429".into()),
            AnswerVerdict::Refused(reason, _) => Some(reason.clone()),
        }
    }
}

/// When a failed call is made again.
#[derive(Clone, Copy)]
pub(super) struct Retry {
    pub(super) attempt: u32,
    pub(super) wait: Duration,
    /// Whether it is worth a line.
    pub(super) is_logged: bool,
}

/// One line for one call to one address.
pub(super) fn tried(
    peer: &Peer,
    target: &Target,
    call: &TargetCall,
    (ids, events): (Option<&str>, u64),
    tried: &CallResult,
    again: Option<Retry>,
) {
    let words = words(target, &call.url);
    let shown = tried.answer.as_ref().map(|answer| shown(target, &answer.body));
    let shown = shown.as_deref().filter(|text| !text.is_empty());
    let error = tried.error();
    let (level, msg, is_done) = match (&error, &tried.answer) {
        (None, _) => (Level::Info, words.done, true),
        (Some(_), Some(_)) => (Level::Warn, words.refused, false),
        (Some(_), None) => (Level::Warn, words.broken, false),
    };
    let level = if again.is_some_and(|again| !again.is_logged) { Level::Debug } else { level };
    let status = if is_done { Status::Delivered } else { Status::Failed };
    // A call that failed before names its events again when it is done.
    let ids = ids.filter(|_| again.is_none_or(|again| again.attempt <= 1));
    let address = tried.address.map(|address| address.ip().to_string());
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
        http_status: tried.answer.as_ref().map(|answer| u64::from(answer.status)),
        attempt: again.map(|again| u64::from(again.attempt)),
        wait_ms: again.map(|again| u64::try_from(again.wait.as_millis()).unwrap_or(u64::MAX)),
        duration_ms: Some(tried.took.as_secs_f64() * 1e3),
        paths: (!paths.is_empty()).then_some(&paths),
        tags: (!tags.is_empty()).then_some(&tags),
        response: shown.filter(|_| is_done),
        body: shown.filter(|_| !is_done),
        error: error.as_deref(),
        ..Activity::default()
    }
    .emit();
}

fn words(target: &Target, url: &Url) -> CallMessages {
    match target {
        Target::Revalidate(revalidate) => revalidate.words(url),
        Target::Purge(_) => CallMessages {
            done: "purged".into(),
            refused: "purge refused, will be tried again".into(),
            broken: "purge failed, will be tried again".into(),
        },
    }
}

/// The beginning of an answer, without what we keep secret.
fn shown(target: &Target, body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let text = match target {
        Target::Revalidate(it) => masked(&text, it.secret.expose()),
        // A page of the site's, or what might repeat our token in some other spelling.
        Target::Purge(_) => return String::new(),
    };
    text[..text.floor_char_boundary(ANSWER_BYTES_MAX)].trim().to_owned()
}

/// The text without a secret, however it is spelt: see [`spelt`].
fn masked(text: &str, secret: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        match spelt(rest, secret) {
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

/// How much of the text spells the secret, where it begins with it: each letter as it is, behind
/// backslashes, as `\u002f` of JSON, `%2F` of a URL or `&#47;` of HTML.
fn spelt(text: &str, secret: &str) -> Option<usize> {
    let mut rest = text;
    for letter in secret.chars() {
        rest = without(rest, letter)?;
    }
    Some(text.len() - rest.len())
}

/// The text after one letter, in any of its spellings.
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

/// The text after these pieces, in whatever case, backslashes in front of each aside.
fn after(text: &str, pieces: impl Iterator<Item = String>) -> Option<&str> {
    let mut rest = text;
    for piece in pieces {
        let head = rest.trim_start_matches('\\');
        let is_it = head.get(..piece.len()).is_some_and(|it| it.eq_ignore_ascii_case(&piece));
        rest = is_it.then(|| &head[piece.len()..])?;
    }
    Some(rest)
}

/// The text after an entity of HTML that stands for the letter.
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
    fn a_secret_is_masked_however_it_is_spelt() {
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
