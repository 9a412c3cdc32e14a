//! The stream as a browser gets it: whether a proxy on the way holds events back.
//!
//! The first event is sent at once, so its time from the connection on is the proxy's. The stream
//! is opened with a ticket, which is good once: a token is never sent to a URL given for this.

use std::time::{Duration, Instant};

use reqwest::Method;
use reqwest::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE};
use url::Url;

use super::Case;
use super::answering::Instance;
use super::check::Check;
use crate::cli::print;
use crate::net;

/// Waited for the first event.
const HELLO_TIME_MAX: Duration = Duration::from_secs(5);
/// A later hello was held back on its way.
const PROMPT: Duration = Duration::from_secs(2);
/// Bytes read before the first event is given up.
const HELLO_BYTES_MAX: usize = 64 * 1024;

const UNBUFFER: &str = "let the proxy pass the stream on at once: nginx \"proxy_buffering off; \
                        gzip off;\", Apache \"flushpackets=on\", and no compression of \
                        text/event-stream";

/// What was seen of the stream.
#[derive(Debug, Default)]
struct Seen {
    error: Option<String>,
    status: Option<u16>,
    media: String,
    encoding: String,
    hello_after: Option<Duration>,
    has_ended: bool,
}

/// The stream at `--sse`, else the instance's own.
pub async fn checks(case: &Case) -> Vec<Check> {
    let own = || match &case.instance {
        Instance::Running(running) => Url::parse(running.client.server()).ok(),
        _ => None,
    };
    let Some(mut url) = case.sse.clone().or_else(|| {
        let mut base = own()?;
        base.set_path(&format!("{}/api/stream", base.path().trim_end_matches('/')));
        Some(base)
    }) else {
        let remedy = "cache-mirror doctor --sse https://www.example.org/api/stream";
        return vec![Check::skip("sse", "no instance to ask", remedy)];
    };
    let shown = url.to_string();
    if let Some(ticket) = ticket(case).await {
        url.query_pairs_mut().append_pair("ticket", &ticket);
    }
    vec![judge(&shown, &look(url).await)]
}

async fn ticket(case: &Case) -> Option<String> {
    let Instance::Running(running) = &case.instance else { return None };
    let (_, answer) = running.client.call(Method::POST, "/api/stream/ticket", None).await.ok()?;
    answer["ticket"].as_str().map(str::to_owned)
}

async fn look(url: Url) -> Seen {
    let mut seen = Seen::default();
    let begun = Instant::now();
    let reading = read(url, begun, &mut seen);
    // What was seen by then is what there is to judge.
    drop(tokio::time::timeout(HELLO_TIME_MAX, reading).await);
    seen
}

async fn read(url: Url, begun: Instant, seen: &mut Seen) {
    let client = match net::builder().map(reqwest::ClientBuilder::build) {
        Ok(Ok(client)) => client,
        Ok(Err(error)) => return seen.error = Some(error.without_url().to_string()),
        Err(error) => return seen.error = Some(error.to_string()),
    };
    // As browsers ask: a proxy that would compress for them does so here too.
    let request = client.get(url).header(ACCEPT, "text/event-stream");
    let mut response = match request.header(ACCEPT_ENCODING, "gzip, br").send().await {
        Ok(response) => response,
        Err(error) => return seen.error = Some(error.without_url().to_string()),
    };
    let header = |name| response.headers().get(name).and_then(|value| value.to_str().ok());
    seen.media = header(CONTENT_TYPE).unwrap_or_default().to_ascii_lowercase();
    seen.encoding = header(CONTENT_ENCODING).unwrap_or_default().to_ascii_lowercase();
    seen.status = Some(response.status().as_u16());
    if seen.status != Some(200) {
        return;
    }
    let mut text = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        text.extend_from_slice(&chunk);
        let text = String::from_utf8_lossy(&text);
        let at = text.find("event: hello").or_else(|| text.find("event:hello"));
        if at.is_some_and(|at| text[at..].contains("\n\n")) {
            seen.hello_after = Some(begun.elapsed());
            return;
        }
        if text.len() > HELLO_BYTES_MAX {
            return;
        }
    }
    seen.has_ended = true;
}

fn judge(url: &str, seen: &Seen) -> Check {
    let at = |what: String| format!("{url}: {what}");
    if let Some(error) = &seen.error {
        let remedy = "start what listens there, or correct the URL";
        return Check::fail("sse", at(error.clone()), remedy);
    }
    match seen.status {
        None => return Check::fail("sse", at("not even a status in time".into()), UNBUFFER),
        Some(200) => {}
        Some(status @ (401 | 403)) => {
            let remedy = "name the instance whose stream it is by --server and its token, or \
                          open the stream: stream.public = true, with stream.origins";
            return Check::fail("sse", at(format!("answers {status}")), remedy);
        }
        Some(status) => {
            let remedy = "let the proxy pass /api/stream on to the control API";
            return Check::fail("sse", at(format!("answers {status}")), remedy);
        }
    }
    if !seen.media.starts_with("text/event-stream") {
        let remedy = "let the proxy pass /api/stream on to the control API: something else answers";
        return Check::fail("sse", at(format!("answers {:?}", print::safe(&seen.media))), remedy);
    }
    match seen.hello_after {
        None => {
            let what = match seen.has_ended {
                true => "it ended before its first event".to_owned(),
                false => format!("no event within {} s: held back", HELLO_TIME_MAX.as_secs()),
            };
            Check::fail("sse", at(what), UNBUFFER)
        }
        Some(after) if after > PROMPT => {
            let what = format!("the first event took {} ms", after.as_millis());
            Check::warn("sse", at(what), UNBUFFER)
        }
        Some(_) if !seen.encoding.is_empty() && seen.encoding != "identity" => {
            let what = format!("compressed ({}): held back sooner or later", seen.encoding);
            Check::warn("sse", at(what), UNBUFFER)
        }
        Some(after) => Check::ok("sse", at(format!("first event after {} ms", after.as_millis()))),
    }
}

#[cfg(test)]
mod tests {
    use super::super::check::Status;
    use super::*;

    #[test]
    fn a_stream_is_judged_by_its_first_event() {
        let good = || Seen {
            status: Some(200),
            media: "text/event-stream; charset=utf-8".into(),
            hello_after: Some(Duration::from_millis(3)),
            ..Seen::default()
        };
        let status = |seen: Seen| judge("u", &seen).status;
        assert_eq!(status(good()), Status::Ok);
        assert_eq!(status(Seen { hello_after: None, ..good() }), Status::Fail);
        let late = Some(Duration::from_secs(3));
        assert_eq!(status(Seen { hello_after: late, ..good() }), Status::Warn);
        assert_eq!(status(Seen { encoding: "gzip".into(), ..good() }), Status::Warn);
        assert_eq!(status(Seen { media: "text/html".into(), ..good() }), Status::Fail);
        assert_eq!(status(Seen { status: Some(401), ..good() }), Status::Fail);
        assert_eq!(status(Seen::default()), Status::Fail);
    }
}
