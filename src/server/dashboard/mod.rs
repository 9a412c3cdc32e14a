//! `GET /dashboard`: the page of the operator, and the files it is made of; all of it is in the
//! binary.
//!
//! It is open, because it says nothing: what it shows it asks the API for, with a token that a
//! person typed. The token is in `sessionStorage` of the page's origin and goes out in a header.
//! There are no cookies: no other page can act through it (CSRF), and a name that is rebound to
//! this address (DNS rebinding) is another origin, which has no token. Data becomes text and never
//! markup; should that fail, the policy below lets no script run but these files, and none be
//! framed.

use std::sync::{Arc, LazyLock};

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use hyper::StatusCode;
use hyper::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, ETAG, HeaderValue, IF_NONE_MATCH, LOCATION,
    REFERRER_POLICY,
};

use super::Control;
use super::call::ControlCall;
use super::respond::{Handled, Problem, bytes};

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
                      img-src 'self' data:; base-uri 'none'; form-action 'none'; \
                      frame-ancestors 'none'";

/// Bytes of a SHA-256 that are enough to tell two versions of a file apart.
const TAG_BYTES: usize = 12;

const HTML: &str = "text/html; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";

/// One file.
struct File {
    name: &'static str,
    media: &'static str,
    text: &'static str,
    tag: HeaderValue,
}

macro_rules! files {
    ($($name:literal $media:ident,)+) => {
        [$(File {
            name: $name,
            media: $media,
            text: include_str!($name),
            tag: tag(include_str!($name)),
        }),+]
    };
}

/// The page comes first.
static FILES: LazyLock<[File; 11]> = LazyLock::new(|| {
    files! {
        "index.html" HTML,
        "api.js" SCRIPT,
        "app.js" SCRIPT,
        "cache.js" SCRIPT,
        "invalidate.js" SCRIPT,
        "jobs.js" SCRIPT,
        "live.js" SCRIPT,
        "queue.js" SCRIPT,
        "schedules.js" SCRIPT,
        "view.js" SCRIPT,
        "style.css" STYLE,
    }
});

/// The page.
pub async fn page(_control: Arc<Control>, call: ControlCall) -> Handled {
    Ok(answer(&FILES[0], &call))
}

/// Leads a person who opens `/` to the page.
pub async fn from_root(_control: Arc<Control>, _call: ControlCall) -> Handled {
    Ok(lead("dashboard"))
}

/// Leads a person who opens `/dashboard/` to the page.
pub async fn from_slash(_control: Arc<Control>, _call: ControlCall) -> Handled {
    Ok(lead("../dashboard"))
}

/// The location is relative, so that it holds below the prefix of a proxy too.
fn lead(location: &'static str) -> super::respond::Answer {
    let mut answer = bytes(StatusCode::FOUND, "text/plain; charset=utf-8", Bytes::new());
    answer.headers_mut().insert(LOCATION, HeaderValue::from_static(location));
    answer
}

/// A file that the page is made of.
pub async fn file(_control: Arc<Control>, call: ControlCall) -> Handled {
    let found = FILES[1..].iter().find(|file| file.name == call.param);
    let found = found.ok_or_else(|| Problem::not_found("the dashboard has no such file"))?;
    Ok(answer(found, &call))
}

/// The file, or that it is what the browser has.
fn answer(file: &File, call: &ControlCall) -> super::respond::Answer {
    let mut answer = if is_known(file, call) {
        bytes(StatusCode::NOT_MODIFIED, file.media, Bytes::new())
    } else {
        bytes(StatusCode::OK, file.media, Bytes::from_static(file.text.as_bytes()))
    };
    let headers = answer.headers_mut();
    // Asked for each time, so that the files of two versions never meet.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(ETAG, file.tag.clone());
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    answer
}

/// Weak comparison, as RFC 9110 section 13.1.2 asks.
fn is_known(file: &File, call: &ControlCall) -> bool {
    let given = call.headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let mut tags = given.flat_map(|line| line.split(',')).map(str::trim);
    tags.any(|tag| tag == "*" || tag.trim_start_matches("W/").as_bytes() == file.tag.as_bytes())
}

fn tag(text: &str) -> HeaderValue {
    let digest = digest::digest(&digest::SHA256, text.as_bytes());
    let short = URL_SAFE_NO_PAD.encode(&digest.as_ref()[..TAG_BYTES]);
    HeaderValue::from_str(&format!("\"{short}\"")).expect("base64 is plain text")
}
