//! The log lines of calls: one for each call to each address, in the words that the site's own
//! systems use for it. What a site answers is shown shortened and without the secret.

use std::net::SocketAddr;
use std::time::Duration;

use url::Url;

use super::revalidate::Words;
use super::{Call, Neighbour};
use crate::activity::{Activity, Level, joined};
use crate::deliver::peer::Peer;
use crate::deliver::verdict::Verdict;
use crate::domain::Status;
use crate::net::Answer;

/// Bytes of an answer that are shown.
const ANSWER_BYTES_MAX: usize = 256;
/// What stands in place of a secret.
const MASK: &str = "***";

/// What became of one call to one address.
pub(super) struct Tried {
    pub(super) address: Option<SocketAddr>,
    pub(super) answer: Option<Answer>,
    pub(super) verdict: Verdict,
    pub(super) took: Duration,
}

impl Tried {
    /// Why it is no acknowledgement, if it is none.
    pub(super) fn error(&self) -> Option<String> {
        match &self.verdict {
            Verdict::Acknowledged => None,
            Verdict::Unauthorized => Some("http 401".into()),
            Verdict::Throttled(_) => Some("http 429".into()),
            Verdict::Refused(reason, _) => Some(reason.clone()),
        }
    }
}

/// When a failed call is made again.
#[derive(Clone, Copy)]
pub(super) struct Again {
    pub(super) attempt: u32,
    pub(super) wait: Duration,
}

/// One line for one call to one address.
pub(super) fn tried(
    peer: &Peer,
    neighbour: &Neighbour,
    call: &Call,
    (ids, events): (Option<&str>, u64),
    tried: &Tried,
    again: Option<Again>,
) {
    let words = words(neighbour, &call.url);
    let shown = tried.answer.as_ref().map(|answer| shown(neighbour, &answer.body));
    let shown = shown.as_deref().filter(|text| !text.is_empty());
    let error = tried.error();
    let (level, msg, is_done) = match (&error, &tried.answer) {
        (None, _) => (Level::Info, words.done, true),
        (Some(_), Some(_)) => (Level::Warn, words.refused, false),
        (Some(_), None) => (Level::Error, words.broken, false),
    };
    let status = if is_done { Status::Delivered } else { Status::Failed };
    let address = tried.address.map(|address| address.ip().to_string());
    let (paths, tags) = (joined(&call.paths), joined(&call.tags));
    Activity {
        level,
        event: neighbour.activity(),
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

fn words(neighbour: &Neighbour, url: &Url) -> Words {
    match neighbour {
        Neighbour::Revalidate(revalidate) => revalidate.words(url),
        Neighbour::Purge(_) => Words {
            done: "purged".into(),
            refused: "purge refused, will be tried again".into(),
            broken: "purge failed, will be tried again".into(),
        },
    }
}

/// The beginning of an answer, without what we keep secret.
fn shown(neighbour: &Neighbour, body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let text = match neighbour {
        Neighbour::Revalidate(it) => masked(&text, it.secret.expose()),
        // A page of the site's, or what might repeat our token in some other spelling.
        Neighbour::Purge(_) => return String::new(),
    };
    text[..text.floor_char_boundary(ANSWER_BYTES_MAX)].trim().to_owned()
}

/// The text without a secret, as it is or as JSON spells it.
fn masked(text: &str, secret: &str) -> String {
    if secret.is_empty() {
        return text.to_owned();
    }
    let spelt = serde_json::Value::from(secret).to_string();
    text.replace(spelt.trim_matches('"'), MASK).replace(secret, MASK)
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
            ("nothing", "", "nothing"),
        ] {
            assert_eq!(masked(text, secret), expected);
        }
    }
}
