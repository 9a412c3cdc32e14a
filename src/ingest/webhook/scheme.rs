//! Verifies webhooks: a secret in a header, or an HMAC-SHA256 over the raw bytes.
//!
//! Signatures are compared in constant time, with each valid secret. Ambiguous requests are
//! refused: a duplicate header, a part that contains the separator after it. The reason of a
//! refusal goes to the log only; callers do not learn it.

use std::borrow::Cow;
use std::time::Duration;

use aws_lc_rs::{constant_time, hmac};
use base64::Engine as _;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use hyper::HeaderMap;
use hyper::header::{AUTHORIZATION, HeaderName};

use super::WebhookRequest;
use crate::support::Secret;

/// Signatures checked in one header: enough for two secrets and the sender's own rotation.
const SIGNATURES_MAX: usize = 16;
/// The prefix of keys of Standard Webhooks.
const KEY_PREFIX: &str = "whsec_";

const LENIENT: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const BASE64: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);
const BASE64_URL: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT);

/// How webhooks are verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scheme {
    /// The secret itself is in this header, perhaps after `Bearer`.
    Secret(HeaderName),
    /// The secret signs the request.
    Hmac(Box<Hmac>),
}

/// Where the signature is and what it covers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hmac {
    /// The header of the signature.
    pub header: HeaderName,
    /// Separates several values in that header.
    pub separator: Option<char>,
    /// The prefix of a signature.
    pub prefix: String,
    /// Encoding of the signature.
    pub encoding: Encoding,
    /// Form of the secret.
    pub key: KeyForm,
    /// The signed content.
    pub content: Content,
    /// When it was signed.
    pub timestamp: Option<Timestamp>,
    /// The header that lists further signed headers.
    pub signed_headers: Option<HeaderName>,
    /// The signed path, if a proxy rewrites it on the way.
    pub path: Option<String>,
}

/// Bytes as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are the documentation")]
pub enum Encoding {
    Hex,
    Base64,
    Base64Url,
}

/// How a secret encodes the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyForm {
    /// Its own bytes.
    Text,
    /// Base64, perhaps after `whsec_`.
    Base64,
}

/// When a request was signed, and how long the signature is valid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timestamp {
    /// Where it is.
    pub at: TimestampAt,
    /// Whether it is in milliseconds since 1970, not in seconds.
    pub is_ms: bool,
    /// How far it may differ from our clock.
    pub tolerance: Duration,
}

/// Where a timestamp is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TimestampAt {
    /// In a header of its own.
    Header(HeaderName),
    /// In the header of the signature, after this prefix.
    WithSignature(String),
}

/// The signed parts, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content(Vec<Signed>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Signed {
    Literal(String),
    Header(HeaderName),
    Timestamp,
    Method,
    Path,
    Headers,
    Body,
}

/// Why a webhook was refused, for the log.
pub type WebhookRefusal = &'static str;

impl Content {
    /// Parses a template of `{body}`, `{timestamp}`, `{header:NAME}`, `{method}`, `{path}` and
    /// `{headers}`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (mut parts, mut rest) = (Vec::new(), text);
        while !rest.is_empty() {
            let Some((literal, after)) = rest.split_once('{') else {
                parts.push(Signed::Literal(rest.to_owned()));
                break;
            };
            if !literal.is_empty() {
                parts.push(Signed::Literal(literal.to_owned()));
            }
            let (name, after) = after.split_once('}').ok_or("a { without its }")?;
            parts.push(Signed::parse(name)?);
            rest = after;
        }
        if parts.contains(&Signed::Body) { Ok(Self(parts)) } else { Err("no {body}".into()) }
    }

    /// Whether it covers the timestamp.
    pub fn has_timestamp(&self) -> bool {
        let covers = |part: &Signed| matches!(part, Signed::Timestamp | Signed::Headers);
        self.0.iter().any(covers)
    }

    /// Whether it covers listed headers.
    pub fn has_headers(&self) -> bool {
        self.0.contains(&Signed::Headers)
    }
}

impl Signed {
    fn parse(name: &str) -> Result<Self, String> {
        match name {
            "body" => Ok(Self::Body),
            "timestamp" => Ok(Self::Timestamp),
            "method" => Ok(Self::Method),
            "path" => Ok(Self::Path),
            "headers" => Ok(Self::Headers),
            _ => {
                let header = name.strip_prefix("header:").map(HeaderName::try_from);
                let known = "{body}, {timestamp}, {header:NAME}, {method}, {path}, {headers}";
                let unknown = || format!("{{{name}}} is not known; known are {known}");
                header.and_then(Result::ok).map(Self::Header).ok_or_else(unknown)
            }
        }
    }
}

impl Encoding {
    fn decode(self, text: &str) -> Option<Vec<u8>> {
        match self {
            Self::Hex => unhex(text),
            Self::Base64 => BASE64.decode(text).ok(),
            Self::Base64Url => BASE64_URL.decode(text).ok(),
        }
    }
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|it| u8::try_from(it).ok());
    let pair = |pair: &[u8]| match pair {
        [high, low] => Some(digit(*high)? << 4 | digit(*low)?),
        _ => None,
    };
    text.as_bytes().chunks(2).map(pair).collect()
}

impl KeyForm {
    /// The key of a secret; `None` if it is malformed.
    pub fn key(self, secret: &Secret) -> Option<Cow<'_, [u8]>> {
        let text = secret.expose();
        match self {
            Self::Text => Some(Cow::Borrowed(text.as_bytes())),
            Self::Base64 => {
                let text = text.strip_prefix(KEY_PREFIX).unwrap_or(text).trim();
                let key = BASE64.decode(text).ok().filter(|key| !key.is_empty());
                key.map(Cow::Owned)
            }
        }
    }
}

/// The value of a header; `None` for a duplicate one, which is ambiguous.
fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut all = headers.get_all(name).iter();
    match (all.next(), all.next()) {
        (Some(one), None) => one.to_str().ok().map(str::trim),
        _ => None,
    }
}

impl Scheme {
    /// Verifies a request with one of these secrets.
    ///
    /// # Errors
    /// Why it is not genuine, for the log.
    pub fn check(
        &self,
        secrets: &[Secret],
        delivery: &WebhookRequest<'_>,
    ) -> Result<(), WebhookRefusal> {
        match self {
            Self::Secret(header) => check_secret(header, secrets, delivery),
            Self::Hmac(hmac) => hmac.check(secrets, delivery),
        }
    }
}

fn check_secret(
    header: &HeaderName,
    secrets: &[Secret],
    delivery: &WebhookRequest<'_>,
) -> Result<(), WebhookRefusal> {
    let given = single(delivery.headers, header).ok_or("no secret, or two")?;
    let (scheme, token) = given.split_once(' ').unwrap_or(("", given));
    let token = if scheme.eq_ignore_ascii_case("Bearer") { token.trim() } else { given };
    let is_bare = *header == AUTHORIZATION && token == given;
    // All secrets are compared, so that the time does not show which one matched.
    let matches = secrets.iter().filter(|secret| secret.matches(token)).count();
    if matches > 0 && !is_bare { Ok(()) } else { Err("another secret") }
}

impl Hmac {
    fn check(
        &self,
        secrets: &[Secret],
        delivery: &WebhookRequest<'_>,
    ) -> Result<(), WebhookRefusal> {
        let header = single(delivery.headers, &self.header).ok_or("no signature, or two")?;
        let values: Vec<&str> = match self.separator {
            Some(separator) => header.split(separator).map(str::trim).collect(),
            None => vec![header],
        };
        let signatures: Vec<Vec<u8>> = values
            .iter()
            .filter_map(|value| value.strip_prefix(self.prefix.as_str()))
            .take(SIGNATURES_MAX)
            .filter_map(|text| self.encoding.decode(text))
            .collect();
        if signatures.is_empty() {
            return Err("no signature of the kind that is expected");
        }
        let timestamp = match &self.timestamp {
            Some(timestamp) => timestamp.read(&values, delivery)?,
            None => "",
        };
        let content = self.signed(timestamp, delivery)?;
        let keys = secrets.iter().filter_map(|secret| self.key.key(secret));
        let is_genuine = keys.fold(false, |is_genuine, key| {
            let mut tag = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, &key));
            content.iter().for_each(|part| tag.update(part));
            let tag = tag.sign();
            let is_ours =
                |it: &Vec<u8>| constant_time::verify_slices_are_equal(tag.as_ref(), it).is_ok();
            signatures.iter().filter(|it| is_ours(it)).count() > 0 || is_genuine
        });
        if is_genuine { Ok(()) } else { Err("another signature") }
    }

    /// The signed bytes in pieces: the body is not copied.
    fn signed<'a>(
        &'a self,
        timestamp: &'a str,
        delivery: &'a WebhookRequest<'_>,
    ) -> Result<Vec<Cow<'a, [u8]>>, WebhookRefusal> {
        let mut pieces: Vec<Cow<'a, [u8]>> = Vec::new();
        for (at, part) in self.content.0.iter().enumerate() {
            let text = match part {
                Signed::Literal(text) => Cow::Borrowed(text.as_str()),
                Signed::Body => {
                    pieces.push(Cow::Borrowed(delivery.body));
                    continue;
                }
                Signed::Timestamp => Cow::Borrowed(timestamp),
                Signed::Method => Cow::Borrowed("POST"),
                Signed::Path => self.path(delivery),
                Signed::Headers => Cow::Owned(self.headers(delivery)?),
                Signed::Header(name) => {
                    let value = single(delivery.headers, name).ok_or("no signed header, or two")?;
                    if let Some(Signed::Literal(mark)) = self.content.0.get(at + 1)
                        && value.contains(mark.as_str())
                    {
                        return Err("a signed header with the separator in it");
                    }
                    Cow::Borrowed(value)
                }
            };
            pieces.push(match text {
                Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
                Cow::Owned(text) => Cow::Owned(text.into_bytes()),
            });
        }
        Ok(pieces)
    }

    fn path<'a>(&'a self, delivery: &'a WebhookRequest<'_>) -> Cow<'a, str> {
        let Some(path) = &self.path else { return Cow::Borrowed(delivery.target) };
        match delivery.target.split_once('?') {
            Some((_, query)) => Cow::Owned(format!("{path}?{query}")),
            None => Cow::Borrowed(path),
        }
    }

    /// The signed headers in one line: `name:value`, sorted by name, separated by semicolons. They
    /// always include the list of headers and the timestamp, so that neither can be replaced.
    fn headers(&self, delivery: &WebhookRequest<'_>) -> Result<String, WebhookRefusal> {
        let list = self.signed_headers.as_ref().ok_or("no list of signed headers")?;
        let listed = single(delivery.headers, list).ok_or("no list of signed headers")?;
        let mut names: Vec<HeaderName> =
            listed.split(',').filter_map(|name| HeaderName::try_from(name.trim()).ok()).collect();
        names.push(list.clone());
        if let Some(Timestamp { at: TimestampAt::Header(name), .. }) = &self.timestamp {
            names.push(name.clone());
        }
        names.sort_unstable_by(|one, other| one.as_str().cmp(other.as_str()));
        names.dedup();
        let pair = |name: &HeaderName| {
            single(delivery.headers, name).map(|value| format!("{name}:{value}"))
        };
        let pairs: Vec<String> = names.iter().filter_map(pair).collect();
        Ok(pairs.join(";"))
    }
}

impl Timestamp {
    /// Its text, if it is close enough to our clock.
    fn read<'a>(
        &self,
        values: &[&'a str],
        delivery: &'a WebhookRequest<'_>,
    ) -> Result<&'a str, WebhookRefusal> {
        let text = match &self.at {
            TimestampAt::Header(name) => single(delivery.headers, name),
            TimestampAt::WithSignature(prefix) => {
                let mut all = values.iter().filter_map(|value| value.strip_prefix(prefix.as_str()));
                all.next().filter(|_| all.next().is_none())
            }
        };
        let text = text.filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
        let number: u64 = text.and_then(|text| text.parse().ok()).ok_or("no timestamp, or two")?;
        let at_ms = if self.is_ms { number } else { number.saturating_mul(1000) };
        let distance = Duration::from_millis(at_ms.abs_diff(delivery.now_ms));
        if distance > self.tolerance {
            return Err("a timestamp too far from our clock");
        }
        text.ok_or("no timestamp, or two")
    }
}
