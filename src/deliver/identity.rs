//! Finds out who answers at an address: another cache-mirror, this instance, or another server.
//!
//! Neither an address nor a stored id proves this (names move, disks are cloned). So each process
//! start draws a random *boot nonce* and proves itself by an HMAC over the nonce of the request.
//! Only this process can compute our proof: an answer that contains it comes from this instance. In
//! doubt an event is delivered twice, never skipped. The values of a peer are bounded, and its
//! paths never lead away from its base, because our credentials are sent there.

use std::net::IpAddr;
use std::time::Duration;

use aws_lc_rs::hmac;
use bytes::Bytes;
use reqwest::Method;
use reqwest::header::ACCEPT;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use url::Url;

use super::LOGIN_PATH;
use super::credentials::below;
use super::worker::INVALIDATE_PATH;
use crate::net::{Failure, Outgoing, Transport};
use crate::support::{Secret, proof, random};

/// The path of the identity at every instance.
pub const PATH: &str = "/_cache-mirror/identity";
/// The protocol of this version. Versions N and N-1 are compatible.
pub const PROTOCOL: u32 = 1;
/// The longest nonce that is answered.
pub const NONCE_BYTES_MAX: usize = 128;

/// The secret of this process start.
pub struct BootNonce {
    key: hmac::Key,
}

impl Default for BootNonce {
    fn default() -> Self {
        Self::draw()
    }
}

impl BootNonce {
    /// Draws a random one. It is kept in memory only.
    pub fn draw() -> Self {
        let mut nonce = [0_u8; 32];
        random::fill(&mut nonce).expect("the system's random generator answers");
        Self { key: hmac::Key::new(hmac::HMAC_SHA256, &nonce) }
    }

    /// `HMAC-SHA256(boot nonce, nonce)` in hexadecimal.
    pub fn proof(&self, nonce: &str) -> String {
        let tag = hmac::sign(&self.key, nonce.as_bytes());
        tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Whether a proof is ours, in constant time.
    pub fn is_ours(&self, nonce: &str, proof: &str) -> bool {
        let bytes: Option<Vec<u8>> = (0..proof.len())
            .step_by(2)
            .map(|at| proof.get(at..at + 2).and_then(|hex| u8::from_str_radix(hex, 16).ok()))
            .collect();
        bytes.is_some_and(|bytes| hmac::verify(&self.key, nonce.as_bytes(), &bytes).is_ok())
    }
}

/// The name in `check` of the only secret that may be compared.
pub const REVALIDATE: &str = "revalidate";

/// Keyed hashes of a secret. A caller that holds the same secret computes the same hash, and so can
/// compare.
#[derive(Debug, Clone, Default, Serialize, Deserialize, schemars::JsonSchema)]
pub struct SecretCheck {
    /// Whether one is configured here.
    pub known: bool,
    /// The hash of each valid secret of at least 32 characters, in hexadecimal.
    pub proofs: Vec<String>,
}

impl SecretCheck {
    /// The hashes of these secrets for this nonce.
    pub fn of(secrets: &[Secret], nonce: &str) -> Self {
        let proofs = secrets.iter().filter_map(|secret| proof::of(secret, REVALIDATE, nonce));
        Self { known: !secrets.is_empty(), proofs: proofs.collect() }
    }

    /// Compares the peer's hashes with ours of the same nonce.
    pub fn compare(&self, ours: &Self) -> &'static str {
        match self {
            _ if self.proofs.iter().any(|proof| ours.proofs.contains(proof)) => "equal",
            Self { known: false, .. } => "absent",
            _ if self.proofs.is_empty() || ours.proofs.is_empty() => "short",
            _ => "differs",
        }
    }
}

/// The identity of an instance.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Identity {
    /// `instance.name`.
    pub instance: String,
    /// Product version.
    pub version: String,
    /// Protocol number.
    pub protocol: u32,
    /// What it supports beyond the legacy form.
    #[serde(default)]
    pub features: Vec<String>,
    /// The paths of login and invalidation, relative to the peer's base.
    pub paths: Paths,
    /// The hash of its graph.
    #[serde(default)]
    pub graph: String,
    /// The proof over the nonce of the request.
    pub proof: String,
    /// The answer to `check`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check: Option<SecretCheck>,
}

/// The paths of an instance.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
#[schemars(rename = "IdentityPaths")]
pub struct Paths {
    /// The path of the login.
    pub login: String,
    /// The path for invalidations.
    pub invalidate: String,
}

impl Default for Paths {
    fn default() -> Self {
        Self { login: LOGIN_PATH.into(), invalidate: INVALIDATE_PATH.into() }
    }
}

/// The longest path that a peer may name.
const PATH_BYTES_MAX: usize = 256;
/// The longest name, version or feature of a peer that is kept.
const TEXT_CHARS_MAX: usize = 128;
/// The number of features of a peer that are kept.
const FEATURES_MAX: usize = 64;
/// The number of hashes of a secret that are compared.
const PROOFS_MAX: usize = 64;
/// The length of a proof, and the maximum length of the hash of a graph.
const PROOF_CHARS: usize = 64;

/// Whether a path that a peer names stays below its base for every reader: plain segments, and
/// nothing that a URL parser or a proxy could decode, fold or interpret as a host.
pub fn is_plain_path(path: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte);
    let inner = path.strip_prefix('/').unwrap_or(path);
    let is_plain_segment = |segment: &str| !matches!(segment, "" | "." | "..");
    path.len() <= PATH_BYTES_MAX
        && path.bytes().all(is_plain)
        && inner.split('/').all(is_plain_segment)
}

/// A valid identity with bounded values.
#[derive(Debug, Clone)]
pub struct ParsedIdentity {
    /// The identity. Its values are bounded and its paths are safe.
    pub identity: Identity,
    /// Whether its paths were not safe, so that the default paths are used.
    pub has_bad_paths: bool,
}

impl ParsedIdentity {
    /// Parses an answer. `None` if it is no identity.
    pub fn parse(body: &[u8]) -> Option<Self> {
        let body: Value = serde_json::from_slice(body).ok()?;
        let proof = body["proof"].as_str().filter(|proof| is_hex(proof, PROOF_CHARS))?;
        if proof.len() != PROOF_CHARS {
            return None;
        }
        let protocol = u32::try_from(body["protocol"].as_u64()?).ok().filter(|it| *it >= 1)?;
        let instance = bounded_text(body["instance"].as_str()?);
        let version = bounded_text(body["version"].as_str().unwrap_or_default());
        let features = body["features"].as_array().into_iter().flatten();
        let features =
            features.filter_map(Value::as_str).take(FEATURES_MAX).map(bounded_text).collect();
        let graph = body["graph"].as_str().filter(|graph| graph.len() <= PROOF_CHARS);
        let graph = bounded_text(graph.unwrap_or_default());
        let path = |name: &str| body["paths"][name].as_str().filter(|path| is_plain_path(path));
        let paths = match (path("login"), path("invalidate")) {
            (Some(login), Some(invalidate)) => {
                Some(Paths { login: login.to_owned(), invalidate: invalidate.to_owned() })
            }
            _ => None,
        };
        let check: Option<SecretCheck> = serde_json::from_value(body["check"].clone()).ok();
        let check = check.map(|mut check| {
            check.proofs.truncate(PROOFS_MAX);
            check
        });
        let has_bad_paths = paths.is_none();
        let (paths, proof) = (paths.unwrap_or_default(), proof.to_owned());
        let identity =
            Identity { instance, version, protocol, features, paths, graph, proof, check };
        Some(Self { identity, has_bad_paths })
    }
}

fn is_hex(text: &str, chars_max: usize) -> bool {
    text.len() <= chars_max && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// A text from a peer, shortened and without characters that change how a line is shown.
fn bounded_text(text: &str) -> String {
    let is_shown = |c: &char| {
        !c.is_control()
            && !matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}')
            && !matches!(c, '\u{2066}'..='\u{2069}')
    };
    text.chars().filter(is_shown).take(TEXT_CHARS_MAX).collect()
}

/// The result of a probe.
#[derive(Debug, Clone)]
pub enum ProbeResult {
    /// This process answered.
    Oneself,
    /// Another cache-mirror answered.
    CacheMirror(Box<ParsedIdentity>),
    /// 404 or 405: the server has no identity path.
    Absent,
    /// An answer that proves nothing: an error, a redirect, a page of a proxy.
    Unclear {
        /// Whether it came from something other than this process.
        is_another: bool,
    },
}

/// A random nonce.
pub fn nonce() -> String {
    let mut bytes = [0_u8; 16];
    random::fill(&mut bytes).expect("the system's random generator answers");
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Probes once, over a connection of its own. Returns also the address that answered.
///
/// # Errors
/// [`Failure`] if nothing answered. Then nothing is known.
pub async fn probe(
    base: &Url,
    own: &BootNonce,
    timeout: Duration,
    over: &dyn Transport,
) -> Result<(ProbeResult, Option<IpAddr>), Failure> {
    let nonce = nonce();
    let Some(mut url) = below(base, PATH) else {
        return Ok((ProbeResult::Unclear { is_another: false }, None));
    };
    url.set_query(Some(&format!("nonce={nonce}")));
    let request = Outgoing {
        method: Method::GET,
        url,
        headers: vec![(ACCEPT, "application/json".into())],
        body: Bytes::new(),
        timeout,
    };
    let answer = over.send_alone(request).await?;
    let parsed = (answer.status == 200).then(|| ParsedIdentity::parse(&answer.body)).flatten();
    let answered = match parsed {
        Some(parsed) if own.is_ours(&nonce, &parsed.identity.proof) => ProbeResult::Oneself,
        Some(parsed) => ProbeResult::CacheMirror(Box::new(parsed)),
        None if matches!(answer.status, 404 | 405) => ProbeResult::Absent,
        None => {
            let is_from_proxy = matches!(answer.status, 300..=399 | 408 | 425 | 429 | 500..);
            ProbeResult::Unclear { is_another: !is_from_proxy }
        }
    };
    Ok((answered, answer.address))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every path that a peer may name stays below its base, so our credentials are sent nowhere
    /// else.
    #[test]
    fn paths_of_a_peer_stay_below_its_base() {
        let base = Url::parse("https://b.example/app/").expect("url");
        for path in ["/api/auth/login", "api/auth/login", "/v2/api-x/cache_y/~z", "/a.b/..c/d.."] {
            assert!(is_plain_path(path), "{path}");
            let url = below(&base, path).expect("a URL");
            assert!(url.as_str().starts_with("https://b.example/app/"), "{url}");
        }
        let long = format!("/{}", "x".repeat(PATH_BYTES_MAX));
        for path in [
            "",
            "/",
            "//other/x",
            "///x",
            "/a//b",
            "/a/",
            "http://other/x",
            "HTTP://other/x",
            "https:other",
            "ftp://x/",
            "file:///etc/passwd",
            "javascript:x",
            "../x",
            "/../x",
            "../../x",
            "/a/../../x",
            "/./a",
            "/%2e%2e/x",
            "/%2E./x",
            "/%2f/x",
            "/%5c%5cother/x",
            "\\\\other\\x",
            "/\\other/x",
            "/a\\..\\b",
            "/x?next=//other",
            "/x#y",
            "/a@b",
            "user@other",
            "other:443/x",
            "/x;y",
            "/\tx",
            "/\n//other",
            " /x",
            "/x ",
            "/caf\u{e9}",
            "/\u{ff0f}x",
            &long,
        ] {
            assert!(!is_plain_path(path), "{path:?}");
        }
    }

    #[test]
    fn an_identity_is_bounded_and_its_bad_paths_are_not_used() {
        let with = |paths: Value| {
            let body = serde_json::json!({
                "instance": format!("a\u{202e}\u{7}{}", "n".repeat(1000)), "version": "1\n2",
                "protocol": 1, "features": vec!["f\u{0}"; 10_000], "graph": "g".repeat(1000),
                "proof": "0".repeat(64), "paths": paths,
            });
            ParsedIdentity::parse(body.to_string().as_bytes()).expect("an identity")
        };
        let good = with(serde_json::json!({ "login": "/l", "invalidate": "/i" }));
        assert!(!good.has_bad_paths);
        assert_eq!((&*good.identity.paths.login, &*good.identity.paths.invalidate), ("/l", "/i"));
        assert_eq!(good.identity.instance.chars().count(), TEXT_CHARS_MAX);
        assert!(good.identity.instance.starts_with("an"));
        assert_eq!((&*good.identity.version, &*good.identity.graph), ("12", ""));
        assert_eq!(good.identity.features.len(), FEATURES_MAX);
        for bad in [
            serde_json::json!({ "login": "http://other/", "invalidate": "/i" }),
            serde_json::json!({ "login": "/l", "invalidate": "../../x" }),
            serde_json::json!({ "login": "/l" }),
            serde_json::json!({ "login": 5, "invalidate": ["/i"] }),
            serde_json::json!("/x"),
            Value::Null,
        ] {
            let parsed = with(bad.clone());
            assert!(parsed.has_bad_paths, "{bad}");
            assert_eq!(parsed.identity.paths.login, LOGIN_PATH);
            assert_eq!(parsed.identity.paths.invalidate, INVALIDATE_PATH);
        }
    }

    #[test]
    fn pages_are_no_identity() {
        for body in [
            "",
            "<h1>Welcome</h1>",
            "null",
            "[]",
            "{}",
            r#"{"instance":"a","protocol":1}"#,
            r#"{"instance":"a","protocol":1,"proof":"00"}"#,
            r#"{"instance":5,"protocol":1,"proof":"0"}"#,
        ] {
            assert!(ParsedIdentity::parse(body.as_bytes()).is_none(), "{body}");
        }
    }

    #[test]
    fn only_this_process_can_prove_itself() {
        let (own, other) = (BootNonce::draw(), BootNonce::draw());
        assert!(own.is_ours("n", &own.proof("n")));
        assert!(!own.is_ours("m", &own.proof("n")));
        assert!(!own.is_ours("n", &other.proof("n")));
        for garbage in ["", "zz", "é", &own.proof("n")[1..]] {
            assert!(!own.is_ours("n", garbage), "{garbage:?}");
        }
    }
}
